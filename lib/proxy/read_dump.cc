// Reads dumps (envoy-facts section 6). A JSON text is walked once without building a tree: what
// stands in the lists of a section becomes a piece, and only one piece at a time is read into a
// tree and from there into the configuration, so that memory stays near the size of the text.

#include <algorithm>
#include <cstring>
#include <deque>

#include "proxy/read_context.h"
#include "source/json_reader.h"

namespace meshproof {

const DumpSecret* ProxyDump::FindSecret(std::string_view name) const {
  for (const DumpSecret& secret : secrets) {
    if (secret.name == name) return &secret;
  }
  return nullptr;
}

std::optional<PolicyKey> ParsePolicyKey(std::string_view key) {
  PolicyKey out;
  constexpr std::string_view kCustom = "istio-ext-authz-", kNs = "ns[", kPolicy = "]-policy[",
                             kRule = "]-rule[";
  size_t ns = key.find(kNs);
  if (ns == std::string_view::npos) return std::nullopt;
  size_t policy = key.find(kPolicy, ns);
  size_t rule = policy == std::string_view::npos ? policy : key.find(kRule, policy);
  size_t end = rule == std::string_view::npos ? rule : key.find(']', rule + kRule.size());
  if (end == std::string_view::npos) return std::nullopt;
  out.ns = key.substr(ns + kNs.size(), policy - ns - kNs.size());
  out.name = key.substr(policy + kPolicy.size(), rule - policy - kPolicy.size());
  std::string_view number = key.substr(rule + kRule.size(), end - rule - kRule.size());
  if (number.empty() || number.size() > 6 ||
      number.find_first_not_of("0123456789") != std::string_view::npos) {
    return std::nullopt;
  }
  out.rule = std::stoi(std::string(number));
  if (key.starts_with(kCustom) && ns > kCustom.size()) {
    out.provider = key.substr(kCustom.size(), ns - kCustom.size());
    if (out.provider.ends_with('-')) out.provider.remove_suffix(1);
  }
  return out;
}

ReadContext::ReadContext(std::shared_ptr<const Mesh> mesh) : mesh_(std::move(mesh)) {
  if (mesh_ == nullptr) return;
  for (const auto& policy : mesh_->model().authorization_policies) {
    policies_[{policy.meta.ns, std::string(policy.meta.name)}] = &policy;
  }
}

void ReadContext::NoteOpaque(std::string what, const Node& node) {
  // The same filter stands in many chains: it is named once a listener.
  for (const DumpOpaque& known : proxy->opaque) {
    if (known.what == what && known.where == where) return;
  }
  constexpr size_t kMany = 2000;
  if (proxy->opaque.size() < kMany) proxy->opaque.push_back({std::move(what), where, SpanOf(node)});
}

Origin ReadContext::OriginOf(const std::string& key, const Node& node) {
  Origin origin;
  origin.span = SpanOf(node);
  auto parsed = ParsePolicyKey(key);
  if (!parsed) return origin;
  origin.rule = parsed->rule;
  auto known = policies_.find({std::string(parsed->ns), std::string(parsed->name)});
  if (known != policies_.end()) {
    const AuthorizationPolicy& policy = *known->second;
    origin.object = &policy.meta;
    auto index = static_cast<size_t>(parsed->rule);
    origin.span = index < policy.rules.size() && policy.rules[index].span ? policy.rules[index].span
                                                                          : policy.meta.span;
    return origin;
  }
  ProxyConfig& config = *proxy->config;
  for (const auto& made : config.recovered) {
    if (made->ns == parsed->ns && made->name == parsed->name) {
      origin.object = made.get();
      return origin;
    }
  }
  struct Owned {
    std::string name;
    ObjectMeta meta;
  };
  auto owned = std::make_shared<Owned>();
  owned->name = std::string(parsed->name);
  owned->meta.kind = "AuthorizationPolicy";
  owned->meta.api_version = "security.istio.io/v1";
  owned->meta.name = owned->name;
  owned->meta.ns = std::string(parsed->ns);
  owned->meta.span = origin.span;
  owned->meta.file = file;
  origin.object = &owned->meta;
  config.recovered.push_back(std::shared_ptr<const ObjectMeta>(owned, &owned->meta));
  return origin;
}

namespace {

bool Same(const TextList& list, const std::vector<std::string>& texts) {
  return std::equal(list.values.begin(), list.values.end(), texts.begin(), texts.end(),
                    [](const Text& a, const std::string& b) { return a.value == b; });
}

// How much of a jwtRule stands in a provider: the keys count most, then where tokens are read.
int Likeness(const JwtRule& rule, const JwtProvider& provider) {
  bool keys = provider.local_jwks && rule.jwks.value == *provider.local_jwks;
  return (keys ? 32 : 0) + Same(rule.audiences, provider.audiences) * 16 +
         (rule.from_headers.size() == provider.from_headers.size()) * 8 +
         Same(rule.from_params, provider.from_params) * 4 +
         Same(rule.from_cookies, provider.from_cookies) * 2 +
         (rule.forward_original_token == provider.forward);
}

}  // namespace

Origin ReadContext::ProviderOrigin(const JwtProvider& provider, const Node& node) const {
  Origin origin;
  origin.span = SpanOf(node);
  if (mesh_ == nullptr || workload == nullptr) return origin;
  // Several objects may name one issuer: the one whose audiences, keys and headers agree.
  int best = -1;
  for (const auto* authentication : mesh_->PoliciesFor(*workload).request_authentications) {
    for (size_t i = 0; i < authentication->jwt_rules.size(); ++i) {
      const JwtRule& rule = authentication->jwt_rules[i];
      if (rule.issuer.value != provider.issuer) continue;
      int score = Likeness(rule, provider);
      if (score <= best) continue;
      best = score;
      origin.object = &authentication->meta;
      origin.rule = static_cast<int>(i);
      origin.span = rule.span;
    }
  }
  return origin;
}

EffectiveMode ReadContext::ModeFor(uint32_t port) const {
  if (mesh_ == nullptr || workload == nullptr || workload->mode != ProxyMode::kSidecar) return {};
  return mesh_->MtlsFor(*workload).ForPort(static_cast<int>(port));
}

namespace {

// What a piece of a dump is.
enum class PieceKind {
  kBootstrap,
  kStaticListener,   // {listener: …}
  kDynamicListener,  // {name, active_state: …}
  kListener,         // the message itself
  kStaticRoutes,
  kDynamicRoutes,
  kRoutes,
  kStaticCluster,
  kWarmingCluster,
  kCluster,
  kSecret,
  kStaticSecret,
  kWarmingSecret,
  kEcds,
  kEndpoints,
  kZtunnel,
  kOther,
};

struct ListName {
  std::string_view name;
  PieceKind kind;
};
constexpr ListName kLists[] = {
    {"static_listeners", PieceKind::kStaticListener},
    {"dynamic_listeners", PieceKind::kDynamicListener},
    {"static_route_configs", PieceKind::kStaticRoutes},
    {"dynamic_route_configs", PieceKind::kDynamicRoutes},
    {"static_clusters", PieceKind::kStaticCluster},
    {"dynamic_active_clusters", PieceKind::kStaticCluster},
    {"dynamic_warming_clusters", PieceKind::kWarmingCluster},
    {"static_secrets", PieceKind::kStaticSecret},
    {"dynamic_active_secrets", PieceKind::kSecret},
    {"dynamic_warming_secrets", PieceKind::kWarmingSecret},
    {"ecds_filters", PieceKind::kEcds},
    {"static_endpoint_configs", PieceKind::kEndpoints},
    {"dynamic_endpoint_configs", PieceKind::kEndpoints},
    {"inline_scoped_route_configs", PieceKind::kOther},
    {"dynamic_scoped_route_configs", PieceKind::kOther},
};

std::optional<PieceKind> ListKind(std::string_view key) {
  for (const ListName& list : kLists) {
    if (IsField(key, list.name)) return list.kind;
  }
  return std::nullopt;
}

enum class Section { kNone, kListeners, kRoutes, kClusters, kSecrets, kEcds, kEndpoints };

Section SectionOf(PieceKind kind) {
  switch (kind) {
    case PieceKind::kStaticListener:
    case PieceKind::kDynamicListener:
    case PieceKind::kListener:
      return Section::kListeners;
    case PieceKind::kStaticRoutes:
    case PieceKind::kDynamicRoutes:
    case PieceKind::kRoutes:
      return Section::kRoutes;
    case PieceKind::kStaticCluster:
    case PieceKind::kWarmingCluster:
    case PieceKind::kCluster:
      return Section::kClusters;
    case PieceKind::kSecret:
    case PieceKind::kStaticSecret:
    case PieceKind::kWarmingSecret:
      return Section::kSecrets;
    case PieceKind::kEcds:
      return Section::kEcds;
    case PieceKind::kEndpoints:
      return Section::kEndpoints;
    case PieceKind::kBootstrap:
    case PieceKind::kZtunnel:
    case PieceKind::kOther:
      break;
  }
  return Section::kNone;
}

Section SectionOfType(std::string_view type) {
  if (type.ends_with("ListenersConfigDump")) return Section::kListeners;
  if (type.ends_with("RoutesConfigDump") && !type.ends_with("ScopedRoutesConfigDump")) {
    return Section::kRoutes;
  }
  if (type.ends_with("ClustersConfigDump")) return Section::kClusters;
  if (type.ends_with("SecretsConfigDump")) return Section::kSecrets;
  if (type.ends_with("EcdsConfigDump")) return Section::kEcds;
  if (type.ends_with("EndpointsConfigDump")) return Section::kEndpoints;
  return Section::kNone;
}

// An element of a list whose kind nobody said: by the keys that it has. `type` is its @type.
struct Keys {
  bool filter_chains = false, virtual_hosts = false, cluster_like = false, secret_like = false,
       active_state = false, listener = false, route_config = false, cluster = false,
       secret = false, bootstrap = false, node = false, workloads = false, services = false,
       ecds = false, endpoints = false, name = false, typed_config = false, kind = false;

