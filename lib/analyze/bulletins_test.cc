#include "analyze/bulletins.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "analyze/driver.h"
#include "source/source.h"

namespace meshproof::bulletins_test {
namespace {

std::string ReleaseText(std::string_view written) {
  auto release = ParseRelease(written);
  if (!release) return "none";
  return std::to_string(release->minor) + "." +
         (release->patch ? std::to_string(*release->patch) : "?");
}

std::string FixOf(const Bulletin& bulletin, std::string_view release) {
  auto fix = FixFor(bulletin, *ParseRelease(release));
  if (!fix) return "not affected";
  return fix->empty() ? "no fix" : *fix;
}

}  // namespace

TEST_CASE("releases as people and image tags write them") {
  CHECK(ReleaseText("1.28.4") == "28.4");
  CHECK(ReleaseText("v1.28.4") == "28.4");
  CHECK(ReleaseText("1.28.4-distroless") == "28.4");
  CHECK(ReleaseText(" 1.9.0 ") == "9.0");
  CHECK(ReleaseText("1.28") == "28.?");
  CHECK(ReleaseText("1.28-alpha.f00") == "28.?");
  CHECK(ReleaseText("2.1.0") == "none");
  CHECK(ReleaseText("latest") == "none");
  CHECK(ReleaseText("1.x") == "none");
  CHECK(ReleaseText("1.99999999999999999999.0") == "none");
  CHECK(ReleaseText("") == "none");
}

TEST_CASE("which releases a bulletin concerns") {
  Bulletin bulletin;
  bulletin.fixes = {{8, kNotFixed}, {9, 6}, {10, 2}};
  CHECK(FixOf(bulletin, "1.7.9") == "not affected");
  CHECK(FixOf(bulletin, "1.8.99") == "no fix");
  CHECK(FixOf(bulletin, "1.9.5") == "1.9.6");
  CHECK(FixOf(bulletin, "1.9.6") == "not affected");
  CHECK(FixOf(bulletin, "1.10.1") == "1.10.2");
  CHECK(FixOf(bulletin, "1.11.0") == "not affected");
  // Which patch release runs is not known.
  CHECK(FixOf(bulletin, "1.9") == "not affected");
  CHECK(FixOf(bulletin, "1.8") == "no fix");
  bulletin.older_too = true;
  CHECK(FixOf(bulletin, "1.7.9") == "no fix");
}

TEST_CASE("the table of bulletins is sound") {
  for (const Bulletin& bulletin : Bulletins()) {
    CAPTURE(bulletin.id);
    CAPTURE(bulletin.flaw);
    CHECK_FALSE(bulletin.effect.empty());
    CHECK_FALSE(bulletin.effect.ends_with('.'));
    CHECK((bulletin.trigger == Trigger::kExtensionFilter) == !bulletin.words.empty());
    REQUIRE_FALSE(bulletin.fixes.empty());
    for (size_t i = 1; i < bulletin.fixes.size(); ++i) {
      CHECK(bulletin.fixes[i - 1].minor < bulletin.fixes[i].minor);
    }
  }
}

TEST_CASE("settings that the user states for istiod count, and once") {
  Load load;
  load.files.push_back(
      ParseText("ns.yaml", "{apiVersion: v1, kind: Namespace, metadata: {name: a}}"));
  MeshOptions stated;
  stated.istiod_env = {{"XDS_AUTH", "false"}, {"ENABLE_DEBUG_ENDPOINT_AUTH", "true"}};
  auto mesh = Mesh::Build(DecodeModel(std::move(load), {}), stated);
  World world(mesh);
  AnalyzeOptions options;
  options.only = {"MP0805"};
  auto findings = Analyze(*mesh, world, options).findings;
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].detail == "XDS_AUTH");
  CHECK(findings[0].object.name.empty());
}

TEST_CASE("a release that the user states") {
  auto count = [](const char* release) {
    Load load;
    load.files.push_back(ParseText(
        "ap.yaml",
        "{apiVersion: security.istio.io/v1, kind: AuthorizationPolicy, metadata: {name: a, "
        "namespace: b}, spec: {rules: [{from: [{source: {serviceAccounts: [c.d]}}]}]}}"));
    auto mesh = Mesh::Build(DecodeModel(std::move(load), {}));
    World world(mesh);
    AnalyzeOptions options;
    options.only = {"MP0807"};
    options.istio_version = release;
    std::multiset<std::string> found;
    for (const Finding& finding : Analyze(*mesh, world, options).findings) {
      found.insert(finding.severity == Severity::kError ? "error" : "info");
    }
    return found;
  };
  CHECK(count("") == std::multiset<std::string>{});
  CHECK(count("1.31.0") == std::multiset<std::string>{});
  CHECK(count("1.29.1") == std::multiset<std::string>{"error", "info"});
  CHECK(count("1.29.2") == std::multiset<std::string>{"info"});
}

}  // namespace meshproof::bulletins_test
