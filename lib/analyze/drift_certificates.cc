// What the secrets of dumps say about identities: the certificate in use (`default`), the roots
// (`ROOTCA`). istiod renews certificates at half of their life, so one of which less than a tenth
// is left has missed it.

#include "analyze/drift_certificates.h"

#include <algorithm>
#include <map>
#include <set>

#include "analyze/drift_standing.h"
#include "base/json.h"
#include "base/text.h"
#include "proxy/dump_certificates.h"
#include "proxy/dump_fields.h"
#include "proxy/dump_input.h"

namespace meshproof {
namespace {

// Whose certificate is looked at.
struct Holder {
  size_t index = 0;  // DriftDifference::proxy
  std::string who;
  Span span;
};

Holder HolderOf(const DriftInput& input, size_t index) {
  const ProxyDump& dump = input.dumps.proxies[index];
  return {index, WhoOf(dump), dump.span};
}

DriftDifference& Add(const Holder& holder, Span span, const std::string& detail,
                     std::string message, std::vector<DriftDifference>* out) {
  DriftDifference difference;
  difference.code = "MP0905";
  difference.proxy = holder.index;
  difference.span = span ? span : holder.span;
  difference.message = std::move(message);
  difference.detail = holder.who + " " + detail;
  out->push_back(std::move(difference));
  return out->back();
}

void CheckLife(const DriftInput& input, const Holder& holder, const std::string& name, Span span,
               const DumpCertificate& certificate, std::vector<DriftDifference>* out) {
  const std::string& who = holder.who;
  if (certificate.not_after < input.now) {
    Add(holder, span, "expired " + name,
        "certificate `" + name + "` of " + who + " (serial " + certificate.serial +
            ") is expired since " + CertificateDate(certificate.not_after) +
            ": peers refuse its connections; see why the proxy does not get a new one (istiod's " +
            "log, istioctl proxy-config secret)",
        out);
    return;
  }
  int64_t life = certificate.not_after - certificate.not_before;
  int64_t left = certificate.not_after - input.now;
  constexpr int64_t kTenth = 10;
  // Whoever gets certificates for years renews them by hand.
  constexpr int64_t kWeek = 7 * 24 * 3600;
  if (left < std::min(life / kTenth, kWeek)) {
    Add(holder, span, "close " + name,
        "certificate `" + name + "` of " + who + " (serial " + certificate.serial +
            ") expires on " + CertificateDate(certificate.not_after) +
            ", and istiod should have renewed it at half of its life; see why it did not",
        out);
  }
}

}  // namespace

bool IsPlaceholderKeySet(std::string_view jwks) {
  auto parsed = ParseJson(jwks);
  if (!parsed.ok()) return false;
  const Json* keys = parsed.value().Find("keys");
  if (keys == nullptr || !keys->is_array()) return false;
  return std::all_of(keys->as_array().begin(), keys->as_array().end(), [](const Json& key) {
    const Json* modulus = key.Find("n");
    if (modulus == nullptr || !modulus->is_string()) return false;
    auto bytes = DecodeBytes(modulus->as_string());
    if (!bytes || bytes->empty()) return true;
    return std::all_of(bytes->begin(), bytes->end(), [](char c) { return c >= 0x20 && c < 0x7F; });
  });
}

void FindCertificateDrift(const DriftInput& input, size_t index, const Workload* workload,
                          std::vector<DriftDifference>* out) {
  const ProxyDump& dump = input.dumps.proxies[index];
  for (const DumpSecret& secret : dump.secrets) {
    if (secret.kind != DumpSecret::Kind::kCertificate || secret.pem.empty()) continue;
    auto certificates = ReadDumpCertificates(secret.pem);
    if (certificates.empty()) continue;
    const DumpCertificate& leaf = certificates.front();
    const Holder holder = HolderOf(input, index);
    CheckLife(input, holder, secret.name, secret.span, leaf, out);
    // A made pod of a dump that names no service account has a default that nobody chose.
    const bool chosen =
        workload != nullptr && (!dump.service_account.empty() || !IsFromDump(*workload));
    bool own = secret.name == "default" && chosen && !workload->identity.empty();
    if (!own || leaf.uris == std::vector<std::string>{workload->identity}) continue;
    Add(holder, secret.span, "identity",
        "the proxy of " + WhoOf(dump) + " shows " +
            (leaf.uris.empty() ? std::string("no identity") : "`" + Join(leaf.uris, "`, `") + "`") +
            " where its service account gives `" + workload->identity +
            "`: rules on principals judge it as somebody else; correct the service account or "
            "the " +
            "trust domain",
        out);
  }
}

void FindZtunnelCertificateDrift(const DriftInput& input, size_t index,
                                 std::vector<DriftDifference>* out) {
  const ZtunnelDump& dump = input.dumps.ztunnels[index];
  const Holder holder = {input.dumps.proxies.size() + index, "ztunnel (" + dump.file + ")",
                         dump.span};
  for (const auto& identity : dump.identities) {
    if (identity.chain_pem.empty()) continue;
    auto certificates = ReadDumpCertificates(identity.chain_pem.front());
    if (certificates.empty()) continue;
    CheckLife(input, holder, identity.identity, identity.span, certificates.front(), out);
  }
}

void FindRootDrift(const DriftInput& input, std::vector<DriftDifference>* out) {
  using Keys = std::set<std::string>;
  std::map<Keys, std::vector<size_t>> groups;
  std::map<size_t, Span> spans;
  for (size_t i = 0; i < input.dumps.proxies.size(); ++i) {
    const DumpSecret* roots = input.dumps.proxies[i].FindSecret("ROOTCA");
    if (roots == nullptr || roots->pem.empty()) continue;
    Keys keys;
    for (const auto& certificate : ReadDumpCertificates(roots->pem))
      keys.insert(certificate.key_id);
    groups[keys].push_back(i);
    spans[i] = roots->span;
  }
  if (groups.size() < 2) return;
  // The largest group is taken for what the mesh trusts.
  auto most = std::max_element(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
    return a.second.size() < b.second.size() ||
           (a.second.size() == b.second.size() && a.second.front() > b.second.front());
  });
  for (const auto& [keys, proxies] : groups) {
    if (&keys == &most->first) continue;
    bool shared = std::any_of(keys.begin(), keys.end(),
                              [&](const std::string& key) { return most->first.contains(key); });
    for (size_t index : proxies) {
      auto& difference =
          Add(HolderOf(input, index), spans[index], "roots",
              "the proxy of " + WhoOf(input.dumps.proxies[index]) + " trusts other roots than " +
                  WhoOf(input.dumps.proxies[most->second.front()]) +
                  (shared ? " (one of them is common to both)"
                          : ": the two cannot talk to each other by mutual TLS") +
                  "; compare with istioctl proxy-config rootca-compare, and finish the rotation",
              out);
      difference.related.push_back({spans[most->second.front()], "the roots of the others"});
    }
  }
}

}  // namespace meshproof
