#include "proxy/dump_input.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "mesh/made_file.h"
#include "proxy/emit.h"
#include "proxy/waypoint_objects.h"
#include "proxy/ztunnel_objects.h"

namespace meshproof {
namespace {

Json OneElement(Json element) {
  Json list = Json::MakeArray();
  list.Append(std::move(element));
  return list;
}

// A pod with a proxy, as the dump's node describes it. Without the label that gives away a
// ReplicaSet it keeps the workload's name.
Json PodOf(const DumpIdentity& identity, const Labels& more) {
  Json labels = Json::MakeObject();
  for (const auto& [key, value] : more) labels.Set(key, value);
  for (const auto& [key, value] : identity.labels) {
    if (key != "pod-template-hash") labels.Set(key, value);
  }
  Json metadata = Json::MakeObject(
      {{"name", identity.workload}, {"namespace", identity.ns}, {"labels", std::move(labels)}});
  metadata.Set("annotations", Json::MakeObject({{"sidecar.istio.io/status", "{}"}}));
  Json args = Json::MakeArray();
  args.Append("proxy").Append(NodeRole(identity.mode));
  Json spec = Json::MakeObject(
      {{"serviceAccountName",
        identity.service_account.empty() ? std::string("default") : identity.service_account},
       {"containers",
        OneElement(Json::MakeObject({{"name", "istio-proxy"}, {"args", std::move(args)}}))}});
  Json pod = Json::MakeObject({{"apiVersion", "v1"}, {"kind", "Pod"}});
  pod.Set("metadata", std::move(metadata));
  pod.Set("spec", std::move(spec));
  if (!identity.ips.empty()) {
    pod.Set("status", Json::MakeObject({{"podIP", ToString(identity.ips.front())}}));
  }
  return pod;
}

std::string Scalar(const Node* node) {
  return node != nullptr && node->kind == NodeKind::kScalar ? std::string(node->text)
                                                            : std::string();
}

// "ns/name" of everything that makes pods; a name without a namespace counts for all of them.
void NoteWorkloads(const Node& node, std::set<std::string>* names) {
  if (!node.IsMapping()) return;
  if (const Node* items = node.Find("items"); items != nullptr && items->IsSequence()) {
    for (const Node& item : items->items()) NoteWorkloads(item, names);
    return;
  }
  static const std::set<std::string_view> kKinds = {
      "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet",
      "Job",        "CronJob",     "Pod",       "ReplicationController"};
  if (!kKinds.contains(Scalar(node.Find("kind")))) return;
  const Node* metadata = node.Find("metadata");
  if (metadata == nullptr || !metadata->IsMapping()) return;
  names->insert(Scalar(metadata->Find("namespace")) + "/" + Scalar(metadata->Find("name")));
}

bool Names(const std::set<std::string>& names, const DumpIdentity& identity) {
  for (const std::string& name : {identity.workload, identity.pod}) {
    if (names.contains(identity.ns + "/" + name) || names.contains("/" + name)) return true;
  }
  // Pods alone: front-7d9f8-x2x4z stands for front.
  std::string prefix = identity.ns + "/" + identity.workload + "-";
  auto next = names.lower_bound(prefix);
  return next != names.end() && next->starts_with(prefix) &&
         *next == identity.ns + "/" + identity.pod;
}

}  // namespace

bool IsMadeForDumps(const SourceFile& file) {
  return file.name() == kMadeFile;
}

bool IsFromDump(const Workload& workload) {
  return workload.object != nullptr && IsMade(*workload.object);
}

namespace {

struct NamedDump {
  std::string ns, workload, path;
};

NamedDump SplitDumpName(const std::string& word, const FileSystem& files) {
  const size_t equals = word.find('=');
  const size_t slash = word.find('/');
  const bool named = equals != std::string::npos && slash != std::string::npos && slash > 0 &&
                     slash + 1 < equals && word.find('/', slash + 1) >= equals &&
                     files.Stat(word) == FileSystem::Kind::kMissing;
  if (!named) return {"", "", word};
  return {word.substr(0, slash), word.substr(slash + 1, equals - slash - 1),
          word.substr(equals + 1)};
}

}  // namespace

bool DumpInput::Take(const std::string& path, const FileSystem& files) {
  if (!path.ends_with(".json") || files.Stat(path) != FileSystem::Kind::kFile) return false;
  auto text = files.Read(path);
  if (!text.ok() || !LooksLikeDumpText(text.value())) return false;
  reader_.AddText(path, text.Take());
  any_ = true;
  return true;
}

Result<bool> DumpInput::Add(const std::string& word, const FileSystem& files) {
  const NamedDump named = SplitDumpName(word, files);
  const std::string& path = named.path;
  const auto kind = path == "-" ? FileSystem::Kind::kFile : files.Stat(path);
  if (kind == FileSystem::Kind::kMissing) return Error{"the dump `" + path + "` does not exist"};
  if (kind != FileSystem::Kind::kFile) return Error{"the dump `" + path + "` is no file"};
  auto text = files.Read(path);
  if (!text.ok()) return Error{"the dump `" + path + "` cannot be read: " + text.error().message};
  reader_.SetOwner(named.ns, named.workload);
  reader_.AddText(path, text.Take());
  reader_.SetOwner("", "");
  any_ = true;
  return true;
}

void DumpInput::TakeFrom(Load* load) {
  for (auto& file : load->files) {
    for (auto document = file.documents.begin(); document != file.documents.end();) {
      if (document->root() == nullptr || !LooksLikeDump(*document->root())) {
        ++document;
        continue;
      }
      documents_.push_back(std::move(*document));
      document = file.documents.erase(document);
      reader_.AddDocument(documents_.back());
      any_ = true;
    }
  }
}

Load DumpInput::Complete(Load load, bool of_mesh) {
  if (!any_) return load;
  std::set<std::string> names;
  KnownObjects known;
  std::vector<DumpedWaypoint> waypoints;
  if (of_mesh) waypoints = reader_.Waypoints();
  const bool with_ztunnels = of_mesh && !reader_.Ztunnels().empty();
  for (const auto& file : load.files) {
    for (const auto& document : file.documents) {
      if (document.root() == nullptr) continue;
      NoteWorkloads(*document.root(), &names);
      if (of_mesh) known.Note(*document.root());
    }
  }
  std::optional<ZtunnelObjects> ztunnels;
  if (with_ztunnels) ztunnels.emplace(reader_.Ztunnels(), known);
  std::string text;
  std::set<std::string> dumped;
  for (const auto& identity : reader_.Identities()) {
    if (identity.ns.empty() || identity.workload.empty()) continue;
    dumped.insert(identity.ns + "/" + identity.workload);
    if (Names(names, identity)) continue;
    names.insert(identity.ns + "/" + identity.workload);
    Labels served = ztunnels ? ztunnels->LabelsOf(identity.ns, identity.workload) : Labels();
    if (of_mesh && identity.mode == ProxyMode::kWaypoint &&
        FindLabel(identity.labels, kGatewayNameLabel) == nullptr &&
        FindLabel(served, kGatewayNameLabel) == nullptr) {
      served.emplace_back(kGatewayNameLabel, identity.workload);
    }
    text += WriteJson(PodOf(identity, served)) + "\n";
  }
  if (ztunnels) {
    text += ztunnels->Text(dumped);
    ztunnels->AddTo(&known);
  }
  text += ObjectsOfWaypoints(waypoints, known);
  if (!waypoints.empty() && !with_ztunnels && !known.mesh_config) {
    const std::string& domain = waypoints.front().trust_domain;
    if (!domain.empty() && domain != "cluster.local") {
      text += WriteJson(MadeMeshConfig(domain)) + "\n";
    }
  }
  if (!text.empty()) load.files.push_back(ParseText(std::string(kMadeFile), std::move(text)));
  return load;
}

std::shared_ptr<const Dumps> DumpInput::Finish(const std::shared_ptr<const Mesh>& mesh) {
  return std::make_shared<const Dumps>(reader_.Finish(mesh));
}

}  // namespace meshproof
