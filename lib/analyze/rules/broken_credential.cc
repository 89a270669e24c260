// Secrets that gateways (and, with a workloadSelector, DestinationRules) name. istiod serves a
// credential to a gateway from the gateway's own namespace alone; it reads tls.crt and tls.key, or
// cert and key, and the CA of MUTUAL from cacert or ca.crt of the same Secret or of `NAME-cacert`.
#include <map>
#include <set>
#include <string>

#include "analyze/names.h"
#include "analyze/pem.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "analyze/workload_index.h"
#include "crypto/base64.h"
#include "model/labels.h"

namespace meshproof::broken_credential {
namespace {

// What the holder of a credential needs from it.
struct Need {
  bool certificate = true;
  bool ca = false;
};

// One reference to a credential.
struct Reference {
  const ObjectMeta& meta;
  std::string_view name;
  Span span;
  std::string ns;    // where it is looked up
  std::string user;  // "gateway doorway/doorway-gateway"
  Need need;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        names_(analysis.views->Names()),
        index_(*analysis.index) {
    for (const Secret& secret : analysis.model.secrets) {
      secrets_[{secret.meta.ns, std::string(secret.meta.name)}] = &secret;
    }
    for (const OtherObject& object : analysis.model.others) {
      if (object.meta.kind == "ReferenceGrant") grants_[object.meta.ns].push_back(&object.meta);
    }
    ReadGenerated();
  }

  void Check(const Gateway& gateway) {
    bool scoped = analysis_.mesh.FeatureEnabled("PILOT_SCOPE_GATEWAY_TO_NAMESPACE", false);
    std::vector<const Workload*> workloads;
    if (!gateway.selector.empty()) {
      workloads = index_.Selected(gateway.selector, scoped ? gateway.meta.ns : "");
    }
    // Which namespace counts is unknown while nobody is selected, and another rule says so.
    if (workloads.empty()) return;
    std::map<std::string, std::string> users;  // namespace -> workload
    for (const Workload* workload : workloads) {
      users.try_emplace(workload->ns, "gateway " + workload->ns + "/" + workload->name);
    }
    const Node* servers = NodeAt(gateway.meta.node, {"spec", "servers"});
    for (size_t i = 0; i < gateway.servers.size(); ++i) {
      if (!gateway.servers[i].tls) continue;
      const TlsSettings& tls = *gateway.servers[i].tls;
      const Node* node = servers != nullptr && servers->items().size() == gateway.servers.size()
                             ? NodeAt(&servers->items()[i], {"tls"})
                             : nullptr;
      for (const auto& [ns, user] : users) CheckServer(gateway.meta, tls, node, ns, user);
    }
  }

  void Check(const DestinationRule& rule) {
    if (!rule.workload_selector.present || !rule.policy) return;
    CheckClient(rule, rule.policy->tls);
    for (const TrafficPolicy::Port& port : rule.policy->ports) CheckClient(rule, port.tls);
  }

  void CheckOther(const OtherObject& object) {
    std::string_view group = GroupOfVersion(object.meta.api_version);
    if (object.meta.kind == "Gateway" && group == kGatewayApiGroup) return GatewayApi(object.meta);
    if (object.meta.kind != "WasmPlugin") return;
    const Node* secret = NodeAt(object.meta.node, {"spec", "imagePullSecret"});
    if (secret == nullptr || secret->text.empty()) return;
    Look({object.meta,
          secret->text,
          SpanOf(object.meta.file, *secret),
          object.meta.ns,
          "the plugin's proxies",
          {false, false}});
  }

 private:
  void CheckServer(const ObjectMeta& meta, const TlsSettings& tls, const Node* node,
                   const std::string& ns, const std::string& user) {
    using Mode = TlsSettings::Mode;
    if (tls.mode != Mode::kSimple && tls.mode != Mode::kMutual &&
        tls.mode != Mode::kOptionalMutual) {
      return;
    }
    const Node* ca = NodeAt(node, {"caCertCredentialName"});
    bool mutual = tls.mode != Mode::kSimple && ca == nullptr;
    if (!tls.credential_name.value.empty()) {
      Look({meta, tls.credential_name.value, tls.credential_name.span, ns, user, {true, mutual}});
    }
    if (const Node* names = NodeAt(node, {"credentialNames"})) {
      for (const Node& name : names->items()) {
        Look({meta, name.text, SpanOf(meta.file, name), ns, user, {true, mutual}});
      }
    }
    if (ca != nullptr && !ca->text.empty()) {
      Look({meta, ca->text, SpanOf(meta.file, *ca), ns, user, {false, true}});
    }
  }

