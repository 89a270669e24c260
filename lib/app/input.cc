#include "app/input.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/text.h"
#include "proxy/dump_input.h"
#include "proxy/ztunnel_objects.h"
#include "proxy/ztunnel_waypoints.h"
#include "report/parts.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

std::string_view ReasonName(Model::Skipped::Reason reason) {
  switch (reason) {
    case Model::Skipped::Reason::kUnknownKind:
      return "unknown_kind";
    case Model::Skipped::Reason::kUnsupportedVersion:
      return "unsupported_version";
    case Model::Skipped::Reason::kNotKubernetes:
      return "not_kubernetes";
    case Model::Skipped::Reason::kTemplate:
      return "template";
    case Model::Skipped::Reason::kIgnored:
      return "ignored";
    case Model::Skipped::Reason::kRefused:
      return "refused";
  }
  return "unknown_kind";
}

// Kinds in the order of their names, each with its count: "CronTab (2), Widget".
std::string KindList(const std::map<std::string, size_t>& kinds) {
  std::vector<std::string> texts;
  for (const auto& [kind, count] : kinds) {
    texts.push_back(count > 1 ? kind + " (" + std::to_string(count) + ")" : kind);
  }
  return Join(texts, ", ");
}

// Every error, and of warnings that say the same the first ones: who asks one question has not
// asked for a list.
void ReportDiagnostics(const Model& model, std::vector<std::string>* notes) {
  constexpr size_t kShown = 3;
  std::map<std::string_view, size_t> warnings;
  for (const auto& diagnostic : model.diagnostics) {
    const bool error = diagnostic.severity == Severity::kError;
    if (error || ++warnings[diagnostic.message] <= kShown) {
      notes->push_back(ToString(diagnostic) + "\n");
    }
  }
  for (const auto& [message, count] : warnings) {
    if (count <= kShown) continue;
    notes->push_back("note: " + std::to_string(count - kShown) + " more times: " +
                     std::string(message) + " (`meshproof analyze` lists them)\n");
  }
}

void ReportSkipped(const Model& model, std::vector<std::string>* notes) {
  std::map<std::string, size_t> unknown, unsupported;
  size_t others = 0;
  for (const auto& skipped : model.skipped) {
    switch (skipped.reason) {
      case Model::Skipped::Reason::kUnknownKind:
        ++unknown[skipped.kind.empty() ? "?" : skipped.kind];
        break;
      case Model::Skipped::Reason::kUnsupportedVersion:
        ++unsupported[skipped.kind.empty() ? "?" : skipped.kind];
        break;
      case Model::Skipped::Reason::kNotKubernetes:
        // Policy tests lie beside the manifests that they are about.
        if (!IsMeshTestName(skipped.file->name())) ++others;
        break;
      case Model::Skipped::Reason::kTemplate:
      case Model::Skipped::Reason::kIgnored:
      case Model::Skipped::Reason::kRefused:
        break;  // a diagnostic names each, or the user asked for it
    }
  }
  if (!unknown.empty()) notes->push_back("note: skipped kinds: " + KindList(unknown) + "\n");
  if (!unsupported.empty()) {
    notes->push_back("note: skipped versions that are not supported: " + KindList(unsupported) +
                     "\n");
  }
  if (others > 0) {
    notes->push_back("note: skipped " + Counted(others, "document") + " that " +
                     (others == 1 ? "is" : "are") + " no Kubernetes object\n");
  }
}

Result<std::shared_ptr<const SourceFile>> ReadMeshConfig(const FileSystem& files,
                                                         const std::string& path) {
  auto text = files.Read(path);
  if (!text.ok()) return Error{"the mesh config cannot be read: " + text.error().message};
  return std::shared_ptr<const SourceFile>(std::make_shared<SourceFile>(path, text.Take()));
}

// The glob that names a path and everything in it.
std::vector<std::string> GlobsOf(const FileSystem& files, const std::string& path) {
  if (files.Stat(path) != FileSystem::Kind::kDirectory) return {path};
  if (path == ".") return {"**"};
  return {path + "/**"};
}

