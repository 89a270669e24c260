#include "analyze/drift_standing.h"

#include <set>
#include <string>
#include <utility>

#include "analyze/drift_certificates.h"
#include "analyze/drift_chains.h"

namespace meshproof {

std::string WhoOf(const ProxyDump& dump) {
  if (dump.config->workload.empty()) return dump.file;
  return dump.config->ns + "/" + (dump.pod.empty() ? dump.config->workload : dump.pod);
}

// MP0906: istiod hands out a key set of its own making where it cannot fetch the real one: one RSA
// key whose modulus is the URI in base64 (or, before, an empty or well-known one).
void FindPlaceholders(const DriftInput& input, size_t index, std::vector<DriftDifference>* out) {
  const ProxyDump& dump = input.dumps.proxies[index];
  std::set<std::string> seen;
  for (const Listener& listener : dump.config->listeners) {
    for (const FilterChain& chain : listener.filter_chains) {
      ChainView view = ViewOf(chain);
      for (const auto& filter : view.filters) {
        if (filter.jwt == nullptr) continue;
        for (const JwtProvider& provider : filter.jwt->providers) {
          if (!provider.local_jwks || !IsPlaceholderKeySet(*provider.local_jwks)) continue;
          if (!seen.insert(provider.issuer).second) continue;
          DriftDifference difference;
          difference.code = "MP0906";
          difference.proxy = index;
          difference.span = provider.origin.span ? provider.origin.span : dump.span;
          difference.object = provider.origin.object;
          difference.message =
              "the proxy of " + WhoOf(dump) + " has no real keys of issuer `" + provider.issuer +
              "`: istiod could not fetch them and pushed a placeholder, so that every token of the "
              "issuer is refused with 401, or, with a key that everybody knows, a forged one is " +
              "taken; make the jwksUri reachable from istiod, or write jwks into the " +
              "RequestAuthentication";
          difference.detail = WhoOf(dump) + " " + provider.issuer;
          out->push_back(std::move(difference));
        }
      }
    }
  }
}

// MP0907: who may reach the admin port, what Envoy refused, what is older than the manifests.
void FindStanding(const DriftInput& input, size_t index, std::vector<DriftDifference>* out) {
  const ProxyDump& dump = input.dumps.proxies[index];
  auto add = [&](Span span, std::string detail, std::string message) {
    DriftDifference difference;
    difference.code = "MP0907";
    difference.proxy = index;
    difference.span = span ? span : dump.span;
    difference.message = std::move(message);
    difference.detail = WhoOf(dump) + " " + std::move(detail);
    out->push_back(std::move(difference));
  };
  const std::string& admin = dump.admin_address;
  bool local = admin.empty() || admin.starts_with("127.") || admin.starts_with("::1:") ||
               admin.starts_with("localhost:") || admin.starts_with("unix:") || admin == ":";
  if (!local) {
    add(dump.admin_span, "admin",
        "the admin interface of " + WhoOf(dump) + " listens on " + admin +
            ", not on localhost alone: whoever reaches it reads keys and stops the proxy; set " +
            "proxyAdminPort's address back to 127.0.0.1");
  }
  for (const DumpTrouble& trouble : dump.troubles) {
    if (trouble.kind == DumpTrouble::Kind::kWarming) {
      add(trouble.span, trouble.what + " warming",
          "the last update of " + trouble.what + " is still warming in " + WhoOf(dump) +
              ": until what it waits for is there (secrets, routes, clusters) the configuration "
              "before it is enforced; see istioctl proxy-status");
    }
    if (trouble.kind != DumpTrouble::Kind::kRejected) continue;
    add(trouble.span, trouble.what,
        "Envoy of " + WhoOf(dump) + " refused the last update of " + trouble.what +
            (trouble.details.empty() ? "" : " (" + trouble.details + ")") +
            ": it still runs the configuration before, and newer policies are not enforced; " +
            "correct what it refuses");
  }
  const ObjectMeta* newest = nullptr;
  std::string version = dump.listeners_version.substr(0, dump.listeners_version.find('/'));
  if (version.size() < 20 || version[10] != 'T') return;
  const Workload* workload = input.mesh.FindWorkload(dump.config->ns, dump.config->workload);
  if (workload == nullptr) return;
  PolicySet policies = input.mesh.PoliciesFor(*workload);
  for (const auto* list : {&policies.custom, &policies.audit, &policies.deny, &policies.allow}) {
    for (const AuthorizationPolicy* policy : *list) {
      bool later = !policy->meta.created.empty() && policy->meta.created > version;
      if (later && (newest == nullptr || newest->created < policy->meta.created)) {
        newest = &policy->meta;
      }
    }
  }
  if (newest == nullptr) return;
  add(dump.span, "stale",
      "the listeners of " + WhoOf(dump) + " are of " + version + ", older than " +
          ToString(*newest) + " (" + std::string(newest->created) +
          "): the proxy has not got the policy; see istioctl proxy-status");
}

}  // namespace meshproof
