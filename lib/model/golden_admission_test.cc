// Recorded meshes: exactly what the real webhook refused is refused, nothing else anywhere.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "base/json.h"
#include "model/test_input.h"

namespace meshproof::golden_admission_test {
namespace {

namespace fs = std::filesystem;

fs::path Shared() {
  const char* given = std::getenv("MESHPROOF_SHARED");
  return given != nullptr ? fs::path(given) : fs::path(MESHPROOF_ROOT) / ".." / "shared";
}

std::string ReadFile(const fs::path& path) {
  std::ifstream stream(path);
  std::stringstream text;
  text << stream.rdbuf();
  return text.str();
}

std::vector<fs::path> Folders(const fs::path& parent) {
  std::vector<fs::path> folders;
  if (!fs::exists(parent)) return folders;
  for (const auto& entry : fs::directory_iterator(parent)) {
    if (entry.is_directory()) folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  return folders;
}

// The objects that were refused, as "Kind/namespace/name".
std::set<std::string> Recorded(const fs::path& folder) {
  std::set<std::string> refused;
  fs::path path = folder / "refused.json";
  if (!fs::exists(path)) return refused;
  auto json = ParseJson(ReadFile(path));
  REQUIRE(json.ok());
  for (const Json& item : json.value().as_array()) refused.insert(item.Find("object")->as_string());
  return refused;
}

std::set<std::string> Refused(const Model& model) {
  for (const Model::Skipped& skipped : model.skipped) {
    // Some folders hold an authorizer's own settings beside the mesh.
    CHECK((skipped.reason == Model::Skipped::Reason::kRefused ||
           skipped.reason == Model::Skipped::Reason::kNotKubernetes));
  }
  std::set<std::string> refused;
  for (const Diagnostic& diagnostic : model.diagnostics) {
    // "Kind ns/name is refused: …"
    size_t end = diagnostic.message.find(" is refused:");
    if (end == std::string::npos) continue;
    std::string subject = diagnostic.message.substr(0, end);
    std::replace(subject.begin(), subject.end(), ' ', '/');
    refused.insert(subject);
  }
  return refused;
}

void CheckMeshes(const fs::path& parent, size_t least_meshes, size_t expected_refusals) {
  if (!fs::exists(parent)) {
    std::printf("skipped: %s is not there\n", parent.c_str());
    return;
  }
  size_t meshes = 0;
  size_t refusals = 0;
  for (const fs::path& folder : Folders(parent)) {
    std::vector<std::pair<std::string, std::string>> files;
    for (const auto& entry : fs::directory_iterator(folder)) {
      std::string name = entry.path().filename().string();
      if (entry.path().extension() != ".yaml" || name.find("meshtest") != std::string::npos)
        continue;
      files.emplace_back(name, ReadFile(entry.path()));
    }
    if (files.empty()) continue;
    ++meshes;
    auto model = ModelOf(files);
    INFO(folder.string() << "\n" << AllDiagnostics(*model));
    std::set<std::string> refused = Refused(*model);
    refusals += refused.size();
    CHECK(refused == Recorded(folder));
    for (const Diagnostic& diagnostic : model->diagnostics) {
      bool expected = diagnostic.trouble == Trouble::kAdmissionWarning ||
                      diagnostic.trouble == Trouble::kRefused;
      CHECK_MESSAGE(expected, ToString(diagnostic));
    }
  }
  CHECK(meshes >= least_meshes);
  CHECK(refusals == expected_refusals);
}

TEST_CASE("recorded meshes with sidecars") {
  CheckMeshes(Shared() / "golden" / "istiod", 50, 11);
  CheckMeshes(fs::path(MESHPROOF_ROOT) / "testdata" / "istiod", 50, 11);
}

TEST_CASE("recorded ambient meshes") {
  CheckMeshes(Shared() / "golden" / "ambient", 30, 0);
}

TEST_CASE("the book's manifests are all accepted") {
  fs::path book = Shared() / "golden" / "book";
  if (!fs::exists(book)) {
    std::printf("skipped: %s is not there\n", book.c_str());
    return;
  }
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& entry : fs::recursive_directory_iterator(book)) {
    if (entry.path().extension() == ".yaml") {
      files.emplace_back(entry.path().string(), ReadFile(entry.path()));
    }
  }
  std::sort(files.begin(), files.end());
  auto model = ModelOf(files);
  for (const Diagnostic& diagnostic : model->diagnostics) {
    bool expected = diagnostic.trouble == Trouble::kDuplicateObject ||
                    diagnostic.trouble == Trouble::kAdmissionWarning;
    CHECK_MESSAGE(expected, ToString(diagnostic));
  }
  CHECK(model->authorization_policies.size() >= 8);
  CHECK(model->skipped.empty());
}

TEST_CASE("conformance meshes") {
  CheckMeshes(Shared() / "conformance", 30, 0);
  CheckMeshes(fs::path(MESHPROOF_ROOT) / "testdata" / "conformance", 30, 0);
}

}  // namespace
}  // namespace meshproof::golden_admission_test
