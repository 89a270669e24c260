#include "crypto/x509.h"

#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <memory>

#include "base/check.h"
#include "base/text.h"
#include "crypto/sha256.h"

namespace meshproof {
namespace {

struct X509Deleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(ASN1_BIT_STRING* usage) const { ASN1_BIT_STRING_free(usage); }
  void operator()(X509_STORE* store) const { X509_STORE_free(store); }
  void operator()(X509_STORE_CTX* context) const { X509_STORE_CTX_free(context); }
  void operator()(STACK_OF(X509) * stack) const { sk_X509_pop_free(stack, X509_free); }
  void operator()(EXTENDED_KEY_USAGE* usage) const { EXTENDED_KEY_USAGE_free(usage); }
};
template <typename T>
using X509Owned = std::unique_ptr<T, X509Deleter>;

X509Owned<BIO> Memory(std::string_view text) {
  return X509Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<size_t>(size));
}

std::string NameText(const X509_NAME* name) {
  X509Owned<BIO> bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253 & ~ASN1_STRFLGS_ESC_MSB);
  return Contents(bio.get());
}

std::string Text(const ASN1_STRING* string) {
  const auto* data = reinterpret_cast<const char*>(ASN1_STRING_get0_data(string));
  return {data, static_cast<size_t>(ASN1_STRING_length(string))};
}

int64_t Seconds(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return 0;
  return static_cast<int64_t>(timegm(&parts));
}

std::string KeyId(EVP_PKEY* key) {
  if (key == nullptr) return "";
  unsigned char* der = nullptr;
  int length = i2d_PUBKEY(key, &der);
  if (length <= 0) return "";
  std::string id(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return id;
}

std::string AddressText(const ASN1_OCTET_STRING* address) {
  constexpr int kV4 = 4;
  constexpr int kV6 = 16;
  const unsigned char* bytes = ASN1_STRING_get0_data(address);
  int length = ASN1_STRING_length(address);
  std::string text;
  if (length == kV4) {
    for (int i = 0; i < kV4; ++i) text += (i == 0 ? "" : ".") + std::to_string(bytes[i]);
  } else if (length == kV6) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    for (int i = 0; i < kV6; ++i) {
      if (i > 0 && i % 2 == 0) text += ':';
      text += kDigits[bytes[i] >> 4U];
      text += kDigits[bytes[i] & 0xFU];
    }
  }
  return text;
}

void ReadNames(X509* x509, X509Certificate* out) {
  X509_NAME* subject = X509_get_subject_name(x509);
  int position = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (position >= 0) {
    out->common_name = Text(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, position)));
  }
  int critical = -1;
  X509Owned<GENERAL_NAMES> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(x509, NID_subject_alt_name, &critical, nullptr)));
  if (names == nullptr) return;
  out->has_alternative_names = true;
  out->names_critical = critical == 1;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) out->dns_names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_URI) out->uris.push_back(Text(name->d.uniformResourceIdentifier));
    if (name->type == GEN_IPADD) out->addresses.push_back(AddressText(name->d.iPAddress));
  }
}

std::string LongName(int nid) {
  const char* name = OBJ_nid2ln(nid);
  return name == nullptr ? "" : name;
}

void ReadKeyUsage(X509* x509, X509Certificate* out) {
  struct Usage {
    int bit;
    const char* name;
  };
  constexpr std::array kUsages = {
      Usage{0, "Digital Signature"}, Usage{1, "Non Repudiation"}, Usage{2, "Key Encipherment"},
      Usage{3, "Data Encipherment"}, Usage{4, "Key Agreement"},   Usage{5, "Certificate Sign"},
      Usage{6, "CRL Sign"},          Usage{7, "Encipher Only"},   Usage{8, "Decipher Only"},
  };
  int critical = -1;
  X509Owned<ASN1_BIT_STRING> usage(
      static_cast<ASN1_BIT_STRING*>(X509_get_ext_d2i(x509, NID_key_usage, &critical, nullptr)));
  if (usage == nullptr) return;
  out->has_key_usage = true;
  out->key_usage_critical = critical == 1;
  for (const auto& [bit, name] : kUsages) {
    if (ASN1_BIT_STRING_get_bit(usage.get(), bit) == 1) out->key_usages.emplace_back(name);
  }
  out->digital_signature = ASN1_BIT_STRING_get_bit(usage.get(), 0) == 1;
  out->key_cert_sign = ASN1_BIT_STRING_get_bit(usage.get(), 5) == 1;
  out->crl_sign = ASN1_BIT_STRING_get_bit(usage.get(), 6) == 1;
}

