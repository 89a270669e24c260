// CUSTOM policies that do not do what they say (istio-semantics section 2). A provider that is
// missing or broken turns their rules into DENY; two providers on one workload do the same unless
// PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS is on; failOpen lets everything through while the
// authorizer is down; one that is reached in plaintext can be answered by others; and an HTTP
// provider does nothing on TCP ports.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/client_tls_sites.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "base/text.h"
#include "proxy/custom.h"

namespace meshproof::unsafe_custom {
namespace {

using Providers = std::map<std::string_view, const ExtensionProvider*>;

// A request that the first rule of the policy matches, as far as its shape goes.
Case Matching(const AuthorizationPolicy& policy, Case question) {
  if (policy.rules.empty() || policy.rules.front().to.empty()) return question;
  const AuthorizationPolicy::Operation& to = policy.rules.front().to.front();
  if (!to.methods.empty() && to.methods.values.front().value.find('*') == std::string_view::npos) {
    question.method = std::string(to.methods.values.front().value);
  }
  if (!to.paths.empty()) {
    std::string path(to.paths.values.front().value);
    if (path.ends_with('*')) path.back() = 'x';
    if (path.starts_with('/') && path.find_first_of("*{") == std::string::npos) {
      question.path = path;
    }
  }
  if (!to.hosts.empty() && to.hosts.values.front().value.find('*') == std::string_view::npos) {
    question.host = std::string(to.hosts.values.front().value);
  }
  return question;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), survey_(analysis) {
    for (const ExtensionProvider& provider : analysis.model.mesh_config.providers) {
      providers_.emplace(provider.name.value, &provider);
    }
  }

