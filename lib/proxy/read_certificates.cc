// Looks for the few shapes in which certificates stand, wherever they are nested, rather than for
// whole dumps: a single secret, a listener with a certificate of its own or a dump that is cut down
// by `?resource=` are read alike.

#include "proxy/read_certificates.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "crypto/base64.h"

namespace meshproof {
namespace {

constexpr std::string_view kPemBegin = "-----BEGIN ";
constexpr std::string_view kCertificateBegin = "-----BEGIN CERTIFICATE-----";

// The value of a proto field, in either spelling.
const Node* Field(const Node& node, std::string_view snake, std::string_view camel) {
  const Node* found = node.Find(snake);
  return found != nullptr ? found : node.Find(camel);
}

std::string TextOf(const Node& node, std::string_view key) {
  const Node* value = node.Find(key);
  return value != nullptr && value->kind == NodeKind::kScalar ? std::string(value->text) : "";
}

void AddPem(std::string_view pem, CertificateBundle* bundle) {
  for (auto& block : ReadCertificates(pem)) {
    if (block.certificate) {
      bundle->certificates.push_back(std::move(*block.certificate));
    } else {
      ++bundle->unreadable;
    }
  }
}

class Walker {
 public:
  Walker(const Document& document, size_t* next_group, std::vector<CertificateBundle>* out)
      : document_(document), next_group_(next_group), group_((*next_group)++), out_(*out) {}

  void Walk(const Node& node, std::string_view name) {
    if (node.IsSequence()) {
      for (const auto& item : node.items()) Walk(item, name);
      return;
    }
    if (!node.IsMapping()) return;
    if (TryKubernetes(node)) return;
    ReadNode(node);
    if (TryZtunnel(node)) return;
    std::string own = TextOf(node, "name");
    std::string_view below = own.empty() ? name : std::string_view(own);
    TryTlsCertificate(node, below);
    TryValidationContext(node, below);
    TryEmptySecret(node, below);
    for (const auto& entry : node.entries()) Walk(entry.value, below);
  }

  // The identity of the node counts for all that the dump holds, wherever it stands.
  const std::string& identity() const { return identity_; }

 private:
  CertificateBundle& Add(const Node& node, std::string_view what, CertificateRole role) {
    CertificateBundle& bundle = out_.emplace_back();
    bundle.source = document_.file().name() + (what.empty() ? "" : " " + std::string(what));
    bundle.role = role;
    bundle.span = document_.SpanOf(node);
    bundle.group = group_;
    return bundle;
  }

  // envoy.config.core.v3.DataSource.
  void AddDataSource(const Node& source, CertificateBundle* bundle) {
    if (const Node* bytes = Field(source, "inline_bytes", "inlineBytes")) {
      auto pem = DecodeBase64(bytes->text);
      if (!pem) {
        bundle->note = "inline_bytes is not base64";
      } else {
        AddPem(*pem, bundle);
        if (bundle->certificates.empty() && bundle->unreadable == 0) {
          bundle->note = *pem == "[redacted]" ? "it is redacted" : "it holds no certificate";
        }
      }
    } else if (const Node* text = Field(source, "inline_string", "inlineString")) {
      AddPem(text->text, bundle);
      if (bundle->certificates.empty() && bundle->unreadable == 0) {
        bundle->note = "it holds no certificate";
      }
    } else if (const Node* file = source.Find("filename")) {
      bundle->note = "it is the proxy's own file " + std::string(file->text);
    } else {
      bundle->note = "it holds no certificate";
    }
  }

  void TryTlsCertificate(const Node& node, std::string_view name) {
    for (std::string_view key : {"tls_certificate", "tlsCertificate"}) {
      const Node* certificate = node.Find(key);
      if (certificate == nullptr || !certificate->IsMapping()) continue;
      AddCertificate(*certificate, name);
    }
    for (std::string_view key : {"tls_certificates", "tlsCertificates"}) {
      const Node* certificates = node.Find(key);
      if (certificates == nullptr) continue;
      for (const auto& one : certificates->items()) AddCertificate(one, name);
    }
  }

