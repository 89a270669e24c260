#include <array>
#include <deque>

#include "mesh/mesh_testing.h"

namespace meshproof::mtls_test {
namespace {

TEST_CASE("effective mTLS: levels, ties and their sources") {
  struct Case {
    std::string name;
    std::string policies;
    MtlsMode workload;
    std::string source;  // "ns/name", "" = default
    MtlsMode port;       // 8080
    std::string port_source;
  };
  const auto permissive = MtlsMode::kPermissive;
  const auto strict = MtlsMode::kStrict;
  const auto disable = MtlsMode::kDisable;
  const std::string selects = "selector: {matchLabels: {app: web}}, ";
  const Case cases[] = {
      {"nothing", "", permissive, "", permissive, ""},
      {"mesh", PeerYaml("istio-system", "m", "mtls: {mode: STRICT}"), strict, "istio-system/m",
       strict, "istio-system/m"},
      {"empty selector is none",
       PeerYaml("istio-system", "m", "selector: {}, mtls: {mode: STRICT}"), strict,
       "istio-system/m", strict, "istio-system/m"},
      {"namespace beats mesh",
       PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") +
           PeerYaml("shop", "ns", "mtls: {mode: DISABLE}"),
       disable, "shop/ns", disable, "shop/ns"},
      {"unset namespace inherits",
       PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") +
           PeerYaml("shop", "ns", "mtls: {mode: UNSET}"),
       strict, "istio-system/m", strict, "istio-system/m"},
      {"no mtls inherits",
       PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") + PeerYaml("shop", "ns", "mtls: {}"),
       strict, "istio-system/m", strict, "istio-system/m"},
      {"workload beats both",
       PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") +
           PeerYaml("shop", "ns", "mtls: {mode: DISABLE}") +
           PeerYaml("shop", "w", selects + "mtls: {mode: PERMISSIVE}"),
       permissive, "shop/w", permissive, "shop/w"},
      {"a selector in the root namespace is ignored",
       PeerYaml("istio-system", "m", selects + "mtls: {mode: STRICT}"), permissive, "", permissive,
       ""},
      {"another workload's is none",
       PeerYaml("shop", "w", "selector: {matchLabels: {app: other}}, mtls: {mode: STRICT}"),
       permissive, "", permissive, ""},
      {"another namespace's is none", PeerYaml("pay", "ns", "mtls: {mode: STRICT}"), permissive, "",
       permissive, ""},
      {"ports of the workload's",
       PeerYaml("shop", "w",
                selects + "mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}"),
       strict, "shop/w", disable, "shop/w"},
      {"an unset port is as the workload",
       PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") +
           PeerYaml("shop", "w", selects + "portLevelMtls: {8080: {mode: UNSET}}"),
       strict, "istio-system/m", strict, "istio-system/m"},
      {"ports count where the mode is unset",
       PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") +
           PeerYaml("shop", "w", selects + "portLevelMtls: {8080: {mode: PERMISSIVE}}"),
       strict, "istio-system/m", permissive, "shop/w"},
      {"other ports are not this one",
       PeerYaml("shop", "w",
                selects + "mtls: {mode: STRICT}, portLevelMtls: {80: {mode: DISABLE}}"),
       strict, "shop/w", strict, "shop/w"},
      {"the oldest counts alone",
       PeerYaml("shop", "a", selects + "mtls: {mode: DISABLE}", "2026-01-02T00:00:00Z") +
           PeerYaml("shop", "b",
                    selects + "mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: PERMISSIVE}}",
                    "2026-01-01T00:00:00Z"),
       strict, "shop/b", permissive, "shop/b"},
      {"losers add no ports",
       PeerYaml("shop", "a", selects + "portLevelMtls: {8080: {mode: DISABLE}}",
                "2026-01-02T00:00:00Z") +
           PeerYaml("shop", "b", selects + "mtls: {mode: STRICT}", "2026-01-01T00:00:00Z"),
       strict, "shop/b", strict, "shop/b"},
      {"an unset winner still wins",
       PeerYaml("shop", "a", "mtls: {mode: STRICT}", "2026-01-02T00:00:00Z") +
           PeerYaml("shop", "b", "mtls: {mode: UNSET}", "2026-01-01T00:00:00Z"),
       permissive, "", permissive, ""},
      {"equally old: by name",
       PeerYaml("shop", "b", "mtls: {mode: STRICT}", "2026-01-01T00:00:00Z") +
           PeerYaml("shop", "a", "mtls: {mode: DISABLE}", "2026-01-01T00:00:00Z"),
       disable, "shop/a", disable, "shop/a"},
      {"without a time: by name",
       PeerYaml("shop", "b", "mtls: {mode: STRICT}") +
           PeerYaml("shop", "a", "mtls: {mode: DISABLE}"),
       disable, "shop/a", disable, "shop/a"},
      {"without a time is oldest",
       PeerYaml("shop", "a", "mtls: {mode: DISABLE}", "2026-01-01T00:00:00Z") +
           PeerYaml("shop", "b", "mtls: {mode: STRICT}"),
       strict, "shop/b", strict, "shop/b"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.name);
    auto mesh = MeshOf(NamespaceYaml("shop", "istio-injection: enabled") +
                       DeploymentYaml("shop", "web") + c.policies);
    EffectiveMtls mtls = mesh->MtlsFor(Find(*mesh, "shop", "web"));
    auto source = [](const EffectiveMode& mode) {
      return mode.source ? mode.source->meta.ns + "/" + std::string(mode.source->meta.name) : "";
    };
    CHECK(mtls.workload.mode == c.workload);
    CHECK(source(mtls.workload) == c.source);
    CHECK(mtls.ForPort(0).mode == c.workload);
    CHECK(mtls.ForPort(8080).mode == c.port);
    CHECK(source(mtls.ForPort(8080)) == c.port_source);
    if (mtls.workload.source) CHECK(static_cast<bool>(mtls.workload.span));
  }
}

TEST_CASE("effective mTLS: workloads of the root namespace know the mesh level only") {
  auto mesh = MeshOf(
      DeploymentYaml("istio-system", "web") +
      PeerYaml("istio-system", "m", "mtls: {mode: STRICT}") +
      PeerYaml("istio-system", "w", "selector: {matchLabels: {app: web}}, mtls: {mode: DISABLE}"));
  CHECK(mesh->MtlsFor(Find(*mesh, "istio-system", "web")).workload.mode == MtlsMode::kStrict);
}

// Every small combination of policies against the resolution as it reads.
constexpr int kAbsent = -1;

struct Small {
  std::string ns;
  bool selects = false;
  int mode = kAbsent;  // MtlsMode
  int port_mode = kAbsent;
  std::string created;
  std::string name;
};

MtlsMode Obvious(const std::vector<Small>& policies, const std::string& root,
                 const std::string& workload_ns, bool ask_port) {
  auto winner = [&](auto belongs) {
    const Small* best = nullptr;
    for (const Small& policy : policies) {
      if (policy.mode == kAbsent || !belongs(policy)) continue;
      if (!best || policy.created + "|" + policy.name < best->created + "|" + best->name) {
        best = &policy;
      }
    }
    return best;
  };
  const Small* mesh = winner([&](const Small& p) { return p.ns == root && !p.selects; });
  const Small* ns =
      winner([&](const Small& p) { return p.ns == workload_ns && p.ns != root && !p.selects; });
  const Small* workload =
      winner([&](const Small& p) { return p.ns == workload_ns && p.ns != root && p.selects; });
  MtlsMode mode = MtlsMode::kPermissive;
  for (const Small* level : {mesh, ns, workload}) {
    if (level && level->mode != static_cast<int>(MtlsMode::kUnset)) {
      mode = static_cast<MtlsMode>(level->mode);
    }
  }
  if (!ask_port || !workload || workload->port_mode == kAbsent ||
      workload->port_mode == static_cast<int>(MtlsMode::kUnset)) {
    return mode;
  }
  return static_cast<MtlsMode>(workload->port_mode);
}

TEST_CASE("effective mTLS: all small combinations against the obvious resolution") {
  const std::string root = "istio-system";
  size_t compared = 0;
  for (const std::string workload_ns : {"shop", "istio-system"}) {
    for (int code = 0; code < 5 * 5 * 5 * 5 * 5 * 2; ++code) {
      int rest = code;
      auto take = [&](int base) {
        const int digit = rest % base;
        rest /= base;
        return digit;
      };
      std::vector<Small> policies(5);
      policies[0] = {root, false, take(5) - 1, kAbsent, "2026-01-02T00:00:00Z", "mesh"};
      policies[1] = {workload_ns, false, take(5) - 1, kAbsent, "2026-01-02T00:00:00Z", "ns"};
      policies[2] = {workload_ns, true, take(5) - 1, take(5) - 1, "2026-01-02T00:00:00Z", "w"};
      // A second policy of the workload level, older or younger than the first.
      policies[3] = {workload_ns, true, take(5) - 1, 1, "", "second"};
      policies[3].created = take(2) == 0 ? "2026-01-01T00:00:00Z" : "2026-01-03T00:00:00Z";
      policies[4] = {root, true, static_cast<int>(MtlsMode::kDisable), 1, "", "root-selector"};

      auto model = std::make_shared<Model>();
      model->pod_workloads.resize(1);
      PodWorkload& pod = model->pod_workloads[0];
      pod.meta.kind = "Deployment";
      pod.meta.name = "web";
      pod.meta.ns = workload_ns;
      pod.pod_labels = {{"app", "web"}};
      for (const Small& policy : policies) {
        if (policy.mode == kAbsent) continue;
        PeerAuthentication made;
        made.meta.ns = policy.ns;
        made.meta.name = policy.name;
        made.meta.created = policy.created;
        made.mode = static_cast<MtlsMode>(policy.mode);
        if (policy.selects) {
          made.selector.present = true;
          made.selector.match_labels = {{"app", "web"}};
          if (policy.port_mode != kAbsent) {
            made.ports.push_back({8080, static_cast<MtlsMode>(policy.port_mode), {}});
          }
        }
        model->peer_authentications.push_back(made);
      }
      auto mesh = Mesh::Build(model);
      EffectiveMtls mtls = mesh->MtlsFor(mesh->workloads()[0]);
      const bool same = mtls.workload.mode == Obvious(policies, root, workload_ns, false) &&
                        mtls.ForPort(8080).mode == Obvious(policies, root, workload_ns, true) &&
                        mtls.ForPort(9000).mode == mtls.workload.mode;
      if (!same) FAIL("combination ", code, " in ", workload_ns);
      ++compared;
    }
  }
  CHECK(compared == 12500);
}

}  // namespace
}  // namespace meshproof::mtls_test
