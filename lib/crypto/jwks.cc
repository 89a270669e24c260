// Key sets as Envoy's jwt_authn loads them, and the choice of keys for a token (envoy-facts section
// 2.4). What BoringSSL refuses and OpenSSL takes is refused here too.
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <utility>

#include "crypto/jwt.h"
#include "crypto/struct_json.h"

namespace meshproof {
namespace {

template <typename T, void (*kFree)(T*)>
struct Deleter {
  void operator()(T* object) const { kFree(object); }
};
template <typename T, void (*kFree)(T*)>
using Owned = std::unique_ptr<T, Deleter<T, kFree>>;

using OwnedNumber = Owned<BIGNUM, BN_free>;
using OwnedKey = Owned<EVP_PKEY, EVP_PKEY_free>;
using OwnedKeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using OwnedDigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using OwnedParameters = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using OwnedParameterBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using OwnedSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;
using OwnedCertificate = Owned<X509, X509_free>;

struct BioDeleter {
  void operator()(BIO* bio) const { BIO_free(bio); }
};

// BoringSSL's limits on the modulus of a public key.
constexpr int kMinModulusBits = 512;
constexpr int kMaxModulusBits = 16384;
constexpr size_t kEd25519KeyLength = 32;
constexpr size_t kEd25519SignatureLength = 64;

constexpr std::string_view kCertificatePrefix = "-----BEGIN CERTIFICATE-----\n";
constexpr std::string_view kCertificateSuffix = "\n-----END CERTIFICATE-----\n";

enum class KeyType { kRsa, kEc, kOct, kOkp };

const unsigned char* Bytes(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

struct Curve {
  std::string_view name;  // "crv"
  std::string_view alg;
  const char* group;
  size_t field_bytes;
};
constexpr Curve kCurves[] = {{"P-256", "ES256", "prime256v1", 32},
                             {"P-384", "ES384", "secp384r1", 48},
                             {"P-521", "ES512", "secp521r1", 66}};

OwnedNumber ToNumber(std::string_view bytes) {
  if (bytes.size() > 1U << 20) return nullptr;
  return OwnedNumber(BN_bin2bn(Bytes(bytes), static_cast<int>(bytes.size()), nullptr));
}

OwnedKey MakeKey(const char* type, OSSL_PARAM_BLD* builder) {
  OwnedParameters parameters(OSSL_PARAM_BLD_to_param(builder));
  OwnedKeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  EVP_PKEY* key = nullptr;
  if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
      EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1) {
    return nullptr;
  }
  return OwnedKey(key);
}

bool IsGoodModulus(const BIGNUM* n) {
  int bits = BN_num_bits(n);
  return bits >= kMinModulusBits && bits <= kMaxModulusBits && BN_is_odd(n) == 1;
}

OwnedKey MakeRsaKey(std::string_view n, std::string_view e) {
  OwnedNumber modulus = ToNumber(n);
  OwnedNumber exponent = ToNumber(e);
  if (!modulus || !exponent) return nullptr;
  if (BN_is_word(exponent.get(), 3) == 0 && BN_is_word(exponent.get(), 65537) == 0) return nullptr;
  if (!IsGoodModulus(modulus.get())) return nullptr;
  OwnedParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) != 1 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) != 1) {
    return nullptr;
  }
  return MakeKey("RSA", builder.get());
}

// `coordinate` as exactly `length` bytes; nothing where it is too large.
std::optional<std::string> Padded(std::string_view coordinate, size_t length) {
  while (!coordinate.empty() && coordinate[0] == '\0') coordinate.remove_prefix(1);
  if (coordinate.size() > length) return std::nullopt;
  return std::string(length - coordinate.size(), '\0') + std::string(coordinate);
}

// Null where the point does not lie on the curve.
OwnedKey MakeEcKey(const Curve& curve, std::string_view x, std::string_view y) {
  auto padded_x = Padded(x, curve.field_bytes);
  auto padded_y = Padded(y, curve.field_bytes);
  if (!padded_x || !padded_y) return nullptr;
  std::string point = "\x04" + *padded_x + *padded_y;
  OwnedParameterBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder ||
      OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group, 0) !=
          1 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                       point.size()) != 1) {
    return nullptr;
  }
  return MakeKey("EC", builder.get());
}

// SHA-256 where the token's algorithm is not one of the key's own type: only the type of the key
// decides what is computed.
const EVP_MD* DigestOf(std::string_view alg, std::string_view family) {
  if (!alg.starts_with(family)) return EVP_sha256();
  std::string_view bits = alg.substr(family.size());
  return bits == "384" ? EVP_sha384() : bits == "512" ? EVP_sha512() : EVP_sha256();
}