  void See(std::string_view key) {
    struct Known {
      std::string_view name;
      bool Keys::* flag;
    };
    static constexpr Known kKnown[] = {
        {"filter_chains", &Keys::filter_chains},
        {"default_filter_chain", &Keys::filter_chains},
        {"listener_filters", &Keys::filter_chains},
        {"virtual_hosts", &Keys::virtual_hosts},
        {"vhds", &Keys::virtual_hosts},
        {"eds_cluster_config", &Keys::cluster_like},
        {"connect_timeout", &Keys::cluster_like},
        {"lb_policy", &Keys::cluster_like},
        {"load_assignment", &Keys::cluster_like},
        {"circuit_breakers", &Keys::cluster_like},
        {"tls_certificate", &Keys::secret_like},
        {"validation_context", &Keys::secret_like},
        {"active_state", &Keys::active_state},
        {"warming_state", &Keys::active_state},
        {"draining_state", &Keys::active_state},
        {"listener", &Keys::listener},
        {"route_config", &Keys::route_config},
        {"cluster", &Keys::cluster},
        {"secret", &Keys::secret},
        {"bootstrap", &Keys::bootstrap},
        {"workloads", &Keys::workloads},
        {"services", &Keys::services},
        {"ecds_filter", &Keys::ecds},
        {"host_statuses", &Keys::endpoints},
        {"endpoint_config", &Keys::endpoints},
        {"typed_config", &Keys::typed_config},
        {"name", &Keys::name},
        {"apiVersion", &Keys::kind},
    };
    for (const Known& known : kKnown) {
      if (IsField(key, known.name)) this->*known.flag = true;
    }
  }

