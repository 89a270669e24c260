#include "model/mesh_config.h"

#include <algorithm>
#include <iterator>

#include "base/text.h"
#include "model/decode.h"

namespace meshproof {
namespace {

// Fields of MeshConfig that decode into meshproof's struct.
constexpr std::string_view kRead[] = {
    "trustDomain",       "trustDomainAliases", "caCertificates",        "rootNamespace",
    "pathNormalization", "extensionProviders", "outboundTrafficPolicy", "enableAutoMtls",
    "meshMTLS",          "defaultConfig"};
// The others, which matter only to tell a typo from what is not modelled.
constexpr std::string_view kKnown[] = {"accessLogEncoding",
                                       "accessLogFile",
                                       "accessLogFormat",
                                       "certificates",
                                       "configSources",
                                       "connectTimeout",
                                       "defaultDestinationRuleExportTo",
                                       "defaultHttpRetryPolicy",
                                       "defaultProviders",
                                       "defaultServiceExportTo",
                                       "defaultVirtualServiceExportTo",
                                       "disableEnvoyListenerLog",
                                       "discoverySelectors",
                                       "dnsRefreshRate",
                                       "enableEnvoyAccessLogService",
                                       "enablePrometheusMerge",
                                       "enableTracing",
                                       "h2UpgradePolicy",
                                       "hboneIdleTimeout",
                                       "inboundClusterStatName",
                                       "inboundTrafficPolicy",
                                       "ingressClass",
                                       "ingressControllerMode",
                                       "ingressSelector",
                                       "ingressService",
                                       "localityLbSetting",
                                       "outboundClusterStatName",
                                       "proxyHttpPort",
                                       "proxyInboundListenPort",
                                       "proxyListenPort",
                                       "serviceScopeConfigs",
                                       "serviceSettings",
                                       "tcpKeepalive",
                                       "thriftConfig",
                                       "tlsDefaults",
                                       "verifyCertificateAtClient"};

bool IsAmong(std::string_view name, std::string_view snake_or_camel) {
  if (name == snake_or_camel) return true;
  // Compare without underscores and case, which is how the two spellings differ.
  std::string plain;
  for (char c : snake_or_camel) {
    if (c != '_') plain += c;
  }
  return EqualsIgnoreCase(name, plain);
}

void ReportUnknown(const Fields& fields, MeshConfig* config) {
  for (const Entry& entry : fields.node()->entries()) {
    std::string_view key = entry.key.text.substr(0, 200);
    const auto is_key = [&](std::string_view name) { return IsAmong(name, key); };
    if (std::any_of(std::begin(kRead), std::end(kRead), is_key)) continue;
    config->discovery_unknown.emplace_back(entry.key.text);
    if (std::any_of(std::begin(kKnown), std::end(kKnown), is_key)) continue;
    std::vector<std::string> names(std::begin(kRead), std::end(kRead));
    names.insert(names.end(), std::begin(kKnown), std::end(kKnown));
    auto nearest = Nearest(key, names);
    if (!nearest) continue;
    fields.report().Add(
        Severity::kInfo, Trouble::kUnsupported, fields.report().SpanOf(entry.key),
        "the mesh config has no field " + Quote(entry.key.text) + ", istiod ignores it",
        "did you mean " + Quote(*nearest) + "?");
  }
}

std::vector<std::string> Owned(const TextList& list) {
  std::vector<std::string> strings;
  strings.reserve(list.values.size());
  for (const Text& text : list.values) strings.emplace_back(text.value);
  return strings;
}

// An enum's name, or its number as protobuf's JSON allows.
template <typename E, size_t n>
E EnumOf(const Fields& fields, std::string_view key, const std::string_view (&names)[n],
         E otherwise) {
  const Node* node = fields.Find(key);
  if (node == nullptr) return otherwise;
  for (size_t i = 0; i < n; ++i) {
    if (node->text == names[i] || (node->IsInt() && node->AsInt() == static_cast<int64_t>(i))) {
      return static_cast<E>(i);
    }
  }
  fields.report().IgnoredType(*node, key, "one of the enum's names");
  return otherwise;
}

std::optional<ExtensionProvider::Body> DecodeBody(const Fields& provider) {
  Fields fields = provider.Message("includeRequestBodyInCheck");
  if (!fields.present()) return std::nullopt;
  ExtensionProvider::Body body;
  body.max_request_bytes = fields.Integer("maxRequestBytes").value_or(0);
  body.allow_partial_message = fields.Bool("allowPartialMessage");
  body.pack_as_bytes = fields.Bool("packAsBytes");
  return body;
}

void DecodeExtAuthz(const Fields& fields, ExtensionProvider* provider) {
  provider->service = fields.String("service");
  provider->port = fields.Integer("port").value_or(0);
  provider->timeout = fields.View("timeout");
  provider->fail_open = fields.Bool("failOpen");
  provider->status_on_error = fields.View("statusOnError");
  provider->body = DecodeBody(fields);
}

ExtensionProvider DecodeProvider(const Fields& fields) {
  ExtensionProvider provider;
  provider.name = fields.String("name");
  provider.span = fields.span();
  Fields http = fields.Message("envoyExtAuthzHttp");
  Fields grpc = fields.Message("envoyExtAuthzGrpc");
  if (grpc.present()) {
    provider.kind = ExtensionProvider::Kind::kExtAuthzGrpc;
    DecodeExtAuthz(grpc, &provider);
  } else if (http.present()) {
    provider.kind = ExtensionProvider::Kind::kExtAuthzHttp;
    DecodeExtAuthz(http, &provider);
    provider.path_prefix = http.View("pathPrefix");
    provider.include_request_headers = http.Strings("includeRequestHeadersInCheck");
    provider.include_headers_deprecated = http.Strings("includeHeadersInCheck");
    http.ForEachEntry("includeAdditionalHeadersInCheck", [&](const Node& name, const Node& value) {
      provider.include_additional_headers.emplace_back(TextOf(&name, http.report()),
                                                       TextOf(&value, http.report()));
    });
    provider.headers_to_upstream_on_allow = http.Strings("headersToUpstreamOnAllow");
    provider.headers_to_downstream_on_deny = http.Strings("headersToDownstreamOnDeny");
    provider.headers_to_downstream_on_allow = http.Strings("headersToDownstreamOnAllow");
  }
  return provider;
}

void DecodeProxyConfig(const Fields& proxy, MeshConfig* config) {
  Fields topology = proxy.Message("gatewayTopology");
  auto trusted = topology.Integer("numTrustedProxies").value_or(0);
  config->num_trusted_proxies = static_cast<uint32_t>(std::clamp<int64_t>(trusted, 0, UINT32_MAX));
  config->forward_client_cert_details = topology.View("forwardClientCertDetails");
}

void DecodeFields(const Fields& fields, MeshConfig* config) {
  constexpr std::string_view kNormalizations[] = {"DEFAULT", "NONE", "BASE", "MERGE_SLASHES",
                                                  "DECODE_AND_MERGE_SLASHES"};
  constexpr std::string_view kOutboundModes[] = {"REGISTRY_ONLY", "ALLOW_ANY"};
  enum class Outbound { kRegistryOnly, kAllowAny };

  Text root = fields.String("rootNamespace");
  if (!root.value.empty()) config->root_namespace = root.value;
  Text trust_domain = fields.String("trustDomain");
  if (!trust_domain.value.empty()) config->trust_domain = trust_domain.value;
  config->trust_domain_aliases = Owned(fields.Strings("trustDomainAliases"));
  fields.ForEach("caCertificates", [&](const Node& item) {
    Fields certificate(&item, fields.report(), "caCertificates", KeySpelling::kProtoJson);
    for (std::string& domain : Owned(certificate.Strings("trustDomains"))) {
      config->ca_trust_domains.push_back(std::move(domain));
    }
  });
  config->path_normalization = EnumOf(fields.Message("pathNormalization"), "normalization",
                                      kNormalizations, PathNormalization::kDefault);
  fields.ForEach("extensionProviders", [&](const Node& item) {
    Fields provider(&item, fields.report(), "extensionProviders", KeySpelling::kProtoJson);
    if (provider.present()) config->providers.push_back(DecodeProvider(provider));
  });
  config->registry_only = EnumOf(fields.Message("outboundTrafficPolicy"), "mode", kOutboundModes,
                                 Outbound::kAllowAny) == Outbound::kRegistryOnly;
  config->enable_auto_mtls = fields.Bool("enableAutoMtls", true);
  config->min_tls_version = fields.Message("meshMTLS").View("minProtocolVersion");
  DecodeProxyConfig(fields.Message("defaultConfig"), config);
}

// The text of the file with everything blanked that stands before the lines of the literal block,
// where the block's lines are the text's own, indented: parsed, it has the file's own offsets.
// Nothing for any other style of scalar.
std::optional<std::string> BlankedBlock(const Node& scalar, const SourceFile& file) {
  std::string_view text = file.text();
  if (scalar.style != ScalarStyle::kBlock || scalar.begin >= text.size()) return std::nullopt;
  int line = file.LineOf(scalar.begin) + (text[scalar.begin] == '|' ? 1 : 0);
  if (text[scalar.begin] == '>' || line > file.LineCount()) return std::nullopt;
  uint32_t start = file.LineStart(line);
  std::optional<size_t> indent;
  std::vector<std::string_view> lines = Split(scalar.text, '\n');
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  for (std::string_view wanted : lines) {
    if (line > file.LineCount()) return std::nullopt;
    std::string_view found = file.Line(line++);
    if (wanted.empty() && TrimSpace(found).empty()) continue;
    if (found.size() < wanted.size()) return std::nullopt;
    size_t shift = found.size() - wanted.size();
    if (!indent) indent = shift;
    if (shift != *indent || found.substr(shift) != wanted || found.find_first_not_of(' ') < shift) {
      return std::nullopt;
    }
  }
  uint32_t end =
      line <= file.LineCount() ? file.LineStart(line) : static_cast<uint32_t>(text.size());
  std::string blanked(text.substr(0, end));
  for (uint32_t i = 0; i < start; ++i) {
    if (blanked[i] != '\n') blanked[i] = ' ';
  }
  return blanked;
}

// Decodes the first document of `parsed`; spans are put into `file`.
void DecodeParsed(ParsedFile* parsed, const SourceFile* file, const ObjectMeta* meta,
                  Model* model) {
  for (Diagnostic& diagnostic : parsed->diagnostics) {
    if (diagnostic.span) diagnostic.span.file = file;
    model->diagnostics.push_back(diagnostic);
  }
  if (parsed->documents.empty() || parsed->documents.front().root() == nullptr) return;
  Report report(file, meta, &model->diagnostics);
  Fields fields(parsed->documents.front().root(), report, "the mesh config",
                KeySpelling::kProtoJson);
  if (!fields.present()) return;
  ReportUnknown(fields, &model->mesh_config);
  DecodeFields(fields, &model->mesh_config);
}

void DecodeText(const Node& scalar, const SourceFile& file, const ObjectMeta* meta, Model* model) {
  auto blanked = BlankedBlock(scalar, file);
  if (blanked) {
    ParsedFile parsed = ParseText(file.name(), std::move(*blanked));
    DecodeParsed(&parsed, &file, meta, model);
    model->nested.push_back(std::move(parsed));
    return;
  }
  std::string name = file.name() + ": data.mesh of ConfigMap " + std::string(meta->name);
  ParsedFile parsed = ParseText(std::move(name), std::string(scalar.text));
  DecodeParsed(&parsed, parsed.file.get(), meta, model);
  model->nested.push_back(std::move(parsed));
}

// A file that is itself the ConfigMap is taken for what it holds.
const Node* TextOfConfigMap(const ParsedFile& parsed) {
  if (parsed.documents.empty() || parsed.documents.front().root() == nullptr) return nullptr;
  const Node* root = parsed.documents.front().root();
  const Node* kind = root->Find("kind");
  if (kind == nullptr || kind->text != "ConfigMap") return nullptr;
  const Node* data = root->Find("data");
  const Node* text = data == nullptr ? nullptr : data->Find("mesh");
  return text != nullptr && text->IsString() ? text : nullptr;
}

void DecodeGivenFile(const SourceFile& given, Model* model) {
  static const ObjectMeta kNoObject{};
  ParsedFile parsed = ParseText(given.name(), std::string(given.text()));
  model->nested.push_back(std::move(parsed));
  // The place of the outer file in the list may change when the inner one is added.
  std::shared_ptr<const SourceFile> file = model->nested.back().file;
  if (const Node* text = TextOfConfigMap(model->nested.back())) {
    return DecodeText(*text, *file, &kNoObject, model);
  }
  ParsedFile& stored = model->nested.back();
  DecodeParsed(&stored, file.get(), &kNoObject, model);
}

// Which of the ConfigMaps counts; null where there is none.
MeshConfigMap* Choose(std::vector<MeshConfigMap>* maps, const std::string& root, Model* model) {
  std::vector<MeshConfigMap*> in_root;
  for (MeshConfigMap& map : *maps) {
    if (map.meta->ns == root) in_root.push_back(&map);
    if (map.meta->ns == root && map.meta->name == "istio") return &map;
  }
  std::vector<MeshConfigMap*> all = in_root;
  if (all.empty()) {
    for (MeshConfigMap& map : *maps) all.push_back(&map);
  }
  if (all.size() > 1) {
    const auto plain = std::find_if(all.begin(), all.end(), [](const MeshConfigMap* map) {
      return map->meta->name == "istio";
    });
    MeshConfigMap* chosen = plain == all.end() ? all.front() : *plain;
    model->diagnostics.push_back(
        {Severity::kWarning, Trouble::kUnsupported,
         "there are " + std::to_string(all.size()) + " mesh configs; that of " +
             ToString(*chosen->meta) + " is used",
         chosen->meta->span, "choose with --mesh-config or --root-namespace"});
    return chosen;
  }
  return all.empty() ? nullptr : all.front();
}

}  // namespace

void DecodeMeshConfig(std::vector<MeshConfigMap> maps, const ModelOptions& options, Model* model) {
  MeshConfig& config = model->mesh_config;
  if (options.mesh_config != nullptr) {
    DecodeGivenFile(*options.mesh_config, model);
  } else if (MeshConfigMap* map =
                 Choose(&maps, options.root_namespace.value_or(config.root_namespace), model)) {
    config.object = map->meta.get();
    DecodeText(*map->text, *map->meta->file, map->meta.get(), model);
  }
  for (MeshConfigMap& map : maps) model->extra_metas.push_back(std::move(map.meta));
  if (options.root_namespace) config.root_namespace = *options.root_namespace;
  if (options.trust_domain) config.trust_domain = *options.trust_domain;
}

}  // namespace meshproof
