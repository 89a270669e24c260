#pragma once

#include <string>
#include <vector>

#include "crypto/svid.h"
#include "source/source.h"

namespace meshproof {

// Certificates that stand together: one secret, one PEM file.
struct CertificateBundle {
  std::string source;  // "web.pem", "dump.json secret default", "s.yaml Secret shop/tls tls.crt"
  CertificateRole role = CertificateRole::kWorkload;
  std::vector<X509Certificate> certificates;  // as they stand there: the leaf first
  size_t unreadable = 0;                      // CERTIFICATE blocks that are none
  std::string note;          // why there is none to read: "not delivered yet"; "" otherwise
  std::string trust_domain;  // an authority of this trust domain only (SPIFFE bundles)
  Span span;
  // Bundles of one proxy or one Secret: an authority among them is who signed the others.
  size_t group = 0;
  // Who the proxy says it is (the dump's node): "/ns/shop/sa/web"; "" = not said.
  std::string identity;
};

// A PEM text or a DER certificate: whether it is one, by content.
bool LooksLikePem(std::string_view text);
bool LooksLikeDer(std::string_view text);
CertificateBundle ReadCertificateFile(std::string name, std::string_view text);

// Every certificate in the documents of a file, whatever holds it: secrets of Envoy config dumps
// and what istioctl prints of them, snake_case and camelCase, certificates of ztunnel dumps,
// Kubernetes Secrets, and ConfigMaps that hold roots. `next_group` is advanced.
std::vector<CertificateBundle> ReadCertificates(const ParsedFile& file, size_t* next_group);

}  // namespace meshproof