  PieceKind Guess(std::string_view type) const {
    if (kind) return PieceKind::kOther;
    if (workloads && services) return PieceKind::kZtunnel;
    if (bootstrap) return PieceKind::kBootstrap;
    if (active_state) return PieceKind::kDynamicListener;
    if (filter_chains) return PieceKind::kListener;
    if (virtual_hosts) return PieceKind::kRoutes;
    if (listener) return PieceKind::kStaticListener;
    if (route_config) return PieceKind::kDynamicRoutes;
    if (ecds) return PieceKind::kEcds;
    if (endpoints) return PieceKind::kEndpoints;
    if (secret || secret_like) return PieceKind::kSecret;
    if (cluster) return PieceKind::kStaticCluster;
    if (cluster_like) return PieceKind::kCluster;
    if (name && typed_config) return PieceKind::kEcds;
    if (type.ends_with(".Listener")) return PieceKind::kListener;
    if (type.ends_with(".RouteConfiguration")) return PieceKind::kRoutes;
    if (type.ends_with(".Cluster")) return PieceKind::kCluster;
    if (type.ends_with(".Secret")) return PieceKind::kSecret;
    return PieceKind::kOther;
  }
};

struct Piece {
  PieceKind kind = PieceKind::kOther;
  const Node* node = nullptr;  // a tree, or:
  uint32_t begin = 0, end = 0;
};

// What stands between the lists of one proxy's dump.
struct Parts {
  std::vector<Piece> pieces;
  std::vector<Section> sections;
  std::string listeners_version, clusters_version;
  Span span;
};

// Gathers the pieces of a document. Each dump of a list of dumps becomes parts of its own.
class Collector {
 public:
  std::vector<Parts> parts;
  bool whole = false;  // it is Envoy's own dump, or a list of such

  Parts& Current() {
    if (parts.empty()) parts.emplace_back();
    return parts.back();
  }
  void Begin() { parts.emplace_back(); }
  void Add(Piece piece) {
    Section section = SectionOf(piece.kind);
    if (section != Section::kNone) Current().sections.push_back(section);
    Current().pieces.push_back(piece);
  }
};

// Walks a tree.
class TreeWalker {
 public:
  explicit TreeWalker(Collector* out) : out_(*out) {}

  void Walk(const Node& root) {
    if (root.IsSequence()) {
      for (const Node& item : root.items()) WalkElement(item);
    } else if (root.IsMapping()) {
      WalkElement(root);
    }
  }

 private:
  // A dump, a section of one, a list of dumps, or a message.
  void WalkElement(const Node& node) {
    if (!node.IsMapping()) return;
    if (const Node* configs = Field(&node, "configs");
        configs != nullptr && configs->IsSequence()) {
      out_.Begin();
      out_.whole = true;
      for (const Node& section : configs->items()) WalkSection(section);
      return;
    }
    if (const Node* items = Field(&node, "items"); items != nullptr && items->IsSequence()) {
      for (const Node& item : items->items()) WalkElement(item);
      return;
    }
    WalkSection(node);
  }

  void WalkSection(const Node& node) {
    if (!node.IsMapping()) return;
    bool lists = false;
    Keys keys;
    std::string version;
    std::string type = TextOf(node.Find("@type"));
    if (Section section = SectionOfType(type); section != Section::kNone) {
      out_.Current().sections.push_back(section);
      lists = true;
    }
    for (const auto& [key, value] : node.entries()) {
      keys.See(key.text);
      if (IsField(key.text, "version_info")) version = TextOf(&value);
      auto kind = ListKind(key.text);
      if (!kind || !value.IsSequence()) continue;
      lists = true;
      if (Section section = SectionOf(*kind); section != Section::kNone) {
        out_.Current().sections.push_back(section);
        if (section == Section::kListeners) out_.Current().listeners_version = version;
        if (section == Section::kClusters) out_.Current().clusters_version = version;
      }
      for (const Node& item : value.items()) out_.Add({*kind, &item, 0, 0});
    }
    if (!lists) out_.Add({keys.Guess(type), &node, 0, 0});
  }

  Collector& out_;
};

// Walks a JSON text without a tree. Stops at the first place that is no JSON.
class TextWalker {
 public:
  TextWalker(std::string_view text, Collector* out) : text_(text), out_(*out) {}

  // The byte at which the text goes wrong; npos: it does not, as far as it was looked at.
  size_t error() const { return error_; }
  const char* message() const { return message_; }

  void Walk() {
    Blanks();
    while (error_ == std::string_view::npos && at_ < text_.size()) {
      if (Peek() == '[') {
        List([&] { Element(); });
      } else if (Peek() == '{') {
        Element();
      } else {
        return Fail("neither an object nor a list starts here");
      }
      Blanks();
    }
  }

 private:
  void Fail(const char* message) {
    if (error_ != std::string_view::npos) return;
    error_ = std::min(at_, text_.size());
    message_ = message;
  }
  bool Ok() const { return error_ == std::string_view::npos; }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void Blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  // Past the string that starts here; its raw text.
  std::string_view String() {
    if (Peek() != '"') {
      Fail("a string is missing here");
      return {};
    }
    size_t begin = ++at_;
    while (true) {
      const void* quote =
          at_ < text_.size() ? std::memchr(text_.data() + at_, '"', text_.size() - at_) : nullptr;
      if (quote == nullptr) {
        at_ = text_.size();
        Fail("the text ends in the middle of a string");
        return {};
      }
      size_t end = static_cast<size_t>(static_cast<const char*>(quote) - text_.data());
      size_t slashes = 0;
      while (end > begin + slashes && text_[end - 1 - slashes] == '\\') ++slashes;
      at_ = end + 1;
      if (slashes % 2 == 0) return text_.substr(begin, end - begin);
    }
  }

  void Skip() {
    char first = Peek();
    if (first == '"') {
      String();
      return;
    }
    if (first != '{' && first != '[') {
      while (at_ < text_.size() && std::strchr(",]} \n\r\t", text_[at_]) == nullptr) ++at_;
      return;
    }
    int depth = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        String();
        if (!Ok()) return;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return;
    }
    Fail("the text ends in the middle of a value");
  }

