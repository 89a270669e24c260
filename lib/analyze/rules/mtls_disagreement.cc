// What a client's proxy sends and what the server's takes, host by host and port by port
// (istio-semantics sections 4 and 5). DISABLE and SIMPLE fail at a STRICT port, SIMPLE also at a
// PERMISSIVE HTTP port (no chain takes foreign TLS there), ISTIO_MUTUAL at a port that is DISABLE
// or has no sidecar. Without any DestinationRule clients send plaintext to STRICT servers where
// auto mTLS is off, and where the namespace says DISABLE and the workload STRICT: clients look at
// the namespace only.
#include <map>
#include <string>
#include <vector>

#include "analyze/client_tls_sites.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"

namespace meshproof::mtls_disagreement {
namespace {

enum class Clash { kNone, kPlaintextToStrict, kTlsToStrict, kTlsToHttp, kMtlsToPlain, kNoSidecar };

Clash ClashOf(const TlsUse& use) {
  using Kind = ClientTlsChoice::Kind;
  bool strict = use.server_proxy && use.mode.mode == MtlsMode::kStrict;
  switch (use.choice.kind) {
    case Kind::kPlaintext:
      return strict ? Clash::kPlaintextToStrict : Clash::kNone;
    case Kind::kSimple:
      if (strict) return Clash::kTlsToStrict;
      if (use.server_proxy && use.mode.mode == MtlsMode::kPermissive &&
          IsHttp(use.port->protocol)) {
        return Clash::kTlsToHttp;
      }
      return Clash::kNone;
    case Kind::kMeshMtls:
      if (use.server->mode == ProxyMode::kNone && !use.server_proxy &&
          !(use.server->pod != nullptr && use.server->pod->has_proxy_container) &&
          use.server->entry == nullptr) {
        return Clash::kNoSidecar;
      }
      return use.server_proxy && use.mode.mode == MtlsMode::kDisable ? Clash::kMtlsToPlain
                                                                     : Clash::kNone;
    case Kind::kMutual:
      break;
  }
  return Clash::kNone;
}

std::string Say(Clash clash, std::string_view mode, const std::string& places,
                const std::string& server) {
  std::string sent = "tls mode `" + std::string(mode) + "` makes clients send ";
  switch (clash) {
    case Clash::kPlaintextToStrict:
      return sent + "plaintext to " + places + ", where " + server +
             " is STRICT: every connection is refused; remove the `tls` block or write "
             "ISTIO_MUTUAL";
    case Clash::kTlsToStrict:
      return sent + "TLS without a mesh certificate to " + places + ", where " + server +
             " is STRICT: every connection is refused; remove the `tls` block or write "
             "ISTIO_MUTUAL";
    case Clash::kTlsToHttp:
      return sent + "TLS of their own to " + places + ", an HTTP port of " + server +
             " which takes plaintext or mesh mTLS alone: every connection is refused; remove the "
             "`tls` block or write ISTIO_MUTUAL";
    case Clash::kMtlsToPlain:
      return sent + "mesh mTLS to " + places + ", where " + server +
             " is DISABLE and takes plaintext alone: requests fail; set STRICT or PERMISSIVE at "
             "the server, or remove the `tls` block";
    case Clash::kNoSidecar:
      return sent + "mesh mTLS to " + places + ", but " + server +
             " has no sidecar to take it: requests fail; inject one, or remove the `tls` block";
    case Clash::kNone:
      break;
  }
  return sent;
}

struct Group {
  const TlsSite* site = nullptr;
  TlsUse first;
  std::vector<std::string> places;
  bool seen = true;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), survey_(analysis) {}

  void Run() {
    for (const DestinationRule& rule : analysis_.model.destination_rules) CheckRule(rule);
    CheckWithoutRules();
    if (!analysis_.HasServices()) {
      for (const DestinationRule& rule : analysis_.model.destination_rules) CheckNamespace(rule);
    }
  }

