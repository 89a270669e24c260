// DestinationRule: host, subsets, port policies, client certificates.

#include <set>

#include "model/admission.h"
#include "model/fields.h"

namespace meshproof {
namespace {

void AdmitClientTls(const std::optional<ClientTls>& tls, Report& report) {
  if (!tls) return;
  using Mode = ClientTls::Mode;
  bool credential = !tls->credential_name.value.empty();
  bool own = !tls->client_certificate.value.empty() || !tls->private_key.value.empty();
  if ((tls->mode == Mode::kSimple || tls->mode == Mode::kMutual) && credential &&
      (own || !tls->ca_certificates.value.empty())) {
    report.Refuse(tls->credential_name.span,
                  "`credentialName` and certificates in files exclude each other");
  }
  if (tls->mode == Mode::kMutual && !credential &&
      (tls->client_certificate.value.empty() || tls->private_key.value.empty())) {
    report.Refuse(tls->span, "tls mode MUTUAL needs a client certificate and its key",
                  "set `clientCertificate` and `privateKey`, or `credentialName`");
  }
}

void AdmitTrafficPolicy(const std::optional<TrafficPolicy>& policy, Report& report) {
  if (!policy) return;
  AdmitClientTls(policy->tls, report);
  for (const TrafficPolicy::Port& port : policy->ports) {
    AdmitPort(port.port, port.span, report);
    AdmitClientTls(port.tls, report);
  }
}

}  // namespace

void AdmitDestinationRule(const DestinationRule& rule, Report& report) {
  AdmitMetadata(rule.meta, false, report);
  if (rule.host.value.empty()) {
    report.Refuse(FirstSpan(rule.host.span, rule.meta.span), "a DestinationRule needs a host");
  }
  AdmitTrafficPolicy(rule.policy, report);
  std::set<std::string_view> names;
  for (const DestinationRule::Subset& subset : rule.subsets) {
    Span place = FirstSpan(subset.name.span, subset.span);
    if (subset.name.value.empty()) report.Refuse(place, "a subset needs a name");
    if (!names.insert(subset.name.value).second) {
      report.Refuse(place, "two subsets have the name " + Quote(subset.name.value));
    }
    AdmitTrafficPolicy(subset.policy, report);
  }
}

}  // namespace meshproof