  // Calls `each` at every element; it moves past the element.
  template <typename Function>
  void List(Function each) {
    ++at_;
    Blanks();
    if (Peek() == ']') {
      ++at_;
      return;
    }
    while (Ok()) {
      if (at_ >= text_.size()) return Fail("the text ends in the middle of a list");
      size_t before = at_;
      each();
      if (!Ok()) return;
      if (at_ == before) return Fail("a value is missing here");
      Blanks();
      char next = Peek();
      if (next == ']') {
        ++at_;
        return;
      }
      if (at_ >= text_.size()) return Fail("the text ends in the middle of a list");
      if (next != ',') return Fail("`,` or `]` is missing here");
      ++at_;
      Blanks();
    }
  }

  // Calls `each` with every key, standing at its value; it moves past the value.
  template <typename Function>
  void Object(Function each) {
    ++at_;
    Blanks();
    if (Peek() == '}') {
      ++at_;
      return;
    }
    while (Ok()) {
      std::string_view key = String();
      Blanks();
      if (Ok() && Peek() != ':') Fail("`:` is missing here");
      if (!Ok()) return;
      ++at_;
      Blanks();
      size_t before = at_;
      each(key);
      if (!Ok()) return;
      if (at_ == before) return Fail("a value is missing here");
      Blanks();
      char next = Peek();
      if (next == '}') {
        ++at_;
        return;
      }
      if (at_ >= text_.size()) return Fail("the text ends in the middle of an object");
      if (next != ',') return Fail("`,` or `}` is missing here");
      ++at_;
      Blanks();
    }
  }

  void AddPiece(PieceKind kind) {
    size_t begin = at_;
    Skip();
    if (!Ok()) return;
    out_.Add({kind, nullptr, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_)});
  }

  void Element() {
    if (Peek() != '{') {
      Skip();
      return;
    }
    ReadObject(true);
  }

  // An object that may be a dump (at the top), a section of one or a message.
  void ReadObject(bool top) {
    size_t begin = at_;
    bool lists = false, container = false;
    Keys keys;
    std::string_view version, type;
    Object([&](std::string_view key) {
      keys.See(key);
      if (top && key == "configs" && Peek() == '[') {
        container = true;
        out_.Begin();
        out_.whole = true;
        List([&] {
          if (Peek() == '{') {
            ReadObject(false);
          } else {
            Skip();
          }
        });
        return;
      }
      if (top && key == "items" && Peek() == '[') {
        container = true;
        List([&] { Element(); });
        return;
      }
      if (auto kind = ListKind(key); kind && Peek() == '[') {
        lists = true;
        NoteSection(SectionOf(*kind), version);
        List([&] { AddPiece(*kind); });
        return;
      }
      bool is_type = key == "@type", is_version = IsField(key, "version_info");
      if ((is_type || is_version) && Peek() == '"') {
        (is_type ? type : version) = String();
        return;
      }
      Skip();
    });
    if (!Ok() || container) return;
    if (auto section = SectionOfType(type); section != Section::kNone) {
      NoteSection(section, version);
      lists = true;
    }
    if (!lists) {
      out_.Add(
          {keys.Guess(type), nullptr, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_)});
    }
  }

  void NoteSection(Section section, std::string_view version) {
    if (section == Section::kNone) return;
    Parts& parts = out_.Current();
    parts.sections.push_back(section);
    if (version.empty()) return;
    if (section == Section::kListeners) parts.listeners_version = std::string(version);
    if (section == Section::kClusters) parts.clusters_version = std::string(version);
  }

  std::string_view text_;
  Collector& out_;
  size_t at_ = 0;
  size_t error_ = std::string_view::npos;
  const char* message_ = "";
};

}  // namespace

bool LooksLikeDump(const Node& root) {
  if (root.IsMapping()) {
    if (root.Find("kind") != nullptr && root.Find("apiVersion") != nullptr) {
      const Node* items = root.Find("items");
      bool list = items != nullptr && items->IsSequence() && !items->items().empty();
      return list && items->items().front().IsMapping() &&
             items->items().front().Find("kind") == nullptr &&
             LooksLikeDump(items->items().front());
    }
    if (const Node* configs = root.Find("configs"); configs != nullptr && configs->IsSequence()) {
      return std::any_of(configs->items().begin(), configs->items().end(), [](const Node& item) {
        return item.IsMapping() && item.Find("@type") != nullptr;
      });
    }
    if (root.Find("workloads") && root.Find("services")) return true;
    if (const Node* bootstrap = Field(&root, "bootstrap")) return bootstrap->IsMapping();
    return std::any_of(root.entries().begin(), root.entries().end(), [](const Entry& entry) {
      return ListKind(entry.key.text).has_value() && entry.value.IsSequence();
    });
  }
  if (!root.IsSequence() || root.items().empty() || !root.items().front().IsMapping()) return false;
  const Node& first = root.items().front();
  if (first.Find("kind") != nullptr || first.Find("apiVersion") != nullptr) return false;
  if (Field(&first, "configs")) return LooksLikeDump(first);
  Keys keys;
  for (const Entry& entry : first.entries()) keys.See(entry.key.text);
  return keys.Guess(TextOf(first.Find("@type"))) != PieceKind::kOther;
}

bool LooksLikeDumpText(std::string_view text) {
  constexpr size_t kEnough = 4096;
  text = text.substr(0, kEnough);
  size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return false;
  size_t configs = text.find("\"configs\"");
  return configs != std::string_view::npos &&
         text.find("\"@type\"", configs) != std::string_view::npos &&
         text.find("envoy.admin.") != std::string_view::npos;
}