  void CheckClient(const DestinationRule& rule, const std::optional<ClientTls>& tls) {
    if (!tls || tls->credential_name.value.empty()) return;
    bool mutual = tls->mode == ClientTls::Mode::kMutual;
    if (!mutual && tls->mode != ClientTls::Mode::kSimple) return;
    Look({rule.meta,
          tls->credential_name.value,
          tls->credential_name.span,
          rule.meta.ns,
          "the clients that the rule selects",
          {mutual, true}});
  }

  void GatewayApi(const ObjectMeta& meta) {
    const Node* listeners = NodeAt(meta.node, {"spec", "listeners"});
    if (listeners == nullptr) return;
    for (const Node& listener : listeners->items()) {
      const Node* refs = NodeAt(&listener, {"tls", "certificateRefs"});
      if (refs == nullptr) continue;
      for (const Node& ref : refs->items()) {
        const Node* name = NodeAt(&ref, {"name"});
        const Node* kind = NodeAt(&ref, {"kind"});
        if (name == nullptr || (kind != nullptr && kind->text != "Secret")) continue;
        const Node* ns = NodeAt(&ref, {"namespace"});
        Reference reference{meta,
                            name->text,
                            SpanOf(meta.file, *name),
                            ns == nullptr ? meta.ns : std::string(ns->text),
                            "the Gateway",
                            {true, false}};
        if (reference.ns != meta.ns && !IsGranted(meta.ns, reference)) {
          Add(reference,
              "the Secret of namespace " + reference.ns +
                  " may not be used from here: no ReferenceGrant there names Gateways of "
                  "namespace " +
                  meta.ns + ", so the listener has no certificate; add the grant",
              "Add a ReferenceGrant to namespace " + reference.ns + ".");
          continue;
        }
        Look(reference);
      }
    }
  }

  bool IsGranted(const std::string& from, const Reference& reference) const {
    auto grants = grants_.find(reference.ns);
    if (grants == grants_.end()) return false;
    for (const ObjectMeta* grant : grants->second) {
      const Node* sources = NodeAt(grant->node, {"spec", "from"});
      const Node* targets = NodeAt(grant->node, {"spec", "to"});
      bool granted_from = false;
      bool granted_to = false;
      for (const Node& source : sources == nullptr ? std::span<const Node>() : sources->items()) {
        const Node* ns = NodeAt(&source, {"namespace"});
        const Node* kind = NodeAt(&source, {"kind"});
        granted_from = granted_from || (ns != nullptr && ns->text == from && kind != nullptr &&
                                        kind->text == "Gateway");
      }
      for (const Node& target : targets == nullptr ? std::span<const Node>() : targets->items()) {
        const Node* name = NodeAt(&target, {"name"});
        const Node* kind = NodeAt(&target, {"kind"});
        granted_to = granted_to || (kind != nullptr && kind->text == "Secret" &&
                                    (name == nullptr || name->text == reference.name));
      }
      if (granted_from && granted_to) return true;
    }
    return false;
  }

  Finding& Add(const Reference& reference, std::string message, std::string fix) {
    Finding& finding = reporter_.Report(reference.meta, reference.span, std::move(message));
    finding.istioctl_codes.emplace();
    finding.field_path = FieldPathAt(*reference.meta.node, finding.span.begin);
    finding.detail = reference.ns + "/" + std::string(reference.name);
    finding.fix = std::move(fix);
    return finding;
  }

