// Ports that take plaintext because somebody said so. Effective modes come from the chain mesh <
// namespace < workload < port (istio-semantics section 4); nobody saying anything is Istio's
// default and is reported only where auto mTLS, which would still make clients use mTLS, is off.
// A weak port of a STRICT workload is weaker-port-mtls, a DISABLE towards a STRICT port
// mtls-disagreement.
#include <map>
#include <string>
#include <vector>

#include "analyze/client_tls_sites.h"
#include "analyze/mesh_config_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"

namespace meshproof::permissive_mtls {
namespace {

struct WeakPort {
  const Workload* workload = nullptr;
  int port = 0;  // 0: every port of it
  Protocol protocol = Protocol::kAuto;
};

// Everything that one field makes weak.
struct Weakness {
  const PeerAuthentication* policy = nullptr;
  Span span;
  MtlsMode mode = MtlsMode::kPermissive;
  bool sure = true;
  std::vector<WeakPort> ports;
};

std::string_view Name(MtlsMode mode) {
  return mode == MtlsMode::kDisable ? "DISABLE" : "PERMISSIVE";
}

std::string Say(const std::vector<WeakPort>& ports) {
  std::vector<std::string> places;
  for (const WeakPort& port : ports) {
    std::string place = port.workload->ns + "/" + port.workload->name;
    if (port.port != 0) place += ":" + std::to_string(port.port);
    places.push_back(std::move(place));
  }
  return SayPlaces(places);
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), survey_(analysis) {}

  void Run() {
    for (const Workload& workload : analysis_.mesh.workloads()) CheckWorkload(workload);
    for (const auto& [place, weakness] : by_place_) Report(weakness);
    ReportUnset();
    CheckUnseen();
    for (const DestinationRule& rule : analysis_.model.destination_rules) CheckClients(rule);
  }

 private:
  void CheckWorkload(const Workload& workload) {
    bool sure = true;
    bool ambient = workload.mode == ProxyMode::kAmbient;
    if (!ambient && !survey_.MayHaveProxy(workload, &sure)) return;
    EffectiveMtls mtls = analysis_.mesh.MtlsFor(workload);
    std::vector<InboundPort> inbound = analysis_.mesh.InboundPorts(workload);
    if (inbound.empty()) Add(mtls.workload, {&workload, 0, Protocol::kAuto}, sure);
    for (const InboundPort& port : inbound) {
      const EffectiveMode& mode = mtls.ForPort(port.port);
      bool own = mode.source != mtls.workload.source || mode.span.begin != mtls.workload.span.begin;
      if (own && mtls.workload.mode == MtlsMode::kStrict) continue;
      Add(mode, {&workload, port.port, port.protocol}, sure);
    }
  }

  void Add(const EffectiveMode& mode, WeakPort port, bool sure) {
    if (mode.mode == MtlsMode::kStrict) return;
    if (mode.source == nullptr) {
      if (!analysis_.model.mesh_config.enable_auto_mtls) unset_.push_back(port);
      return;
    }
    Weakness& weakness = by_place_[{mode.source, mode.span.begin}];
    weakness.policy = mode.source;
    weakness.span = mode.span;
    weakness.mode = mode.mode;
    weakness.sure = weakness.sure && sure;
    weakness.ports.push_back(port);
  }

  Finding& Report(const Weakness& weakness) {
    bool off = weakness.mode == MtlsMode::kDisable;
    std::string where = Say(weakness.ports);
    std::string message =
        off ? "`DISABLE` turns mutual TLS off at " + where +
                  ": traffic is in the clear and no caller has an identity; write STRICT, or "
                  "PERMISSIVE while the last clients move into the mesh"
            : "`PERMISSIVE` lets plaintext into " + where +
                  ": whoever reaches the pod needs no certificate, and policies see no identity; "
                  "write STRICT once every client is in the mesh";
    Finding& finding = reporter_.Report(weakness.policy->meta, weakness.span, std::move(message));
    if (off) finding.severity = Severity::kError;
    Fill(weakness.policy->meta, weakness.span, &finding);
    for (const WeakPort& port : weakness.ports) {
      if (port.port == 0 || port.workload->mode != ProxyMode::kSidecar) continue;
      AttachWitness(analysis_, PlaintextCase(*port.workload, port.port, port.protocol),
                    Outcome::kAllow, &finding);
      break;
    }
    return finding;
  }

  static void Fill(const ObjectMeta& meta, Span span, Finding* finding) {
    finding->field_path = FieldPathAt(*meta.node, span.begin);
    finding->fix = "Set the mode to STRICT.";
    std::string_view text = span.file->text().substr(span.begin, span.end - span.begin);
    if (text == "PERMISSIVE" || text == "DISABLE") finding->edits.push_back({span, "STRICT"});
  }

