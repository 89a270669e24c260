// Captured or not, which waypoint stands where, what ztunnel makes of each policy and who gets past
// the waypoint (istio-semantics section 7).

#include "report/ambient.h"

#include <algorithm>

#include "base/text.h"
#include "mesh/made_file.h"
#include "mesh/workload_name.h"
#include "report/parts.h"

namespace meshproof {
namespace {

void AddWays(const Mesh& mesh, const Workload& workload, AmbientDescription* out) {
  for (const MeshService& service : mesh.services()) {
    const bool leads =
        std::any_of(service.workloads.begin(), service.workloads.end(),
                    [&](size_t index) { return &mesh.workloads()[index] == &workload; });
    if (leads && !service.headless) out->ways.push_back({&service, mesh.WaypointFor(service)});
  }
  out->ways.push_back({nullptr, mesh.WaypointFor(workload)});
}

void AddAtZtunnel(const ZtunnelConfig& config, const Workload& workload, AmbientDescription* out) {
  const std::vector<const ZtunnelPolicy*> policies = config.PoliciesFor(workload);
  for (const auto action : {ZtunnelPolicy::Action::kDeny, ZtunnelPolicy::Action::kAllow}) {
    for (const ZtunnelPolicy* policy : policies) {
      if (policy->action != action) continue;
      const std::string_view stage = policy->from_peer_authentication         ? "mtls"
                                     : action == ZtunnelPolicy::Action::kDeny ? "deny"
                                                                              : "allow";
      out->ztunnel.push_back({stage, policy, ZtunnelEffects(*policy)});
    }
  }
  for (const std::string& name : config.For(workload).listed) {
    if (config.Find(name) == nullptr) {
      out->bypasses.push_back("it lists " + name +
                              ", which istiod never sends: those ports are not STRICT");
    }
  }
}

std::string WhyNotSent(ZtunnelOmission omission) {
  switch (omission) {
    case ZtunnelOmission::kAudit:
      return "ztunnel has no AUDIT";
    case ZtunnelOmission::kCustom:
      return "ztunnel asks no external authorizer: only a waypoint does";
    case ZtunnelOmission::kDryRun:
      return "it is a dry run";
    case ZtunnelOmission::kTargetRef:
    case ZtunnelOmission::kNone:
      break;
  }
  return "";
}

void AddNotSent(const Mesh& mesh, const Workload& workload, AmbientDescription* out) {
  const std::string& root = mesh.config().root_namespace;
  for (const AuthorizationPolicy& policy : mesh.model().authorization_policies) {
    if (policy.meta.ns != workload.ns && policy.meta.ns != root) continue;
    if (!policy.target_refs.empty()) continue;
    if (!Selects(policy.selector.match_labels, workload.labels)) continue;
    std::string reason = WhyNotSent(OmissionOf(mesh, policy));
    if (reason.empty() && policy.selector.present && !policy.selector.has_match_labels) {
      reason = "its selector has no matchLabels, which reaches nothing in ambient mode";
    }
    if (!reason.empty()) out->not_sent.push_back({&policy, std::move(reason)});
  }
}

void AddAtWaypoints(const Mesh& mesh, AmbientDescription* out) {
  std::vector<AmbientDescription::AtWaypoint> found;
  for (const auto& way : out->ways) {
    const Waypoint* waypoint = way.waypoint.waypoint;
    if (waypoint == nullptr || waypoint->workload == nullptr) continue;
    const PolicySet set = mesh.PoliciesFor(*waypoint->workload, way.service);
    const auto add = [&](std::string_view stage,
                         const std::vector<const AuthorizationPolicy*>& policies) {
      for (const auto* policy : policies) {
        found.push_back({waypoint, way.service, stage, policy, nullptr});
      }
    };
    add("custom", set.custom);
    for (const auto* authentication : set.request_authentications) {
      found.push_back({waypoint, way.service, "jwt", nullptr, authentication});
    }
    add("audit", set.audit);
    add("deny", set.deny);
    add("allow", set.allow);
  }
  out->waypoint = std::move(found);
}

bool IsWaypointPrincipal(const Mesh& mesh, const ZtunnelString& principal) {
  return principal.kind == ZtunnelString::Kind::kExact &&
         std::any_of(mesh.waypoints().begin(), mesh.waypoints().end(),
                     [&](const Waypoint& waypoint) {
                       return waypoint.workload != nullptr &&
                              waypoint.workload->mode == ProxyMode::kWaypoint &&
                              waypoint.workload->identity == "spiffe://" + principal.value;
                     });
}

// Whether ztunnel admits nobody but waypoints, or nobody at all.
bool OnlyWaypointsEnter(const AmbientDescription& description, const Mesh& mesh) {
  bool any = false;
  for (const auto& entry : description.ztunnel) {
    if (entry.stage != "allow" || entry.policy->dry_run) continue;
    any = true;
    for (const ZtunnelGroup& group : entry.policy->groups) {
      const bool names =
          std::any_of(group.clauses.begin(), group.clauses.end(), [&](const ZtunnelClause& clause) {
            return !clause.matches.empty() &&
                   std::all_of(
                       clause.matches.begin(), clause.matches.end(), [&](const auto& match) {
                         return !match.principals.empty() &&
                                std::all_of(match.principals.begin(), match.principals.end(),
                                            [&](const ZtunnelString& principal) {
                                              return IsWaypointPrincipal(mesh, principal);
                                            });
                       });
          });
      if (!names) return false;
    }
  }
  return any;
}

void AddBypasses(const Mesh& mesh, const Workload& workload, AmbientDescription* out) {
  const bool guarded = std::any_of(out->ways.begin(), out->ways.end(), [](const auto& way) {
    return way.waypoint.waypoint != nullptr;
  });
  if (!guarded || OnlyWaypointsEnter(*out, mesh)) return;
  const bool strict = std::any_of(out->ztunnel.begin(), out->ztunnel.end(),
                                  [](const auto& entry) { return entry.stage == "mtls"; });
  std::string past = strict ? "sidecars never pass a waypoint"
                            : "sidecars, pods without a mesh and callers outside never pass a "
                              "waypoint";
  if (workload.mode == ProxyMode::kNone) past += ", and nobody else decides here";
  out->bypasses.push_back(std::move(past));
  for (const auto& way : out->ways) {
    const std::string whom = way.service == nullptr ? std::string("the pod's own address")
                                                    : "Service " + way.service->host;
    if (way.waypoint.waypoint == nullptr) {
      out->bypasses.push_back(whom + " leads here without a waypoint (" + way.waypoint.reason +
                              ")");
    } else if (way.service != nullptr && !mesh.IngressUsesWaypoint(*way.service)) {
      out->bypasses.push_back(
          IsMade(*way.service->object)
              ? "whether gateways pass the waypoint of " + whom + " no ztunnel's dump says"
              : "gateways reach " + whom +
                    " past the waypoint (no label istio.io/ingress-use-waypoint: true)");
    }
  }
}

}  // namespace

std::vector<std::string> ZtunnelEffects(const ZtunnelPolicy& policy) {
  std::vector<std::string> out;
  const bool deny = policy.action == ZtunnelPolicy::Action::kDeny;
  if (policy.from_peer_authentication) {
    out.emplace_back("refuses callers without an identity");
    return out;
  }
  const auto add = [&](ZtunnelLoss::Effect effect, std::string_view before,
                       std::string_view after) {
    for (size_t i = 0; i < policy.losses.size(); ++i) {
      const ZtunnelLoss& first = policy.losses[i];
      const bool repeated =
          std::any_of(policy.losses.begin(), policy.losses.begin() + static_cast<std::ptrdiff_t>(i),
                      [&](const ZtunnelLoss& other) {
                        return other.effect == effect && other.rule == first.rule;
                      });
      if (first.effect != effect || repeated) continue;
      std::vector<std::string> fields;
      for (const ZtunnelLoss& loss : policy.losses) {
        if (loss.effect == effect && loss.rule == first.rule) fields.push_back(loss.field);
      }
      out.push_back("rule " + std::to_string(first.rule) + std::string(before) +
                    Join(fields, ", ") + std::string(after));
    }
  };
  add(ZtunnelLoss::Effect::kRuleOmitted, " is left out: ztunnel does not know ", "");
  add(ZtunnelLoss::Effect::kNeverMatches, " has no effect: ztunnel does not know ", "");
  add(ZtunnelLoss::Effect::kFieldOmitted, " matches more than it says: ztunnel does not know ", "");
  add(ZtunnelLoss::Effect::kIgnored, " disregards ", "");
  if (!deny && policy.groups.empty()) out.emplace_back("no rule is left: it admits nobody");
  return out;
}

AmbientDescription DescribeAmbient(const ZtunnelConfig& config, const Workload& workload) {
  const Mesh& mesh = config.mesh();
  AmbientDescription out;
  AddWays(mesh, workload, &out);
  if (workload.mode == ProxyMode::kAmbient) {
    AddAtZtunnel(config, workload, &out);
    AddNotSent(mesh, workload, &out);
  }
  AddAtWaypoints(mesh, &out);
  AddBypasses(mesh, workload, &out);
  return out;
}

Json AmbientJson(const AmbientDescription& description) {
  Json ways = Json::MakeArray();
  for (const auto& way : description.ways) {
    Json entry =
        Json::MakeObject({{"service", way.service == nullptr ? Json() : Json(way.service->host)}});
    const Waypoint* waypoint = way.waypoint.waypoint;
    entry.Set("waypoint", waypoint == nullptr ? Json() : ObjectJson(&waypoint->gateway->meta));
    entry.Set("reason", way.waypoint.reason);
    ways.Append(std::move(entry));
  }
  Json ztunnel = Json::MakeArray();
  for (const auto& entry : description.ztunnel) {
    Json effects = Json::MakeArray();
    for (const auto& effect : entry.effects) effects.Append(effect);
    ztunnel.Append(Json::MakeObject({{"stage", entry.stage},
                                     {"name", entry.policy->Name()},
                                     {"policy", ObjectJson(entry.policy->object)},
                                     {"effects", std::move(effects)}}));
  }
  Json not_sent = Json::MakeArray();
  for (const auto& entry : description.not_sent) {
    not_sent.Append(
        Json::MakeObject({{"policy", ObjectJson(&entry.policy->meta)}, {"reason", entry.reason}}));
  }
  Json at_waypoint = Json::MakeArray();
  for (const auto& entry : description.waypoint) {
    const ObjectMeta& meta =
        entry.policy != nullptr ? entry.policy->meta : entry.authentication->meta;
    Json out = Json::MakeObject({{"waypoint", ObjectJson(&entry.waypoint->gateway->meta)}});
    out.Set("service", entry.service == nullptr ? Json() : Json(entry.service->host));
    out.Set("stage", entry.stage);
    out.Set("policy", ObjectJson(&meta));
    out.Set("location", LocationJson(meta.span));
    at_waypoint.Append(std::move(out));
  }
  Json bypasses = Json::MakeArray();
  for (const auto& bypass : description.bypasses) bypasses.Append(bypass);
  return Json::MakeObject({{"ways", std::move(ways)},
                           {"ztunnel", std::move(ztunnel)},
                           {"not_sent", std::move(not_sent)},
                           {"waypoint_policies", std::move(at_waypoint)},
                           {"bypasses", std::move(bypasses)}});
}

std::string AmbientText(const AmbientDescription& description, const Style& style) {
  std::string out = style.Bold("waypoints") + "\n";
  for (const auto& way : description.ways) {
    const Waypoint* waypoint = way.waypoint.waypoint;
    out += "  " + (way.service == nullptr ? std::string("pod address") : way.service->host) + "  " +
           (waypoint == nullptr ? std::string("none") : NameOf(*waypoint)) + " (" +
           way.waypoint.reason + ")\n";
  }
  if (!description.ztunnel.empty() || !description.not_sent.empty()) {
    out += style.Bold("at ztunnel, in evaluation order") + "\n";
    for (const auto& entry : description.ztunnel) {
      out += "  " + Padded(std::string(entry.stage), 6) + "  " + entry.policy->Name() + "  " +
             (entry.effects.empty() ? std::string("as written") : Join(entry.effects, "; ")) + "\n";
    }
    for (const auto& entry : description.not_sent) {
      out += "  " + Padded("-", 6) + "  " + NameText(entry.policy->meta) +
             "  not enforced: " + entry.reason + "\n";
    }
  }
  if (!description.waypoint.empty()) {
    out += style.Bold("only at the waypoint") + "\n";
    for (const auto& entry : description.waypoint) {
      const ObjectMeta& meta =
          entry.policy != nullptr ? entry.policy->meta : entry.authentication->meta;
      const std::string place = PlaceText(meta.span);
      out += "  " + Padded(std::string(entry.stage), 6) + "  " + NameText(meta) + "  for " +
             (entry.service == nullptr ? std::string("the pod") : entry.service->host) +
             (place.empty() ? "" : "  (" + place + ")") + "\n";
    }
  }
  if (!description.bypasses.empty()) {
    out += style.Bold("ways past it") + "\n";
    for (const auto& bypass : description.bypasses) out += "  " + bypass + "\n";
  }
  return out;
}

}  // namespace meshproof