bool VerifyRsa(EVP_PKEY* key, const Jwt& jwt) {
  bool pss = jwt.alg.starts_with("PS");
  if (!pss && !jwt.alg.starts_with("RS")) return false;
  const EVP_MD* digest = DigestOf(jwt.alg, pss ? "PS" : "RS");
  OwnedDigestContext context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* settings = nullptr;
  if (!context || EVP_DigestVerifyInit(context.get(), &settings, digest, nullptr, key) != 1) {
    return false;
  }
  if (pss && (EVP_PKEY_CTX_set_rsa_padding(settings, RSA_PKCS1_PSS_PADDING) != 1 ||
              EVP_PKEY_CTX_set_rsa_pss_saltlen(settings, RSA_PSS_SALTLEN_DIGEST) != 1 ||
              EVP_PKEY_CTX_set_rsa_mgf1_md(settings, digest) != 1)) {
    return false;
  }
  return EVP_DigestVerify(context.get(), Bytes(jwt.signature), jwt.signature.size(),
                          Bytes(jwt.signed_part), jwt.signed_part.size()) == 1;
}

// The two halves of the signature are r and s; of an odd number of bytes the last is ignored.
std::string EcSignatureToDer(std::string_view signature) {
  size_t half = signature.size() / 2;
  OwnedNumber r = ToNumber(signature.substr(0, half));
  OwnedNumber s = ToNumber(signature.substr(half, half));
  OwnedSignature pair(ECDSA_SIG_new());
  if (!r || !s || !pair || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) return "";
  // They are owned by `pair` now.
  BIGNUM* kept_r = r.release();
  BIGNUM* kept_s = s.release();
  static_cast<void>(kept_r);
  static_cast<void>(kept_s);
  unsigned char* der = nullptr;
  int length = i2d_ECDSA_SIG(pair.get(), &der);
  if (length <= 0) return "";
  std::string text(reinterpret_cast<const char*>(der), static_cast<size_t>(length));
  OPENSSL_free(der);
  return text;
}

bool VerifyEc(EVP_PKEY* key, const Jwt& jwt) {
  std::string der = EcSignatureToDer(jwt.signature);
  if (der.empty()) return false;
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (EVP_Digest(jwt.signed_part.data(), jwt.signed_part.size(), digest, &length,
                 DigestOf(jwt.alg, "ES"), nullptr) != 1) {
    return false;
  }
  OwnedKeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  return context && EVP_PKEY_verify_init(context.get()) == 1 &&
         EVP_PKEY_verify(context.get(), Bytes(der), der.size(), digest, length) == 1;
}

bool VerifyHmac(const std::string& secret, const Jwt& jwt) {
  unsigned char code[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  if (HMAC(DigestOf(jwt.alg, "HS"), secret.data(), static_cast<int>(secret.size()),
           Bytes(jwt.signed_part), jwt.signed_part.size(), code, &length) == nullptr) {
    return false;
  }
  return length == jwt.signature.size() && CRYPTO_memcmp(code, jwt.signature.data(), length) == 0;
}

bool VerifyEd25519(EVP_PKEY* key, const Jwt& jwt) {
  OwnedDigestContext context(EVP_MD_CTX_new());
  return context && EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key) == 1 &&
         EVP_DigestVerify(context.get(), Bytes(jwt.signature), jwt.signature.size(),
                          Bytes(jwt.signed_part), jwt.signed_part.size()) == 1;
}

}  // namespace

struct Jwks::Key {
  std::string kid;
  std::string alg;
  KeyType type = KeyType::kRsa;
  OwnedKey key;        // null for kOct
  std::string secret;  // kOct
};