Result<ModelOptions> MakeModelOptions(const std::vector<InputPath>& paths,
                                      const InputOptions& options, const Settings& settings,
                                      const FileSystem& files, unsigned threads) {
  ModelOptions out;
  out.threads = threads;
  out.keep_invalid = options.keep_invalid;
  if (options.ns) out.default_namespace = *options.ns;
  for (const auto& input : paths) {
    if (input.ns.empty()) continue;
    for (auto& glob : GlobsOf(files, input.path)) {
      out.path_namespaces.emplace_back(std::move(glob), input.ns);
    }
  }
  out.path_namespaces.insert(out.path_namespaces.end(), settings.namespaces.begin(),
                             settings.namespaces.end());
  out.root_namespace =
      options.root_namespace ? options.root_namespace : settings.mesh.root_namespace;
  out.trust_domain = options.trust_domain ? options.trust_domain : settings.mesh.trust_domain;
  const auto& mesh_config = options.mesh_config ? options.mesh_config : settings.mesh.mesh_config;
  if (mesh_config) {
    auto file = ReadMeshConfig(files, *mesh_config);
    if (!file.ok()) return file.error();
    out.mesh_config = file.Take();
  }
  return out;
}

// A dump alone is an input: nobody asks for the current directory then.
std::vector<InputPath> InputPaths(const InputOptions& options, const Settings& settings) {
  std::vector<InputPath> paths;
  if (options.paths.empty() && !options.dumps.empty()) {
    for (const auto& path : settings.paths) paths.push_back({path, ""});
    return paths;
  }
  for (auto& path : EffectivePaths(options, settings)) paths.push_back({path, ""});
  return paths;
}

Result<bool> CheckVersion(const InputOptions& options, const Settings& settings, const Host& host) {
  const auto& version = options.istio_version ? options.istio_version : settings.mesh.istio_version;
  if (version && !IsIstioVersion(*version)) {
    return Error{"`--istio-version` must be a release such as 1.27, not `" + *version + "`"};
  }
  if (version) {
    host.err << "note: answers are those of the current istiod; the differences of Istio "
             << *version << " are not modelled yet\n";
  }
  return true;
}

Error NothingToUse(const std::vector<InputPath>& paths) {
  std::vector<std::string> names;
  for (const auto& input : paths) names.push_back(input.path);
  return Error{"no Kubernetes object in " + Join(names, ", ")};
}

// A dump that does not show the listeners says nothing of what they let in.
std::shared_ptr<const ProxyConfig> WithoutListeners(const ProxyDump& dump) {
  auto config = std::make_shared<ProxyConfig>(*dump.config);
  Listener unknown;
  unknown.name = "virtualInbound";
  unknown.original_dst = true;
  unknown.opaque.push_back("listeners, which the dump " + dump.file + " does not hold");
  config->listeners = {std::move(unknown)};
  return config;
}

// What lacks where a dump names no proxy.
constexpr char kWhose[] =
    "the dump is not asked: it does not say whose proxy it is, for want of the bootstrap section: "
    "say it with --dump NS/WORKLOAD=FILE, take the whole config dump, or put `istioctl "
    "proxy-config bootstrap -o json` beside it";

// Which dump answers where several are of one workload.
void NoteReplicas(const Dumps& dumps, std::vector<std::string>* notes) {
  std::map<std::string, std::vector<const ProxyDump*>> by_name;
  for (const ProxyDump& dump : dumps.proxies) {
    if (dump.config->workload.empty()) continue;
    by_name[dump.config->ns + "/" + dump.config->workload].push_back(&dump);
  }
  for (const auto& [name, same] : by_name) {
    if (same.size() < 2) continue;
    notes->push_back("note: " + Counted(same.size(), "dump") + " are of " + name +
                     "; the first one (" + same.front()->file + ") answers, and `drift` compares " +
                     "them\n");
  }
}

// A dump that no question can name is none that was asked.
bool NoteNameless(const Dumps& dumps, const InputOptions& options,
                  std::vector<std::string>* notes) {
  bool nameless = false;
  for (const ProxyDump& dump : dumps.proxies) {
    if (dump.named_by_certificate) {
      notes->push_back("note: " + dump.file +
                       " does not say whose proxy it is; its certificate is " + dump.config->ns +
                       "/" + dump.config->workload + "'s alone, so it is taken for that one's\n");
    }
    if (!dump.config->workload.empty() || options.nameless_dumps) continue;
    nameless = true;
    notes->push_back(
        ToString(Diagnostic{Severity::kError, Trouble::kUnreadable, kWhose, dump.span, "", {}}) +
        "\n");
  }
  return nameless;
}