void ReadUsage(X509* x509, X509Certificate* out) {
  out->is_ca = X509_check_ca(x509) == 1;
  ReadKeyUsage(x509, out);
  X509Owned<EXTENDED_KEY_USAGE> usage(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(x509, NID_ext_key_usage, nullptr, nullptr)));
  if (usage == nullptr) return;
  out->has_extended_usage = true;
  out->server_auth = out->client_auth = false;
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage.get()); ++i) {
    int purpose = OBJ_obj2nid(sk_ASN1_OBJECT_value(usage.get(), i));
    if (purpose == NID_server_auth || purpose == NID_anyExtendedKeyUsage) out->server_auth = true;
    if (purpose == NID_client_auth || purpose == NID_anyExtendedKeyUsage) out->client_auth = true;
    out->extended_usages.push_back(LongName(purpose));
  }
}

void ReadKey(X509* x509, X509Certificate* out) {
  EVP_PKEY* key = X509_get0_pubkey(x509);
  if (key != nullptr) {
    const char* type = EVP_PKEY_get0_type_name(key);
    out->key_type = type == nullptr ? "" : type;
    out->key_bits = EVP_PKEY_get_bits(key);
    out->key_id = KeyId(key);
  }
  int signature = X509_get_signature_nid(x509);
  out->signature = LongName(signature);
  int digest = NID_undef;
  OBJ_find_sigid_algs(signature, &digest, nullptr);
  out->weak_signature =
      digest == NID_md2 || digest == NID_md4 || digest == NID_md5 || digest == NID_sha1;
}

std::string DerOf(X509* x509) {
  unsigned char* der = nullptr;
  int length = i2d_X509(x509, &der);
  if (length <= 0) return "";
  std::string bytes(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return bytes;
}

X509Owned<X509> FromDer(std::string_view der) {
  const auto* data = reinterpret_cast<const unsigned char*>(der.data());
  return X509Owned<X509>(d2i_X509(nullptr, &data, static_cast<long>(der.size())));
}

X509Certificate Read(X509* x509) {
  X509Certificate out;
  out.subject = NameText(X509_get_subject_name(x509));
  out.issuer = NameText(X509_get_issuer_name(x509));
  out.is_self_issued = X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) == 0;
  X509Owned<BIGNUM> serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
  if (serial != nullptr) {
    char* hex = BN_bn2hex(serial.get());
    if (hex != nullptr) out.serial = hex;
    OPENSSL_free(hex);
  }
  out.not_before = Seconds(X509_get0_notBefore(x509));
  out.not_after = Seconds(X509_get0_notAfter(x509));
  ReadNames(x509, &out);
  ReadUsage(x509, &out);
  ReadKey(x509, &out);
  EVP_PKEY* key = X509_get0_pubkey(x509);
  out.is_root = out.is_self_issued && key != nullptr && X509_verify(x509, key) == 1;
  out.der = DerOf(x509);
  out.fingerprint = Sha256Hex(out.der);
  return out;
}

bool NameCovers(std::string_view pattern, std::string_view host) {
  if (!pattern.starts_with("*.")) return EqualsIgnoreCase(pattern, host);
  size_t dot = host.find('.');
  return dot != std::string_view::npos && dot > 0 &&
         EqualsIgnoreCase(pattern.substr(1), host.substr(dot));
}

}  // namespace

std::vector<CertificateBlock> ReadCertificates(std::string_view pem) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----";
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----";
  std::vector<CertificateBlock> blocks;
  for (size_t at = pem.find(kBegin); at != std::string_view::npos; at = pem.find(kBegin, at)) {
    size_t end = pem.find(kEnd, at);
    size_t length = end == std::string_view::npos ? pem.size() - at : end + kEnd.size() - at;
    std::string block = std::string(pem.substr(at, length)) + "\n";
    at += kBegin.size();
    X509Owned<BIO> bio = Memory(block);
    X509Owned<X509> x509(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    CertificateBlock read;
    if (x509 != nullptr) read.certificate = Read(x509.get());
    blocks.push_back(std::move(read));
  }
  return blocks;
}