namespace {

// Builds one proxy from its pieces.
class ProxyBuilder {
 public:
  ProxyBuilder(ReadContext* context, ProxyDump* proxy, std::vector<ZtunnelDump>* ztunnels,
               std::vector<Diagnostic>* diagnostics)
      : context_(*context), proxy_(*proxy), ztunnels_(*ztunnels), diagnostics_(*diagnostics) {}

  struct Source {
    Parts parts;
    std::shared_ptr<const SourceFile> file;
  };

  // What says whose the dump is, and which sections it has.
  void ReadIdentity(const Source& source) {
    Open(source);
    for (Section section : source.parts.sections) NoteSection(section);
    const Parts& parts = source.parts;
    if (!parts.listeners_version.empty()) proxy_.listeners_version = parts.listeners_version;
    if (!parts.clusters_version.empty()) proxy_.clusters_version = parts.clusters_version;
    ReadAll(source, [](PieceKind kind) { return kind == PieceKind::kBootstrap; });
  }

  // Everything else; what others refer to first.
  void ReadRest(const std::vector<Source>& sources) {
    for (const Source& source : sources) {
      ReadAll(source, [](PieceKind kind) { return kind == PieceKind::kEcds; });
    }
    for (const Source& source : sources) {
      ReadAll(source, [](PieceKind kind) {
        return kind != PieceKind::kBootstrap && kind != PieceKind::kEcds;
      });
    }
    context_.discovered.clear();
    kept_.clear();
  }

 private:
  void NoteSection(Section section) {
    proxy_.has_listeners |= section == Section::kListeners;
    proxy_.has_routes |= section == Section::kRoutes;
    proxy_.has_clusters |= section == Section::kClusters;
    proxy_.has_secrets |= section == Section::kSecrets;
  }

  void Open(const Source& source) {
    file_ = source.file;
    context_.proxy = &proxy_;
    context_.file = file_.get();
  }

  template <typename Wanted>
  void ReadAll(const Source& source, Wanted wanted) {
    Open(source);
    for (const Piece& piece : source.parts.pieces) {
      if (!wanted(piece.kind)) continue;
      if (piece.node != nullptr) {
        ReadPiece(piece.kind, *piece.node);
        continue;
      }
      ReadResult result;
      if (!reader_.Read(file_, DocumentText{piece.begin, piece.end}, &result) ||
          result.documents.empty()) {
        diagnostics_.push_back({Severity::kError,
                                Trouble::kSyntax,
                                "this part of the dump is not JSON; it is left out",
                                Span{file_.get(), piece.begin, piece.end},
                                "",
                                {}});
        continue;
      }
      const Node* root = result.documents.front().root();
      if (root != nullptr) ReadPiece(piece.kind, *root);
      // Discovered filters are looked into when their listeners are read.
      if (piece.kind == PieceKind::kEcds) kept_.push_back(std::move(result.documents.front()));
    }
  }

  Span SpanOf(const Node& node) const { return {file_.get(), node.begin, node.end}; }

  void ReadPiece(PieceKind kind, const Node& node) {
    switch (kind) {
      case PieceKind::kBootstrap:
        return ReadBootstrap(node);
      case PieceKind::kStaticListener:
      case PieceKind::kDynamicListener:
        return ReadListenerEntry(node);
      case PieceKind::kListener:
        return AddListener(node);
      case PieceKind::kStaticRoutes:
      case PieceKind::kDynamicRoutes:
        return ReadRoutesEntry(node, kind == PieceKind::kStaticRoutes);
      case PieceKind::kRoutes:
        return AddRoutes(node, false);
      case PieceKind::kStaticCluster:
      case PieceKind::kWarmingCluster:
      case PieceKind::kCluster:
        return ReadCluster(node, kind);
      case PieceKind::kSecret:
      case PieceKind::kStaticSecret:
      case PieceKind::kWarmingSecret:
        return ReadSecret(node, kind);
      case PieceKind::kEcds:
        return ReadEcds(node);
      case PieceKind::kEndpoints:
        ++proxy_.endpoints;
        return;
      case PieceKind::kZtunnel:
        ztunnels_.push_back(ReadZtunnel(node, *file_));
        return;
      case PieceKind::kOther:
        return ReadOther(node);
    }
  }

  void ReadOther(const Node& node) {
    std::string type = TextOf(node.Find("@type"));
    // Envoy's own empty sections, the bootstrap in other clothes.
    if (type.ends_with("BootstrapConfigDump")) return ReadBootstrap(node);
    if (type.ends_with("ScopedRoutesConfigDump") || node.entries().empty()) return;
    size_t slash = type.rfind('/');
    type = slash == std::string::npos ? type : type.substr(slash + 1);
    context_.NoteOpaque("section " + (type.empty() ? std::string("without a type") : type), node);
  }

  void ReadBootstrap(const Node& node) {
    const Node* bootstrap = Field(&node, "bootstrap");
    if (bootstrap == nullptr) return;
    proxy_.has_bootstrap = true;
    const Node* own = Field(bootstrap, "node");
    proxy_.node_id = TextField(own, "id");
    const Node* metadata = Field(own, "metadata");
    auto text = [&](std::string_view key) {
      return TextOf(metadata == nullptr ? nullptr : metadata->Find(key));
    };
    proxy_.pod = text("NAME");
    proxy_.service_account = text("SERVICE_ACCOUNT");
    proxy_.istio_version = text("ISTIO_VERSION");
    proxy_.mesh_id = text("MESH_ID");
    ReadNode(text("NAMESPACE"), text("WORKLOAD_NAME"));
    const Node* labels = metadata == nullptr ? nullptr : metadata->Find("LABELS");
    if (labels != nullptr && labels->IsMapping()) {
      for (const auto& [key, value] : labels->entries()) labels_.emplace_back(key.text, value.text);
    }
    ReadAddresses(text("INSTANCE_IPS"));
    if (const Node* admin = Field(Field(bootstrap, "admin"), "address")) {
      const Node* socket = Field(admin, "socket_address");
      proxy_.admin_span = SpanOf(*admin);
      proxy_.admin_address =
          socket != nullptr ? TextField(socket, "address") + ":" + TextField(socket, "port_value")
                            : "unix:" + TextField(Field(admin, "pipe"), "path");
    }
  }