  void Run() {
    std::map<const AuthorizationPolicy*, std::vector<const Workload*>> covered;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      bool sure = true;
      bool proxied = workload.mode == ProxyMode::kSidecar || workload.mode == ProxyMode::kGateway ||
                     workload.mode == ProxyMode::kWaypoint;
      if (!proxied && !survey_.MayHaveProxy(workload, &sure)) continue;
      PolicySet set = analysis_.mesh.PoliciesFor(workload);
      for (const AuthorizationPolicy* policy : set.custom) covered[policy].push_back(&workload);
      CollectRivals(workload, set.custom);
    }
    for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
      if (policy.action != AuthorizationPolicy::Action::kCustom) continue;
      workloads_ = covered[&policy];
      CheckPolicy(policy);
    }
    ReportUnknown();
  }

 private:
  void CheckPolicy(const AuthorizationPolicy& policy) {
    if (auto it = rivals_.find(&policy); it != rivals_.end()) ReportRivals(policy, it->second);
    auto it = providers_.find(policy.provider.value);
    ResolvedProvider resolved = ResolveProvider(analysis_.mesh, std::string(policy.provider.value));
    if (it == providers_.end()) {
      if (!analysis_.HasMeshConfig() && providers_.empty()) {
        unseen_[std::string(policy.provider.value)].push_back(&policy);
      } else {
        ReportMissing(policy);
      }
      return;
    }
    if (!resolved.error.empty()) return ReportBroken(policy, *it->second, resolved.error);
    if (it->second->fail_open) ReportFailOpen(policy, *it->second);
    CheckPlaintext(policy, *it->second);
    CheckTcp(policy, *it->second);
  }

  Finding& Report(const AuthorizationPolicy& policy, std::string message, std::string fix,
                  std::string detail) {
    Span span = policy.provider.span ? policy.provider.span : policy.meta.span;
    Finding& finding = reporter_.Report(policy.meta, span, std::move(message));
    finding.istioctl_codes.emplace();
    finding.field_path = "spec.provider.name";
    finding.fix = std::move(fix);
    finding.detail = std::move(detail);
    return finding;
  }

  // A request of the mesh that the policy sends to the authorizer, on the first workload where one
  // can be asked.
  std::optional<Case> Question(const AuthorizationPolicy& policy) const {
    for (const Workload* workload : workloads_) {
      if (workload->mode != ProxyMode::kSidecar) continue;
      for (const InboundPort& port : analysis_.mesh.InboundPorts(*workload)) {
        if (!IsHttp(port.protocol)) continue;
        auto question = MeshCase(analysis_, *workload, port.port, port.protocol);
        if (!question) return std::nullopt;
        return Matching(policy, *question);
      }
    }
    return std::nullopt;
  }

  void ReportDenied(const AuthorizationPolicy& policy, Finding* finding) const {
    auto question = Question(policy);
    if (question) AttachWitness(analysis_, *question, Outcome::kDeny, finding);
  }

  void ReportMissing(const AuthorizationPolicy& policy) {
    std::vector<std::string> names;
    for (const auto& [name, provider] : providers_) {
      if (provider->kind != ExtensionProvider::Kind::kOther) names.emplace_back(name);
    }
    std::string nearest = NearestName(std::string(policy.provider.value), names);
    std::string message = "no extension provider `" + std::string(policy.provider.value) +
                          "` in the mesh config: nobody is asked, and whatever the rules match is "
                          "denied; ";
    message += nearest.empty() ? "define it under `extensionProviders`"
                               : "the nearest is `" + nearest + "`";
    Finding& finding = Report(
        policy, std::move(message),
        nearest.empty() ? "Define the provider in the mesh config." : "Write `" + nearest + "`.",
        "missing");
    ReportDenied(policy, &finding);
  }

  // Once for each name, where no mesh config is in the input.
  void ReportUnknown() {
    for (const auto& [name, policies] : unseen_) {
      Finding& finding =
          Report(*policies.front(),
                 "provider `" + name +
                     "` is outside my view: the input has no mesh config; if it is not defined "
                     "there, whatever the rules match is denied; add the ConfigMap `istio`",
                 "", "unseen");
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
      for (size_t i = 1; i < policies.size() && i <= 5; ++i) {
        finding.related.push_back({policies[i]->meta.span, "names it too"});
      }
    }
  }

  void ReportBroken(const AuthorizationPolicy& policy, const ExtensionProvider& provider,
                    const std::string& error) {
    bool unseen_service = error.ends_with("is not in the mesh") && !SeesServiceOf(provider);
    Finding& finding = Report(
        policy,
        "provider `" + std::string(provider.name.value) + "` cannot be used, for " + error +
            (unseen_service ? " as far as the input goes" : "") +
            ": nobody is asked, and whatever the rules match is denied; correct the provider in "
            "the mesh config",
        "Correct the provider in the mesh config.", "broken");
    finding.istioctl_codes = {"IST0106"};
    if (provider.service.span) finding.related.push_back({provider.span, "the provider"});
    if (unseen_service) {
      finding.severity = Severity::kInfo;
      finding.certainty = Certainty::kCannotSee;
      return;
    }
    ReportDenied(policy, &finding);
  }

  // The input shows the namespace that the provider's Service would be in.
  bool SeesServiceOf(const ExtensionProvider& provider) const {
    std::string_view host = provider.service.value;
    if (!analysis_.HasServices()) return false;
    if (size_t slash = host.find('/'); slash != std::string_view::npos) {
      return analysis_.SeesNamespace(host.substr(0, slash));
    }
    std::string suffix = ".svc." + analysis_.model.mesh_config.domain;
    if (!host.ends_with(suffix)) return true;
    std::string_view name = host.substr(0, host.size() - suffix.size());
    return analysis_.SeesNamespace(name.substr(name.rfind('.') + 1));
  }

  void ReportFailOpen(const AuthorizationPolicy& policy, const ExtensionProvider& provider) {
    Finding& finding = Report(
        policy,
        "provider `" + std::string(provider.name.value) +
            "` has `failOpen: true`: while the authorizer is down, slow or cut off, everything "
            "that these rules match is let in; set `failOpen: false`",
        "Set `failOpen: false` in the mesh config.", "fail-open");
    if (provider.span) finding.related.push_back({provider.span, "failOpen stands here"});
    auto question = Question(policy);
    if (!question) return;
    // Only a request that does ask the authorizer shows anything.
    Case refused = *question;
    refused.ext_authz = ExtAuthzAnswer::kDeny;
    refused.now = analysis_.now;
    auto verdict = analysis_.world.Run(refused, World::Addresses::kAssume, Detail::kVerdict);
    if (!verdict.ok() || verdict.value().outcome != Outcome::kDeny ||
        verdict.value().stage != Stage::kCustom) {
      return;
    }
    question->ext_authz = ExtAuthzAnswer::kError;
    AttachWitness(analysis_, *question, Outcome::kAllow, &finding);
  }

  void CollectRivals(const Workload& workload,
                     const std::vector<const AuthorizationPolicy*>& policies) {
    if (analysis_.mesh.FeatureEnabled("PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS", false))
      return;
    for (const AuthorizationPolicy* policy : policies) {
      for (const AuthorizationPolicy* other : policies) {
        if (other->provider.value == policy->provider.value) continue;
        rivals_[policy].emplace(workload.ns + "/" + workload.name, other);
        break;
      }
    }
  }

  void ReportRivals(const AuthorizationPolicy& policy,
                    const std::map<std::string, const AuthorizationPolicy*>& rivals) {
    std::vector<std::string> names;
    for (const auto& [workload, other] : rivals) names.push_back(workload);
    const AuthorizationPolicy& other = *rivals.begin()->second;
    Finding& finding = Report(
        policy,
        "providers `" + std::string(policy.provider.value) + "` and `" +
            std::string(other.provider.value) + "` meet on " + ListNames(names, 3) +
            ": without PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS (1.30) istiod asks neither and "
            "denies whatever the rules of either match; use one provider a workload",
        "Use one provider for each workload.", "rivals");
    finding.related.push_back(
        {other.provider.span ? other.provider.span : other.meta.span, "the other provider"});
    ReportDenied(policy, &finding);
  }

  static bool IsLoopback(const MeshService& service) {
    if (service.entry == nullptr) return false;
    return std::any_of(service.entry->endpoints.begin(), service.entry->endpoints.end(),
                       [](const ServiceEntry::Endpoint& endpoint) {
                         std::string_view address = endpoint.address.value;
                         return address.starts_with("127.") || address == "::1" ||
                                address.starts_with("unix:");
                       });
  }

  void CheckPlaintext(const AuthorizationPolicy& policy, const ExtensionProvider& provider) {
    std::string_view host = provider.service.value;
    if (size_t slash = host.find('/'); slash != std::string_view::npos) {
      host.remove_prefix(slash + 1);
    }
    const MeshService* service = analysis_.mesh.FindService(host);
    if (service == nullptr || IsLoopback(*service)) return;
    const MeshServicePort* port = service->FindPort(static_cast<int>(provider.port));
    if (port == nullptr) return;
    for (const Workload* client : workloads_) {
      if (client->mode != ProxyMode::kSidecar && client->mode != ProxyMode::kGateway) continue;
      const Workload* server = nullptr;
      Workload outside;
      if (!service->workloads.empty()) {
        server = &analysis_.mesh.workloads()[service->workloads.front()];
      } else if (service->external) {
        server = &outside;
      }
      if (server == nullptr || server == client || server->mode == ProxyMode::kAmbient) return;
      bool sure = true;
      if (!service->external && server->mode == ProxyMode::kNone &&
          survey_.MayHaveProxy(*server, &sure)) {
        return;
      }
      ClientTlsChoice choice =
          analysis_.mesh.ChooseClientTls(*client, *service, *port, "", *server);
      if (choice.kind != ClientTlsChoice::Kind::kPlaintext) continue;
      Finding& finding = Report(
          policy,
          client->ns + "/" + client->name + " asks `" + std::string(host) + ":" +
              std::to_string(provider.port) + "` in plaintext (" + choice.reason +
              "): whoever sits on the way reads the headers, tokens among them, and can answer "
              "`allowed`; put the authorizer into the mesh, or originate TLS with a "
              "DestinationRule",
          "Inject a sidecar into the authorizer, or originate TLS to it.", "plaintext");
      if (choice.rule != nullptr) {
        finding.related.push_back({choice.rule->meta.span, "this rule decides it"});
      } else if (server->object != nullptr) {
        finding.related.push_back({server->object->span, "the authorizer"});
      }
      return;
    }
  }

  // Ports of a rule's operations; empty: every one.
  static std::set<int> PortsOf(const AuthorizationPolicy& policy) {
    std::set<int> ports;
    for (const AuthorizationPolicy::Rule& rule : policy.rules) {
      if (rule.to.empty()) return {};
      for (const AuthorizationPolicy::Operation& to : rule.to) {
        if (to.ports.empty()) return {};
        for (const Text& port : to.ports.values) {
          if (auto number = ParseUnsigned(port.value)) ports.insert(static_cast<int>(*number));
        }
      }
    }
    return ports;
  }

  void CheckTcp(const AuthorizationPolicy& policy, const ExtensionProvider& provider) {
    if (provider.kind != ExtensionProvider::Kind::kExtAuthzHttp) return;
    const std::set<int> wanted = PortsOf(policy);
    std::vector<std::string> places;
    bool some_http = false;
    for (const Workload* workload : workloads_) {
      if (workload->mode == ProxyMode::kGateway || workload->mode == ProxyMode::kWaypoint) continue;
      for (const InboundPort& port : analysis_.mesh.InboundPorts(*workload)) {
        if (!wanted.empty() && !wanted.contains(port.port)) continue;
        bool tcp = port.protocol == Protocol::kTcp || port.protocol == Protocol::kTls ||
                   port.protocol == Protocol::kHttps;
        some_http = some_http || !tcp;
        if (!tcp) continue;
        places.push_back(workload->ns + "/" + workload->name + ":" + std::to_string(port.port));
      }
    }
    if (places.empty()) return;
    Finding& finding = Report(
        policy,
        "`" + std::string(provider.name.value) +
            "` is an HTTP provider, which does nothing on TCP ports: connections to " +
            SayPlaces(places) +
            " are let in without asking; use `envoyExtAuthzGrpc`, name the port's protocol, or "
            "guard the port with a DENY or ALLOW policy",
        "Use an envoyExtAuthzGrpc provider for TCP ports.", "tcp");
    if (some_http && wanted.empty()) finding.severity = Severity::kWarning;
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  ClientTlsSurvey survey_;
  Providers providers_;
  std::vector<const Workload*> workloads_;  // of the policy at hand
  std::map<const AuthorizationPolicy*, std::map<std::string, const AuthorizationPolicy*>> rivals_;
  std::map<std::string, std::vector<const AuthorizationPolicy*>> unseen_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::unsafe_custom