  void AddCertificate(const Node& certificate, std::string_view name) {
    const Node* chain = Field(certificate, "certificate_chain", "certificateChain");
    if (chain == nullptr || !chain->IsMapping()) return;
    auto& bundle = Add(certificate, "secret " + std::string(name), CertificateRole::kWorkload);
    AddDataSource(*chain, &bundle);
    // A gateway's certificate for hosts has no identity; the mesh's own secret has to have one.
    bool server = name != "default" && !bundle.certificates.empty() &&
                  bundle.certificates.front().uris.empty();
    if (server) bundle.role = CertificateRole::kServer;
  }

  void TryValidationContext(const Node& node, std::string_view name) {
    const Node* context = Field(node, "validation_context", "validationContext");
    if (context == nullptr || !context->IsMapping()) return;
    std::string what = "secret " + std::string(name);
    if (const Node* ca = Field(*context, "trusted_ca", "trustedCa")) {
      AddDataSource(*ca, &Add(*ca, what, CertificateRole::kAuthority));
    }
    const Node* custom = Field(*context, "custom_validator_config", "customValidatorConfig");
    if (custom == nullptr) return;
    const Node* config = Field(*custom, "typed_config", "typedConfig");
    if (config == nullptr) return;
    const Node* domains = Field(*config, "trust_domains", "trustDomains");
    if (domains == nullptr) return;
    for (const auto& domain : domains->items()) {
      const Node* trust_bundle = Field(domain, "trust_bundle", "trustBundle");
      if (trust_bundle == nullptr) continue;
      auto& bundle = Add(domain, what, CertificateRole::kAuthority);
      bundle.trust_domain = TextOf(domain, "name");
      AddDataSource(*trust_bundle, &bundle);
    }
  }

  // A secret that istiod has not delivered: a name and nothing else.
  void TryEmptySecret(const Node& node, std::string_view name) {
    const Node* secret = node.Find("secret");
    if (secret == nullptr || !secret->IsMapping() || name.empty()) return;
    bool dumped = node.Find("last_updated") != nullptr || node.Find("lastUpdated") != nullptr;
    bool filled = Field(*secret, "tls_certificate", "tlsCertificate") != nullptr ||
                  Field(*secret, "validation_context", "validationContext") != nullptr ||
                  Field(*secret, "session_ticket_keys", "sessionTicketKeys") != nullptr ||
                  Field(*secret, "generic_secret", "genericSecret") != nullptr;
    if (!dumped || filled) return;
    Add(*secret, "secret " + std::string(name), CertificateRole::kWorkload).note =
        "the proxy waits for it: it was not delivered";
  }

  // envoy.config.core.v3.Node of the bootstrap.
  void ReadNode(const Node& node) {
    const Node* self = node.Find("node");
    const Node* metadata = self == nullptr ? nullptr : self->Find("metadata");
    if (metadata == nullptr) return;
    std::string ns = TextOf(*metadata, "NAMESPACE");
    std::string account = TextOf(*metadata, "SERVICE_ACCOUNT");
    if (!ns.empty() && !account.empty()) identity_ = "/ns/" + ns + "/sa/" + account;
  }

  // An entry of a ztunnel dump's `certificates`: whose it is, and the chain.
  bool TryZtunnel(const Node& node) {
    const Node* chain = Field(node, "cert_chain", "certChain");
    if (chain == nullptr || node.Find("identity") == nullptr) return false;
    std::string identity = TextOf(node, "identity");
    size_t group = (*next_group_)++;
    auto add = [&](const Node& list, CertificateRole role) {
      auto& bundle = Add(list, "certificate of " + identity, role);
      bundle.group = group;
      if (role == CertificateRole::kWorkload) bundle.identity = identity;
      for (const auto& item : list.items()) {
        std::string pem = TextOf(item, "pem");
        if (auto decoded = DecodeBase64(pem)) pem = *decoded;
        AddPem(pem, &bundle);
      }
      if (bundle.certificates.empty()) {
        std::string state = TextOf(node, "state");
        bundle.note = "ztunnel has none" + (state.empty() ? "" : ", state " + state);
      }
    };
    add(*chain, CertificateRole::kWorkload);
    for (std::string_view key : {"caCert", "rootCerts", "ca_cert", "root_certs"}) {
      const Node* roots = node.Find(key);
      if (roots != nullptr && !roots->items().empty()) add(*roots, CertificateRole::kAuthority);
    }
    return true;
  }