  void ReportUnset() {
    if (unset_.empty()) return;
    MeshConfigField field = FindMeshConfigField(analysis_.model, {"enableAutoMtls"});
    Finding& finding = reporter_.Report(
        MeshConfigName(analysis_.model), field.span,
        "no PeerAuthentication sets a mode for " + Say(unset_) +
            ", and with auto mTLS off their clients send plaintext unless a DestinationRule says "
            "otherwise; set STRICT for the mesh and turn auto mTLS on");
    finding.field_path = "data.mesh.enableAutoMtls";
    finding.fix = "Remove `enableAutoMtls: false` and add a mesh-wide PeerAuthentication STRICT.";
  }

  // Policies whose workloads are not in the input.
  void CheckUnseen() {
    std::map<std::string, bool> has_workloads;
    for (const Workload& workload : analysis_.mesh.workloads()) has_workloads[workload.ns] = true;
    const std::string& root = analysis_.model.mesh_config.root_namespace;
    for (const PeerAuthentication& policy : analysis_.model.peer_authentications) {
      bool selects = !policy.selector.match_labels.empty();
      bool mesh_wide = policy.meta.ns == root;
      if (mesh_wide && (selects || analysis_.HasWorkloads())) continue;
      if (has_workloads.contains(policy.meta.ns)) continue;
      ReportUnseen(policy, policy.mode, policy.mode_span, selects);
      for (const PeerAuthentication::Port& port : policy.ports) {
        if (selects && policy.mode != MtlsMode::kStrict) {
          ReportUnseen(policy, port.mode, port.span, true);
        }
      }
    }
  }

  void ReportUnseen(const PeerAuthentication& policy, MtlsMode mode, Span span, bool selects) {
    if (mode != MtlsMode::kPermissive && mode != MtlsMode::kDisable) return;
    std::string scope = policy.meta.ns == analysis_.model.mesh_config.root_namespace
                            ? "the mesh"
                            : "namespace " + policy.meta.ns;
    Finding& finding = reporter_.Report(
        policy.meta, span,
        "`" + std::string(Name(mode)) + "` lets plaintext into " +
            (selects ? "what this policy selects in " : "") + scope +
            ", unless a more specific policy says STRICT; no workload of it is in the input; write "
            "STRICT once every client is in the mesh");
    if (analysis_.HasWorkloads()) {
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
    } else if (mode == MtlsMode::kDisable) {
      finding.severity = Severity::kError;
    }
    Fill(policy.meta, span, &finding);
  }

  // A rule for the whole Service (or a port of it) by which clients send plaintext to servers that
  // would take mTLS.
  void CheckClients(const DestinationRule& rule) {
    std::map<const ClientTls*, std::vector<TlsUse>> uses;
    std::map<const ClientTls*, TlsSite> sites;
    survey_.VisitUses(rule, [&](const TlsUse& use) {
      const TlsSite* site = use.site;
      if (site == nullptr || site->tls == nullptr || site->subset != nullptr) return;
      if (site->tls->mode != ClientTls::Mode::kDisable || !use.server_proxy) return;
      if (use.mode.mode != MtlsMode::kPermissive) return;
      bool replaces = site->port != 0 && rule.policy && rule.policy->tls &&
                      rule.policy->tls->mode == ClientTls::Mode::kIstioMutual;
      if (replaces) return;
      uses[site->tls].push_back(use);
      uses[site->tls].back().site = nullptr;
      sites.emplace(site->tls, *site);
    });
    for (const auto& [tls, list] : uses) {
      std::vector<std::string> places;
      for (const TlsUse& use : list) {
        places.push_back(use.service->host + ":" + std::to_string(use.port->port));
      }
      const TlsSite& site = sites.at(tls);
      Finding& finding = reporter_.Report(
          rule.meta, site.FieldSpan("mode"),
          "tls mode `DISABLE` makes clients such as those of namespace " + list.front().client->ns +
              " send plaintext to " + SayPlaces(places) +
              ", which has sidecars that would take mutual TLS: anybody on the way reads it, and "
              "the server sees no identity; remove the `tls` block or write ISTIO_MUTUAL");
      finding.severity = Severity::kError;
      finding.field_path = site.FieldPath("mode");
      finding.fix = "Write ISTIO_MUTUAL, or remove the block and let auto mTLS decide.";
      const TlsUse& first = list.front();
      if (first.seen && site.port == 0 && !first.client->name.empty()) {
        Case question = PlaintextCase(*first.server, first.target_port, first.port->protocol);
        question.tls = CaseTls::kAuto;
        question.from_outside = false;
        question.from_workload = first.client->ns + "/" + first.client->name;
        AttachWitness(analysis_, question, Outcome::kAllow, &finding);
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  ClientTlsSurvey survey_;
  std::map<std::pair<const PeerAuthentication*, uint32_t>, Weakness> by_place_;
  std::vector<WeakPort> unset_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::permissive_mtls
