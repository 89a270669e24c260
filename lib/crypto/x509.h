#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a certificate says, for checks before a server is given it. Nothing here verifies a
// signature: whom a client trusts is not known.
namespace meshproof {

struct X509Certificate {
  std::string subject;      // RFC 2253
  std::string issuer;       // RFC 2253
  std::string serial;       // upper-case hex
  std::string common_name;  // "" = none
  int64_t not_before = 0;   // seconds since the epoch
  int64_t not_after = 0;
  bool has_alternative_names = false;
  std::vector<std::string> dns_names;
  std::vector<std::string> addresses;  // IP names as text
  std::vector<std::string> uris;
  bool is_ca = false;           // basicConstraints CA:TRUE
  bool is_self_issued = false;  // issuer = subject
  bool server_auth = true;      // no extended key usage, or one that holds serverAuth or any
  std::string key_type;         // "RSA", "EC", "ED25519", …
  int key_bits = 0;
  std::string signature;        // "sha1WithRSAEncryption"
  bool weak_signature = false;  // MD2, MD4, MD5 or SHA-1
  std::string key_id;           // of the public key; equal for equal keys
};

// One `CERTIFICATE` block of a PEM text.
struct CertificateBlock {
  std::optional<X509Certificate> certificate;  // nothing where the block is no certificate
};

// The CERTIFICATE blocks in order; other blocks and text between them are skipped.
std::vector<CertificateBlock> ReadCertificates(std::string_view pem);

// X509Certificate::key_id of the first private key in a PEM text; nothing where there is none that
// can be read (an encrypted one cannot).
std::optional<std::string> PrivateKeyId(std::string_view pem);

// Whether the certificate is good for a host name or address: its alternative names, and only where
// it has none its common name. A wildcard covers one label.
bool CoversHost(const X509Certificate& certificate, std::string_view host);

// "2031-04-05".
std::string DateText(int64_t seconds_since_epoch);

}  // namespace meshproof
