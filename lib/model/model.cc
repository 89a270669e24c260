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
#include "model/decode.h"
#include "model/kinds.h"
#include "model/mesh_config.h"
#include "source/glob.h"

namespace meshproof {
namespace {

// Groups that Kubernetes and Istio served these kinds in once.
constexpr std::string_view kRetiredGroups[] = {"extensions", "authentication.istio.io",
                                               "rbac.istio.io", "config.istio.io"};

std::string_view GroupOf(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
}

std::string_view VersionOf(std::string_view api_version) {
  size_t slash = api_version.find('/');
  return slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
}

template <typename T>
void Append(std::vector<T>* to, std::vector<T>* from) {
  if (to->empty() && to->capacity() < from->size()) {
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
    part_.model.skipped.push_back(
        {file_, {file_, node.begin, node.end}, std::string(kind), reason});
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
    for (const Node& item : items->items()) {
      DecodeNode(item, item_kind, item_kind.empty() ? std::string_view() : api_version, depth + 1);
    }
    return true;
  }

  void ReportMissingVersion(const Node& node, const Node* kind, std::string_view api_version) {
    if (kind == nullptr || !api_version.empty()) return;
    const Node* metadata = node.Find("metadata");
    if (metadata == nullptr || !metadata->IsMapping()) return;
    std::span<const KindInfo> infos = KindsNamed(kind->text);
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
    std::span<const KindInfo> infos = KindsNamed(kind);
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
      for (const KindInfo& info : AllKinds()) {
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

// Decoded once more from objects that `others` holds.
template <typename Use>
void ForEachGatewayApiList(Use use) {
  use(&Model::k8s_gateways);
  use(&Model::gateway_classes);
  use(&Model::k8s_routes);
  use(&Model::reference_grants);
  use(&Model::backend_tls_policies);
}

// Moves a list of all parts to the end of `to`. What is left of the parts' is given back at once.
template <typename T, typename ListOf>
void Join(std::vector<Part>* parts, ListOf list_of, std::vector<T>* to) {
  size_t size = to->size();
  for (Part& part : *parts) size += list_of(part).size();
  to->reserve(size);
  for (Part& part : *parts) {
    Append(to, &list_of(part));
    std::vector<T>().swap(list_of(part));
  }
}

const ObjectMeta& MetaOf(const MeshConfigMap& map) {
  return *map.meta;
}
template <typename T>
const ObjectMeta& MetaOf(const T& object) {
  return object.meta;
}

// By group, kind, namespace and name.
struct IdentityHash {
  size_t operator()(const ObjectMeta* meta) const {
    constexpr size_t kSpread = 0x9E3779B97F4A7C15;
    std::hash<std::string_view> hash;
    return (hash(meta->name) * kSpread + hash(meta->ns)) * kSpread + hash(meta->kind);
  }
};
struct SameIdentity {
  bool operator()(const ObjectMeta* a, const ObjectMeta* b) const {
    return a->name == b->name && a->ns == b->ns && a->kind == b->kind &&
           GroupOf(a->api_version) == GroupOf(b->api_version);
  }
};

// Of objects with the same kind, namespace and name the last one stays, as if all had been applied.
template <typename T>
void DropRepeated(std::vector<T>* objects, std::vector<Diagnostic>* diagnostics) {
  std::unordered_map<const ObjectMeta*, size_t, IdentityHash, SameIdentity> seen;
  seen.reserve(objects->size());
  std::vector<bool> dropped(objects->size(), false);
  bool any = false;
  for (size_t i = 0; i < objects->size(); ++i) {
    const ObjectMeta& meta = MetaOf((*objects)[i]);
    if (meta.name.empty()) continue;
    auto [place, is_new] = seen.try_emplace(&meta, i);
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

// Puts the parts together, many lists at a time. Returns the ConfigMaps that hold mesh configs.
std::vector<MeshConfigMap> JoinParts(std::vector<Part>* parts, unsigned threads, Model* model) {
  std::vector<MeshConfigMap> mesh_configs;
  std::vector<std::function<void(std::vector<Diagnostic>*)>> lists;
  ForEachList([&](auto list) {
    lists.emplace_back([=](std::vector<Diagnostic>* diagnostics) {
      Join(parts, [=](Part& part) -> auto& { return part.model.*list; }, &(model->*list));
      DropRepeated(&(model->*list), diagnostics);
    });
  });
  ForEachGatewayApiList([&](auto list) {
    lists.emplace_back([=](std::vector<Diagnostic>*) {
      std::vector<Diagnostic> said_already;
      Join(parts, [=](Part& part) -> auto& { return part.model.*list; }, &(model->*list));
      DropRepeated(&(model->*list), &said_already);
    });
  });
  lists.emplace_back([&](std::vector<Diagnostic>* diagnostics) {
    Join(parts, [](Part& part) -> auto& { return part.mesh_configs; }, &mesh_configs);
    DropRepeated(&mesh_configs, diagnostics);
  });
  lists.emplace_back([=](std::vector<Diagnostic>*) {
    Join(parts, [](Part& part) -> auto& { return part.model.skipped; }, &model->skipped);
    Join(parts, [](Part& part) -> auto& { return part.model.diagnostics; }, &model->diagnostics);
  });
  std::vector<std::vector<Diagnostic>> repeated(lists.size());
  ParallelFor(lists.size(), [&](size_t i) { lists[i](&repeated[i]); }, threads);
  for (auto& diagnostics : repeated) Append(&model->diagnostics, &diagnostics);
  for (const Part& part : *parts) model->objects += part.model.objects;
  return mesh_configs;
}

struct DocumentUnit {
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

  std::vector<DocumentUnit> units;
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

  std::vector<MeshConfigMap> mesh_configs = JoinParts(&parts, options.threads, model.get());
  DecodeMeshConfig(std::move(mesh_configs), options, model.get());
  SortDiagnostics(&model->diagnostics);
  return model;
}

}  // namespace meshproof
