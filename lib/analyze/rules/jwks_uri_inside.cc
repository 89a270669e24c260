// istiod fetches the keys of a `jwksUri` itself (istio-semantics section 3). Whoever may write a
// RequestAuthentication therefore makes the control plane send requests to addresses that he cannot
// reach: the cloud's metadata service, other tenants' Services. BLOCKED_CIDRS_IN_JWKS_URIS of
// istiod is the wall; whether it stands is said only where istiod's Deployment is in the input.
#include <algorithm>
#include <string>

#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/ip.h"
#include "mesh/injection.h"

namespace meshproof::jwks_uri_inside {
namespace {

struct Block {
  std::string_view cidr, text;
};
constexpr Block kBlocks[] = {
    {"169.254.169.254/32", "the cloud's metadata service"},
    {"169.254.170.2/32", "the cloud's metadata service"},
    {"100.100.100.200/32", "the cloud's metadata service"},
    {"fd00:ec2::254/128", "the cloud's metadata service"},
    {"169.254.0.0/16", "a link-local address"},
    {"fe80::/10", "a link-local address"},
    {"127.0.0.0/8", "istiod's own loopback"},
    {"::1/128", "istiod's own loopback"},
    {"0.0.0.0/8", "istiod itself"},
    {"10.0.0.0/8", "a private address"},
    {"172.16.0.0/12", "a private address"},
    {"192.168.0.0/16", "a private address"},
    {"100.64.0.0/10", "a private address"},
    {"fc00::/7", "a private address"},
};

// The host of a URL, without user, port and brackets, in lower case.
std::string HostOf(std::string_view url) {
  size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return "";
  std::string_view host = url.substr(scheme + 3);
  host = host.substr(0, host.find_first_of("/?#"));
  if (size_t at = host.rfind('@'); at != std::string_view::npos) host.remove_prefix(at + 1);
  if (host.starts_with('[')) return ToLower(host.substr(1, host.find(']') - 1));
  std::string name = ToLower(host.substr(0, host.find(':')));
  if (name.ends_with('.')) name.pop_back();
  return name;
}

// What kind of inner address it is, "" for a public one.
std::string ClassOf(const Analysis& analysis, const std::string& host) {
  if (host.empty()) return "";
  if (auto address = ParseIpAddress(host)) {
    IpAddress plain = *address;
    // ::ffff:10.0.0.1 reaches 10.0.0.1.
    bool mapped = plain.v6 && plain.bytes[10] == 0xFF && plain.bytes[11] == 0xFF &&
                  std::all_of(plain.bytes.begin(), plain.bytes.begin() + 10,
                              [](uint8_t byte) { return byte == 0; });
    if (mapped) {
      IpAddress inner;
      std::copy(plain.bytes.begin() + 12, plain.bytes.end(), inner.bytes.begin());
      plain = inner;
    }
    for (const Block& block : kBlocks) {
      if (auto range = ParseCidr(block.cidr); range && range->Contains(plain)) {
        return std::string(block.text);
      }
    }
    return "";
  }
  if (host == "localhost" || host.ends_with(".localhost")) return "istiod's own loopback";
  if (host == "metadata" || host == "metadata.google.internal" || host == "instance-data") {
    return "the cloud's metadata service";
  }
  const std::string& domain = analysis.model.mesh_config.domain;
  bool in_cluster = host.ends_with(".svc") || host.ends_with(".svc." + domain) ||
                    host.find('.') == std::string::npos;
  const MeshService* service =
      analysis.mesh.ResolveHost(host, analysis.model.mesh_config.root_namespace);
  in_cluster = in_cluster || (service != nullptr && service->kubernetes);
  if (in_cluster) return "a Service of the cluster";
  if (host.ends_with(".internal") || host.ends_with(".local")) return "a private name";
  return "";
}

void CheckUri(const Analysis& analysis, const RequestAuthentication& policy, size_t index,
              Reporter& reporter) {
  const JwtRule& rule = policy.jwt_rules[index];
  bool discovery = rule.jwks_uri.value.empty();
  if (discovery && !rule.jwks.value.empty()) return;
  const Text& uri = discovery ? rule.issuer : rule.jwks_uri;
  std::string host = HostOf(uri.value);
  std::string what = ClassOf(analysis, host);
  if (what.empty()) return;
  Finding& finding = reporter.Report(
      policy.meta, uri.span,
      "istiod fetches keys from `" + host + "`, which is " + what +
          ": whoever may write this policy chooses where the control plane sends requests, and "
          "whoever runs that address signs the tokens; use the issuer's public https address, or "
          "put its keys into `jwks`");
  finding.field_path =
      "spec.jwtRules[" + std::to_string(index) + "]." + (discovery ? "issuer" : "jwksUri");
  finding.fix = "Use the issuer's public https address, or inline `jwks`.";
  finding.istioctl_codes.emplace();
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  constexpr std::string_view kSetting = "BLOCKED_CIDRS_IN_JWKS_URIS";
  const RequestAuthentication* fetching = nullptr;
  Span where;
  for (const RequestAuthentication& policy : analysis.model.request_authentications) {
    for (size_t i = 0; i < policy.jwt_rules.size(); ++i) {
      CheckUri(analysis, policy, i, reporter);
      const JwtRule& rule = policy.jwt_rules[i];
      if (fetching != nullptr || !rule.jwks.value.empty()) continue;
      fetching = &policy;
      where = rule.jwks_uri.span ? rule.jwks_uri.span : rule.issuer.span;
    }
  }
  if (fetching == nullptr) return;
  auto stated = analysis.mesh.Feature(kSetting);
  if (stated && !stated->empty()) return;
  for (const PodWorkload& workload : analysis.model.pod_workloads) {
    if (!IsIstiod(workload)) continue;
    bool set = std::any_of(workload.env.begin(), workload.env.end(), [&](const auto& variable) {
      return variable.first == kSetting && !variable.second.empty();
    });
    if (set) continue;
    Finding& finding = reporter.Report(
        workload.meta, workload.meta.span,
        "this istiod fetches `jwksUri` from anywhere: BLOCKED_CIDRS_IN_JWKS_URIS is not set, so a "
        "RequestAuthentication of any namespace can make it call private addresses; list the "
        "networks that hold no issuer");
    finding.fix = "Set BLOCKED_CIDRS_IN_JWKS_URIS in istiod's environment.";
    finding.istioctl_codes = {"IST0175"};
    finding.detail = kSetting;
    finding.related.push_back({where, "keys are fetched for this policy, for one"});
  }
}

}  // namespace meshproof::jwks_uri_inside
