// Mistakes that people made on a real mesh and wrote down (golden/book of the shared references):
// each is found at its place, and the finding says what comes of it.

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "analyze/driver.h"
#include "source/source.h"

namespace meshproof::book_test {
namespace {

namespace fs = std::filesystem;

struct Mistake {
  const char* what;
  const char* policy;
  const char* code;
  const char* field;   // substring of the field path
  const char* effect;  // substring of the message
};

constexpr Mistake kMistakes[] = {
    {"namespace for namespaces",
     "{apiVersion: security.istio.io/v1beta1, kind: AuthorizationPolicy, metadata: {name: p, "
     "namespace: istioinaction}, spec: {selector: {matchLabels: {app: webapp}}, rules: [{from: "
     "[{source: {namespace: [default]}}], to: [{operation: {methods: [GET]}}]}]}}",
     "MP0002", "source.namespace", "it protects nothing"},
    {"the node port in a gateway's policy",
     "{apiVersion: security.istio.io/v1beta1, kind: AuthorizationPolicy, metadata: {name: p, "
     "namespace: istio-system}, spec: {selector: {matchLabels: {app: istio-ingressgateway}}, "
     "rules: [{to: [{operation: {ports: [\"30000\"]}}]}]}}",
     "MP0105", "ports[0]", "nothing is admitted"},
    {"an empty selector",
     "{apiVersion: security.istio.io/v1beta1, kind: AuthorizationPolicy, metadata: {name: p, "
     "namespace: istioinaction}, spec: {selector: {}, rules: [{to: [{operation: {methods: "
     "[GET]}}]}]}}",
     "MP0004", "selector", "selects every workload"},
    {"claim groups where the tokens carry group",
     "{apiVersion: security.istio.io/v1beta1, kind: AuthorizationPolicy, metadata: {name: p, "
     "namespace: istio-system}, spec: {selector: {matchLabels: {app: istio-ingressgateway}}, "
     "rules: [{from: [{source: {requestPrincipals: [\"*\"]}}], when: [{key: "
     "\"request.auth.claims[groups]\", values: [admin]}]}]}}",
     "MP0103", "when[0].key", "nobody is admitted"},
};

std::string ReadText(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

fs::path Shared() {
  const char* stated = std::getenv("MESHPROOF_SHARED");
  return stated != nullptr ? fs::path(stated) : fs::path(MESHPROOF_ROOT) / ".." / "shared";
}

void AddFolder(const fs::path& folder, Load* load) {
  std::vector<fs::path> paths;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() == ".yaml") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const fs::path& path : paths) {
    load->files.push_back(ParseText(path.filename().string(), ReadText(path)));
  }
}

bool IsFound(const Mistake& mistake) {
  Load load;
  const fs::path book = Shared() / "golden" / "book";
  AddFolder(book / "services" / "webapp" / "kubernetes", &load);
  AddFolder(book / "services" / "catalog" / "kubernetes", &load);
  AddFolder(book / "ch9" / "enduser", &load);
  const fs::path cluster = fs::path(MESHPROOF_ROOT) / "testdata" / "book" / "extra";
  load.files.push_back(ParseText("cluster.yaml", ReadText(cluster / "cluster.yaml")));
  load.files.push_back(ParseText("mistake.yaml", mistake.policy));
  ModelOptions options;
  options.default_namespace = "istioinaction";
  auto mesh = Mesh::Build(DecodeModel(std::move(load), options));
  World world(mesh);
  std::string seen;
  for (const Finding& finding : Analyze(*mesh, world, {}).findings) {
    if (finding.object.name != "p") continue;
    seen += finding.rule->code + " " + finding.field_path + ": " + finding.message + "\n";
    if (finding.rule->code == mistake.code &&
        finding.field_path.find(mistake.field) != std::string::npos &&
        finding.message.find(mistake.effect) != std::string::npos) {
      return true;
    }
  }
  MESSAGE("found instead:\n" << seen);
  return false;
}

}  // namespace

TEST_CASE("mistakes of a real mesh are found with what comes of them") {
  if (!fs::is_directory(Shared() / "golden" / "book")) {
    MESSAGE("skipped: no shared references beside the repository");
    return;
  }
  for (const Mistake& mistake : kMistakes) {
    CAPTURE(mistake.what);
    CHECK(IsFound(mistake));
  }
}

}  // namespace meshproof::book_test