std::optional<std::string> PrivateKeyId(std::string_view pem) {
  X509Owned<BIO> bio = Memory(pem);
  // Without a callback OpenSSL would ask the terminal for the passphrase of an encrypted key.
  auto refuse = [](char*, int, int, void*) { return -1; };
  X509Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse, nullptr));
  if (key == nullptr) return std::nullopt;
  return KeyId(key.get());
}

bool CoversHost(const X509Certificate& certificate, std::string_view host) {
  for (const std::string& address : certificate.addresses) {
    if (address == host) return true;
  }
  if (!certificate.has_alternative_names) return NameCovers(certificate.common_name, host);
  for (const std::string& name : certificate.dns_names) {
    if (NameCovers(name, host)) return true;
  }
  return false;
}

std::optional<X509Certificate> ReadDerCertificate(std::string_view der) {
  X509Owned<X509> x509 = FromDer(der);
  if (x509 == nullptr) return std::nullopt;
  return Read(x509.get());
}

std::optional<std::string> ChainFailure(const X509Certificate& certificate,
                                        const std::vector<X509Certificate>& others,
                                        const std::vector<X509Certificate>& roots) {
  X509Owned<X509> leaf = FromDer(certificate.der);
  X509Owned<X509_STORE> store(X509_STORE_new());
  X509Owned<STACK_OF(X509)> between(sk_X509_new_null());
  X509Owned<X509_STORE_CTX> context(X509_STORE_CTX_new());
  MESHPROOF_CHECK(store != nullptr && between != nullptr && context != nullptr);
  if (leaf == nullptr) return "it cannot be read";
  for (const auto& root : roots) {
    X509Owned<X509> x509 = FromDer(root.der);
    if (x509 != nullptr) X509_STORE_add_cert(store.get(), x509.get());
  }
  for (const auto& other : others) {
    X509Owned<X509> x509 = FromDer(other.der);
    if (x509 == nullptr || sk_X509_push(between.get(), x509.get()) <= 0) continue;
    [[maybe_unused]] X509* listed = x509.release();  // the list owns it now
  }
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_NO_CHECK_TIME);
  if (X509_STORE_CTX_init(context.get(), store.get(), leaf.get(), between.get()) != 1) {
    return "it cannot be checked";
  }
  if (X509_verify_cert(context.get()) == 1) return std::nullopt;
  int code = X509_STORE_CTX_get_error(context.get());
  return X509_verify_cert_error_string(code);
}

std::string SpiffeIdFault(std::string_view id) {
  constexpr std::string_view kScheme = "spiffe://";
  auto plain = [](char c, bool upper) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_' ||
           (upper && c >= 'A' && c <= 'Z');
  };
  if (!id.starts_with(kScheme)) return "it does not start with spiffe://";
  if (id.size() > 2048) return "it is longer than 2048 bytes";
  id.remove_prefix(kScheme.size());
  size_t slash = id.find('/');
  std::string_view domain = id.substr(0, slash);
  if (domain.empty()) return "it has no trust domain";
  if (domain.size() > 255) return "its trust domain is longer than 255 bytes";
  for (char c : domain) {
    if (!plain(c, false)) return "its trust domain has a character other than a-z, 0-9, `.-_`";
  }
  if (slash == std::string_view::npos) return "";
  for (std::string_view segment : Split(id.substr(slash + 1), '/')) {
    if (segment.empty() || segment == "." || segment == "..") {
      return "its path has an empty or relative segment";
    }
    for (char c : segment) {
      if (!plain(c, true)) return "its path has a character other than a-z, A-Z, 0-9, `.-_`";
    }
  }
  return "";
}

std::string TimeText(int64_t seconds_since_epoch) {
  std::time_t time = static_cast<std::time_t>(seconds_since_epoch);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "?";
  std::array<char, 48> text{};
  size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text.data(), length);
}

std::string DateText(int64_t seconds_since_epoch) {
  std::time_t time = static_cast<std::time_t>(seconds_since_epoch);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "?";
  std::array<char, 32> text{};
  size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return std::string(text.data(), length);
}

}  // namespace meshproof
