// What istiod pushed to recorded proxies against what meshproof compiles for them.
#include <doctest/doctest.h>

#include <map>

#include "proxy/compile.h"
#include "proxy/emit.h"
#include "proxy/proxy_testing.h"
#include "proxy/ztunnel.h"

namespace meshproof::golden_test {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> SortedEntries(const fs::path& directory) {
  std::vector<fs::path> entries;
  if (!fs::exists(directory)) return entries;
  for (const auto& entry : fs::directory_iterator(directory)) entries.push_back(entry.path());
  std::sort(entries.begin(), entries.end());
  return entries;
}

Json ReadJson(const fs::path& path) {
  Result<Json> parsed = ParseJson(ReadTestFile(path));
  REQUIRE_MESSAGE(parsed.ok(), path.string());
  return parsed.Take();
}

// Recordings name pods: that of a workload ends in "-0".
std::string WorkloadName(const std::string& pod) {
  return pod.ends_with("-0") ? pod.substr(0, pod.size() - 2) : pod;
}

// Compares the listeners of a recording that are computed here.
void Compare(const Compiler& compiler, const Json& recorded, const std::string& label) {
  CAPTURE(label);
  const Workload* workload = compiler.mesh().FindWorkload(TextOf(recorded.Find("namespace")),
                                                          TextOf(recorded.Find("workload")));
  REQUIRE(workload != nullptr);
  REQUIRE((workload->mode == ProxyMode::kSidecar || workload->mode == ProxyMode::kGateway));
  const auto proxy = compiler.Compile(*workload);
  const Json got = Canonical::Proxy(EmitProxy(*proxy));
  const std::string difference = FirstDifference(Canonical::Proxy(recorded), got);
  if (!difference.empty()) FAIL_CHECK(difference.substr(0, 3000));
  CHECK(proxy->load_failures.empty());
}

TEST_CASE("every recorded proxy of a sidecar mesh is compiled as istiod did") {
  int proxies = 0;
  for (const fs::path& directory : SortedEntries(fs::path(MESHPROOF_ROOT) / "testdata/istiod")) {
    if (!fs::exists(directory / "mesh.yaml")) continue;
    const Compiler compiler(TestMesh(ReadTestFile(directory / "mesh.yaml")));
    for (const fs::path& file : SortedEntries(directory / "config")) {
      if (file.extension() != ".json") continue;
      Compare(compiler, ReadJson(file),
              directory.filename().string() + "/" + file.filename().string());
      ++proxies;
    }
  }
  CHECK(proxies == 250);
}

// "10.96.1.8" -> "service shop/cart…", as the recording's or our own list for ztunnel has it.
std::map<std::string, std::string> AddressNames(const Json& ztunnel) {
  std::map<std::string, std::string> names;
  for (const Json& workload : ztunnel.Find("workloads")->as_array()) {
    for (const Json& address : workload.Find("addresses")->as_array()) {
      names[address.as_string()] =
          TextOf(workload.Find("namespace")) + "/" + WorkloadName(TextOf(workload.Find("name")));
    }
  }
  for (const Json& service : ztunnel.Find("services")->as_array()) {
    const Json* addresses = service.Find("addresses");
    if (addresses == nullptr) continue;
    for (const Json& address : addresses->as_array()) {
      names[TextOf(address.Find("address"))] = TextOf(service.Find("hostname"));
    }
  }
  return names;
}

// Addresses by whose they are: a recording's are not in its input.
Json NameAddresses(const Json& value, const std::map<std::string, std::string>& names) {
  if (value.is_array()) {
    std::vector<std::pair<std::string, Json>> entries;
    bool ranges = false;
    for (const Json& child : value.as_array()) {
      Json named = NameAddresses(child, names);
      ranges |= child.is_object() &&
                (child.Find("ranges") != nullptr || child.Find("address_prefix") != nullptr);
      entries.emplace_back(WriteJson(named), std::move(named));
    }
    if (ranges)
      std::sort(entries.begin(), entries.end(),
                [](const auto& a, const auto& b) { return a.first < b.first; });
    Json out = Json::MakeArray();
    for (auto& entry : entries) out.Append(std::move(entry.second));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::MakeObject();
  for (const auto& [key, child] : value.as_object()) {
    const bool address = key == "address_prefix" && child.is_string();
    const auto found = address ? names.find(child.as_string()) : names.end();
    out.Set(key, found != names.end() ? Json(found->second) : NameAddresses(child, names));
  }
  return SortKeys(out);
}

// Of `main_internal`: what Canonical does not keep, with named addresses. The pod's own address in
// a sidecar's chains is left out where the input does not state it.
Json TunnelListener(const Json& proxy, const std::map<std::string, std::string>& names) {
  for (const Json& listener : proxy.Find("listeners")->as_array()) {
    if (TextOf(listener.Find("name")) != "main_internal") continue;
    const Json* matcher = listener.Find("filter_chain_matcher");
    return matcher == nullptr ? Json() : NameAddresses(*matcher, names);
  }
  return Json();
}

Json WithoutOwnAddress(const Json& value) {
  if (value.is_array()) {
    Json out = Json::MakeArray();
    for (const Json& child : value.as_array()) out.Append(WithoutOwnAddress(child));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::MakeObject();
  for (const auto& [key, child] : value.as_object()) {
    Json kept = WithoutOwnAddress(key == "filter_chain_match" && child.Find("prefix_ranges")
                                      ? CopyWithout(child, {"prefix_ranges"})
                                      : child);
    if (key == "filter_chain_match" && kept.as_object().empty()) continue;
    out.Set(key, std::move(kept));
  }
  return out;
}

TEST_CASE("every recorded proxy of an ambient mesh is compiled as istiod did") {
  int proxies = 0, waypoints = 0;
  const fs::path root = fs::path(MESHPROOF_ROOT) / "testdata/ambient-recorded";
  for (const fs::path& directory : SortedEntries(root)) {
    if (!fs::exists(directory / "mesh.yaml")) continue;
    const Compiler compiler(TestMesh(ReadTestFile(directory / "mesh.yaml")));
    const auto recorded_names = AddressNames(ReadJson(directory / "config/ztunnel.json"));
    const auto own_names = AddressNames(EmitZtunnel(ZtunnelConfig(compiler.mesh())));
    for (const fs::path& file : SortedEntries(directory / "config")) {
      if (file.filename() == "ztunnel.json") continue;
      const Json recorded = ReadJson(file);
      const std::string label = directory.filename().string() + "/" + file.filename().string();
      CAPTURE(label);
      const Workload* workload = compiler.mesh().FindWorkload(TextOf(recorded.Find("namespace")),
                                                              TextOf(recorded.Find("workload")));
      REQUIRE(workload != nullptr);
      REQUIRE(ToString(workload->mode) == TextOf(recorded.Find("mode")));
      const auto proxy = compiler.Compile(*workload);
      const Json got = EmitProxy(*proxy);
      std::string difference = FirstDifference(Canonical::Proxy(WithoutOwnAddress(recorded)),
                                               Canonical::Proxy(WithoutOwnAddress(got)));
      if (difference.empty()) {
        difference = FirstDifference(TunnelListener(recorded, recorded_names),
                                     TunnelListener(got, own_names));
      }
      if (!difference.empty()) FAIL_CHECK(difference.substr(0, 3000));
      CHECK(proxy->load_failures.empty());
      CHECK(proxy->unmodelled.empty());
      waypoints += workload->mode == ProxyMode::kWaypoint ? 1 : 0;
      ++proxies;
    }
  }
  CHECK(proxies > 120);
  CHECK(waypoints == 37);
}

// By namespace and name, without addresses.
Json ZtunnelPart(const Json& config, std::string_view list, std::string_view name) {
  std::map<std::string, Json> entries;
  for (const Json& entry : config.Find(list)->as_array()) {
    Json copy = CopyWithout(entry, {"addresses", "name"});
    std::string key = TextOf(entry.Find(name));
    if (list == "workloads") key = WorkloadName(key);
    entries[TextOf(entry.Find("namespace")) + "/" + key] = SortKeys(copy);
  }
  Json out = Json::MakeObject();
  for (auto& [key, value] : entries) out.Set(key, std::move(value));
  return out;
}

TEST_CASE("every recorded ztunnel gets what istiod sent") {
  int policies = 0;
  const fs::path root = fs::path(MESHPROOF_ROOT) / "testdata/ambient-recorded";
  for (const fs::path& directory : SortedEntries(root)) {
    if (!fs::exists(directory / "mesh.yaml")) continue;
    const std::string label = directory.filename().string();
    CAPTURE(label);
    const auto mesh = TestMesh(ReadTestFile(directory / "mesh.yaml"));
    const ZtunnelConfig config(*mesh);
    const Json recorded = ReadJson(directory / "config/ztunnel.json");
    const Json got = EmitZtunnel(config);
    for (const auto& [list, name] :
         {std::pair("authorizations", "name"), std::pair("workloads", "name"),
          std::pair("services", "hostname")}) {
      const std::string difference =
          FirstDifference(ZtunnelPart(recorded, list, name), ZtunnelPart(got, list, name), list);
      if (!difference.empty()) FAIL_CHECK(difference.substr(0, 2000));
    }
    policies += static_cast<int>(config.policies().size());
  }
  CHECK(policies == 73);
}

}  // namespace
}  // namespace meshproof::golden_test