void NoteZtunnels(const Dumps& dumps, std::vector<std::string>* notes) {
  for (const ZtunnelDump& dump : dumps.ztunnels) {
    if (!SaysNativeOfAll(dump)) continue;
    notes->push_back("note: " + dump.file +
                     " says of all pods that speak HBONE that they do so themselves " +
                     "(nativeTunnel), as old istiods did: they are taken for ambient\n");
  }
}

// Where manifests name a waypoint, or none, they count before the dump.
void NoteWaypoints(const Dumps& dumps, const Mesh& mesh, std::vector<std::string>* notes) {
  constexpr size_t kShown = 3;
  for (const ZtunnelDump& dump : dumps.ztunnels) {
    const std::vector<WaypointDifference> all = CompareWaypoints(mesh, dump);
    if (all.empty()) continue;
    std::vector<std::string> texts;
    auto named = [](const std::string& waypoint) { return waypoint.empty() ? "none" : waypoint; };
    for (const WaypointDifference& one : all) {
      if (texts.size() == kShown) break;
      texts.push_back(one.what + " (there " + named(one.dumped) + ", here " + named(one.manifests) +
                      ")");
    }
    notes->push_back("note: " + dump.file + " has another waypoint than the manifests for " +
                     Join(texts, ", ") +
                     (all.size() > kShown ? " and " + std::to_string(all.size() - kShown) + " more"
                                          : std::string()) +
                     "; answers go by the manifests, and `drift` compares them\n");
  }
}

// Why it cannot be said what a workload lets in of which ztunnels' dumps alone speak.
std::string MissingOf(const Workload& workload, const std::string& files) {
  const std::string who = workload.ns + "/" + workload.name;
  if (workload.mode == ProxyMode::kWaypoint) {
    return "the configuration of waypoint " + who + ", which " + files +
           " does not hold: add the waypoint's own dump, or the manifests";
  }
  if (workload.mode == ProxyMode::kSidecar) {
    return "the configuration of the sidecar of " + who + ", which " + files +
           " does not hold: add the sidecar's own dump, or the manifests";
  }
  return "whether " + who + " has a proxy of its own: " + files +
         " says only that ztunnels reach it in plaintext; add the manifests, or the proxy's dump";
}

// A finding about objects that stand for dumps would be about nobody's manifests.
enum class Purpose { kQuestions, kAnalysis };

// Reads, decodes and joins, whatever comes of it.
Result<Input> ReadMesh(const std::vector<InputPath>& paths, const InputOptions& options,
                       const Settings& settings, const FileSystem& files, unsigned threads,
                       Purpose purpose, std::vector<std::string>* notes) {
  auto model_options = MakeModelOptions(paths, options, settings, files, threads);
  if (!model_options.ok()) return model_options.error();
  LoadOptions load_options;
  load_options.ignore = settings.ignore;
  load_options.threads = threads;
  DumpInput dumps;
  std::vector<std::string> names;
  for (const auto& input : paths) {
    if (!dumps.Take(input.path, files)) names.push_back(input.path);
  }
  for (const auto& path : options.dumps) {
    auto taken = dumps.Add(path, files);
    if (!taken.ok()) return taken.error();
  }
  Load manifests;
  if (!names.empty()) {
    auto load = LoadPaths(names, files, load_options);
    if (!load.ok()) return load.error();
    manifests = load.Take();
  }
  dumps.TakeFrom(&manifests);
  Input input;
  input.model = DecodeModel(dumps.Complete(std::move(manifests), purpose == Purpose::kQuestions),
                            model_options.value());
  const auto& diagnostics = input.model->diagnostics;
  input.broken = std::any_of(diagnostics.begin(), diagnostics.end(), IsBroken);
  MeshOptions mesh_options;
  mesh_options.istiod_env = settings.istiod_env;
  mesh_options.pod_cidrs = settings.mesh.pod_cidrs;
  mesh_options.service_cidrs = settings.mesh.service_cidrs;
  input.mesh = Mesh::Build(input.model, mesh_options);
  if (dumps.any()) {
    input.dumps = dumps.Finish(input.mesh);
    for (const auto& diagnostic : input.dumps->diagnostics) {
      input.broken |= IsBroken(diagnostic);
      notes->push_back(ToString(diagnostic) + "\n");
    }
    NoteReplicas(*input.dumps, notes);
    if (purpose == Purpose::kQuestions) {
      NoteZtunnels(*input.dumps, notes);
      NoteWaypoints(*input.dumps, *input.mesh, notes);
      input.broken |= NoteNameless(*input.dumps, options, notes);
    }
  }
  return input;
}

}  // namespace

