#include "app/settings.h"

#include <doctest/doctest.h>

#include "app/memory_files.h"

namespace meshproof::settings_test {
namespace {

Result<Settings> Load(const MemoryFiles& files, const std::string& directory = "/home/me/repo",
                      const std::optional<std::string>& file = {}) {
  std::ostringstream out, err;
  return LoadSettings(Host{files, out, err, directory, false}, file);
}

TEST_CASE("settings: every key of the contract is read") {
  MemoryFiles files;
  files.Put(".meshproof.yaml", R"(paths: [mesh, base]
ignore: ["**/charts/**", old/*]
namespaces: {"apps/shop/**": shop}
rules: {MP0202: off, permissive-mtls: error, MP03: info}
fail_on: never
baseline: ci/baseline.json
mesh:
  root_namespace: istio-root
  trust_domain: example.org
  istio_version: 1.27
  mesh_config: meshconfig.yaml
  pod_cidrs: [10.1.0.0/16]
  service_cidrs: [10.2.0.0/16, "fd00::/64"]
istiod: {env: {PILOT_X: "true", PILOT_Y: 3}}
ext_authz: {opa: deny, other: allow}
budget: {nodes: 1000, seconds: 5}
)");
  auto loaded = Load(files);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().message);
  const Settings& settings = loaded.value();
  CHECK(settings.file == ".meshproof.yaml");
  CHECK(settings.paths == std::vector<std::string>{"mesh", "base"});
  CHECK(settings.ignore == std::vector<std::string>{"**/charts/**", "old/*"});
  REQUIRE(settings.namespaces.size() == 1);
  CHECK(settings.namespaces[0].first == "apps/shop/**");
  CHECK(settings.namespaces[0].second == "shop");
  CHECK(settings.rules.at("MP0202") == "off");
  CHECK(settings.rules.at("permissive-mtls") == "error");
  CHECK(settings.fail_on == "never");
  CHECK(settings.baseline == "ci/baseline.json");
  CHECK(settings.mesh.root_namespace == "istio-root");
  CHECK(settings.mesh.trust_domain == "example.org");
  CHECK(settings.mesh.istio_version == "1.27");
  CHECK(settings.mesh.mesh_config == "meshconfig.yaml");
  REQUIRE(settings.mesh.pod_cidrs.size() == 1);
  CHECK(ToString(settings.mesh.pod_cidrs[0]) == "10.1.0.0/16");
  CHECK(settings.mesh.service_cidrs.size() == 2);
  REQUIRE(settings.istiod_env.size() == 2);
  CHECK(settings.istiod_env[1].second == "3");
  CHECK(settings.ext_authz.at("opa") == ExtAuthzAnswer::kDeny);
  CHECK(settings.budget.nodes == 1000);
  CHECK(settings.budget.seconds == 5);
}

TEST_CASE("settings: the nearest file counts, and its paths are relative to it") {
  MemoryFiles files;
  CHECK(Load(files).value().file.empty());
  files.Put("../../.meshproof.yaml", "paths: [a, ../b]\nignore: [me/repo/x/*, other, '**/y']\n");
  auto above = Load(files);
  REQUIRE(above.ok());
  CHECK(above.value().file == "../../.meshproof.yaml");
  CHECK(above.value().paths == std::vector<std::string>{"../../a", "../../../b"});
  CHECK(above.value().ignore ==
        std::vector<std::string>{"../../me/repo/x/*", "x/*", "../../other", "**/y", "../../**/y"});
  files.Put(".meshproof.yaml", "paths: [here]\n");
  CHECK(Load(files).value().paths == std::vector<std::string>{"here"});
  files.Put("ci/settings.yaml", "paths: [../mesh]\n");
  CHECK(Load(files, "/home/me/repo", "ci/settings.yaml").value().paths ==
        std::vector<std::string>{"mesh"});
  files.Put("empty.yaml", "# nothing yet\n");
  CHECK(Load(files, "/", "empty.yaml").ok());
}

TEST_CASE("settings: globs move with the working directory") {
  using List = std::vector<std::string>;
  CHECK(RebaseGlob("a/*", {}) == List{"a/*"});
  CHECK(RebaseGlob("./a/*", {}) == List{"a/*"});
  CHECK(RebaseGlob("/abs/*", {"x"}) == List{"/abs/*"});
  CHECK(RebaseGlob("sub/a", {"sub"}) == List{"../sub/a", "a"});
  CHECK(RebaseGlob("s*b/a", {"sub"}) == List{"../s*b/a", "a"});
  CHECK(RebaseGlob("other/a", {"sub"}) == List{"../other/a"});
  CHECK(RebaseGlob("sub", {"sub"}) == List{"../sub"});
  CHECK(RebaseGlob("**/a", {"sub", "deep"}) == List{"**/a", "../../**/a"});
  CHECK(RebaseGlob("**/deep/a", {"sub", "deep"}) == List{"**/deep/a", "../../**/deep/a", "a"});
}

TEST_CASE("settings: what is wrong is named with its place") {
  struct Row {
    const char* text;
    const char* message;
  };
  const Row rows[] = {
      {"path: [x]\n",
       ".meshproof.yaml:1:1: error: unknown key `path` in the settings; did you "
       "mean `paths`?"},
      {"mesh: {trust_domian: x}\n",
       "unknown key `trust_domian` in `mesh`; did you mean "
       "`trust_domain`?"},
      {"mesh: {pod_cidrs: [10.0.0.0/99]}\n",
       "`pod_cidrs` must be address blocks such as "
       "10.244.0.0/16, not `10.0.0.0/99`"},
      {"mesh: {istio_version: latest}\n", "`istio_version` must be a release such as 1.27"},
      {"fail_on: sometimes\n",
       "`fail_on` must be one of `error`, `warning`, `info`, `never`, not "
       "`sometimes`"},
      {"rules: {MP01: loud}\n", ":1:15: error: `MP01` must be one of"},
      {"rules:\n  MP01: off\n  permisive-mtls: error\n",
       ".meshproof.yaml:3:3: error: no rule \"permisive-mtls\"; did you mean "
       "\"permissive-mtls\"? (`meshproof rules` lists them)"},
      {"fail_on: error\nfail-on: error\n",
       ".meshproof.yaml:2:1: error: unknown key `fail-on` in the settings; did you mean "
       "`fail_on`?"},
      {"ext_authz: allow\n", "`ext_authz` must be a mapping"},
      {"ext_authz: {opa: maybe}\n", "`opa` must be one of `allow`, `deny`, not `maybe`"},
      {"budget: {nodes: many}\n", "`nodes` must be a number from 1 to"},
      {"istiod: {environment: {A: b}}\n", "unknown key `environment` in `istiod`"},
      {"- a\n- b\n", "the settings must be a mapping"},
      {"paths: {a: b}\n", "`paths` must be a text or a list of texts"},
      {"paths: [a]\n---\npaths: [b]\n", "the settings are one document, not several"},
      {"paths: [a\n", ".meshproof.yaml:"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    MemoryFiles files;
    files.Put(".meshproof.yaml", row.text);
    auto loaded = Load(files);
    REQUIRE_FALSE(loaded.ok());
    CHECK_MESSAGE(loaded.error().message.find(row.message) != std::string::npos,
                  loaded.error().message);
  }
  MemoryFiles none;
  CHECK_FALSE(Load(none, "/", "missing.yaml").ok());
}

}  // namespace
}  // namespace meshproof::settings_test
