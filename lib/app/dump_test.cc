// Dumps as the input of commands: recorded proxies answer from their dump alone, and from what
// istioctl prints of it, as the real Envoy answered.

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "app/memory_files.h"
#include "base/json.h"
#include "proxy/emit.h"

namespace meshproof::dump_test {
namespace {

namespace fs = std::filesystem;

std::string ReadAll(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

fs::path DumpsFolder() {
  return fs::path(MESHPROOF_ROOT) / "testdata" / "dumps";
}

// A recorded proxy's folder in memory.
MemoryFiles FilesOf(const fs::path& folder) {
  MemoryFiles files;
  for (const auto& entry : fs::directory_iterator(folder)) {
    files.Put("d/" + entry.path().filename().string(), ReadAll(entry.path()));
  }
  return files;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

int64_t CountOf(const Ran& ran, const char* key) {
  auto report = ParseJson(ran.out);
  REQUIRE_MESSAGE(report.ok(), ran.err);
  const Json* summary = report.value().Find("summary");
  REQUIRE(summary != nullptr);
  const Json* count = summary->Find(key);
  REQUIRE(count != nullptr);
  return count->as_integer();
}

TEST_CASE("recorded proxies answer from their dump alone") {
  int proxies = 0;
  int64_t passed = 0;
  for (const auto& entry : fs::directory_iterator(DumpsFolder())) {
    CAPTURE(entry.path().filename().string());
    MemoryFiles files = FilesOf(entry.path());
    Ran ran = Run({"test", "d/cases.meshtest.yaml", "--format", "json"}, files);
    CHECK_MESSAGE(ran.status == 0, Run({"test", "d/cases.meshtest.yaml"}, files).out);
    passed += CountOf(ran, "passed");

    std::string cases = ReadAll(entry.path() / "cases.meshtest.yaml");
    const std::string whole = "- config_dump.json\n";
    size_t at = cases.find(whole);
    REQUIRE(at != std::string::npos);
    cases.replace(at, whole.size(),
                  "- istioctl-bootstrap.json\n- istioctl-listeners.json\n- istioctl-routes.json\n"
                  "- istioctl-clusters.json\n- istioctl-secret.json\n");
    files.Put("d/parts.meshtest.yaml", cases);
    Ran parts = Run({"test", "d/parts.meshtest.yaml", "--format", "json"}, files);
    CHECK_MESSAGE(parts.status == 0, Run({"test", "d/parts.meshtest.yaml"}, files).out);
    CHECK(CountOf(parts, "passed") == CountOf(ran, "passed"));
    ++proxies;
  }
  CHECK(proxies == 12);
  CHECK(passed == 232);
}

TEST_CASE("can --dump names policies by their keys, and the manifest's line where it is given") {
  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  Ran ran =
      Run({"can", "--dump", "d/config_dump.json", "--from", "outside", "--to", "shop/front:8080",
           "--path", "/nothing", "--source-ip", "203.0.113.9", "--format", "json"},
          files);
  INFO(ran.err);
  CHECK((ran.status == 0 || ran.status == 1 || ran.status == 3));
  CHECK(ParseJson(ran.out).ok());
  // A PATH that is a dump does the same.
  Ran path = Run({"can", "d/config_dump.json", "--from", "outside", "--to", "shop/front:8080",
                  "--path", "/nothing", "--source-ip", "203.0.113.9", "--format", "json"},
                 files);
  CHECK(path.status == ran.status);
  CHECK(path.out == ran.out);
}

std::string Text(const MemoryFiles& files, const std::string& name) {
  auto text = files.Read(name);
  REQUIRE(text.ok());
  return text.Take();
}

TEST_CASE("tokens and logs are judged by a dump alone") {
  // Whose dump it is need not be said.
  MemoryFiles tokens = FilesOf(DumpsFolder() / "045-shop.front");
  Ran good = Run({"jwt", "d/t1.jwt", "--dump", "d/config_dump.json"}, tokens);
  Ran bad = Run({"jwt", "d/badkid.jwt", "--dump", "d/config_dump.json"}, tokens);
  CHECK(good.status == 0);
  CHECK(Contains(good.out, "at shop/front"));
  CHECK(Contains(good.out, "the token is accepted"));
  CHECK(bad.status == 1);
  CHECK(Contains(bad.out, "Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt"));

  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  files.Put("a.log",
            "[2026-03-01T10:00:00.000Z] \"GET /nothing HTTP/1.1\" 403 - "
            "rbac_access_denied_matched_policy[ns[istio-system]-policy[ap-3]-rule[0]] - \"-\" 0 19 "
            "0 - \"-\" \"curl\" \"0f1e2d3c\" \"front.shop\" \"-\" inbound|8080|| - "
            "10.244.0.8:8080 203.0.113.9:41000 - default\n");
  Ran replay = Run({"replay", "a.log", "--dump", "d/config_dump.json"}, files);
  CHECK_MESSAGE(replay.status == 0, (replay.out + replay.err));
  CHECK(Contains(replay.out, "1 answered alike"));
  Ran explained = Run({"explain-log", "a.log", "--dump", "d/config_dump.json"}, files);
  CHECK(explained.status == 0);
  CHECK(Contains(explained.out, "istio-system/ap-3"));
  CHECK(Contains(explained.out, "d/config_dump.json:"));
  // What only manifests could say is not said of a dump.
  const std::string fields =
      " - \"-\" 0 19 0 - \"-\" \"curl\" \"0f1e2d3c\" \"front.shop\" \"-\" inbound|8080|| - "
      "10.244.0.8:8080 203.0.113.9:41000 - default\n";
  const std::string start = "[2026-03-01T10:00:00.000Z] \"GET /x HTTP/1.1\" ";
  files.Put("b.log",
            start + "403 - rbac_access_denied_matched_policy[none]" + fields + start +
                "401 - jwt_authn_access_denied{Jwt_issuer_is_not_configured}" + fields +
                "[2026-03-01T10:00:00.000Z] \"- - -\" 0 NR filter_chain_not_found - \"-\" 0 0 0 - "
                "\"-\" \"-\" \"-\" \"-\" \"-\" - - 10.244.0.8:8080 203.0.113.9:41000 - -\n");
  Ran by_dump = Run({"explain-log", "b.log", "--dump", "d/config_dump.json"}, files);
  CHECK_MESSAGE(!Contains(by_dump.out, "in the input"), by_dump.out);
  CHECK(Contains(by_dump.out, "by the dump it is answered otherwise"));
  CHECK(Contains(by_dump.out, "by the dump plaintext is taken there"));
  Ran changed = Run({"replay", "b.log", "--dump", "d/config_dump.json"}, files);
  CHECK(changed.status == 3);
  CHECK_MESSAGE(Contains(changed.out, "1x  refused otherwise"), changed.out);
  CHECK_MESSAGE(Contains(changed.out, "does not say what the client would have sent"), changed.out);
  Ran drafted = Run({"test", "--record", "a.log", "--dump", "d/config_dump.json"}, files);
  CHECK(drafted.status == 0);
  CHECK(Contains(drafted.out, "- d/config_dump.json"));
  CHECK(Contains(drafted.out, "status: 403"));
}

TEST_CASE("a dump in YAML answers as the same in JSON does") {
  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  auto dump = ParseJson(Text(files, "d/config_dump.json"));
  REQUIRE(dump.ok());
  files.Put("d/config_dump.yaml", WriteYaml(dump.value()));
  std::vector<std::string> question = {"can",      "--from",          "outside",
                                       "--to",     "shop/front:8080", "--path",
                                       "/nothing", "--source-ip",     "203.0.113.9"};
  auto ask = [&](const std::string& name) {
    auto words = question;
    words.insert(words.end(), {"--dump", name});
    return Run(words, files);
  };
  Ran json = ask("d/config_dump.json"), yaml = ask("d/config_dump.yaml");
  CHECK(json.status == yaml.status);
  CHECK(json.out.substr(0, json.out.find('\n')) == yaml.out.substr(0, yaml.out.find('\n')));
}

TEST_CASE("what a dump does not hold is not guessed") {
  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  std::string cut = Text(files, "d/config_dump.json");
  cut.resize(cut.find("ListenersConfigDump"));
  files.Put("cut.json", cut);
  Ran ran =
      Run({"can", "--dump", "cut.json", "--from", "outside", "--to", "shop/front:8080"}, files);
  CHECK(ran.status == 2);
  CHECK(Contains(ran.out, "UNDETERMINED"));
  CHECK(Contains(ran.out, "cut.json does not hold"));
  CHECK(Contains(ran.err, "cut.json:"));

  files.Put("again.json", Text(files, "d/config_dump.json"));
  Ran two = Run({"can", "--dump", "d/config_dump.json", "--dump", "again.json", "--from", "outside",
                 "--to", "shop/front:8080"},
                files);
  CHECK(Contains(two.err, "2 dumps are of shop/front"));
}

// istioctl's lists without the bootstrap.
const std::vector<std::string> kLists = {"listeners", "routes", "clusters", "secret"};

Ran AskLists(const MemoryFiles& files, const std::string& owner, size_t lists,
             std::vector<std::string> more = {}) {
  std::vector<std::string> words = {"can",      "--from",          "outside",
                                    "--to",     "shop/front:8080", "--path",
                                    "/nothing", "--source-ip",     "203.0.113.9"};
  for (size_t i = 0; i < lists; ++i) {
    words.insert(words.end(), {"--dump", owner + "d/istioctl-" + kLists[i] + ".json"});
  }
  words.insert(words.end(), more.begin(), more.end());
  return Run(words, files);
}

std::string FirstLine(const Ran& ran) {
  return ran.out.substr(0, ran.out.find('\n'));
}

TEST_CASE("a dump that lacks its bootstrap is named by the user, or by its certificate") {
  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  const Ran whole = Run({"can", "--from", "outside", "--to", "shop/front:8080", "--path",
                         "/nothing", "--source-ip", "203.0.113.9", "--dump", "d/config_dump.json"},
                        files);
  const Ran named = AskLists(files, "shop/front=", 4);
  CHECK_MESSAGE(named.status == whole.status, (named.out + named.err));
  CHECK(FirstLine(named) == FirstLine(whole));
  CHECK_MESSAGE(named.err.empty(), named.err);

  // What kind of proxy it is its listeners tell; whose account it has nothing does.
  MemoryFiles gateway = FilesOf(DumpsFolder() / "000-istio-system.istio-ingressgateway");
  const std::string owner = "istio-system/istio-ingressgateway=";
  auto exposed = [&](const std::vector<std::string>& dumps) {
    std::vector<std::string> words = {"exposure"};
    for (const std::string& dump : dumps) words.insert(words.end(), {"--dump", dump});
    return Run(words, gateway);
  };
  const Ran by_owner =
      exposed({owner + "d/istioctl-listeners.json", owner + "d/istioctl-routes.json"});
  CHECK(by_owner.out == exposed({"d/config_dump.json"}).out);
  CHECK_MESSAGE(Contains(by_owner.out, "istio-system/istio-ingressgateway:8080"), by_owner.out);
  const Ran described = Run({"describe", "istio-system/istio-ingressgateway", "--dump",
                             owner + "d/istioctl-listeners.json"},
                            gateway);
  CHECK_MESSAGE(Contains(described.out, "identity  not known: the dump does not say"),
                described.out);
  CHECK(Contains(described.out, "  gateway (a dump says so)"));

  // Nobody says it: no answer is made up, and the file is named.
  const Ran nobody = AskLists(files, "", 4);
  CHECK(nobody.status == 2);
  CHECK(nobody.out.empty());
  CHECK_MESSAGE(Contains(nobody.err, "d/istioctl-listeners.json"), nobody.err);
  CHECK_MESSAGE(Contains(nobody.err, "--dump NS/WORKLOAD="), nobody.err);

  // Among manifests with one such workload the certificate tells; without it nothing does.
  const std::string front =
      "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {istio-injection: "
      "enabled}}\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: front, namespace: "
      "shop}\nspec: {template: {metadata: {labels: {app: front}}, spec: {serviceAccountName: "
      "front, "
      "containers: [{name: c, image: i}]}}}\n";
  files.Put("mesh.yaml", front);
  const Ran told = AskLists(files, "", 4, {"mesh.yaml"});
  CHECK_MESSAGE(told.status == whole.status, (told.out + told.err));
  CHECK(FirstLine(told) == FirstLine(whole));
  CHECK_MESSAGE(Contains(told.err, "its certificate is shop/front's alone"), told.err);
  const Ran without = AskLists(files, "", 3, {"mesh.yaml"});
  CHECK(without.status == 2);
  CHECK_MESSAGE(Contains(without.err, "the dump is not asked"), without.err);
  std::string twin = front;
  twin.replace(twin.find("{name: front,"), 13, "{name: twin,");
  files.Put("mesh.yaml", front + twin.substr(twin.find("---")));
  CHECK(AskLists(files, "", 4, {"mesh.yaml"}).status == 2);

  const Ran wrong = Run({"can", "--from", "outside", "--to", "shop/front:8080", "--dump",
                         "shop/cart=d/config_dump.json"},
                        files);
  CHECK(wrong.status == 2);
  CHECK_MESSAGE(Contains(wrong.err, "the dump says that it is of shop/front, not of shop/cart"),
                wrong.err);
  CHECK(Run({"drift", "mesh.yaml", "--dump", "d/istioctl-listeners.json"}, files).status == 2);
  // Whoever's it is.
  CHECK(Run({"jwt", "d/t1.jwt", "--dump", "d/istioctl-listeners.json"}, files).status != 2);
}

// The admin interface's answer to `?resource=` or `?mask=`: one section.
std::string SectionOf(const MemoryFiles& files, const std::string& type) {
  auto dump = ParseJson(Text(files, "d/config_dump.json"));
  REQUIRE(dump.ok());
  for (const Json& section : dump.value().Find("configs")->as_array()) {
    if (!Contains(section.Find("@type")->as_string(), type)) continue;
    Json all = Json::MakeArray();
    all.Append(section);
    return WriteJson(Json::MakeObject({{"configs", std::move(all)}}));
  }
  return "";
}

TEST_CASE("sections of the admin interface's dump are joined") {
  MemoryFiles files = FilesOf(DumpsFolder() / "022-shop.front");
  files.Put("s/listeners.json", SectionOf(files, "ListenersConfigDump"));
  files.Put("s/bootstrap.json", SectionOf(files, "BootstrapConfigDump"));
  const std::vector<std::string> question = {"can",      "--from",          "outside",
                                             "--to",     "shop/front:8080", "--path",
                                             "/nothing", "--source-ip",     "203.0.113.9"};
  auto ask = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words = question;
    words.insert(words.end(), more.begin(), more.end());
    return Run(words, files);
  };
  const Ran whole = ask({"d/config_dump.json"});
  const Ran joined = ask({"--dump", "s/listeners.json", "--dump", "s/bootstrap.json"});
  CHECK(joined.status == 1);
  CHECK(joined.err.empty());
  CHECK(FirstLine(joined) == FirstLine(whole));
  // Of another folder it may be another proxy's.
  files.Put("t/bootstrap.json", Text(files, "s/bootstrap.json"));
  CHECK(ask({"--dump", "s/listeners.json", "--dump", "t/bootstrap.json"}).status == 2);
  // Whole dumps are never joined with anything.
  CHECK(FirstLine(ask({"--dump", "d/config_dump.json", "--dump", "d/istioctl-routes.json"})) ==
        FirstLine(whole));
}

TEST_CASE("what is in a file that says nothing of a proxy") {
  MemoryFiles files;
  files.Put("ecds.json",
            R"([{"@type":"type.googleapis.com/envoy.admin.v3.EcdsConfigDump","ecdsFilters":[
                {"ecdsFilter":{"name":"a","typedConfig":{"@type":"type.googleapis.com/b.C"}}}]}])");
  const Ran ran = Run({"compile", "--from-dump", "ecds.json"}, files);
  CHECK(ran.status == 2);
  CHECK_MESSAGE(Contains(ran.err, "filters of ECDS alone say nothing of a proxy"), ran.err);
  // The second one of a list stands where it begins.
  MemoryFiles two = FilesOf(DumpsFolder() / "022-shop.front");
  const std::string one = Text(two, "d/config_dump.json");
  two.Put("list.json", one + "\n" + one);
  const Ran drift = Run({"drift", "--dump", "list.json", "--format", "json"}, two);
  auto json = ParseJson(drift.out);
  REQUIRE(json.ok());
  CHECK(json.value().Find("proxies")->as_array().size() == 2);
}

TEST_CASE("dumps that cannot be used") {
  MemoryFiles files;
  files.Put("a.json", "{}");
  files.Put("cut.json", R"({"configs": [{"@type": "type.googleapis.com/envoy.admin.v3.)");
  files.Put("other.yaml", "mesh: [a.yaml]\ntests: []\n");
  files.Put("text.txt", "hello\n");
  for (const char* name : {"a.json", "cut.json", "missing.json", "other.yaml", "text.txt"}) {
    CAPTURE(std::string(name));
    CHECK(Run({"drift", "--dump", name}, files).status == 2);
    CHECK(Run({"jwt", "a.b.c", "--dump", name}, files).status == 2);
    CAPTURE(name);
    Ran ran = Run({"can", "--dump", name, "--from", "outside", "--to", "shop/front:80"}, files);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_FALSE(ran.err.empty());
  }
}

}  // namespace
}  // namespace meshproof::dump_test
