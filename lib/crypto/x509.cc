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

#include "base/text.h"

namespace meshproof {
namespace {

struct Deleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
  void operator()(BIGNUM* number) const { BN_free(number); }
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
  void operator()(EXTENDED_KEY_USAGE* usage) const { EXTENDED_KEY_USAGE_free(usage); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

Owned<BIO> Memory(std::string_view text) {
  return Owned<BIO>(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Contents(BIO* bio) {
  char* data = nullptr;
  auto size = BIO_get_mem_data(bio, &data);
  return size <= 0 ? std::string() : std::string(data, static_cast<size_t>(size));
}

std::string NameText(const X509_NAME* name) {
  Owned<BIO> bio(BIO_new(BIO_s_mem()));
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
  Owned<GENERAL_NAMES> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(x509, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  out->has_alternative_names = true;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) out->dns_names.push_back(Text(name->d.dNSName));
    if (name->type == GEN_URI) out->uris.push_back(Text(name->d.uniformResourceIdentifier));
    if (name->type == GEN_IPADD) out->addresses.push_back(AddressText(name->d.iPAddress));
  }
}

void ReadUsage(X509* x509, X509Certificate* out) {
  out->is_ca = X509_check_ca(x509) == 1;
  Owned<EXTENDED_KEY_USAGE> usage(static_cast<EXTENDED_KEY_USAGE*>(
      X509_get_ext_d2i(x509, NID_ext_key_usage, nullptr, nullptr)));
  if (usage == nullptr) return;
  out->server_auth = false;
  for (int i = 0; i < sk_ASN1_OBJECT_num(usage.get()); ++i) {
    int purpose = OBJ_obj2nid(sk_ASN1_OBJECT_value(usage.get(), i));
    if (purpose == NID_server_auth || purpose == NID_anyExtendedKeyUsage) out->server_auth = true;
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
  const char* name = OBJ_nid2ln(signature);
  out->signature = name == nullptr ? "" : name;
  int digest = NID_undef;
  OBJ_find_sigid_algs(signature, &digest, nullptr);
  out->weak_signature =
      digest == NID_md2 || digest == NID_md4 || digest == NID_md5 || digest == NID_sha1;
}

X509Certificate Read(X509* x509) {
  X509Certificate out;
  out.subject = NameText(X509_get_subject_name(x509));
  out.issuer = NameText(X509_get_issuer_name(x509));
  out.is_self_issued = X509_NAME_cmp(X509_get_subject_name(x509), X509_get_issuer_name(x509)) == 0;
  Owned<BIGNUM> serial(ASN1_INTEGER_to_BN(X509_get0_serialNumber(x509), nullptr));
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
    Owned<BIO> bio = Memory(block);
    Owned<X509> x509(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
    CertificateBlock read;
    if (x509 != nullptr) read.certificate = Read(x509.get());
    blocks.push_back(std::move(read));
  }
  return blocks;
}

std::optional<std::string> PrivateKeyId(std::string_view pem) {
  Owned<BIO> bio = Memory(pem);
  // Without a callback OpenSSL would ask the terminal for the passphrase of an encrypted key.
  auto refuse = [](char*, int, int, void*) { return -1; };
  Owned<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, refuse, nullptr));
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

std::string DateText(int64_t seconds_since_epoch) {
  std::time_t time = static_cast<std::time_t>(seconds_since_epoch);
  std::tm parts{};
  if (gmtime_r(&time, &parts) == nullptr) return "?";
  std::array<char, 32> text{};
  size_t length = std::strftime(text.data(), text.size(), "%Y-%m-%d", &parts);
  return std::string(text.data(), length);
}

}  // namespace meshproof
