// What the fields have to tell apart, looked up before anything is translated.

#include "base/text.h"
#include "reason/translator.h"
#include "simulate/simulate.h"

namespace meshproof {

void PortModel::Translator::Survey() {
  bool any_gateway = false;
  bool first = true;
  for (const PortModel::Side& asked : model.asked_) {
    if (asked.door.service != nullptr) SurveyWaypoint(asked, &first);
    if (asked.workload->mode != ProxyMode::kSidecar &&
        asked.workload->mode != ProxyMode::kGateway) {
      continue;
    }
    bool gateway = asked.workload->mode == ProxyMode::kGateway;
    any_gateway |= gateway;
    const ProxyConfig& proxy = asked.world->Proxy(*asked.workload).proxy();
    const Listener* listener = ChooseListener(proxy, asked.port);
    if (listener == nullptr) continue;
    for (const FilterChain& chain : listener->filter_chains) {
      if (gateway && Asks(chain)) {
        gateway_asks = true;
        if (chain.tls->subject_alt_names.empty()) foreign_identities = true;
      }
      for (const NetworkFilter& filter : *chain.filters) {
        const auto* http = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
        if (http == nullptr) continue;
        SurveyManager(**http, proxy, &first);
      }
    }
  }
  any_gateway_ = any_gateway;
}

void PortModel::Translator::SurveyWaypoint(const PortModel::Side& asked, bool* first) {
  const Waypoint* waypoint = asked.world->mesh().WaypointFor(*asked.door.service).waypoint;
  if (waypoint == nullptr || waypoint->workload == nullptr) return;
  const ProxyConfig& proxy = asked.world->Proxy(*waypoint->workload).proxy();
  const FilterChain* http = nullptr;
  const FilterChain* tcp = nullptr;
  FindWaypointChains(proxy, asked.door, &http, &tcp);
  if (http == nullptr) return;
  for (const NetworkFilter& filter : *http->filters) {
    const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
    if (manager != nullptr) SurveyManager(**manager, proxy, first);
  }
}

void PortModel::Translator::SurveyManager(const HttpConnectionManager& manager,
                                          const ProxyConfig& proxy, bool* first) {
  const PathOptions& options = manager.path;
  PathOptions& own = model.path_options_;
  if (*first) {
    own = options;
  } else if (own.normalize != options.normalize || own.merge_slashes != options.merge_slashes ||
             own.escaped_slashes != options.escaped_slashes) {
    path_options_differ = true;
  }
  *first = false;
  for (const HttpFilter& filter : manager.http_filters) {
    if (const auto* jwt = std::get_if<JwtFilter>(&filter)) {
      has_jwt = true;
      for (const JwtProvider& provider : jwt->providers) {
        if (provider.issuer.empty()) any_issuer = true;
        issuers.insert(provider.issuer);
        for (const std::string& claim : provider.space_delimited_claims) {
          model.list_claims_.insert(claim);
        }
      }
    } else if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
      for (const auto* rules : {&rbac->rules, &rbac->shadow_rules}) {
        if (!*rules) continue;
        for (const auto& policy : (*rules)->policies) {
          for (const Predicate& one : policy->permissions) SurveyPredicate(one);
          for (const Predicate& one : policy->principals) SurveyPredicate(one);
        }
      }
    }
  }
  (void)proxy;
}

// A condition on the host that minds the case makes the whole field mind it.
void PortModel::Translator::SurveyPredicate(const Predicate& predicate) {
  const auto& match = predicate.match;
  const std::vector<Predicate>* children = nullptr;
  if (const auto* all = std::get_if<AndPredicate>(&match)) children = &all->all;
  if (const auto* any = std::get_if<OrPredicate>(&match)) children = &any->any;
  if (const auto* negated = std::get_if<NotPredicate>(&match)) children = &negated->inner;
  if (children != nullptr) {
    for (const Predicate& child : *children) SurveyPredicate(child);
    return;
  }
  const auto* header = std::get_if<HeaderPredicate>(&match);
  if (header == nullptr || header->header.kind != HeaderMatcher::Kind::kString) return;
  std::string name = ToLower(header->header.name);
  if ((name == ":authority" || name == "host") && !header->header.string.ignore_case) {
    host_case_matters = true;
  }
}

}  // namespace meshproof