DumpedMesh FromDumps(const Input& input) {
  DumpedMesh out;
  if (input.dumps == nullptr) return out;
  std::set<std::string> known;
  for (const auto& proxy : input.dumps->proxies) {
    out.proxies.push_back(proxy.has_listeners ? proxy.config : WithoutListeners(proxy));
    known.insert(proxy.config->ns + "/" + proxy.config->workload);
  }
  const auto& ztunnels = input.dumps->ztunnels;
  if (ztunnels.empty()) return out;
  out.ztunnel = std::make_shared<const ZtunnelConfig>(*input.mesh, ztunnels);
  std::vector<std::string> files;
  for (const ZtunnelDump& dump : ztunnels) files.push_back(dump.file);
  const std::string names = Join(files, " or ");
  for (const Workload& workload : input.mesh->workloads()) {
    if (!IsFromDump(workload) || workload.mode == ProxyMode::kAmbient) continue;
    if (known.contains(workload.ns + "/" + workload.name)) continue;
    out.unknown.emplace(&workload, MissingOf(workload, names));
  }
  return out;
}

std::string DumpFiles(const Dumps& dumps) {
  std::vector<std::string> files;
  for (const ProxyDump& dump : dumps.proxies) files.push_back(dump.file);
  for (const ZtunnelDump& dump : dumps.ztunnels) files.push_back(dump.file);
  return Join(files, ", ");
}

Error WithNamelessDumps(Error error, const Input& input) {
  if (input.dumps == nullptr) return error;
  for (const ProxyDump& dump : input.dumps->proxies) {
    if (!dump.config->workload.empty()) continue;
    error.message += "\n  " + dump.file + " does not say whose proxy it is";
  }
  return error;
}

void NoteUnusedDumps(const Input& input, std::string_view does, const Host& host) {
  if (input.dumps == nullptr) return;
  host.err << "note: " << does << "; what " << DumpFiles(*input.dumps) << " says is left out\n";
}

bool IsBroken(const Diagnostic& diagnostic) {
  return diagnostic.severity == Severity::kError &&
         (diagnostic.trouble == Trouble::kUnreadable || diagnostic.trouble == Trouble::kSyntax ||
          diagnostic.trouble == Trouble::kTemplate);
}

std::vector<std::string> EffectivePaths(const InputOptions& options, const Settings& settings) {
  if (!options.paths.empty()) return options.paths;
  if (!settings.paths.empty()) return settings.paths;
  return {"."};
}

Result<Input> LoadMesh(const std::vector<InputPath>& paths, const InputOptions& options,
                       const Settings& settings, const FileSystem& files, unsigned threads,
                       std::vector<std::string>* notes) {
  auto input = ReadMesh(paths, options, settings, files, threads, Purpose::kQuestions, notes);
  if (!input.ok()) return input.error();
  const Model& model = *input.value().model;
  ReportDiagnostics(model, notes);
  ReportSkipped(model, notes);
  const auto& dumps = input.value().dumps;
  if (model.objects == 0 && dumps == nullptr) return NothingToUse(paths);
  if (dumps != nullptr && dumps->proxies.empty() && dumps->ztunnels.empty()) {
    return Error{"nothing of a proxy's configuration in the dumps"};
  }
  return input;
}

Result<Input> LoadInput(const InputOptions& options, const Settings& settings, const Host& host) {
  if (auto checked = CheckVersion(options, settings, host); !checked.ok()) return checked.error();
  std::vector<std::string> notes;
  auto input = LoadMesh(InputPaths(options, settings), options, settings, host.files, 0, &notes);
  for (const auto& note : notes) host.err << note;
  return input;
}

