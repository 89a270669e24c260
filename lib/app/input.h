#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/host.h"
#include "app/settings.h"
#include "base/json.h"
#include "base/result.h"
#include "mesh/mesh.h"
#include "proxy/dump.h"
#include "simulate/case.h"

namespace meshproof {

// The options that every command has.
struct InputOptions {
  std::vector<std::string> paths;
  std::optional<std::string> config, mesh_config, root_namespace, trust_domain, istio_version, ns;
  std::vector<std::string> dumps;  // --dump
  bool keep_invalid = false;
  // The command asks a dump whoever's it is.
  bool nameless_dumps = false;
};

struct Input {
  std::shared_ptr<const Model> model;
  std::shared_ptr<const Mesh> mesh;
  // What proxies run, where the input holds dumps; else null.
  std::shared_ptr<const Dumps> dumps;
  // A document could not be read: answers come from the rest, the exit status is 2.
  bool broken = false;
};

// What the dumps say, for World.
DumpedMesh FromDumps(const Input& input);

// Names the dumps on `err`, of a command that does not ask them: `does` is "draws the manifests".
void NoteUnusedDumps(const Input& input, std::string_view does, const Host& host);
// An error about a name that was not found; where a dump does not say whose proxy it is, that too.
Error WithNamelessDumps(Error error, const Input& input);
// The dumps' names, joined.
std::string DumpFiles(const Dumps& dumps);

// One source of a mesh; where `ns` is not empty, objects that name no namespace belong there.
struct InputPath {
  std::string path, ns;
};

// Reads, decodes and joins a mesh. Diagnostics go into `notes`, each with its line break; the
// caller prints them. An error: a path does not exist, or nothing of it is a Kubernetes object.
// `threads` as in LoadOptions.
Result<Input> LoadMesh(const std::vector<InputPath>& paths, const InputOptions& options,
                       const Settings& settings, const FileSystem& files, unsigned threads,
                       std::vector<std::string>* notes);

// The same for the PATHs of the command line (else the settings' `paths`, else "."), with the
// diagnostics on the host's `err`.
Result<Input> LoadInput(const InputOptions& options, const Settings& settings, const Host& host);

// The same for `analyze`, which reports what is wrong with the input itself: nothing of that is
// printed, and an input of which nothing can be used is an error only if nobody would say so.
Result<Input> LoadForAnalysis(const InputOptions& options, const Settings& settings,
                              const Host& host, unsigned threads);

// Whether a diagnostic says that a document or file could not be read.
bool IsBroken(const Diagnostic& diagnostic);

// The PATHs that count: the command line's, the settings', or ".".
std::vector<std::string> EffectivePaths(const InputOptions& options, const Settings& settings);

// By "NS/NAME" (a trailing ":PORT" is not accepted here); the error names the nearest one.
Result<const Workload*> FindWorkload(const Mesh& mesh, std::string_view name);

struct WorkloadName {
  std::string name;  // "ns/name"
  int port = 0;      // 0 = none given
};
// "NS/NAME" or "NS/NAME:PORT".
Result<WorkloadName> ParseWorkloadName(std::string_view text);

// Takes the WORKLOAD off the paths, "" where the first is none; an existing path of that name is a
// path.
std::string TakeWorkload(std::vector<std::string>* paths, const FileSystem& files);

// 1..65535.
Result<int> ParsePort(std::string_view text);

// `skipped` of the formats: by file, kind and reason, with a count.
Json SkippedJson(const Model& model);

}  // namespace meshproof