  bool TryKubernetes(const Node& node) {
    std::string kind = TextOf(node, "kind");
    if (TextOf(node, "apiVersion") != "v1" || (kind != "Secret" && kind != "ConfigMap")) {
      return false;
    }
    std::string name = "?";
    if (const Node* metadata = node.Find("metadata")) {
      std::string ns = TextOf(*metadata, "namespace");
      name = (ns.empty() ? "" : ns + "/") + TextOf(*metadata, "name");
    }
    size_t group = (*next_group_)++;
    for (std::string_view part : {"data", "stringData"}) {
      const Node* data = node.Find(part);
      if (data == nullptr) continue;
      for (const auto& entry : data->entries()) {
        bool encoded = part == "data" && kind == "Secret";
        std::string text(entry.value.text);
        if (encoded) {
          auto decoded = DecodeBase64(text);
          if (!decoded) continue;
          text = *decoded;
        }
        if (text.find(kCertificateBegin) == std::string::npos) continue;
        auto& bundle = Add(entry.value, kind + " " + name + " " + std::string(entry.key.text),
                           CertificateRole::kAuthority);
        bundle.group = group;
        AddPem(text, &bundle);
        if (!IsAuthority(entry.key.text, bundle)) {
          bool identity = !bundle.certificates.empty() && !bundle.certificates.front().uris.empty();
          bundle.role = identity ? CertificateRole::kWorkload : CertificateRole::kServer;
        }
      }
    }
    return true;
  }

  // By the names that Kubernetes and Istio give them, else by what they are.
  static bool IsAuthority(std::string_view key, const CertificateBundle& bundle) {
    constexpr std::array kAuthorities = {"ca.crt",        "cacert",         "ca-cert.pem",
                                         "root-cert.pem", "cert-chain.pem", "caCert"};
    constexpr std::array kLeaves = {"tls.crt", "cert"};
    if (std::find(kAuthorities.begin(), kAuthorities.end(), key) != kAuthorities.end()) return true;
    if (std::find(kLeaves.begin(), kLeaves.end(), key) != kLeaves.end()) return false;
    return !bundle.certificates.empty() && bundle.certificates.front().is_ca;
  }

  const Document& document_;
  size_t* next_group_;
  size_t group_;
  std::vector<CertificateBundle>& out_;
  std::string identity_;
};

}  // namespace

bool LooksLikePem(std::string_view text) {
  // At the start of a line: in a manifest it is indented, or stands behind a key.
  if (text.starts_with(kPemBegin)) return true;
  return text.find("\n-----BEGIN ") != std::string_view::npos;
}

bool LooksLikeDer(std::string_view text) {
  return text.size() > 4 && text[0] == '\x30' && text[1] == '\x82';
}

CertificateBundle ReadCertificateFile(std::string name, std::string_view text) {
  CertificateBundle bundle;
  bundle.source = std::move(name);
  if (LooksLikeDer(text)) {
    if (auto certificate = ReadDerCertificate(text)) {
      bundle.certificates.push_back(std::move(*certificate));
    } else {
      ++bundle.unreadable;
    }
  } else {
    AddPem(text, &bundle);
  }
  if (!bundle.certificates.empty() && bundle.certificates.front().is_ca) {
    bundle.role = CertificateRole::kAuthority;
  }
  if (bundle.certificates.empty() && bundle.unreadable == 0) {
    bundle.note = "it holds no certificate";
  }
  return bundle;
}

std::vector<CertificateBundle> ReadCertificates(const ParsedFile& file, size_t* next_group) {
  std::vector<CertificateBundle> bundles;
  for (const auto& document : file.documents) {
    if (document.root() == nullptr) continue;
    size_t first = bundles.size();
    size_t group = *next_group;
    Walker walker(document, next_group, &bundles);
    walker.Walk(*document.root(), "");
    for (size_t i = first; i < bundles.size(); ++i) {
      bool mesh = bundles[i].group == group && bundles[i].role == CertificateRole::kWorkload;
      if (mesh) bundles[i].identity = walker.identity();
    }
  }
  return bundles;
}

}  // namespace meshproof
