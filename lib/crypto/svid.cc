// Envoy itself enforces the chain and the configured names only; the rules for SVIDs are those of
// the standard, which other implementations do enforce (X509-SVID sections 2 to 5; SPIFFE-ID).

#include "crypto/svid.h"

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

constexpr int64_t kDay = 86400;

struct Checker {
  const X509Certificate& certificate;
  const CertificateRole role;
  const CertificateContext& context;
  std::vector<CertificateCheck> checks = {};

  void Add(const char* name, std::optional<bool> ok, std::string text) {
    checks.push_back({name, ok, std::move(text)});
  }

  bool authority() const { return role == CertificateRole::kAuthority; }

  std::vector<std::string> SpiffeIds() const {
    std::vector<std::string> ids;
    for (const auto& uri : certificate.uris) {
      if (uri.starts_with("spiffe:")) ids.push_back(uri);
    }
    return ids;
  }

  void SpiffeUri() {
    const auto& uris = certificate.uris;
    if (role == CertificateRole::kServer) return;
    if (authority() && uris.empty()) return;
    if (uris.empty()) {
      return Add("spiffe_uri", false, "no URI among the alternative names: it names no identity");
    }
    if (uris.size() > 1) {
      return Add("spiffe_uri", false,
                 std::to_string(uris.size()) + " URIs among the alternative names (" +
                     Join(uris, ", ") + "): an SVID has exactly one");
    }
    const std::string& id = uris.front();
    if (std::string fault = SpiffeIdFault(id); !fault.empty()) {
      return Add("spiffe_uri", false, id + " is no SPIFFE ID: " + fault);
    }
    bool has_path = id.find('/', std::string_view("spiffe://").size()) != std::string::npos;
    if (has_path && authority()) {
      // Against the standard, but Istio's self-signed root has one, and nobody refuses it.
      return Add("spiffe_uri", true,
                 id + " (the standard wants no path here; Istio's root has one)");
    }
    if (!has_path && !authority()) {
      return Add("spiffe_uri", false, id + " is a trust domain, not a workload");
    }
    if (certificate.subject.empty() && !certificate.names_critical) {
      return Add("spiffe_uri", false,
                 id + " stands in an extension that is not critical, with an empty subject");
    }
    Add("spiffe_uri", true, id);
  }

  void Validity() {
    if (context.now < certificate.not_before) {
      return Add("validity", false, "not valid before " + TimeText(certificate.not_before));
    }
    if (context.now > certificate.not_after) {
      return Add("validity", false, "expired on " + TimeText(certificate.not_after));
    }
    int64_t left = certificate.not_after - context.now;
    std::string rest = left >= 2 * kDay ? std::to_string(left / kDay) + " days"
                                        : std::to_string(left / 3600) + " hours";
    Add("validity", true, "until " + TimeText(certificate.not_after) + ", " + rest + " left");
  }

  void CaFlag() {
    if (authority()) {
      return Add("ca_flag", certificate.is_ca,
                 certificate.is_ca ? "CA:TRUE" : "CA:FALSE: it cannot sign others");
    }
    Add("ca_flag", !certificate.is_ca,
        certificate.is_ca ? "CA:TRUE: a signing certificate, not one to be shown" : "CA:FALSE");
  }

  void KeyUsage() {
    std::string usages =
        certificate.key_usages.empty() ? "none" : Join(certificate.key_usages, ", ");
    if (!certificate.has_key_usage) {
      // Old roots go without; for the others the standard asks for it.
      if (authority()) return Add("key_usage", true, "not restricted");
      if (role == CertificateRole::kServer) return Add("key_usage", true, "not restricted");
      return Add("key_usage", false, "no key usage, which an SVID has to have");
    }
    if (authority()) {
      return Add("key_usage", certificate.key_cert_sign,
                 certificate.key_cert_sign ? usages : usages + ": Certificate Sign is missing");
    }
    if (role == CertificateRole::kServer) return Add("key_usage", true, usages);
    std::string fault;
    if (!certificate.digital_signature) fault = "Digital Signature is missing";
    if (certificate.key_cert_sign || certificate.crl_sign) {
      fault = "an SVID of a workload signs no certificates or CRLs";
    }
    if (fault.empty() && !certificate.key_usage_critical) fault = "it is not marked critical";
    Add("key_usage", fault.empty(), fault.empty() ? usages : usages + ": " + fault);
  }

