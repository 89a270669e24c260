#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/json.h"
#include "simulate/case.h"
#include "source/source.h"

// Policy tests (`*.meshtest.yaml`): a mesh, requests, and what is expected of them.
namespace meshproof {

// What a test says about the verdict; absent parts say nothing.
struct Expectation {
  std::optional<Outcome> outcome;
  std::vector<int> statuses;  // any of them
  std::optional<Stage> stage;
  std::vector<std::string> policies;  // any of them: "ns/name", or "none"
  std::optional<int> rule;
  std::optional<std::string> details;
  std::optional<std::string> enforced_at;  // sidecar, gateway, waypoint, ztunnel, none
  Json written;                            // as it stands in the file
};

struct MeshTestCase {
  Case question;  // `name` and `span` are the test's
  Expectation expect;
  std::vector<Diagnostic> errors;  // why it cannot be run; empty = it can
};

// An entry of `mesh:`; the path is relative to the working directory.
struct MeshTestSource {
  std::string path;
  std::string ns;  // for objects that name none; "" = not said

  friend bool operator==(const MeshTestSource&, const MeshTestSource&) = default;
  friend auto operator<=>(const MeshTestSource&, const MeshTestSource&) = default;
};

struct MeshTestFile {
  std::shared_ptr<const SourceFile> file;
  bool names_mesh = false;
  std::vector<MeshTestSource> mesh;
  std::vector<MeshTestCase> cases;
  std::vector<Diagnostic> errors;  // of the file as a whole: nothing of it is run
};

// Whether a file holds policy tests: by its name (`.meshtest.yaml`, `.yml`, `.json`), or because
// its document has `tests` and is no Kubernetes object.
bool IsMeshTestName(std::string_view path);
bool LooksLikeMeshTest(const ParsedFile& file);

// Tokens are read from their files, which stand relative to the test's own.
MeshTestFile DecodeMeshTest(const ParsedFile& file, const FileSystem& file_system);

// One part of an expectation that a verdict does not meet.
struct Mismatch {
  std::string field, expected, got;
};

// An undetermined verdict that the expectation does not name fails whatever else is expected.
std::vector<Mismatch> Compare(const Expectation& expect, const Verdict& verdict);

// Where it was refused, or where the policy that admitted it is attached: "sidecar", "gateway",
// "waypoint", "ztunnel"; "none" where no ALLOW rule was needed.
std::string EnforcementPoint(const Verdict& verdict);
// The mode as the formats name it: kAmbient is "ztunnel".
std::string_view ProxyModeName(ProxyMode mode);

// The request as a policy test writes it, without `expect`. Tokens become header lines.
Json CaseToJson(const Case& question);

// `path` as `base`'s directory sees it, without `.` and `..` where they cancel out.
std::string ResolvePath(std::string_view base_file, std::string_view path);

}  // namespace meshproof