namespace {

// A member of a key: absent, not a string, or its text.
enum class Found { kMissing, kWrongType, kString };

Found FindString(const Json& object, const char* name, std::string* out) {
  const Json* value = object.Find(name);
  if (value == nullptr) return Found::kMissing;
  if (!value->is_string()) return Found::kWrongType;
  *out = value->as_string();
  return Found::kString;
}

// Each Load function returns Envoy's text of the failure, "" where there is none.
std::string NeedString(const Json& jwk, const char* name, const char* owner, std::string* out) {
  switch (FindString(jwk, name, out)) {
    case Found::kMissing:
      return "[" + std::string(name) + "] field is missing for " + owner;
    case Found::kWrongType:
      return "[" + std::string(name) + "] field is not string for " + owner;
    case Found::kString:
      break;
  }
  return "";
}

std::string LoadRsa(const Json& jwk, Jwks::Key* key) {
  if (!key->alg.empty() && !key->alg.starts_with("RS") && !key->alg.starts_with("PS")) {
    return "[alg] is not started with [RS] or [PS] for an RSA key";
  }
  std::string n;
  std::string e;
  if (std::string bad = NeedString(jwk, "n", "a RSA key", &n); !bad.empty()) return bad;
  if (std::string bad = NeedString(jwk, "e", "a RSA key", &e); !bad.empty()) return bad;
  auto modulus = DecodeBase64Url(n);
  auto exponent = DecodeBase64Url(e);
  key->type = KeyType::kRsa;
  if (modulus && exponent) key->key = MakeRsaKey(*modulus, *exponent);
  return key->key ? "" : "Jwks RSA [n] or [e] field is missing or has a parse error";
}

// The curve is named by `crv` or else by `alg`; a key that names neither is on P-256.
std::string ChooseCurve(const std::string& alg, const std::string& name, const Curve** out) {
  for (const Curve& curve : kCurves) {
    if (alg.empty() && name.empty()) {
      *out = &kCurves[0];
      return "";
    }
    bool by_alg = curve.alg == alg;
    bool by_name = curve.name == name;
    if ((by_alg && by_name) || (by_alg && name.empty()) || (by_name && alg.empty())) {
      *out = &curve;
      return "";
    }
  }
  return !alg.empty() && !name.empty()
             ? "[crv] field specified is not compatible with [alg] for an EC key"
             : "[crv] or [alg] field is not supported for an EC key";
}

std::string LoadEc(const Json& jwk, Jwks::Key* key) {
  if (!key->alg.empty() && !key->alg.starts_with("ES")) {
    return "[alg] is not started with [ES] for an EC key";
  }
  std::string name;
  if (FindString(jwk, "crv", &name) == Found::kWrongType) {
    return "[crv] field is not string for an EC key";
  }
  const Curve* curve = nullptr;
  std::string x;
  std::string y;
  if (std::string bad = ChooseCurve(key->alg, name, &curve); !bad.empty()) return bad;
  if (std::string bad = NeedString(jwk, "x", "an EC key", &x); !bad.empty()) return bad;
  if (std::string bad = NeedString(jwk, "y", "an EC key", &y); !bad.empty()) return bad;
  auto x_bytes = DecodeBase64Url(x);
  auto y_bytes = DecodeBase64Url(y);
  if (!x_bytes || !y_bytes) return "Jwks EC [x] or [y] field is an invalid Base64.";
  key->type = KeyType::kEc;
  key->key = MakeEcKey(*curve, *x_bytes, *y_bytes);
  return key->key ? "" : "Jwks EC [x] and [y] fields have a parse error.";
}

std::string LoadOct(const Json& jwk, Jwks::Key* key) {
  if (!key->alg.empty() && key->alg != "HS256" && key->alg != "HS384" && key->alg != "HS512") {
    return "[alg] does not start with [HS] for an HMAC key";
  }
  std::string k;
  if (std::string bad = NeedString(jwk, "k", "an HMAC key", &k); !bad.empty()) return bad;
  auto secret = DecodeBase64Url(k);
  if (!secret || secret->empty()) return "Jwks Oct key is an invalid Base64";
  key->type = KeyType::kOct;
  key->secret = std::move(*secret);
  return "";
}

std::string LoadOkp(const Json& jwk, Jwks::Key* key) {
  if (!key->alg.empty() && key->alg != "EdDSA") return "[alg] is not [EdDSA] for an OKP key";
  std::string name;
  std::string x;
  if (std::string bad = NeedString(jwk, "crv", "an OKP key", &name); !bad.empty()) return bad;
  if (name != "Ed25519") return "[crv] field is not supported for an OKP key";
  if (std::string bad = NeedString(jwk, "x", "an OKP key", &x); !bad.empty()) return bad;
  auto raw = DecodeBase64Url(x);
  if (!raw) return "Jwks OKP [x] field is an invalid Base64.";
  if (raw->size() != kEd25519KeyLength) return "Jwks OKP [x] field is wrong length.";
  key->type = KeyType::kOkp;
  key->key.reset(
      EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, Bytes(*raw), kEd25519KeyLength));
  return "";
}

std::string LoadKey(const Json& jwk, Jwks::Key* key) {
  std::string type;
  switch (FindString(jwk, "kty", &type)) {
    case Found::kMissing:
      return "[kty] is missing in [keys]";
    case Found::kWrongType:
      return "[kty] is bad in [keys]";
    case Found::kString:
      break;
  }
  FindString(jwk, "kid", &key->kid);
  FindString(jwk, "alg", &key->alg);
  if (type == "EC") return LoadEc(jwk, key);
  if (type == "RSA") return LoadRsa(jwk, key);
  if (type == "oct") return LoadOct(jwk, key);
  if (type == "OKP") return LoadOkp(jwk, key);
  return "[kty] is not supported in [keys]";
}