 private:
  void CheckRule(const DestinationRule& rule) {
    const std::vector<TlsSite> sites = TlsSitesOf(rule);
    std::map<std::pair<std::string, Clash>, Group> groups;
    survey_.VisitUses(rule, [&](const TlsUse& use) {
      if (use.site == nullptr || use.site->tls == nullptr || use.choice.rule != &rule) return;
      if (!use.site->tls->credential_name.value.empty() &&
          use.choice.kind == ClientTlsChoice::Kind::kPlaintext) {
        return;  // credential-ignored
      }
      Clash clash = ClashOf(use);
      if (clash == Clash::kNone) return;
      Group& group = groups[{use.site->path, clash}];
      if (group.places.empty()) group.first = use;
      group.seen = group.seen && use.seen;
      group.places.push_back(use.service->host + ":" + std::to_string(use.port->port));
    });
    for (auto& [key, group] : groups) {
      for (const TlsSite& site : sites) {
        if (site.path == key.first) Report(rule, site, key.second, group);
      }
    }
  }

  void Report(const DestinationRule& rule, const TlsSite& site, Clash clash, const Group& group) {
    const TlsUse& use = group.first;
    std::string server = use.server->ns + "/" + use.server->name;
    Finding& finding =
        reporter_.Report(rule.meta, site.FieldSpan("mode"),
                         Say(clash, ToString(site.tls->mode), SayPlaces(group.places), server));
    finding.field_path = site.FieldPath("mode");
    finding.detail = std::to_string(static_cast<int>(clash));
    finding.fix = clash == Clash::kMtlsToPlain || clash == Clash::kNoSidecar
                      ? "Remove the block: auto mTLS sends each server what it takes."
                      : "Write ISTIO_MUTUAL, or remove the block and let auto mTLS decide.";
    if (use.mode.span && clash != Clash::kNoSidecar) {
      finding.related.push_back({use.mode.span, "the mode of " + server + " comes from here"});
    }
    if (!use.client->name.empty()) {
      finding.related.push_back(
          {use.client->object->span,
           "a client that takes this rule: " + use.client->ns + "/" + use.client->name});
    }
    if (!group.seen || use.client->name.empty() || !use.subset.empty()) return;
    Protocol protocol = use.port->protocol;
    Case question = PlaintextCase(*use.server, use.target_port, protocol);
    question.tls = CaseTls::kAuto;
    question.from_outside = false;
    question.from_workload = use.client->ns + "/" + use.client->name;
    AttachWitness(analysis_, question, Outcome::kReject, &finding);
  }

  // STRICT servers whose clients send plaintext although no rule tells them to.
  void CheckWithoutRules() {
    struct Broken {
      TlsUse first;
      std::vector<std::string> places;
    };
    std::map<std::pair<const PeerAuthentication*, uint32_t>, Broken> broken;
    const Mesh& mesh = analysis_.mesh;
    for (const MeshService& service : mesh.services()) {
      if (service.external || service.workloads.empty()) continue;
      const Workload* client = survey_.AnyClient(service);
      if (client == nullptr) continue;
      for (const MeshServicePort& port : service.ports) {
        if (port.protocol == Protocol::kUdp) continue;
        for (size_t index : service.workloads) {
          const Workload& server = mesh.workloads()[index];
          if (server.mode != ProxyMode::kSidecar || !server.tls_mode_istio) continue;
          int target = mesh.TargetPort(service, port, server);
          if (target == 0) continue;
          EffectiveMode mode = mesh.MtlsFor(server).ForPort(target);
          if (mode.mode != MtlsMode::kStrict) continue;
          bool off = !analysis_.model.mesh_config.enable_auto_mtls;
          if (!off && mesh.NamespaceMtls(service.ns).mode != MtlsMode::kDisable) continue;
          ClientTlsChoice choice = mesh.ChooseClientTls(*client, service, port, "", server);
          if (choice.kind != ClientTlsChoice::Kind::kPlaintext || choice.rule != nullptr) continue;
          Broken& group = broken[{mode.source, mode.span.begin}];
          if (group.places.empty()) {
            group.first.client = client;
            group.first.server = &server;
            group.first.port = &port;
            group.first.target_port = target;
            group.first.mode = mode;
            group.first.service = &service;
            group.first.choice = choice;
          }
          group.places.push_back(service.host + ":" + std::to_string(port.port));
        }
      }
    }
    for (const auto& [key, group] : broken) ReportWithoutRule(group.first, group.places);
  }