Result<Input> LoadForAnalysis(const InputOptions& options, const Settings& settings,
                              const Host& host, unsigned threads) {
  if (auto checked = CheckVersion(options, settings, host); !checked.ok()) return checked.error();
  std::vector<InputPath> paths = InputPaths(options, settings);
  std::vector<std::string> notes;
  auto input = ReadMesh(paths, options, settings, host.files, threads, Purpose::kAnalysis, &notes);
  for (const auto& note : notes) host.err << note;
  if (!input.ok()) return input.error();
  const Model& model = *input.value().model;
  bool nothing_known =
      std::all_of(model.skipped.begin(), model.skipped.end(), [](const Model::Skipped& skipped) {
        return skipped.reason == Model::Skipped::Reason::kNotKubernetes;
      });
  if (model.objects == 0 && !input.value().broken && nothing_known) {
    if (input.value().dumps == nullptr) return NothingToUse(paths);
  }
  return input;
}

Result<WorkloadName> ParseWorkloadName(std::string_view text) {
  WorkloadName out;
  size_t slash = text.find('/');
  size_t colon = text.rfind(':');
  std::string_view name = text.substr(0, colon);
  if (slash == std::string_view::npos || slash == 0 || slash + 1 >= name.size() ||
      name.find('/', slash + 1) != std::string_view::npos) {
    return Error{"a workload is named as NAMESPACE/NAME or NAMESPACE/NAME:PORT, not `" +
                 std::string(text) + "`"};
  }
  out.name = std::string(name);
  if (colon != std::string_view::npos) {
    auto port = ParsePort(text.substr(colon + 1));
    if (!port.ok()) return port.error();
    out.port = port.value();
  }
  return out;
}

std::string TakeWorkload(std::vector<std::string>* paths, const FileSystem& files) {
  if (paths->empty()) return "";
  const std::string& first = paths->front();
  if (first == "-" || files.Stat(first) != FileSystem::Kind::kMissing) return "";
  if (!ParseWorkloadName(first).ok()) return "";
  std::string name = first;
  paths->erase(paths->begin());
  return name;
}

Result<int> ParsePort(std::string_view text) {
  auto port = ParseUnsigned(text);
  if (!port || *port < 1 || *port > 65535) {
    return Error{"a port is a number from 1 to 65535, not `" + std::string(text) + "`"};
  }
  return static_cast<int>(*port);
}

Result<const Workload*> FindWorkload(const Mesh& mesh, std::string_view name) {
  size_t slash = name.find('/');
  const Workload* found = slash == std::string_view::npos
                              ? nullptr
                              : mesh.FindWorkload(name.substr(0, slash), name.substr(slash + 1));
  if (found != nullptr) return found;
  std::vector<std::string> names, namesakes;
  std::string_view base = slash == std::string_view::npos ? name : name.substr(slash + 1);
  for (const auto& workload : mesh.workloads()) {
    names.push_back(workload.ns + "/" + workload.name);
    if (workload.name == base) namesakes.push_back(names.back());
  }
  std::string message = "no workload `" + std::string(name) + "` in the input";
  if (!namesakes.empty()) {
    message += "; did you mean `" + Join(namesakes, "` or `") + "`?";
  } else if (auto near = Nearest(name, names)) {
    message += "; did you mean `" + *near + "`?";
  }
  return Error{message};
}

Json SkippedJson(const Model& model) {
  using Key = std::tuple<std::string, std::string, std::string_view>;
  std::map<Key, std::pair<Span, size_t>> groups;
  for (const auto& skipped : model.skipped) {
    std::string file = skipped.file == nullptr ? std::string() : skipped.file->name();
    auto [at, fresh] = groups.try_emplace({file, skipped.kind, ReasonName(skipped.reason)},
                                          std::make_pair(skipped.span, size_t{0}));
    if (!fresh && skipped.span && skipped.span.begin < at->second.first.begin) {
      at->second.first = skipped.span;
    }
    ++at->second.second;
  }
  Json out = Json::MakeArray();
  for (const auto& [key, group] : groups) {
    const auto& [file, kind, reason] = key;
    Json entry = Json::MakeObject({{"file", file}});
    entry.Set("location", LocationJson(group.first));
    entry.Set("kind", kind.empty() ? Json() : Json(kind));
    entry.Set("reason", reason);
    entry.Set("count", group.second);
    out.Append(std::move(entry));
  }
  return out;
}

}  // namespace meshproof
