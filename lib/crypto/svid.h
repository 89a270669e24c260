#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "crypto/x509.h"

// The rules for X.509 certificates of a mesh: X509-SVID (spiffe.io; envoy-facts section 8).
namespace meshproof {

// kWorkload: an X509-SVID that a workload shows; kServer: a server's for hosts, as gateways have;
// kAuthority: signs others, or ends their chains.
enum class CertificateRole { kWorkload, kServer, kAuthority };
std::string_view ToString(CertificateRole role);

struct CertificateCheck {
  std::string name;
  std::optional<bool> ok;  // nothing: the input does not hold what it takes
  std::string text;
};

// What a certificate is checked against.
struct CertificateContext {
  int64_t now = 0;                      // seconds since the epoch
  std::vector<X509Certificate> others;  // sent beside it
  std::vector<X509Certificate> roots;   // empty: not known
  std::string roots_from;               // "ROOTCA of dump.json"
  // What follows the trust domain in the identity that it has to have: "/ns/shop/sa/web"; or the
  // whole "spiffe://…". "" = not known.
  std::string identity;
  std::string identity_from;               // "the service account of shop/web"
  std::vector<std::string> trust_domains;  // empty: not known
};

std::vector<CertificateCheck> CheckCertificate(const X509Certificate& certificate,
                                               CertificateRole role,
                                               const CertificateContext& context);

}  // namespace meshproof