  void Look(const Reference& reference) {
    std::string name(reference.name);
    // Other providers: file://, sds://, builtin://.
    size_t scheme = name.find("://");
    if (scheme != std::string::npos && name.substr(0, scheme) != "kubernetes") return;
    if (scheme != std::string::npos) name = name.substr(scheme + 3);
    auto found = secrets_.find({reference.ns, name});
    if (found != secrets_.end()) return CheckContent(reference, *found->second);
    if (generated_.contains({reference.ns, name})) return;
    Missing(reference, name);
  }

  void Missing(const Reference& reference, const std::string& name) {
    std::string effect = reference.need.certificate
                             ? "the listener is not opened (or the handshake fails)"
                             : "what it was to verify or fetch fails";
    std::vector<std::string> elsewhere = names_.NamespacesOf("", "Secret", name);
    std::string head = "Secret `" + name + "` is not in namespace " + reference.ns + ", where " +
                       reference.user + " looks it up, so " + effect;
    if (!elsewhere.empty()) {
      Finding& finding = Add(reference,
                             head + "; it is in " + ListNames(elsewhere) +
                                 ", and credentials do not cross "
                                 "namespaces: move it",
                             "Move the Secret to namespace " + reference.ns + ".");
      finding.related.push_back(
          {secrets_.at({elsewhere.front(), name})->meta.span, "the Secret of that name"});
      finding.istioctl_codes = {"IST0101"};
      return;
    }
    const std::set<std::string>& known = names_.Objects("", "Secret", reference.ns);
    std::string nearest = NearestName(name, known);
    if (!nearest.empty()) {
      Finding& finding =
          Add(reference, head + "; did you mean `" + nearest + "`?", "Write `" + nearest + "`.");
      finding.edits.push_back({reference.span, nearest});
      finding.related.push_back(
          {secrets_.at({reference.ns, nearest})->meta.span, "the Secret of the nearest name"});
      finding.istioctl_codes = {"IST0101"};
      return;
    }
    if (!known.empty()) {
      Add(reference,
          head + "; create it, or name one that is there (" +
              ListNames({known.begin(), known.end()}) + ")",
          "Name a Secret of namespace " + reference.ns + ".")
          .istioctl_codes = {"IST0101"};
      return;
    }
    // Secrets are seldom kept beside manifests.
    if (!out_of_view_.insert(reference.ns).second) return;
    Finding& finding =
        Add(reference,
            "Secret `" + name + "` is outside my view: the input has no Secret of namespace " +
                reference.ns + ", where " + reference.user +
                " looks it up; make sure that it exists there",
            "");
    finding.certainty = Certainty::kCannotSee;
    finding.severity = Severity::kInfo;
    finding.istioctl_codes = {"IST0101"};
  }

  // The value of a key in clear; nothing where it is missing or no base64.
  static std::optional<std::string> ValueOf(const Secret& secret, std::string_view key,
                                            bool* broken) {
    for (const auto& [name, value] : secret.string_data) {
      if (name == key) return std::string(value);
    }
    for (const auto& [name, value] : secret.data) {
      if (name != key) continue;
      auto decoded = DecodeBase64(value);
      *broken = !decoded;
      return decoded;
    }
    return std::nullopt;
  }

  static std::string KeysOf(const Secret& secret) {
    std::vector<std::string> keys;
    for (const auto& [name, value] : secret.data) keys.push_back("`" + std::string(name) + "`");
    for (const auto& [name, value] : secret.string_data) {
      keys.push_back("`" + std::string(name) + "`");
    }
    return keys.empty() ? "nothing" : ListNames(keys, 6);
  }

  void Broken(const Reference& reference, const Secret& secret, const std::string& what,
              std::string code) {
    std::string effect = reference.need.certificate
                             ? "the gateway gets no certificate and refuses every handshake"
                             : "it is not used";
    Finding& finding =
        Add(reference,
            "Secret `" + secret.meta.ns + "/" + std::string(secret.meta.name) + "` " + what +
                ", so " + effect + "; put the certificate and its key there as PEM",
            "Put a PEM certificate into `tls.crt` and its key into `tls.key`.");
    finding.related.push_back({secret.meta.span, "the Secret"});
    if (!code.empty()) finding.istioctl_codes = {std::move(code)};
  }