  void ExtendedUsage() {
    if (authority()) return;
    if (!certificate.has_extended_usage) {
      return Add("extended_key_usage", true, "not restricted");
    }
    std::string usages = Join(certificate.extended_usages, ", ");
    bool ok =
        certificate.server_auth && (role == CertificateRole::kServer || certificate.client_auth);
    const char* missing = certificate.server_auth ? "client" : "server";
    Add("extended_key_usage", ok,
        ok ? usages : usages + ": it is of no use as a " + missing + "'s certificate");
  }

  void Signature() {
    // Nobody verifies the signature of a root upon itself.
    bool ok = !certificate.weak_signature || certificate.is_root;
    Add("signature", ok,
        ok ? certificate.signature : certificate.signature + ": a weak digest, which is refused");
  }

  void Key() {
    constexpr int kMinRsa = 2048;
    constexpr int kMinEc = 256;
    std::string text = certificate.key_type + " " + std::to_string(certificate.key_bits) + " bit";
    bool weak = (certificate.key_type.starts_with("RSA") && certificate.key_bits < kMinRsa) ||
                (certificate.key_type == "EC" && certificate.key_bits < kMinEc) ||
                certificate.key_type == "DSA" || certificate.key_type.empty();
    Add("key", !weak, weak ? text + ": too weak" : text);
  }

  void Chain() {
    if (certificate.is_root) return;
    if (context.roots.empty()) {
      // Whom the clients of a server trust is theirs to say.
      if (role == CertificateRole::kServer) return;
      return Add("chain", std::nullopt, "not checked: no root is in the input");
    }
    auto failure = ChainFailure(certificate, context.others, context.roots);
    Add("chain", !failure,
        failure ? "does not chain to " + context.roots_from + ": " + *failure
                : "chains to " + context.roots_from);
  }

  void Identity() {
    auto ids = SpiffeIds();
    if (role != CertificateRole::kWorkload || ids.empty()) return;
    constexpr std::string_view kScheme = "spiffe://";
    std::string_view id =
        std::string_view(ids.front()).substr(std::min<size_t>(kScheme.size(), ids.front().size()));
    std::string_view domain = id.substr(0, id.find('/'));
    if (!context.identity.empty()) {
      std::string_view path = id.substr(domain.size());
      bool whole = context.identity.starts_with(kScheme);
      bool same = whole ? ids.front() == context.identity : path == context.identity;
      Add("service_account", same,
          same ? "is " + context.identity_from
               : "is not " + context.identity_from + ", which is " +
                     (whole ? context.identity : "spiffe://…" + context.identity));
    }
    if (context.trust_domains.empty()) return;
    const auto& known = context.trust_domains;
    bool found = std::find(known.begin(), known.end(), domain) != known.end();
    Add("trust_domain", found,
        found ? std::string(domain)
              : std::string(domain) + " is none that the mesh accepts: " + Join(known, ", "));
  }
};

}  // namespace

std::string_view ToString(CertificateRole role) {
  switch (role) {
    case CertificateRole::kWorkload:
      return "workload";
    case CertificateRole::kServer:
      return "server";
    case CertificateRole::kAuthority:
      return "authority";
  }
  return "";
}

std::vector<CertificateCheck> CheckCertificate(const X509Certificate& certificate,
                                               CertificateRole role,
                                               const CertificateContext& context) {
  Checker checker{certificate, role, context};
  checker.SpiffeUri();
  checker.Validity();
  checker.CaFlag();
  checker.KeyUsage();
  checker.ExtendedUsage();
  checker.Signature();
  checker.Key();
  checker.Chain();
  checker.Identity();
  return std::move(checker.checks);
}

}  // namespace meshproof
