#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// What a certificate says, and whether it chains to given roots.
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
  bool names_critical = false;  // the alternative names are marked critical
  bool is_ca = false;           // basicConstraints CA:TRUE
  bool is_root = false;         // self-issued, and its own key verifies its signature
  bool is_self_issued = false;  // issuer = subject
  bool server_auth = true;      // no extended key usage, or one that holds serverAuth or any
  bool client_auth = true;      // the same of clientAuth
  bool has_extended_usage = false;
  bool has_key_usage = false;
  bool key_usage_critical = false;
  bool digital_signature = false, key_cert_sign = false, crl_sign = false;
  std::vector<std::string> key_usages;       // "Digital Signature", as OpenSSL prints them
  std::vector<std::string> extended_usages;  // "TLS Web Server Authentication"
  std::string key_type;                      // "RSA", "EC", "ED25519", …
  int key_bits = 0;
  std::string signature;        // "sha1WithRSAEncryption"
  bool weak_signature = false;  // MD2, MD4, MD5 or SHA-1
  std::string key_id;           // of the public key; equal for equal keys
  std::string fingerprint;      // SHA-256 of the certificate, lower-case hex
  std::string der;
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

// A certificate in DER, or nothing.
std::optional<X509Certificate> ReadDerCertificate(std::string_view der);

// Whether `certificate` chains over `others` to one of `roots` as Envoy checks it: any certificate
// among the roots ends the chain, its own issuer is not asked for. Validity times are left to the
// caller. The text is OpenSSL's reason; nothing where it chains.
std::optional<std::string> ChainFailure(const X509Certificate& certificate,
                                        const std::vector<X509Certificate>& others,
                                        const std::vector<X509Certificate>& roots);

// Why a text is no SPIFFE ID (spiffe.io SPIFFE-ID, section 2); "" = it is one. A workload's has a
// path, a signing certificate's has none.
std::string SpiffeIdFault(std::string_view id);

// "2031-04-05T06:07:08Z".
std::string TimeText(int64_t seconds_since_epoch);
// "2031-04-05".
std::string DateText(int64_t seconds_since_epoch);

}  // namespace meshproof
