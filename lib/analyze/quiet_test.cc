// Valid meshes stay quiet: testdata/quiet/<mesh>/*.yaml, all files of a mesh together, give nothing
// at warning or above but what testdata/quiet/expected.txt lists with its reason.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "analyze/driver.h"
#include "base/text.h"
#include "source/source.h"

namespace meshproof::quiet_test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNow = 1795000000;  // November 2026

std::string ReadText(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// "<mesh> <code> <kind>/<namespace>/<name>", each once: several places of an object are one.
std::set<std::string> Expected(const fs::path& file) {
  std::set<std::string> lines;
  std::string text = ReadText(file);
  for (std::string_view line : Split(text, '\n')) {
    size_t reason = line.find(" # ");
    if (line.empty()) continue;
    CHECK_MESSAGE(reason != std::string_view::npos, "no reason: " << std::string(line));
    lines.emplace(line.substr(0, reason));
  }
  return lines;
}

void Collect(const fs::path& mesh_folder, std::set<std::string>* found) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(mesh_folder)) paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  Load load;
  for (const fs::path& path : paths) {
    load.files.push_back(ParseText(path.filename().string(), ReadText(path)));
  }
  auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
  World world(mesh);
  AnalyzeOptions options;
  options.now = kNow;
  for (const Finding& finding : Analyze(*mesh, world, options).findings) {
    if (finding.severity == Severity::kInfo) continue;
    const ObjectName& object = finding.object;
    std::string line = mesh_folder.filename().string() + " " + finding.rule->code + " " +
                       object.kind + "/" + object.ns + "/" + object.name;
    found->insert(line);
  }
}

}  // namespace

TEST_CASE("valid meshes stay quiet") {
  fs::path root = fs::path(MESHPROOF_ROOT) / "testdata" / "quiet";
  std::set<std::string> expected = Expected(root / "expected.txt");
  std::set<std::string> found;
  size_t meshes = 0;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory()) continue;
    ++meshes;
    Collect(entry.path(), &found);
  }
  CHECK(meshes >= 25);
  for (const std::string& line : found) {
    CHECK_MESSAGE(expected.contains(line), "not expected: " << line);
  }
  for (const std::string& line : expected) {
    CHECK_MESSAGE(found.contains(line), "no longer found: " << line);
  }
}

}  // namespace meshproof::quiet_test