  void CheckPem(const Reference& reference, const Secret& secret, std::string_view key,
                std::string_view label) {
    bool broken = false;
    auto value = ValueOf(secret, key, &broken);
    if (broken) {
      return Broken(reference, secret, "has no base64 under `" + std::string(key) + "`", "IST0161");
    }
    if (!value) return;
    std::string problem = PemProblem(*value, label);
    if (problem.empty()) return;
    Broken(reference, secret, "cannot be used: of `" + std::string(key) + "`, " + problem,
           "IST0161");
  }

  static bool Has(const Secret& secret, std::string_view key) {
    bool broken = false;
    auto value = ValueOf(secret, key, &broken);
    return broken || (value && !value->empty());
  }

  void CheckContent(const Reference& reference, const Secret& secret) {
    if (reference.need.certificate) {
      bool generic = Has(secret, "cert") && Has(secret, "key");
      bool tls = Has(secret, "tls.crt") && Has(secret, "tls.key");
      if (!generic && !tls) {
        return Broken(reference, secret,
                      "holds " + KeysOf(secret) +
                          ", and `tls.crt` with `tls.key` (or `cert` with `key`) are read",
                      "IST0161");
      }
      CheckPem(reference, secret, generic ? "cert" : "tls.crt", "CERTIFICATE");
      CheckPem(reference, secret, generic ? "key" : "tls.key", "PRIVATE KEY");
    }
    if (reference.need.ca) CheckCa(reference, secret);
  }

  void CheckCa(const Reference& reference, const Secret& secret) {
    for (std::string_view key : {"cacert", "ca.crt"}) {
      if (Has(secret, key)) return CheckPem(reference, secret, key, "CERTIFICATE");
    }
    auto beside = secrets_.find({secret.meta.ns, std::string(secret.meta.name) + "-cacert"});
    if (beside != secrets_.end()) {
      for (std::string_view key : {"cacert", "ca.crt"}) {
        if (Has(*beside->second, key)) {
          return CheckPem(reference, *beside->second, key, "CERTIFICATE");
        }
      }
    }
    // A CA bundle alone, as for caCertCredentialName, may stand under `cert` too.
    if (!reference.need.certificate && (Has(secret, "cert") || Has(secret, "tls.crt"))) return;
    Broken(reference, secret,
           "holds " + KeysOf(secret) +
               ", and the CA that verifies the other side is read from `ca.crt` or `cacert`, there "
               "or in `" +
               std::string(secret.meta.name) + "-cacert`",
           "IST0161");
  }

  // Secrets that controllers make out of other objects of the input.
  void ReadGenerated() {
    bool any = false;
    for (const Model::Skipped& skipped : analysis_.model.skipped) {
      any = any || skipped.kind == "Certificate" || skipped.kind == "SealedSecret" ||
            skipped.kind == "ExternalSecret";
    }
    if (!any) return;
    for (const RawObject& object :
         ObjectsOf(analysis_.objects, {"Certificate", "SealedSecret", "ExternalSecret"})) {
      const Node* name = object.kind == "Certificate" ? NodeAt(object.node, {"spec", "secretName"})
                         : object.kind == "ExternalSecret"
                             ? NodeAt(object.node, {"spec", "target", "name"})
                             : nullptr;
      std::string ns(object.ns.empty() ? "default" : object.ns);
      generated_.insert({ns, std::string(name == nullptr ? object.name : name->text)});
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const KnownNames& names_;
  const WorkloadIndex& index_;
  std::map<std::pair<std::string, std::string>, const Secret*> secrets_;  // by namespace, name
  std::map<std::string, std::vector<const ObjectMeta*>> grants_;          // by namespace
  std::set<std::pair<std::string, std::string>> generated_;
  std::set<std::string> out_of_view_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  const Model& model = analysis.model;
  Checker checker(analysis, reporter);
  for (const Gateway& gateway : model.gateways) checker.Check(gateway);
  for (const DestinationRule& rule : model.destination_rules) checker.Check(rule);
  for (const OtherObject& object : model.others) checker.CheckOther(object);
}

}  // namespace meshproof::broken_credential
