// TLS to a server that is not checked. A DestinationRule's SIMPLE or MUTUAL verifies the
// certificate's chain against `caCertificates`, a credential, or (since 1.21) the system's store;
// its name against `subjectAltNames`, those of the ServiceEntry, or, only where no `sni` is set,
// the request's own host.
#include <set>
#include <string>
#include <unordered_map>

#include "analyze/client_tls_sites.h"
#include "analyze/istio_version.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::unverified_upstream {
namespace {

std::string Where(const TlsSite& site) {
  std::string where = "`" + std::string(site.rule->host.value) + "`";
  if (site.subset != nullptr) where += " subset " + std::string(site.subset->name.value);
  if (site.port != 0) where += " port " + std::to_string(site.port);
  return where;
}

void Fill(const TlsSite& site, std::string_view field, Finding* finding) {
  finding->field_path = site.FieldPath(field);
  finding->istioctl_codes = {site.port == 0 ? "IST0128" : "IST0129"};
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  std::set<std::string, std::less<>> named;  // hosts whose ServiceEntry gives subjectAltNames
  for (const ServiceEntry& entry : analysis.model.service_entries) {
    if (entry.subject_alt_names.empty()) continue;
    for (const Text& host : entry.hosts.values) named.insert(ToLower(host.value));
  }
  const bool store =
      analysis.mesh.FeatureEnabled("VERIFY_CERTIFICATE_AT_CLIENT", !IsOlderThan(analysis, 21));
  for (const DestinationRule& rule : analysis.model.destination_rules) {
    for (const TlsSite& site : TlsSitesOf(rule)) {
      if (site.tls == nullptr) continue;
      const ClientTls& tls = *site.tls;
      bool originates =
          tls.mode == ClientTls::Mode::kSimple || tls.mode == ClientTls::Mode::kMutual;
      if (!originates) continue;
      if (tls.insecure_skip_verify) {
        Finding& finding = reporter.Report(
            rule.meta, site.FieldSpan("insecureSkipVerify"),
            "`insecureSkipVerify` takes any certificate for " + Where(site) +
                ", a self-signed one for another host too, so whoever sits on the way can answer "
                "and read everything; remove it and name the CA in `caCertificates` and the server "
                "in `subjectAltNames`");
        finding.fix = "Remove `insecureSkipVerify`; set `caCertificates` and `subjectAltNames`.";
        Fill(site, "insecureSkipVerify", &finding);
        continue;
      }
      bool has_ca = !tls.ca_certificates.value.empty() || !tls.credential_name.value.empty();
      if (!has_ca && !store) {
        Finding& finding = reporter.Report(
            rule.meta, site.FieldSpan("mode"),
            "tls mode `" + std::string(ToString(tls.mode)) + "` for " + Where(site) +
                " names no CA, and this Istio does not fall back to the system's store: any "
                "certificate is taken, one that names another host too; set `caCertificates`");
        finding.fix = "Set `caCertificates` (and `subjectAltNames`).";
        Fill(site, "mode", &finding);
      }
      bool has_names = !tls.subject_alt_names.empty() || named.contains(ToLower(rule.host.value));
      if (!tls.sni.value.empty() && !has_names && (has_ca || store)) {
        Finding& finding = reporter.Report(
            rule.meta, site.FieldSpan("sni"),
            "with `sni` set and no `subjectAltNames` the certificate's name is not compared for " +
                Where(site) +
                ": one that names another host is taken, as long as the same CA signed it; add "
                "`subjectAltNames: [" +
                std::string(tls.sni.value) + "]`");
        finding.fix = "Add `subjectAltNames: [" + std::string(tls.sni.value) + "]`.";
        Fill(site, "sni", &finding);
      }
    }
  }
}

}  // namespace meshproof::unverified_upstream
