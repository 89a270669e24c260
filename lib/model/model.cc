// Turns documents into typed objects: finds the Kubernetes objects among them, resolves their
// namespaces, hands each to the decoder of its kind and drops what the API server would not hold
// (istio-semantics section 8) or holds in a later version. Documents are decoded in parallel into
// parts, which are then joined in the order of the input, so that threads never show.

#include "model/model.h"

#include <algorithm>
#include <functional>
#include <iterator>
#include <unordered_map>

#include "base/parallel.h"
#include "base/text.h"
#include "model/admission.h"
#include "model/decode.h"
#include "model/mesh_config.h"
#include "model/schema.h"
#include "source/glob.h"

namespace meshproof {
namespace {

// What one run of documents became.
struct Part {
  Model model;
  std::vector<MeshConfigMap> mesh_configs;
};

// One object on its way into a part.
struct Arrival {
  Part& part;
  const ModelOptions& options;
  Fields fields;
  ObjectMeta meta;
  Report& report;
};

using Handler = void (*)(Arrival&);

void Skip(Part& part, const SourceFile* file, Span span, std::string_view kind,
          Model::Skipped::Reason reason) {
  part.model.skipped.push_back({file, span, std::string(kind), reason});
}

void SkipRefused(Part& part, const ObjectMeta& meta) {
  Skip(part, meta.file, meta.span, meta.kind, Model::Skipped::Reason::kRefused);
}

// A custom resource: schema, decoder, webhook.
template <typename T>
void AddResource(Arrival& arrival, std::vector<T> Model::* list, const MessageSchema& spec,
                 T (*decode)(const Fields&, ObjectMeta),
                 std::type_identity_t<void (*)(const T&, Report&)> admit) {
  Report& report = arrival.report;
  CheckResource(*arrival.fields.node(), spec, report);
  if (report.impossible()) return SkipRefused(arrival.part, arrival.meta);
  bool storable = !report.refused();
  T object = decode(arrival.fields, std::move(arrival.meta));
  report.set_meta(&object.meta);
  if (storable && admit != nullptr) admit(object, report);
  if (storable && admit == nullptr) AdmitMetadata(object.meta, false, report);
  if (report.refused() && !arrival.options.keep_invalid) {
    return SkipRefused(arrival.part, object.meta);
  }
  (arrival.part.model.*list).push_back(std::move(object));
}

template <typename T>
void AddCore(Arrival& arrival, std::vector<T> Model::* list,
             T (*decode)(const Fields&, ObjectMeta)) {
  (arrival.part.model.*list).push_back(decode(arrival.fields, std::move(arrival.meta)));
}

void AddNamespace(Arrival& a) {
  a.part.model.namespaces.push_back({std::move(a.meta)});
}

void AddServiceAccount(Arrival& a) {
  a.part.model.service_accounts.push_back({std::move(a.meta)});
}

void AddPodWorkload(Arrival& a) {
  AddCore(a, &Model::pod_workloads, DecodePodWorkload);
}
void AddService(Arrival& a) {
  AddCore(a, &Model::services, DecodeService);
}
void AddSecret(Arrival& a) {
  AddCore(a, &Model::secrets, DecodeSecret);
}
void AddOther(Arrival& a) {
  AddCore(a, &Model::others, DecodeOther);
}

void AddConfigMap(Arrival& a) {
  std::string_view name = a.meta.name;
  const Node* data = a.fields.node()->Find("data");
  const Node* mesh = data == nullptr ? nullptr : data->Find("mesh");
  bool named = name == "istio" || name.substr(0, 6) == "istio-";
  if (!named || mesh == nullptr || !mesh->IsString()) {
    return Skip(a.part, a.meta.file, a.meta.span, a.meta.kind, Model::Skipped::Reason::kIgnored);
  }
  a.part.mesh_configs.push_back({std::make_unique<ObjectMeta>(std::move(a.meta)), mesh});
}

void AddPeerAuthentication(Arrival& a) {
  AddResource(a, &Model::peer_authentications, kPeerAuthenticationSchema, DecodePeerAuthentication,
              AdmitPeerAuthentication);
}

void AddRequestAuthentication(Arrival& a) {
  AddResource(a, &Model::request_authentications, kRequestAuthenticationSchema,
              DecodeRequestAuthentication, AdmitRequestAuthentication);
}

void AddAuthorizationPolicy(Arrival& a) {
  AddResource(a, &Model::authorization_policies, kAuthorizationPolicySchema,
              DecodeAuthorizationPolicy, AdmitAuthorizationPolicy);
}

void AddGateway(Arrival& a) {
  AddResource(a, &Model::gateways, kGatewaySchema, DecodeGateway, AdmitGateway);
}

void AddVirtualService(Arrival& a) {
  AddResource(a, &Model::virtual_services, kVirtualServiceSchema, DecodeVirtualService,
              AdmitVirtualService);
}

void AddDestinationRule(Arrival& a) {
  AddResource(a, &Model::destination_rules, kDestinationRuleSchema, DecodeDestinationRule,
              AdmitDestinationRule);
}

void AddServiceEntry(Arrival& a) {
  AddResource(a, &Model::service_entries, kServiceEntrySchema, DecodeServiceEntry,
              AdmitServiceEntry);
}

void AddSidecar(Arrival& a) {
  AddResource(a, &Model::sidecars, kSidecarSchema, DecodeSidecar, AdmitSidecar);
}

void AddWorkloadEntry(Arrival& a) {
  AddResource(a, &Model::workload_entries, kWorkloadEntrySchema, DecodeWorkloadEntry,
              AdmitWorkloadEntry);
}

void AddWorkloadGroup(Arrival& a) {
  AddResource(a, &Model::workload_groups, kWorkloadGroupSchema, DecodeWorkloadGroup, nullptr);
}

void AddEnvoyFilter(Arrival& a) {
  AddResource(a, &Model::envoy_filters, kEnvoyFilterSchema, DecodeEnvoyFilter, nullptr);
}

constexpr std::string_view kSecurity = "security.istio.io";
constexpr std::string_view kNetworking = "networking.istio.io";
constexpr std::string_view kTelemetry = "telemetry.istio.io";
constexpr std::string_view kExtensions = "extensions.istio.io";
constexpr std::string_view kGatewayApi = "gateway.networking.k8s.io";
constexpr std::string_view kGatewayApiX = "gateway.networking.x-k8s.io";

struct KindInfo {
  std::string_view kind;
  std::string_view group;
  std::string_view versions;  // separated by blanks, the preferred one first; "" = any
  Handler add;
  bool cluster_scoped = false;
};

// Sorted by kind.
constexpr KindInfo kKinds[] = {
    {"AuthorizationPolicy", kSecurity, "v1 v1beta1", AddAuthorizationPolicy},
    {"BackendTLSPolicy", kGatewayApi, "", AddOther},
    {"ConfigMap", "", "v1", AddConfigMap},
    {"CronJob", "batch", "v1", AddPodWorkload},
    {"DaemonSet", "apps", "v1", AddPodWorkload},
    {"Deployment", "apps", "v1", AddPodWorkload},
    {"DestinationRule", kNetworking, "v1 v1beta1 v1alpha3", AddDestinationRule},
    {"EnvoyFilter", kNetworking, "v1alpha3", AddEnvoyFilter},
    {"ExtensionFilter", kExtensions, "", AddOther},
    {"GRPCRoute", kGatewayApi, "", AddOther},
    {"Gateway", kNetworking, "v1 v1beta1 v1alpha3", AddGateway},
    {"Gateway", kGatewayApi, "", AddOther},
    {"GatewayClass", kGatewayApi, "", AddOther, true},
    {"HTTPRoute", kGatewayApi, "", AddOther},
    {"Job", "batch", "v1", AddPodWorkload},
    {"ListenerSet", kGatewayApi, "", AddOther},
    {"Namespace", "", "v1", AddNamespace, true},
    {"PeerAuthentication", kSecurity, "v1 v1beta1", AddPeerAuthentication},
    {"Pod", "", "v1", AddPodWorkload},
    {"ProxyConfig", kNetworking, "v1beta1", AddOther},
    {"ReferenceGrant", kGatewayApi, "", AddOther},
    {"ReplicaSet", "apps", "v1", AddPodWorkload},
    {"ReplicationController", "", "v1", AddPodWorkload},
    {"RequestAuthentication", kSecurity, "v1 v1beta1", AddRequestAuthentication},
    {"Secret", "", "v1", AddSecret},
    {"Service", "", "v1", AddService},
    {"ServiceAccount", "", "v1", AddServiceAccount},
    {"ServiceEntry", kNetworking, "v1 v1beta1 v1alpha3", AddServiceEntry},
    {"Sidecar", kNetworking, "v1 v1beta1 v1alpha3", AddSidecar},
    {"StatefulSet", "apps", "v1", AddPodWorkload},
    {"TCPRoute", kGatewayApi, "", AddOther},
    {"TLSRoute", kGatewayApi, "", AddOther},
    {"Telemetry", kTelemetry, "v1 v1alpha1", AddOther},
    {"TrafficExtension", kExtensions, "", AddOther},
    {"UDPRoute", kGatewayApi, "", AddOther},
    {"VirtualService", kNetworking, "v1 v1beta1 v1alpha3", AddVirtualService},
    {"WasmPlugin", kExtensions, "", AddOther},
    {"WorkloadEntry", kNetworking, "v1 v1beta1 v1alpha3", AddWorkloadEntry},
    {"WorkloadGroup", kNetworking, "v1 v1beta1 v1alpha3", AddWorkloadGroup},
    {"XListenerSet", kGatewayApiX, "", AddOther},
};

// Groups that Kubernetes and Istio served these kinds in once.
constexpr std::string_view kRetiredGroups[] = {"extensions", "authentication.istio.io",
                                               "rbac.istio.io", "config.istio.io"};

bool ByKind(const KindInfo& info, std::string_view kind) {
  return info.kind < kind;
}

std::span<const KindInfo> InfosOf(std::string_view kind) {
  const KindInfo* begin = std::lower_bound(std::begin(kKinds), std::end(kKinds), kind, ByKind);
  const KindInfo* end = begin;
  while (end != std::end(kKinds) && end->kind == kind) ++end;
  return {begin, end};
}

std::string_view GroupOf(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string_view VersionOf(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
}

bool IsServed(const KindInfo& info, std::string_view version) {
  if (info.versions.empty()) return true;
  std::vector<std::string_view> versions = Split(info.versions, ' ');
  return std::find(versions.begin(), versions.end(), version) != versions.end();
}

std::string PreferredVersion(const KindInfo& info) {
  std::string_view version = info.versions.substr(0, info.versions.find(' '));
  return info.group.empty() ? std::string(version)
                            : std::string(info.group) + "/" + std::string(version);
}

template <typename T>
void Append(std::vector<T>* to, std::vector<T>* from) {
  if (to->empty()) {
    *to = std::move(*from);
    return;
  }
  to->insert(to->end(), std::make_move_iterator(from->begin()),
             std::make_move_iterator(from->end()));
}

// Decodes documents of one file after the other into a part.
class PartDecoder {
 public:
  PartDecoder(const ModelOptions& options, Part* part) : options_(options), part_(*part) {}

  void Decode(const Document& document, const std::string& default_namespace) {
    file_ = &document.file();
    default_namespace_ = &default_namespace;
    const Node* root = document.root();
    if (root == nullptr || root->IsNull()) return;
    DecodeNode(*root, {}, {}, 0);
  }

 private:
  void SkipNode(const Node& node, std::string_view kind, Model::Skipped::Reason reason) {
    Skip(part_, file_, {file_, node.begin, node.end}, kind, reason);
  }

  void Warn(const Node& node, std::string message, std::string help) {
    part_.model.diagnostics.push_back({Severity::kWarning,
                                       Trouble::kUnsupported,
                                       std::move(message),
                                       {file_, node.begin, node.end},
                                       std::move(help)});
  }

  // `kind` and `api_version` are those of the list around, for items that leave them out.
  void DecodeNode(const Node& node, std::string_view kind, std::string_view api_version,
                  int depth) {
    const Node* own_kind = node.Find("kind");
    const Node* own_version = node.Find("apiVersion");
    if (own_kind != nullptr && own_kind->IsString()) kind = own_kind->text;
    if (own_version != nullptr && own_version->IsString()) api_version = own_version->text;
    if (!node.IsMapping() || kind.empty() || api_version.empty() ||
        GroupOf(api_version) == "kustomize.config.k8s.io") {
      ReportMissingVersion(node, own_kind, api_version);
      return SkipNode(node, {}, Model::Skipped::Reason::kNotKubernetes);
    }
    if (kind.size() >= 4 && kind.substr(kind.size() - 4) == "List" &&
        DecodeList(node, kind, api_version, depth)) {
      return;
    }
    DecodeObject(node, kind, api_version, own_version == nullptr ? node : *own_version);
  }

  bool DecodeList(const Node& node, std::string_view kind, std::string_view api_version,
                  int depth) {
    constexpr int kDeepest = 8;
    const Node* items = node.Find("items");
    bool empty = items == nullptr || items->IsNull();
    if (depth > kDeepest || (!empty && !items->IsSequence()) || (empty && kind != "List")) {
      return false;
    }
    if (empty) return true;
    // The items of a PodList need not say that they are Pods; those of a List must.
    std::string_view item_kind = kind.substr(0, kind.size() - 4);
    for (const Node& item : items->items) {
      DecodeNode(item, item_kind, item_kind.empty() ? std::string_view() : api_version, depth + 1);
    }
    return true;
  }

  void ReportMissingVersion(const Node& node, const Node* kind, std::string_view api_version) {
    if (kind == nullptr || !api_version.empty()) return;
    const Node* metadata = node.Find("metadata");
    if (metadata == nullptr || !metadata->IsMapping()) return;
    std::span<const KindInfo> infos = InfosOf(kind->text);
    if (infos.empty()) return;
    part_.model.diagnostics.push_back(
        {Severity::kError,
         Trouble::kWrongType,
         "this " + std::string(kind->text) + " has no `apiVersion`, so it is no Kubernetes object",
         {file_, kind->begin, kind->end},
         "add `apiVersion: " + PreferredVersion(infos.front()) + "`"});
  }

  void DecodeObject(const Node& node, std::string_view kind, std::string_view api_version,
                    const Node& version_node) {
    ++part_.model.objects;
    std::string_view group = GroupOf(api_version);
    const KindInfo* info = nullptr;
    std::span<const KindInfo> infos = InfosOf(kind);
    for (const KindInfo& candidate : infos) {
      if (candidate.group == group) info = &candidate;
    }
    if (info == nullptr) return SkipUnknown(node, kind, group, infos, version_node);
    if (!IsServed(*info, VersionOf(api_version))) {
      return SkipVersion(node, *info, api_version, version_node);
    }
    Add(node, kind, api_version, *info);
  }

  void SkipVersion(const Node& node, const KindInfo& info, std::string_view api_version,
                   const Node& version_node) {
    Warn(version_node,
         std::string(info.kind) + " of " + Quote(api_version) + " is not supported; it is left out",
         "use " + Quote(PreferredVersion(info)));
    SkipNode(node, info.kind, Model::Skipped::Reason::kUnsupportedVersion);
  }

  void SkipUnknown(const Node& node, std::string_view kind, std::string_view group,
                   std::span<const KindInfo> infos, const Node& version_node) {
    bool retired = std::find(std::begin(kRetiredGroups), std::end(kRetiredGroups), group) !=
                   std::end(kRetiredGroups);
    if (retired && !infos.empty()) {
      return SkipVersion(node, infos.front(), version_node.text, version_node);
    }
    if (group == kSecurity || group == kNetworking) {
      const Node* kind_node = node.Find("kind");
      std::vector<std::string> names;
      for (const KindInfo& info : kKinds) {
        if (info.group == group) names.emplace_back(info.kind);
      }
      auto nearest = Nearest(kind.substr(0, 200), names);
      Warn(kind_node == nullptr ? node : *kind_node,
           std::string(group) + " has no kind " + Quote(kind) + "; it is left out",
           nearest ? "did you mean " + Quote(*nearest) + "?" : "");
    }
    SkipNode(node, kind, Model::Skipped::Reason::kUnknownKind);
  }

  void Add(const Node& node, std::string_view kind, std::string_view api_version,
           const KindInfo& info) {
    std::vector<Diagnostic>* diagnostics = &part_.model.diagnostics;
    ObjectMeta meta;
    // The schema of a custom resource speaks of its metadata too: once is enough.
    std::vector<Diagnostic> unsaid;
    bool has_schema = info.group == kSecurity || info.group == kNetworking;
    Report meta_report(file_, &meta, has_schema ? &unsaid : diagnostics);
    DecodeMeta(Fields(&node, meta_report), &meta);
    Report report(file_, nullptr, diagnostics);
    Arrival arrival{part_, options_, Fields(&node, report), std::move(meta), report};
    report.set_meta(&arrival.meta);
    arrival.meta.kind = kind;
    arrival.meta.api_version = api_version;
    if (info.cluster_scoped) {
      arrival.meta.ns.clear();
      arrival.meta.namespace_given = false;
    } else if (arrival.meta.ns.empty()) {
      arrival.meta.ns = *default_namespace_;
    }
    if (arrival.meta.name.empty() && !IsGenerated(node)) {
      Append(diagnostics, &unsaid);
      report.Refuse(arrival.meta.span, "it has no `metadata.name`");
      return SkipRefused(part_, arrival.meta);
    }
    info.add(arrival);
  }

  static bool IsGenerated(const Node& node) {
    const Node* metadata = node.Find("metadata");
    const Node* name = metadata == nullptr ? nullptr : metadata->Find("generateName");
    return name != nullptr && name->IsString() && !name->text.empty();
  }

  const ModelOptions& options_;
  Part& part_;
  const SourceFile* file_ = nullptr;
  const std::string* default_namespace_ = nullptr;
};

template <typename Use>
void ForEachList(Use use) {
  use(&Model::namespaces);
  use(&Model::pod_workloads);
  use(&Model::services);
  use(&Model::service_accounts);
  use(&Model::peer_authentications);
  use(&Model::request_authentications);
  use(&Model::authorization_policies);
  use(&Model::gateways);
  use(&Model::virtual_services);
  use(&Model::destination_rules);
  use(&Model::service_entries);
  use(&Model::sidecars);
  use(&Model::workload_entries);
  use(&Model::workload_groups);
  use(&Model::envoy_filters);
  use(&Model::others);
  use(&Model::secrets);
}

void Join(Part* part, Model* model, std::vector<MeshConfigMap>* mesh_configs) {
  ForEachList([&](auto list) { Append(&(model->*list), &(part->model.*list)); });
  Append(&model->skipped, &part->model.skipped);
  Append(&model->diagnostics, &part->model.diagnostics);
  Append(mesh_configs, &part->mesh_configs);
  model->objects += part->model.objects;
}

const ObjectMeta& MetaOf(const MeshConfigMap& map) {
  return *map.meta;
}
template <typename T>
const ObjectMeta& MetaOf(const T& object) {
  return object.meta;
}

// Of objects with the same kind, namespace and name the last one stays, as if all had been applied.
template <typename T>
void DropRepeated(std::vector<T>* objects, std::vector<Diagnostic>* diagnostics) {
  std::unordered_map<std::string, size_t> seen;
  seen.reserve(objects->size());
  std::vector<bool> dropped(objects->size(), false);
  bool any = false;
  std::string key;
  for (size_t i = 0; i < objects->size(); ++i) {
    const ObjectMeta& meta = MetaOf((*objects)[i]);
    if (meta.name.empty()) continue;
    key.assign(GroupOf(meta.api_version)).append("/").append(meta.kind).append("/");
    key.append(meta.ns).append("/").append(meta.name);
    auto [place, is_new] = seen.try_emplace(key, i);
    if (is_new) continue;
    const ObjectMeta& first = MetaOf((*objects)[place->second]);
    diagnostics->push_back({Severity::kWarning,
                            Trouble::kDuplicateObject,
                            ToString(meta) + " stands here again; it replaces the one at " +
                                ToString(Locate(first.span)),
                            meta.span,
                            {}});
    dropped[place->second] = true;
    place->second = i;
    any = true;
  }
  if (!any) return;
  size_t kept = 0;
  for (size_t i = 0; i < objects->size(); ++i) {
    if (dropped[i]) continue;
    if (kept != i) (*objects)[kept] = std::move((*objects)[i]);
    ++kept;
  }
  objects->erase(objects->begin() + static_cast<std::ptrdiff_t>(kept), objects->end());
}

std::string_view WithoutHere(std::string_view path) {
  while (path.substr(0, 2) == "./") path.remove_prefix(2);
  return path;
}

// The namespace of objects that stand in `path` and name none.
const std::string& NamespaceOfPath(std::string_view path, const ModelOptions& options) {
  for (const auto& [glob, ns] : options.path_namespaces) {
    if (GlobCovers(WithoutHere(glob), WithoutHere(path))) return ns;
  }
  return options.default_namespace;
}

struct Unit {
  size_t file = 0;
  size_t document = 0;
};

// What the reader said of the files.
void TakeReaderDiagnostics(std::vector<Diagnostic> run, Model* model) {
  Append(&model->diagnostics, &run);
  for (const ParsedFile& parsed : model->files) {
    for (const Diagnostic& diagnostic : parsed.diagnostics) {
      model->diagnostics.push_back(diagnostic);
      if (diagnostic.trouble != Trouble::kTemplate) continue;
      model->skipped.push_back(
          {parsed.file.get(), diagnostic.span, "", Model::Skipped::Reason::kTemplate});
    }
  }
}

}  // namespace

std::string ToString(const ObjectMeta& meta) {
  std::string text(meta.kind);
  text.append("/").append(meta.ns).append("/").append(meta.name);
  return text;
}

std::shared_ptr<const Model> DecodeModel(Load load, const ModelOptions& options) {
  auto model = std::make_shared<Model>();
  model->files = std::move(load.files);
  TakeReaderDiagnostics(std::move(load.diagnostics), model.get());

  std::vector<Unit> units;
  std::vector<std::string> default_namespaces;
  for (size_t file = 0; file < model->files.size(); ++file) {
    default_namespaces.push_back(NamespaceOfPath(model->files[file].file->name(), options));
    for (size_t document = 0; document < model->files[file].documents.size(); ++document) {
      units.push_back({file, document});
    }
  }
  constexpr size_t kRun = 256;  // documents; long enough to hide the cost of a part
  std::vector<Part> parts((units.size() + kRun - 1) / kRun);
  ParallelFor(
      parts.size(),
      [&](size_t i) {
        PartDecoder decoder(options, &parts[i]);
        for (size_t j = i * kRun; j < std::min(units.size(), (i + 1) * kRun); ++j) {
          decoder.Decode(model->files[units[j].file].documents[units[j].document],
                         default_namespaces[units[j].file]);
        }
      },
      options.threads);

  std::vector<MeshConfigMap> mesh_configs;
  for (Part& part : parts) Join(&part, model.get(), &mesh_configs);
  ForEachList([&](auto list) { DropRepeated(&(model.get()->*list), &model->diagnostics); });
  DropRepeated(&mesh_configs, &model->diagnostics);
  DecodeMeshConfig(std::move(mesh_configs), options, model.get());
  SortDiagnostics(&model->diagnostics);
  return model;
}

}  // namespace meshproof