  void ReportWithoutRule(const TlsUse& use, const std::vector<std::string>& places) {
    bool off = !analysis_.model.mesh_config.enable_auto_mtls;
    EffectiveMode ns = analysis_.mesh.NamespaceMtls(use.service->ns);
    std::string why = off ? "auto mTLS is off and the DestinationRule that counts, if any, does "
                            "not say ISTIO_MUTUAL"
                          : "clients look at the namespace level, which says DISABLE";
    Finding& finding = reporter_.Report(
        use.mode.source->meta, use.mode.span,
        "`STRICT` refuses the plaintext that sidecars send to " + SayPlaces(places) + ": " + why +
            "; " +
            (off ? "turn auto mTLS on, or add a DestinationRule with tls mode ISTIO_MUTUAL"
                 : "set the namespace to PERMISSIVE or STRICT"));
    finding.field_path = FieldPathAt(*use.mode.source->meta.node, use.mode.span.begin);
    finding.fix = off ? "Remove `enableAutoMtls: false` from the mesh config."
                      : "Set the namespace's PeerAuthentication to PERMISSIVE or STRICT.";
    if (!off && ns.span) {
      finding.related.push_back({ns.span, "clients read this DISABLE"});
    }
    Case question = PlaintextCase(*use.server, use.target_port, use.port->protocol);
    question.tls = CaseTls::kAuto;
    question.from_outside = false;
    question.from_workload = use.client->ns + "/" + use.client->name;
    AttachWitness(analysis_, question, Outcome::kReject, &finding);
  }

  // Without Services in the input: rules for a whole namespace or the mesh against its mode.
  void CheckNamespace(const DestinationRule& rule) {
    std::string_view host = rule.host.value;
    const std::string& domain = analysis_.model.mesh_config.domain;
    std::string suffix = ".svc." + domain;
    EffectiveMode mode;
    if (host == "*.local" || host == "*" + suffix || host == "*") {
      mode = analysis_.mesh.NamespaceMtls(analysis_.model.mesh_config.root_namespace);
    } else if (host.ends_with(suffix)) {
      std::string_view name = host.substr(0, host.size() - suffix.size());
      mode = analysis_.mesh.NamespaceMtls(name.substr(name.rfind('.') + 1));
    } else {
      return;
    }
    for (const TlsSite& site : TlsSitesOf(rule)) {
      if (site.tls == nullptr || mode.source == nullptr) continue;
      ClientTls::Mode sent = site.tls->mode;
      bool to_strict = mode.mode == MtlsMode::kStrict &&
                       (sent == ClientTls::Mode::kDisable || sent == ClientTls::Mode::kSimple);
      bool to_plain = mode.mode == MtlsMode::kDisable && sent == ClientTls::Mode::kIstioMutual;
      if (!to_strict && !to_plain) continue;
      Finding& finding = reporter_.Report(
          rule.meta, site.FieldSpan("mode"),
          "tls mode `" + std::string(ToString(sent)) + "` for `" + std::string(host) +
              "` meets servers that are " + (to_strict ? "STRICT" : "DISABLE") +
              " unless a more specific policy says otherwise: " +
              (to_strict ? "they refuse what is not mesh mTLS" : "they take plaintext alone") +
              "; make both sides say the same");
      finding.field_path = site.FieldPath("mode");
      finding.fix = "Remove the block and let auto mTLS decide.";
      finding.related.push_back({mode.span, "the servers' mode comes from here"});
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  ClientTlsSurvey survey_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::mtls_disagreement