bool IsCertificateMap(const Json& set) {
  for (const auto& [kid, value] : set.as_object()) {
    if (kid.empty() || !value.is_string() || !value.as_string().starts_with(kCertificatePrefix) ||
        !value.as_string().ends_with(kCertificateSuffix)) {
      return false;
    }
  }
  return !set.as_object().empty();
}

std::string LoadCertificate(const std::string& pem, Jwks::Key* key) {
  std::unique_ptr<BIO, BioDeleter> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  OwnedCertificate certificate(bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)
                                   : nullptr);
  if (!certificate) return "X509 parse pubkey fails";
  key->type = KeyType::kRsa;
  key->key.reset(X509_get_pubkey(certificate.get()));
  if (!key->key || EVP_PKEY_get_base_id(key->key.get()) != EVP_PKEY_RSA) {
    return "X509 parse pubkey internal fails: get pubkey";
  }
  return "";
}

std::string LoadCertificates(const Json& set, std::vector<Jwks::Key>* keys) {
  for (const auto& [kid, pem] : set.as_object()) {
    Jwks::Key key;
    key.kid = kid;
    if (std::string bad = LoadCertificate(pem.as_string(), &key); !bad.empty()) return bad;
    keys->push_back(std::move(key));
  }
  return "";
}

constexpr const char* kNoKeys = "Jwks doesn't have any valid public key";

// A key that cannot be used is passed over; the first reason counts where none can be used.
std::string LoadKeys(const Json::Array& entries, std::vector<Jwks::Key>* keys) {
  std::string first_reason;
  for (const Json& entry : entries) {
    if (!entry.is_object()) continue;
    Jwks::Key key;
    std::string bad = LoadKey(entry, &key);
    if (bad.empty()) {
      keys->push_back(std::move(key));
    } else if (first_reason.empty()) {
      first_reason = bad;
    }
  }
  if (!keys->empty()) return "";
  return first_reason.empty() ? kNoKeys : first_reason;
}

std::string LoadSet(std::string_view text, std::vector<Jwks::Key>* keys) {
  if (text.empty()) return "";
  auto set = ParseStructJson(text);
  if (!set) return "Jwks is an invalid JSON";
  const Json* entries = set->Find("keys");
  if (entries == nullptr) {
    if (IsCertificateMap(*set)) return LoadCertificates(*set, keys);
    return "Jwks does not have [keys] field";
  }
  if (!entries->is_array()) return "[keys] in Jwks is not an array";
  return LoadKeys(entries->as_array(), keys);
}

}  // namespace

Jwks Jwks::Parse(std::string_view text) {
  auto keys = std::make_shared<std::vector<Key>>();
  Jwks set;
  set.status_.text = LoadSet(text, keys.get());
  ERR_clear_error();
  if (set.status_.ok()) set.keys_ = std::move(keys);
  return set;
}

size_t Jwks::size() const {
  return keys_ ? keys_->size() : 0;
}

JwtStatus Jwks::Verify(const Jwt& jwt) const {
  if (!status_.ok()) return status_;
  if (size() == 0) return {kNoKeys};
  bool candidate = false;
  bool verified = false;
  for (size_t i = 0; i < size() && !verified; ++i) {
    const Key& key = (*keys_)[i];
    bool other_kid = jwt.kid && !jwt.kid->empty() && !key.kid.empty() && *jwt.kid != key.kid;
    if (other_kid || (!key.alg.empty() && key.alg != jwt.alg)) continue;
    candidate = true;
    switch (key.type) {
      case KeyType::kRsa:
        verified = VerifyRsa(key.key.get(), jwt);
        break;
      case KeyType::kEc:
        verified = VerifyEc(key.key.get(), jwt);
        break;
      case KeyType::kOct:
        verified = VerifyHmac(key.secret, jwt);
        break;
      case KeyType::kOkp:
        if (jwt.signature.size() != kEd25519SignatureLength) {
          return {"Jwt ED25519 signature is wrong length"};
        }
        verified = key.key && VerifyEd25519(key.key.get(), jwt);
        break;
    }
  }
  ERR_clear_error();
  if (verified) return {};
  return {candidate ? "Jwt verification fails"
                    : "Jwks doesn't have key to match kid or alg from Jwt"};
}

}  // namespace meshproof
