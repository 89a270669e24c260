// What the certificates of gateways, clients and istiod's own CA say. istiod serves a Secret
// without reading more than its first block, and Envoy reads the whole chain: an expired
// intermediate, a key of another pair or a key that BoringSSL refuses breaks the listener or every
// handshake, and nothing but a client tells.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/pem.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/workload_index.h"
#include "crypto/base64.h"
#include "crypto/x509.h"

namespace meshproof::broken_certificate {
namespace {

constexpr int64_t kDay = 24 * 60 * 60;
constexpr int64_t kSoon = 30 * kDay;
constexpr int kMinRsaBits = 2048;
constexpr int kMinEcBits = 256;

// A value of a Secret in clear, with its place.
struct Value {
  std::string text;
  Span span;
};

std::optional<Value> ReadValue(const Secret& secret, std::string_view key) {
  if (const Node* node = NodeAt(secret.meta.node, {"stringData", key})) {
    return Value{std::string(node->text), SpanOf(secret.meta.file, *node)};
  }
  const Node* node = NodeAt(secret.meta.node, {"data", key});
  if (node == nullptr) return std::nullopt;
  auto decoded = DecodeBase64(node->text);
  if (!decoded) return std::nullopt;
  return Value{std::move(*decoded), SpanOf(secret.meta.file, *node)};
}

std::optional<Value> ReadFirst(const Secret& secret, std::initializer_list<std::string_view> keys) {
  for (std::string_view key : keys) {
    auto value = ReadValue(secret, key);
    if (value && !value->text.empty()) return value;
  }
  return std::nullopt;
}

std::string NameOf(const X509Certificate& certificate) {
  return "certificate \"" + certificate.subject + "\" (serial " + certificate.serial + ")";
}

// One thing that is wrong with a chain.
struct Problem {
  std::string what;
  std::string action;
  std::string detail;
  Severity severity = Severity::kWarning;
  bool istioctl = false;  // istioctl sees it too where it is the first block
};

void CheckDates(const X509Certificate& certificate, size_t index, int64_t now,
                std::vector<Problem>* problems) {
  const std::string which =
      (index == 0 ? "" : "block " + std::to_string(index + 1) + " of the chain, ") +
      NameOf(certificate);
  const std::string number = std::to_string(index);
  if (certificate.not_after <= now) {
    problems->push_back({which + " expired on " + DateText(certificate.not_after) +
                             ", so clients refuse every handshake",
                         "renew it", "expired/" + number, Severity::kWarning, true});
  } else if (certificate.not_before > now) {
    problems->push_back({which + " is valid from " + DateText(certificate.not_before) +
                             " on, so clients refuse every handshake until then",
                         "serve one that is valid now", "early/" + number, Severity::kWarning,
                         true});
  } else if (certificate.not_after - now < kSoon) {
    problems->push_back({which + " expires on " + DateText(certificate.not_after) + ", in " +
                             std::to_string((certificate.not_after - now) / kDay) + " days",
                         "renew it", "soon/" + number, Severity::kInfo, false});
  }
}

void CheckStrength(const X509Certificate& certificate, size_t index,
                   std::vector<Problem>* problems) {
  const std::string which =
      (index == 0 ? "" : "block " + std::to_string(index + 1) + " of the chain, ") +
      NameOf(certificate);
  const std::string number = std::to_string(index);
  const bool weak_rsa = certificate.key_type == "RSA" && certificate.key_bits < kMinRsaBits;
  const bool weak_ec = certificate.key_type == "EC" && certificate.key_bits < kMinEcBits;
  if (weak_rsa || weak_ec) {
    problems->push_back({which + " has a " + certificate.key_type + " key of " +
                             std::to_string(certificate.key_bits) +
                             " bits, which Envoy refuses to serve and clients refuse to trust",
                         "use RSA from 2048 or EC from 256 bits on", "key/" + number});
  }
  // Nobody verifies the signature of a root.
  if (certificate.weak_signature && !certificate.is_self_issued) {
    problems->push_back({which + " is signed with " + certificate.signature +
                             ", which clients no longer accept and which can be forged",
                         "have it signed with SHA-256", "signature/" + number});
  }
}

// What is wrong with certificates whatever they are for; `key` may be empty (not given).
std::vector<Problem> CheckChain(const std::string& chain, const std::string& key, int64_t now) {
  std::vector<Problem> problems;
  std::vector<CertificateBlock> blocks = ReadCertificates(chain);
  for (size_t i = 0; i < blocks.size(); ++i) {
    if (!blocks[i].certificate) {
      problems.push_back(
          {"block " + std::to_string(i + 1) +
               " of the chain holds no X.509 certificate, so Envoy refuses all of it",
           "replace it", "unreadable/" + std::to_string(i), Severity::kWarning, true});
      continue;
    }
    CheckDates(*blocks[i].certificate, i, now, &problems);
    CheckStrength(*blocks[i].certificate, i, &problems);
  }
  if (blocks.empty() || !blocks[0].certificate) return problems;
  auto key_id = key.empty() ? std::nullopt : PrivateKeyId(key);
  if (key_id && *key_id != blocks[0].certificate->key_id) {
    problems.push_back({"the private key beside " + NameOf(*blocks[0].certificate) +
                            " belongs to another certificate, so Envoy refuses the pair and the "
                            "listener serves nobody",
                        "put the key of this certificate there", "mismatch", Severity::kWarning,
                        true});
  }
  return problems;
}

// Whether some request to a host that the server takes can be answered under the certificate.
bool CoversServerHost(const X509Certificate& certificate, std::string_view host) {
  if (!host.starts_with('*')) return CoversHost(certificate, host);
  std::vector<std::string> names = certificate.dns_names;
  if (!certificate.has_alternative_names) names.push_back(certificate.common_name);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return HostsOverlap(name, host); });
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), index_(*analysis.index) {
    for (const Secret& secret : analysis.model.secrets) {
      secrets_[{secret.meta.ns, std::string(secret.meta.name)}] = &secret;
    }
  }

  void Check(const Gateway& gateway) {
    const std::set<std::string> namespaces = NamespacesOf(gateway);
    const Node* servers = NodeAt(gateway.meta.node, {"spec", "servers"});
    for (size_t i = 0; i < gateway.servers.size(); ++i) {
      const GatewayServer& server = gateway.servers[i];
      if (!server.tls) continue;
      const Node* tls = servers != nullptr && servers->items().size() == gateway.servers.size()
                            ? NodeAt(&servers->items()[i], {"tls"})
                            : nullptr;
      for (const std::string& ns : namespaces) CheckServer(gateway, server, tls, ns);
    }
  }

  void Check(const DestinationRule& rule) {
    if (!rule.workload_selector.present || !rule.policy) return;
    CheckClient(rule, rule.policy->tls);
    for (const TrafficPolicy::Port& port : rule.policy->ports) CheckClient(rule, port.tls);
  }

  void CheckGatewayApi(const ObjectMeta& meta) {
    for (const GatewayListener& listener : ListenersOf(meta)) {
      std::vector<const Secret*> found;
      Span place;
      for (const Node& ref : ListItems(NodeAt(listener.node, {"tls", "certificateRefs"}))) {
        const Node* name = NodeAt(&ref, {"name"});
        const Node* kind = NodeAt(&ref, {"kind"});
        if (name == nullptr || (kind != nullptr && kind->text != "Secret")) continue;
        const Node* ns = NodeAt(&ref, {"namespace"});
        const Secret* secret = Find(ns == nullptr ? meta.ns : std::string(ns->text), name->text);
        if (secret == nullptr) continue;
        if (!place) place = SpanOf(meta.file, *name);
        CheckPair(meta, SpanOf(meta.file, *name), *secret);
        found.push_back(secret);
      }
      if (found.empty() || listener.hostname.empty()) continue;
      CheckNames(meta, place, found, {listener.hostname});
    }
  }

  // The CA that istiod was given: `cacerts` of the root namespace.
  void CheckAuthority() {
    const Secret* secret = Find(analysis_.mesh.config().root_namespace, "cacerts");
    if (secret == nullptr) return;
    auto certificate = ReadValue(*secret, "ca-cert.pem");
    if (certificate) {
      auto key = ReadValue(*secret, "ca-key.pem");
      std::vector<Problem> problems =
          CheckChain(certificate->text, key ? key->text : "", analysis_.now);
      std::vector<CertificateBlock> blocks = ReadCertificates(certificate->text);
      if (!blocks.empty() && blocks[0].certificate && !blocks[0].certificate->is_ca) {
        problems.push_back({NameOf(*blocks[0].certificate) +
                                " is no CA (basicConstraints), so "
                                "nobody trusts the certificates that istiod signs with it",
                            "use a CA certificate", "no-ca"});
      }
      for (const Problem& problem : problems) AddAuthority(*secret, certificate->span, problem);
    }
    for (std::string_view key : {"cert-chain.pem", "root-cert.pem"}) {
      auto value = ReadValue(*secret, key);
      if (!value || (certificate && value->text == certificate->text)) continue;
      for (Problem problem : CheckChain(value->text, "", analysis_.now)) {
        problem.detail += "/" + std::string(key);
        AddAuthority(*secret, value->span, problem);
      }
    }
  }

 private:
  const Secret* Find(const std::string& ns, std::string_view name) const {
    size_t scheme = name.find("://");
    if (scheme != std::string_view::npos && name.substr(0, scheme) != "kubernetes") return nullptr;
    if (scheme != std::string_view::npos) name = name.substr(scheme + 3);
    auto found = secrets_.find({ns, std::string(name)});
    return found == secrets_.end() ? nullptr : found->second;
  }

  // Where the gateway's pods look credentials up; its own namespace where none are in the input.
  std::set<std::string> NamespacesOf(const Gateway& gateway) const {
    bool scoped = analysis_.mesh.FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false);
    std::set<std::string> namespaces;
    if (!gateway.selector.empty()) {
      for (const Workload* workload :
           index_.Selected(gateway.selector, scoped ? gateway.meta.ns : "")) {
        namespaces.insert(workload->ns);
      }
    }
    if (namespaces.empty()) namespaces.insert(gateway.meta.ns);
    return namespaces;
  }

  void CheckServer(const Gateway& gateway, const GatewayServer& server, const Node* tls,
                   const std::string& ns) {
    using Mode = TlsSettings::Mode;
    const TlsSettings::Mode mode = server.tls->mode;
    if (mode != Mode::kSimple && mode != Mode::kMutual && mode != Mode::kOptionalMutual) return;
    std::vector<std::pair<std::string_view, Span>> names;
    const Text& single = server.tls->credential_name;
    if (!single.value.empty()) names.emplace_back(single.value, single.span);
    for (const Node& name : ListItems(NodeAt(tls, {"credentialNames"}))) {
      names.emplace_back(name.text, SpanOf(gateway.meta.file, name));
    }
    std::vector<const Secret*> found;
    Span place;
    for (const auto& [name, span] : names) {
      const Secret* secret = Find(ns, name);
      if (secret == nullptr) continue;
      if (!place) place = span;
      CheckPair(gateway.meta, span, *secret);
      if (mode != Mode::kSimple) CheckCa(gateway.meta, span, *secret);
      found.push_back(secret);
    }
    const Node* ca = NodeAt(tls, {"caCertCredentialName"});
    if (ca != nullptr) {
      if (const Secret* secret = Find(ns, ca->text)) {
        CheckCa(gateway.meta, SpanOf(gateway.meta.file, *ca), *secret);
      }
    }
    // The names of a certificate that is not here are not known.
    if (found.empty() || found.size() < names.size()) return;
    std::vector<std::string_view> hosts;
    for (const Text& host : server.hosts.values) {
      std::string_view host_ns;
      hosts.push_back(HostOfServer(host.value, &host_ns));
    }
    CheckNames(gateway.meta, place, found, hosts);
  }

  void CheckClient(const DestinationRule& rule, const std::optional<ClientTls>& tls) {
    if (!tls || tls->credential_name.value.empty()) return;
    const Secret* secret = Find(rule.meta.ns, tls->credential_name.value);
    if (secret == nullptr) return;
    if (tls->mode == ClientTls::Mode::kMutual) {
      CheckPair(rule.meta, tls->credential_name.span, *secret);
    }
    CheckCa(rule.meta, tls->credential_name.span, *secret);
  }

  void CheckPair(const ObjectMeta& user, Span place, const Secret& secret) {
    auto chain = ReadFirst(secret, {"cert", "tls.crt"});
    if (!chain) return;
    auto key = ReadFirst(secret, {"key", "tls.key"});
    std::vector<Problem> problems = CheckChain(chain->text, key ? key->text : "", analysis_.now);
    std::vector<CertificateBlock> blocks = ReadCertificates(chain->text);
    if (!blocks.empty() && blocks[0].certificate) CheckLeaf(*blocks[0].certificate, &problems);
    for (const Problem& problem : problems) Add(user, place, secret, chain->span, problem);
  }

  static void CheckLeaf(const X509Certificate& leaf, std::vector<Problem>* problems) {
    if (leaf.is_ca) {
      problems->push_back({NameOf(leaf) +
                               " is a CA (basicConstraints CA:TRUE) and serves as a "
                               "leaf: strict clients refuse it, and who reads its key from the "
                               "proxy can sign for any name that clients trust it for",
                           "serve a leaf that the CA signed", "ca"});
    }
    if (!leaf.server_auth) {
      problems->push_back({NameOf(leaf) + " is not for servers (no serverAuth in its extended key "
                                          "usage), so clients refuse it",
                           "have it issued with serverAuth", "usage"});
    }
  }

  // A bundle works while one of its roots is valid.
  void CheckCa(const ObjectMeta& user, Span place, const Secret& secret) {
    const Secret* holder = &secret;
    auto bundle = ReadFirst(secret, {"cacert", "ca.crt"});
    if (!bundle) {
      const Secret* beside = Find(secret.meta.ns, std::string(secret.meta.name) + "-cacert");
      if (beside == nullptr) return;
      holder = beside;
      bundle = ReadFirst(*beside, {"cacert", "ca.crt"});
      if (!bundle) return;
    }
    std::vector<CertificateBlock> blocks = ReadCertificates(bundle->text);
    if (blocks.empty()) return;
    for (const CertificateBlock& block : blocks) {
      if (!block.certificate || block.certificate->not_after > analysis_.now) return;
    }
    Problem problem;
    problem.what = "the CA " + NameOf(*blocks[0].certificate) + " expired on " +
                   DateText(blocks[0].certificate->not_after) +
                   ", so every certificate of the other side is refused";
    problem.action = "put the current CA there";
    problem.detail = "ca-expired";
    Add(user, place, *holder, bundle->span, problem);
  }

  void CheckNames(const ObjectMeta& user, Span place, const std::vector<const Secret*>& secrets,
                  const std::vector<std::string_view>& hosts) {
    std::vector<X509Certificate> leaves;
    for (const Secret* secret : secrets) {
      auto chain = ReadFirst(*secret, {"cert", "tls.crt"});
      if (!chain) return;
      std::vector<CertificateBlock> blocks = ReadCertificates(chain->text);
      if (blocks.empty() || !blocks[0].certificate) return;
      leaves.push_back(std::move(*blocks[0].certificate));
    }
    for (std::string_view host : hosts) {
      if (host.empty() || host == "*") continue;
      bool covered = std::any_of(leaves.begin(), leaves.end(), [&](const X509Certificate& leaf) {
        return CoversServerHost(leaf, host);
      });
      if (covered) continue;
      std::vector<std::string> names;
      for (const X509Certificate& leaf : leaves) {
        names.insert(names.end(), leaf.dns_names.begin(), leaf.dns_names.end());
        names.insert(names.end(), leaf.addresses.begin(), leaf.addresses.end());
        if (!leaf.has_alternative_names) names.push_back(leaf.common_name);
      }
      Problem problem;
      problem.what = NameOf(leaves.front()) + " does not name host `" + std::string(host) +
                     "` (it names " + (names.empty() ? "nothing" : ListNames(names)) +
                     "), so clients of that host refuse it";
      problem.action = "serve one that names it";
      problem.detail = "host/" + std::string(host);
      Add(user, place, *secrets.front(), {}, problem);
    }
  }

  void Add(const ObjectMeta& user, Span place, const Secret& secret, Span value,
           const Problem& problem) {
    const std::string name = secret.meta.ns + "/" + std::string(secret.meta.name);
    // Several servers of one object share a credential.
    if (!said_.insert({&user, name, problem.detail}).second) return;
    Finding& finding = reporter_.Report(
        user, place, "Secret `" + name + "`: " + problem.what + "; " + problem.action);
    finding.severity = problem.severity;
    finding.field_path = FieldPathAt(*user.node, finding.span.begin);
    finding.detail = name + "/" + problem.detail;
    finding.fix = "Replace the certificate in Secret " + name + ".";
    finding.related.push_back({value ? value : secret.meta.span, "the certificate"});
    if (!problem.istioctl) finding.istioctl_codes.emplace();
  }

  void AddAuthority(const Secret& secret, Span place, const Problem& problem) {
    Finding& finding = reporter_.Report(
        secret.meta, place, "the CA of this mesh: " + problem.what + "; " + problem.action);
    finding.severity = problem.severity == Severity::kInfo ? Severity::kWarning : Severity::kError;
    finding.field_path = FieldPathAt(*secret.meta.node, place.begin);
    finding.detail = problem.detail;
    finding.fix = "Replace the CA of Secret " + secret.meta.ns + "/cacerts, roots first.";
    finding.istioctl_codes.emplace();
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const WorkloadIndex& index_;
  std::map<std::pair<std::string, std::string>, const Secret*> secrets_;  // by namespace, name
  std::set<std::tuple<const ObjectMeta*, std::string, std::string>> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  if (model.secrets.empty()) return;
  Checker checker(analysis, reporter);
  for (const Gateway& gateway : model.gateways) checker.Check(gateway);
  for (const DestinationRule& rule : model.destination_rules) checker.Check(rule);
  for (const OtherObject& object : model.others) {
    if (IsGatewayApi(object.meta, "Gateway")) checker.CheckGatewayApi(object.meta);
  }
  checker.CheckAuthority();
}

}  // namespace meshproof::broken_certificate