  // "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".
  void ReadNode(std::string ns, std::string workload) {
    ProxyConfig& config = *proxy_.config;
    std::vector<std::string> parts;
    size_t from = 0;
    for (size_t tilde = proxy_.node_id.find('~'); tilde != std::string::npos;
         tilde = proxy_.node_id.find('~', from)) {
      parts.push_back(proxy_.node_id.substr(from, tilde - from));
      from = tilde + 1;
    }
    parts.push_back(proxy_.node_id.substr(from));
    if (parts.size() >= 3) {
      if (parts[0] == "router") config.mode = ProxyMode::kGateway;
      if (parts[0] == "sidecar") config.mode = ProxyMode::kSidecar;
      if (parts[0] == "waypoint") config.mode = ProxyMode::kWaypoint;
      mode_known_ = true;
      size_t dot = parts[2].rfind('.');
      if (dot != std::string::npos) {
        if (ns.empty()) ns = parts[2].substr(dot + 1);
        if (proxy_.pod.empty()) proxy_.pod = parts[2].substr(0, dot);
      }
      ReadAddresses(parts[1]);
    }
    config.ns = ns;
    config.workload = !workload.empty() ? workload : proxy_.pod;
  }

  void ReadAddresses(std::string_view list) {
    while (!list.empty()) {
      size_t comma = list.find(',');
      auto ip = ParseIpAddress(list.substr(0, comma));
      if (ip && std::find(proxy_.ips.begin(), proxy_.ips.end(), *ip) == proxy_.ips.end()) {
        proxy_.ips.push_back(*ip);
      }
      list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
  }

  // Each state of a listener; the active one counts.
  void ReadListenerEntry(const Node& node) {
    std::string name = TextField(&node, "name");
    if (const Node* error = Field(&node, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "listener " + name,
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
    const Node* active = Field(Field(&node, "active_state"), "listener");
    if (active == nullptr && Field(&node, "active_state") == nullptr) {
      active = Field(&node, "listener");
    }
    for (const char* state : {"warming_state", "draining_state"}) {
      const Node* other = Field(&node, state);
      if (other == nullptr) continue;
      bool warming = state == std::string_view("warming_state");
      proxy_.troubles.push_back(
          {warming ? DumpTrouble::Kind::kWarming : DumpTrouble::Kind::kDraining, "listener " + name,
           "", TextField(other, "last_updated"), SpanOf(*other)});
    }
    if (active != nullptr) AddListener(*active);
  }

  void AddListener(const Node& node) {
    TypedNode typed = OpenTyped(&node);
    const Node& message = typed.value != nullptr ? *typed.value : node;
    proxy_.config->listeners.push_back(ReadListener(message, &context_));
  }

  void ReadRoutesEntry(const Node& node, bool is_static) {
    if (const Node* error = Field(&node, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "route configuration",
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
    if (const Node* routes = Field(&node, "route_config")) AddRoutes(*routes, is_static);
  }

  // Inline route configurations show up as static ones; their managers hold them already.
  void AddRoutes(const Node& node, bool is_static) {
    if (is_static && TextField(&node, "name").empty()) return;
    context_.where = "route configuration " + TextField(&node, "name");
    auto routes = ReadRoutes(node, &context_);
    context_.where.clear();
    if (is_static && proxy_.config->FindRoutes(routes->name) != nullptr) return;
    proxy_.config->routes.push_back(std::move(routes));
  }

  void ReadCluster(const Node& entry, PieceKind kind) {
    const Node* message = Field(&entry, "cluster");
    const Node& node = kind != PieceKind::kCluster && message != nullptr ? *message : entry;
    DumpCluster cluster;
    cluster.name = TextField(&node, "name");
    cluster.span = SpanOf(node);
    cluster.type = TextField(&node, "type");
    cluster.tls = OpenTyped(Field(Field(&node, "transport_socket"), "typed_config"))
                      .type.ends_with("UpstreamTlsContext") ||
                  Field(&node, "tls_context") != nullptr;
    for (const Node& match : ItemsField(&node, "transport_socket_matches")) {
      TypedNode typed = OpenTyped(Field(Field(&match, "transport_socket"), "typed_config"));
      cluster.tls_by_endpoint |= typed.type.ends_with("UpstreamTlsContext");
    }
    if (kind == PieceKind::kWarmingCluster) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kWarming, "cluster " + cluster.name, "",
                                 TextField(&entry, "last_updated"), SpanOf(entry)});
    } else {
      proxy_.config->clusters.push_back(cluster.name);
    }
    if (const Node* error = Field(&entry, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "cluster " + cluster.name,
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
    proxy_.clusters.push_back(std::move(cluster));
  }

  void ReadSecret(const Node& entry, PieceKind kind) {
    const Node* message = Field(&entry, "secret");
    DumpSecret secret;
    secret.name = TextField(&entry, "name");
    if (secret.name.empty()) secret.name = TextField(message, "name");
    secret.state = kind == PieceKind::kWarmingSecret  ? DumpSecret::State::kWarming
                   : kind == PieceKind::kStaticSecret ? DumpSecret::State::kStatic
                                                      : DumpSecret::State::kActive;
    secret.version = TextField(&entry, "version_info");
    secret.last_updated = TextField(&entry, "last_updated");
    secret.span = SpanOf(entry);
    const Node* body = message != nullptr ? message : &entry;
    if (const Node* certificate = Field(body, "tls_certificate")) {
      secret.kind = DumpSecret::Kind::kCertificate;
      SetPem(Field(certificate, "certificate_chain"), &secret);
    } else if (const Node* roots = Field(body, "validation_context")) {
      secret.kind = DumpSecret::Kind::kRoots;
      SetPem(Field(roots, "trusted_ca"), &secret);
      ReadBundles(OpenTyped(Field(Field(roots, "custom_validator_config"), "typed_config")),
                  secret);
    }
    proxy_.secrets.push_back(std::move(secret));
  }

  static void SetPem(const Node* source, DumpSecret* secret) {
    std::string bytes = TextField(source, "inline_bytes");
    secret->redacted =
        bytes == "W3JlZGFjdGVkXQ==" || TextField(source, "inline_string") == "[redacted]";
    if (secret->redacted) return;
    secret->pem = bytes.empty() ? TextField(source, "inline_string")
                                : DecodeBytes(bytes).value_or(std::string());
  }

  // A SPIFFE validator has a bundle for each trust domain.
  void ReadBundles(const TypedNode& typed, const DumpSecret& secret) {
    for (const Node& domain : ItemsField(typed.value, "trust_domains")) {
      DumpSecret bundle = secret;
      bundle.trust_domain = TextField(&domain, "name");
      SetPem(Field(&domain, "trust_bundle"), &bundle);
      proxy_.secrets.push_back(std::move(bundle));
    }
  }

  void ReadEcds(const Node& node) {
    const Node* filter = Field(&node, "ecds_filter");
    if (filter == nullptr) filter = &node;
    std::string name = TextField(filter, "name");
    if (const Node* config = Field(filter, "typed_config")) context_.discovered[name] = config;
    if (const Node* error = Field(&node, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "filter " + name,
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
  }

 public:
  bool mode_known() const { return mode_known_; }
  const std::vector<std::pair<std::string, std::string>>& labels() const { return labels_; }

 private:
  ReadContext& context_;
  ProxyDump& proxy_;
  std::vector<ZtunnelDump>& ztunnels_;
  std::vector<Diagnostic>& diagnostics_;
  std::shared_ptr<const SourceFile> file_;
  JsonReader reader_;
  std::vector<Document> kept_;
  std::vector<std::pair<std::string, std::string>> labels_;
  bool mode_known_ = false;
};

std::string FolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

bool HasListener(const ProxyConfig& config, std::string_view name) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [&](const Listener& listener) { return listener.name == name; });
}

// Of a sidecar and a waypoint requests meet the inbound listeners alone.
void SortListeners(ProxyConfig* config) {
  if (config->mode == ProxyMode::kGateway) return;
  std::vector<Listener> inbound;
  for (Listener& listener : config->listeners) {
    bool out = listener.direction == Listener::Direction::kOutbound;
    bool main = listener.name == "main_internal" || listener.name == "connect_terminate";
    (out && !main ? config->outbound : inbound).push_back(std::move(listener));
  }
  config->listeners = std::move(inbound);
}

// The trust domain that the proxy's own chains ask for: "spiffe://td/" among the names of mTLS.
std::string TrustDomainOf(const ProxyConfig& config) {
  constexpr std::string_view kScheme = "spiffe://";
  for (const Listener& listener : config.listeners) {
    for (const FilterChain& chain : listener.filter_chains) {
      if (!chain.tls) continue;
      for (const StringMatcher& name : chain.tls->subject_alt_names) {
        if (name.kind != StringMatcher::Kind::kPrefix || !name.value.starts_with(kScheme)) continue;
        std::string_view rest = std::string_view(name.value).substr(kScheme.size());
        if (rest.ends_with('/')) return std::string(rest.substr(0, rest.size() - 1));
      }
    }
  }
  return "";
}

}  // namespace

const Workload* ReadContext::FindWorkload(std::string_view ns, std::string_view name) const {
  return mesh_ == nullptr ? nullptr : mesh_->FindWorkload(ns, name);
}

struct DumpReader::Impl {
  struct Slot {
    ProxyDump proxy;
    std::string folder;
    bool whole = false;
    bool mode_known = false;
    std::vector<std::pair<std::string, std::string>> labels;
    std::vector<ProxyBuilder::Source> sources;
  };

  static ProxyDump NewProxy() {
    ProxyDump proxy;
    proxy.config = std::make_shared<ProxyConfig>();
    proxy.config->from_dump = true;
    return proxy;
  }

  void Add(Collector collected, const std::shared_ptr<const SourceFile>& file) {
    dumps.files.push_back(file);
    std::string folder = FolderOf(file->name());
    ReadContext context(nullptr);
    for (Parts& parts : collected.parts) {
      // What istioctl prints of one proxy comes in several files.
      Slot* slot = collected.whole ? nullptr : PartialOf(folder, parts);
      if (slot == nullptr) {
        slots.push_back({NewProxy(), folder, collected.whole, false, {}, {}});
        slot = &slots.back();
      }
      ProxyBuilder::Source source{std::move(parts), file};
      ProxyBuilder builder(&context, &slot->proxy, &dumps.ztunnels, &dumps.diagnostics);
      builder.ReadIdentity(source);
      slot->sources.push_back(std::move(source));
      slot->mode_known |= builder.mode_known();
      for (const auto& label : builder.labels()) slot->labels.push_back(label);
      ProxyDump& proxy = slot->proxy;
      proxy.file += (proxy.file.empty() ? "" : ", ") + file->name();
      if (!proxy.span) proxy.span = {file.get(), 0, 0};
      proxy.config->files.push_back(file);
    }
  }

  // The partial proxy of this folder that does not have these sections yet.
  Slot* PartialOf(const std::string& folder, const Parts& parts) {
    for (Slot& slot : slots) {
      if (slot.whole || slot.folder != folder) continue;
      const ProxyDump& proxy = slot.proxy;
      bool taken = false;
      for (const Piece& piece : parts.pieces) {
        Section section = SectionOf(piece.kind);
        taken |= (section == Section::kListeners && proxy.has_listeners) ||
                 (section == Section::kRoutes && proxy.has_routes) ||
                 (section == Section::kClusters && proxy.has_clusters) ||
                 (section == Section::kSecrets && proxy.has_secrets) ||
                 (piece.kind == PieceKind::kBootstrap && proxy.has_bootstrap);
      }
      if (!taken) return &slot;
    }
    return nullptr;
  }

  void FinishProxy(Slot* slot) const {
    ProxyDump& proxy = slot->proxy;
    ProxyConfig& config = *proxy.config;
    if (!slot->mode_known) {
      config.mode =
          HasListener(config, "virtualInbound") ? ProxyMode::kSidecar
          : HasListener(config, "main_internal") || HasListener(config, "connect_terminate")
              ? ProxyMode::kWaypoint
              : ProxyMode::kGateway;
    }
    proxy.labels = Labels(slot->labels.begin(), slot->labels.end());
    SortListeners(&config);
    config.clusters_known = proxy.has_clusters;
    config.trust_domain = TrustDomainOf(config);
    if (config.trust_domain.empty() && !proxy.mesh_id.empty()) config.trust_domain = proxy.mesh_id;
    if (config.trust_domain.empty()) config.trust_domain = "cluster.local";
    if (!proxy.service_account.empty()) {
      config.principal =
          "spiffe://" + config.trust_domain + "/ns/" + config.ns + "/sa/" + proxy.service_account;
    }
  }

  std::vector<Slot> slots;
  std::deque<ParsedFile> parsed;  // whose nodes the slots point into
  Dumps dumps;
};

DumpReader::DumpReader() : impl_(std::make_unique<Impl>()) {}
DumpReader::~DumpReader() = default;

std::vector<DumpIdentity> DumpReader::Identities() const {
  std::vector<DumpIdentity> identities;
  for (const auto& slot : impl_->slots) {
    const ProxyDump& proxy = slot.proxy;
    DumpIdentity identity;
    identity.ns = proxy.config->ns;
    identity.workload = proxy.config->workload;
    identity.pod = proxy.pod;
    identity.service_account = proxy.service_account;
    identity.mode = proxy.config->mode;
    identity.labels = slot.labels;
    identity.ips = proxy.ips;
    identities.push_back(std::move(identity));
  }
  return identities;
}

void DumpReader::AddText(std::string name, std::string text) {
  size_t first = text.find_first_not_of(" \t\r\n");
  bool json = first != std::string::npos && (text[first] == '{' || text[first] == '[');
  if (!json) {
    ParsedFile parsed = ParseText(std::move(name), std::move(text));
    auto& diagnostics = impl_->dumps.diagnostics;
    diagnostics.insert(diagnostics.end(), parsed.diagnostics.begin(), parsed.diagnostics.end());
    impl_->dumps.files.push_back(parsed.file);
    impl_->parsed.push_back(std::move(parsed));
    const ParsedFile& kept = impl_->parsed.back();
    for (const Document& document : kept.documents) AddDocument(document);
    if (kept.documents.empty() && kept.diagnostics.empty()) {
      diagnostics.push_back({Severity::kError,
                             Trouble::kSyntax,
                             "the dump is empty",
                             Span{kept.file.get(), 0, 0},
                             "",
                             {}});
    }
    return;
  }
  auto file = std::make_shared<const SourceFile>(std::move(name), std::move(text));
  if (file->text().size() >= UINT32_MAX) {
    impl_->dumps.diagnostics.push_back({Severity::kError,
                                        Trouble::kUnreadable,
                                        file->name() + ": a dump beyond 4 GB cannot be read",
                                        Span{},
                                        "",
                                        {}});
    return;
  }
  Collector collected;
  TextWalker walker(file->text(), &collected);
  walker.Walk();
  if (walker.error() != std::string_view::npos) {
    auto at = static_cast<uint32_t>(walker.error());
    impl_->dumps.diagnostics.push_back(
        {Severity::kError,
         Trouble::kSyntax,
         std::string("not a complete dump: ") + walker.message() + "; what stands before is used",
         Span{file.get(), at, at},
         "",
         {}});
  }
  impl_->Add(std::move(collected), file);
}

void DumpReader::AddDocument(const Document& document) {
  if (document.root() == nullptr) return;
  Collector collected;
  TreeWalker(&collected).Walk(*document.root());
  impl_->Add(std::move(collected), document.shared_file());
}

Dumps DumpReader::Finish(std::shared_ptr<const Mesh> mesh) {
  ReadContext context(std::move(mesh));
  for (auto& slot : impl_->slots) {
    const ProxyDump& proxy = slot.proxy;
    context.workload = context.FindWorkload(proxy.config->ns, proxy.config->workload);
    size_t ztunnels = impl_->dumps.ztunnels.size();
    ProxyBuilder builder(&context, &slot.proxy, &impl_->dumps.ztunnels, &impl_->dumps.diagnostics);
    builder.ReadRest(slot.sources);
    if (impl_->dumps.ztunnels.size() > ztunnels) continue;
    // A file of another kind leaves nothing but what it is called.
    bool nothing = !proxy.has_bootstrap && !proxy.has_listeners && !proxy.has_routes &&
                   !proxy.has_clusters && !proxy.has_secrets;
    if (nothing) {
      for (const DumpOpaque& part : proxy.opaque) {
        impl_->dumps.diagnostics.push_back({Severity::kWarning,
                                            Trouble::kUnsupported,
                                            "no part of a proxy's dump that is known: " + part.what,
                                            part.span,
                                            "",
                                            {}});
      }
      if (proxy.opaque.empty() && proxy.endpoints == 0) {
        impl_->dumps.diagnostics.push_back({Severity::kError,
                                            Trouble::kUnsupported,
                                            "nothing of a proxy's dump is in it",
                                            proxy.span,
                                            "",
                                            {}});
      }
      continue;
    }
    impl_->FinishProxy(&slot);
    impl_->dumps.proxies.push_back(std::move(slot.proxy));
  }
  impl_->slots.clear();
  return std::move(impl_->dumps);
}

}  // namespace meshproof
