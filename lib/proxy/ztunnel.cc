// istiod's translation for ztunnel. A rule becomes a group of clauses: all its `to`, all its
// `from`, each `when`. What ztunnel does not know (everything of HTTP, and some identity keys)
// costs an ALLOW its rule and a DENY the field alone: a match of which nothing is left never
// matches, so that such a DENY does nothing, where Envoy would deny everything on TCP.
//
// PeerAuthentication: ztunnel always takes plaintext, so STRICT is a DENY of callers without
// identity. What is strict as a whole lists one static policy; a policy with ports that differ is
// converted. Which of both a workload lists and which converted policies exist is decided in two
// places of istiod that look at different things, and so a workload can list a policy that is never
// sent.

#include "proxy/ztunnel.h"

#include <algorithm>
#include <map>

#include "base/check.h"
#include "base/text.h"

namespace meshproof {
namespace {

std::vector<ZtunnelString> MatchersOf(const TextList& list) {
  std::vector<ZtunnelString> out;
  for (const Text& value : list.values) {
    ZtunnelString match;
    match.span = value.span;
    const std::string_view text = value.value;
    if (text == "*") {
      match.kind = ZtunnelString::Kind::kPresence;
    } else if (text.starts_with('*')) {
      match.kind = ZtunnelString::Kind::kSuffix;
      match.value = std::string(text.substr(1));
    } else if (text.ends_with('*')) {
      match.kind = ZtunnelString::Kind::kPrefix;
      match.value = std::string(text.substr(0, text.size() - 1));
    } else {
      match.value = std::string(text);
    }
    out.push_back(std::move(match));
  }
  return out;
}

std::vector<ZtunnelAccount> Accounts(const TextList& list, const std::string& ns) {
  std::vector<ZtunnelAccount> out;
  for (const Text& value : list.values) {
    const size_t slash = value.value.find('/');
    if (slash == std::string_view::npos) {
      out.push_back({ns, std::string(value.value), value.span});
    } else {
      out.push_back({std::string(value.value.substr(0, slash)),
                     std::string(value.value.substr(slash + 1)), value.span});
    }
  }
  return out;
}

std::vector<ZtunnelBlock> Blocks(const TextList& list) {
  std::vector<ZtunnelBlock> out;
  for (const Text& value : list.values) {
    const std::optional<CidrRange> range = ParseCidr(value.value);
    if (!range) continue;
    const std::optional<IpAddress> address =
        ParseIpAddress(value.value.substr(0, value.value.find('/')));
    out.push_back({*range, ToString(address ? *address : range->address), value.span});
  }
  return out;
}

std::vector<ZtunnelPort> Ports(const TextList& list) {
  std::vector<ZtunnelPort> out;
  for (const Text& value : list.values) {
    const std::optional<unsigned long> port = ParseUnsigned(value.value);
    if (port && *port <= 65535) out.push_back({static_cast<uint32_t>(*port), value.span});
  }
  return out;
}

bool IsKnownKey(std::string_view key) {
  return key == "source.ip" || key == "source.namespace" || key == "source.principal" ||
         key == "destination.ip" || key == "destination.port";
}

class RuleTranslator {
 public:
  RuleTranslator(const AuthorizationPolicy& policy, ZtunnelPolicy* out)
      : policy_(policy), out_(*out) {}

  void Translate(size_t index) {
    const AuthorizationPolicy::Rule& rule = policy_.rules[index];
    if (rule.null) return;
    index_ = static_cast<int>(index);
    omitted_ = false;
    ZtunnelGroup group;
    group.origin = {&policy_.meta, index_, rule.span};
    ZtunnelClause to, from;
    for (const auto& operation : rule.to) to.matches.push_back(Operation(operation));
    for (const auto& source : rule.from) from.matches.push_back(Source(source));
    if (!to.matches.empty()) group.clauses.push_back(std::move(to));
    if (!from.matches.empty()) group.clauses.push_back(std::move(from));
    for (const auto& condition : rule.when) {
      group.clauses.push_back(ZtunnelClause{{Condition(condition)}});
    }
    if (!omitted_) out_.groups.push_back(std::move(group));
  }

 private:
  bool deny() const { return out_.action == ZtunnelPolicy::Action::kDeny; }

  void Lose(std::string_view field, const TextList& list) {
    if (list.empty()) return;
    out_.losses.push_back(
        {deny() ? ZtunnelLoss::Effect::kFieldOmitted : ZtunnelLoss::Effect::kRuleOmitted, index_,
         std::string(field), list.span});
    if (!deny()) omitted_ = true;
  }

  // Of a DENY: fields were lost and nothing is left.
  void NoteEmpty(const ZtunnelMatch& match, size_t first_loss) {
    if (!match.empty()) return;
    for (size_t i = first_loss; i < out_.losses.size(); ++i) {
      if (out_.losses[i].effect != ZtunnelLoss::Effect::kRuleOmitted) {
        out_.losses[i].effect = ZtunnelLoss::Effect::kNeverMatches;
      }
    }
  }

  ZtunnelMatch Operation(const AuthorizationPolicy::Operation& operation) {
    const size_t first_loss = out_.losses.size();
    Lose("hosts", operation.hosts);
    Lose("notHosts", operation.not_hosts);
    Lose("methods", operation.methods);
    Lose("notMethods", operation.not_methods);
    Lose("paths", operation.paths);
    Lose("notPaths", operation.not_paths);
    ZtunnelMatch match;
    match.destination_ports = Ports(operation.ports);
    match.not_destination_ports = Ports(operation.not_ports);
    NoteEmpty(match, first_loss);
    return match;
  }

  ZtunnelMatch Source(const AuthorizationPolicy::Source& source) {
    const size_t first_loss = out_.losses.size();
    Lose("requestPrincipals", source.request_principals);
    Lose("notRequestPrincipals", source.not_request_principals);
    Lose("remoteIpBlocks", source.remote_ip_blocks);
    Lose("notRemoteIpBlocks", source.not_remote_ip_blocks);
    for (const auto& [field, list] : {std::pair("trustDomains", &source.trust_domains),
                                      std::pair("notTrustDomains", &source.not_trust_domains)}) {
      if (list->empty()) continue;
      out_.losses.push_back({ZtunnelLoss::Effect::kIgnored, index_, field, list->span});
    }
    ZtunnelMatch match;
    match.principals = MatchersOf(source.principals);
    match.not_principals = MatchersOf(source.not_principals);
    match.namespaces = MatchersOf(source.namespaces);
    match.not_namespaces = MatchersOf(source.not_namespaces);
    match.service_accounts = Accounts(source.service_accounts, policy_.meta.ns);
    match.not_service_accounts = Accounts(source.not_service_accounts, policy_.meta.ns);
    match.source_ips = Blocks(source.ip_blocks);
    match.not_source_ips = Blocks(source.not_ip_blocks);
    NoteEmpty(match, first_loss);
    return match;
  }

  ZtunnelMatch Condition(const AuthorizationPolicy::Condition& condition) {
    ZtunnelMatch match;
    const std::string_view key = condition.key.value;
    if (!IsKnownKey(key)) {
      const size_t first_loss = out_.losses.size();
      TextList where = condition.values.empty() ? condition.not_values : condition.values;
      where.span = condition.span;
      Lose("when " + std::string(key), where);
      NoteEmpty(match, first_loss);
      return match;
    }
    if (key == "source.ip") {
      match.source_ips = Blocks(condition.values);
      match.not_source_ips = Blocks(condition.not_values);
    } else if (key == "source.namespace") {
      match.namespaces = MatchersOf(condition.values);
      match.not_namespaces = MatchersOf(condition.not_values);
    } else if (key == "source.principal") {
      match.principals = MatchersOf(condition.values);
      match.not_principals = MatchersOf(condition.not_values);
    } else if (key == "destination.ip") {
      match.destination_ips = Blocks(condition.values);
      match.not_destination_ips = Blocks(condition.not_values);
    } else {
      match.destination_ports = Ports(condition.values);
      match.not_destination_ports = Ports(condition.not_values);
    }
    return match;
  }

  const AuthorizationPolicy& policy_;
  ZtunnelPolicy& out_;
  int index_ = 0;
  bool omitted_ = false;
};

ZtunnelPolicy Translate(const Mesh& mesh, const AuthorizationPolicy& policy) {
  ZtunnelPolicy out;
  out.ns = policy.meta.ns;
  out.name = std::string(policy.meta.name);
  out.object = &policy.meta;
  out.dry_run = policy.dry_run;
  out.action = policy.action == AuthorizationPolicy::Action::kDeny ? ZtunnelPolicy::Action::kDeny
                                                                   : ZtunnelPolicy::Action::kAllow;
  if (policy.selector.present) {
    out.scope = ZtunnelPolicy::Scope::kWorkload;
  } else if (policy.meta.ns != mesh.config().root_namespace) {
    out.scope = ZtunnelPolicy::Scope::kNamespace;
  }
  RuleTranslator translator(policy, &out);
  for (size_t i = 0; i < policy.rules.size(); ++i) translator.Translate(i);
  return out;
}

// The peer authentications of one workload by level, the oldest of each.
struct Levels {
  const PeerAuthentication* mesh = nullptr;
  const PeerAuthentication* ns = nullptr;
  const PeerAuthentication* workload = nullptr;
};

bool IsOlder(const PeerAuthentication& a, const PeerAuthentication* b) {
  return b == nullptr ||
         std::tie(a.meta.created, a.meta.name) < std::tie(b->meta.created, b->meta.name);
}

void KeepOldest(const PeerAuthentication& policy, const PeerAuthentication** kept) {
  if (IsOlder(policy, *kept)) *kept = &policy;
}

Levels LevelsOf(const Mesh& mesh, const Workload& workload) {
  Levels levels;
  const std::string& root = mesh.config().root_namespace;
  for (const PeerAuthentication& policy : mesh.model().peer_authentications) {
    const bool of_root = policy.meta.ns == root;
    const bool wide = policy.selector.match_labels.empty();
    // From the root namespace reaches others only what has no selector at all.
    if (of_root && !policy.selector.present) {
      KeepOldest(policy, &levels.mesh);
      continue;
    }
    if (policy.meta.ns != workload.ns) continue;
    if (!Selects(policy.selector.match_labels, workload.labels)) continue;
    if (wide) {
      KeepOldest(policy, of_root ? &levels.mesh : &levels.ns);
    } else if (!of_root) {
      KeepOldest(policy, &levels.workload);
    }
  }
  return levels;
}

bool HasPort(const PeerAuthentication& policy, std::initializer_list<MtlsMode> modes) {
  return std::any_of(policy.ports.begin(), policy.ports.end(), [&](const auto& port) {
    return std::find(modes.begin(), modes.end(), port.mode) != modes.end();
  });
}

struct Listing {
  bool static_strict = false;
  const PeerAuthentication* strict_by = nullptr;
  const PeerAuthentication* converted = nullptr;
};

// What a workload lists.
Listing ListingOf(const Levels& levels) {
  Listing listing;
  const auto apply = [&](const PeerAuthentication* policy) {
    if (policy == nullptr || policy->mode == MtlsMode::kUnset) return;
    listing.static_strict = policy->mode == MtlsMode::kStrict;
    listing.strict_by = listing.static_strict ? policy : nullptr;
  };
  apply(levels.mesh);
  apply(levels.ns);
  const PeerAuthentication* workload = levels.workload;
  if (workload == nullptr) return listing;
  apply(workload);
  if (workload->ports.empty()) return listing;
  const bool has_strict = HasPort(*workload, {MtlsMode::kStrict});
  bool convert = false;
  if (workload->mode == MtlsMode::kStrict) {
    convert = HasPort(*workload, {MtlsMode::kPermissive, MtlsMode::kDisable});
  } else if (workload->mode != MtlsMode::kUnset) {
    convert = has_strict;
  } else if (listing.static_strict) {
    // DISABLE is not looked for here.
    convert = HasPort(*workload, {MtlsMode::kPermissive});
  } else {
    convert = has_strict;
  }
  if (!convert) return listing;
  listing.converted = workload;
  listing.static_strict = false;
  listing.strict_by = workload;
  return listing;
}

ZtunnelString Anybody(const Span& span) {
  ZtunnelString any;
  any.kind = ZtunnelString::Kind::kPresence;
  any.span = span;
  return any;
}

ZtunnelMatch WithoutIdentity(const Span& span) {
  ZtunnelMatch match;
  match.not_principals.push_back(Anybody(span));
  return match;
}

// The policy that istiod makes of one with ports; nothing where it makes none. A parent counts only
// without a selector; of the namespace's the mode counts as it stands, unset too.
std::optional<ZtunnelPolicy> Convert(const Mesh& mesh, const PeerAuthentication& policy) {
  const std::string& root = mesh.config().root_namespace;
  if (policy.meta.ns == root || !policy.selector.present || policy.ports.empty()) {
    return std::nullopt;
  }
  const PeerAuthentication* ns = nullptr;
  const PeerAuthentication* wide = nullptr;
  for (const PeerAuthentication& other : mesh.model().peer_authentications) {
    if (other.selector.present) continue;
    if (other.meta.ns == policy.meta.ns) KeepOldest(other, &ns);
    if (other.meta.ns == root) KeepOldest(other, &wide);
  }
  const bool mesh_strict = wide != nullptr && wide->mode == MtlsMode::kStrict;
  const bool ns_unset = ns == nullptr || ns->mode == MtlsMode::kUnset;
  MtlsMode mode = policy.mode;
  if (mode == MtlsMode::kUnset) {
    if (ns != nullptr) {
      mode = ns->mode;
    } else if (wide != nullptr) {
      mode = wide->mode;
    }
  }
  const bool strict = mode == MtlsMode::kStrict;
  std::map<int, const PeerAuthentication::Port*> ports;
  for (const auto& port : policy.ports) ports[port.port] = &port;

  ZtunnelPolicy out;
  out.ns = policy.meta.ns;
  out.name = std::string(kConvertedPrefix) + std::string(policy.meta.name);
  out.scope = ZtunnelPolicy::Scope::kWorkload;
  out.action = ZtunnelPolicy::Action::kDeny;
  out.object = &policy.meta;
  out.from_peer_authentication = true;
  ZtunnelGroup base;
  base.origin = {&policy.meta, -1, policy.mode_span ? policy.mode_span : policy.meta.span};
  if (strict) base.clauses.push_back({{WithoutIdentity(policy.mode_span)}});
  bool exempts = false;
  for (const auto& [number, port] : ports) {
    const auto value = static_cast<uint32_t>(number);
    if (port->mode == MtlsMode::kStrict) {
      // Meant to skip what a parent enforces anyway, this also skips it where the workload's own
      // mode has switched the parent off.
      if (strict || (ns_unset && mesh_strict)) continue;
      ZtunnelMatch match = WithoutIdentity(port->span);
      match.destination_ports.push_back({value, port->span});
      ZtunnelGroup group;
      group.origin = {&policy.meta, -1, port->span};
      group.clauses.push_back({{std::move(match)}});
      out.groups.push_back(std::move(group));
    } else if (port->mode != MtlsMode::kUnset && strict) {
      ZtunnelMatch match;
      match.not_destination_ports.push_back({value, port->span});
      base.clauses.push_back({{std::move(match)}});
      exempts = true;
    }
  }
  if (strict) {
    if (!exempts) return std::nullopt;
    out.groups.insert(out.groups.begin(), std::move(base));
  }
  if (out.groups.empty()) return std::nullopt;
  return out;
}

ZtunnelPolicy StaticStrict(const std::string& root_namespace) {
  ZtunnelPolicy out;
  out.ns = root_namespace;
  out.name = std::string(kStaticStrictName);
  out.scope = ZtunnelPolicy::Scope::kWorkload;
  out.action = ZtunnelPolicy::Action::kDeny;
  out.from_peer_authentication = true;
  ZtunnelGroup group;
  group.clauses.push_back({{WithoutIdentity({})}});
  out.groups.push_back(std::move(group));
  return out;
}

// PILOT_AUTO_ALLOW_WAYPOINT_POLICY: an ALLOW of a waypoint's service account, listed by what stands
// behind it. Being an ALLOW it denies everybody else.
std::string AllowWaypointName(const Waypoint& waypoint) {
  return "istio_allow_waypoint_" + waypoint.gateway->meta.ns + "_" +
         std::string(waypoint.gateway->meta.name);
}

ZtunnelPolicy AllowWaypoint(const Mesh& mesh, const Waypoint& waypoint) {
  ZtunnelPolicy out;
  out.ns = waypoint.gateway->meta.ns;
  out.name = AllowWaypointName(waypoint);
  out.scope = ZtunnelPolicy::Scope::kWorkload;
  ZtunnelString principal;
  principal.value =
      mesh.config().trust_domain + "/ns/" + out.ns + "/sa/" + waypoint.workload->service_account;
  ZtunnelMatch match;
  match.principals.push_back(std::move(principal));
  ZtunnelGroup group;
  group.clauses.push_back({{std::move(match)}});
  out.groups.push_back(std::move(group));
  return out;
}

// The waypoints of a workload and of the Services that lead to it, each once.
std::vector<const Waypoint*> WaypointsBefore(const Mesh& mesh, const Workload& workload) {
  std::vector<const Waypoint*> out;
  const auto add = [&](const Waypoint* waypoint) {
    if (waypoint == nullptr || waypoint->workload == nullptr) return;
    if (std::find(out.begin(), out.end(), waypoint) == out.end()) out.push_back(waypoint);
  };
  for (const MeshService& service : mesh.services()) {
    for (const size_t index : service.workloads) {
      if (&mesh.workloads()[index] == &workload) add(mesh.WaypointFor(service).waypoint);
    }
  }
  add(mesh.WaypointFor(workload).waypoint);
  return out;
}

// `selector: {}` reaches nothing, `matchLabels: {}` everything in scope; a pod without any label
// skips the comparison.
bool ListsBySelector(const AuthorizationPolicy& policy, const Workload& workload) {
  if (workload.labels.empty()) return true;
  return policy.selector.has_match_labels && Selects(policy.selector.match_labels, workload.labels);
}

}  // namespace

bool ZtunnelString::Matches(std::string_view text) const {
  switch (kind) {
    case Kind::kExact:
      return text == value;
    case Kind::kPrefix:
      return text.starts_with(value);
    case Kind::kSuffix:
      return text.ends_with(value);
    case Kind::kPresence:
      return !text.empty();
  }
  return false;
}

bool ZtunnelMatch::empty() const {
  return principals.empty() && not_principals.empty() && namespaces.empty() &&
         not_namespaces.empty() && service_accounts.empty() && not_service_accounts.empty() &&
         source_ips.empty() && not_source_ips.empty() && destination_ips.empty() &&
         not_destination_ips.empty() && destination_ports.empty() && not_destination_ports.empty();
}

ZtunnelOmission OmissionOf(const Mesh& mesh, const AuthorizationPolicy& policy) {
  if (!policy.target_refs.empty()) return ZtunnelOmission::kTargetRef;
  if (policy.action == AuthorizationPolicy::Action::kAudit) return ZtunnelOmission::kAudit;
  if (policy.action == AuthorizationPolicy::Action::kCustom) return ZtunnelOmission::kCustom;
  if (policy.dry_run &&
      !mesh.FeatureEnabled("AMBIENT_ENABLE_DRY_RUN_AUTHORIZATION_POLICY", false)) {
    return ZtunnelOmission::kDryRun;
  }
  return ZtunnelOmission::kNone;
}

ZtunnelConfig::ZtunnelConfig(const Mesh& mesh) : mesh_(mesh) {
  const Model& model = mesh.model();
  std::map<std::string, std::vector<const AuthorizationPolicy*>> selecting;  // by namespace
  for (const AuthorizationPolicy& policy : model.authorization_policies) {
    if (OmissionOf(mesh, policy) != ZtunnelOmission::kNone) continue;
    policies_.push_back(Translate(mesh, policy));
    if (policy.selector.present) selecting[policy.meta.ns].push_back(&policy);
  }
  for (const PeerAuthentication& policy : model.peer_authentications) {
    if (auto converted = Convert(mesh, policy)) policies_.push_back(*std::move(converted));
  }
  const std::string& root = mesh.config().root_namespace;
  if (!model.peer_authentications.empty()) policies_.push_back(StaticStrict(root));
  const bool allow_waypoints = mesh.FeatureEnabled("PILOT_AUTO_ALLOW_WAYPOINT_POLICY", false);
  for (const Waypoint& waypoint : mesh.waypoints()) {
    if (!allow_waypoints || waypoint.workload == nullptr) continue;
    policies_.push_back(AllowWaypoint(mesh, waypoint));
  }
  std::stable_sort(policies_.begin(), policies_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.ns, a.name) < std::tie(b.ns, b.name);
  });
  Index(0);

  for (const Workload& workload : mesh.workloads()) {
    ZtunnelWorkload entry;
    entry.workload = &workload;
    const auto list = [&](const std::string& ns) {
      const auto found = selecting.find(ns);
      if (found == selecting.end()) return;
      for (const AuthorizationPolicy* policy : found->second) {
        if (!ListsBySelector(*policy, workload)) continue;
        entry.listed.push_back(ns + "/" + std::string(policy->meta.name));
      }
    };
    list(root);
    if (workload.ns != root) list(workload.ns);
    std::sort(entry.listed.begin(), entry.listed.end());
    const Listing listing = ListingOf(LevelsOf(mesh, workload));
    std::vector<std::string> converted;
    if (listing.static_strict) converted.push_back(root + "/" + std::string(kStaticStrictName));
    if (listing.converted != nullptr) {
      converted.push_back(listing.converted->meta.ns + "/" + std::string(kConvertedPrefix) +
                          std::string(listing.converted->meta.name));
    }
    entry.listed.insert(entry.listed.end(), converted.begin(), converted.end());
    if (allow_waypoints) {
      for (const Waypoint* waypoint : WaypointsBefore(mesh, workload)) {
        entry.listed.push_back(waypoint->gateway->meta.ns + "/" + AllowWaypointName(*waypoint));
      }
    }
    entry.strict_by = listing.strict_by;
    entry.trust_domain = mesh.config().trust_domain;
    workloads_.push_back(std::move(entry));
  }
}

void ZtunnelConfig::Index(size_t begin) {
  Sent& sent = sent_.emplace_back();
  for (size_t i = begin; i < policies_.size(); ++i) {
    const ZtunnelPolicy& policy = policies_[i];
    sent.by_name.emplace(policy.Name(), i);
    if (policy.scope == ZtunnelPolicy::Scope::kNamespace) sent.of_namespace[policy.ns].push_back(i);
    if (policy.scope == ZtunnelPolicy::Scope::kGlobal) sent.global.push_back(i);
  }
}

const ZtunnelWorkload& ZtunnelConfig::For(const Workload& workload) const {
  const auto index = static_cast<size_t>(&workload - mesh_.workloads().data());
  MESHPROOF_CHECK(index < workloads_.size());
  return workloads_[index];
}

const ZtunnelPolicy* ZtunnelConfig::Find(std::string_view name) const {
  for (const Sent& sent : sent_) {
    const auto found = sent.by_name.find(std::string(name));
    if (found != sent.by_name.end()) return &policies_[found->second];
  }
  return nullptr;
}

const ZtunnelPolicy* ZtunnelConfig::StrictOn(const Workload& workload, uint32_t port) const {
  // All conditions of such policies but the port are met by a caller without identity.
  const auto holds = [&](const ZtunnelMatch& match) {
    const auto is_port = [&](const ZtunnelPort& own) { return own.port == port; };
    const auto& ports = match.destination_ports;
    const auto& not_ports = match.not_destination_ports;
    return !match.empty() && (ports.empty() || std::any_of(ports.begin(), ports.end(), is_port)) &&
           std::none_of(not_ports.begin(), not_ports.end(), is_port);
  };
  for (const ZtunnelPolicy* policy : PoliciesFor(workload)) {
    if (!policy->from_peer_authentication) continue;
    for (const ZtunnelGroup& group : policy->groups) {
      const bool all =
          std::all_of(group.clauses.begin(), group.clauses.end(), [&](const ZtunnelClause& clause) {
            return std::any_of(clause.matches.begin(), clause.matches.end(), holds);
          });
      if (all) return policy;
    }
  }
  return nullptr;
}

std::vector<const ZtunnelPolicy*> ZtunnelConfig::PoliciesFor(const Workload& workload) const {
  std::vector<const ZtunnelPolicy*> out;
  const ZtunnelWorkload& entry = For(workload);
  if (entry.sent >= sent_.size()) return out;
  const Sent& sent = sent_[entry.sent];
  const auto own = sent.of_namespace.find(workload.ns);
  if (own != sent.of_namespace.end()) {
    for (const size_t i : own->second) out.push_back(&policies_[i]);
  }
  for (const size_t i : sent.global) out.push_back(&policies_[i]);
  for (const std::string& name : entry.listed) {
    const auto found = sent.by_name.find(name);
    if (found != sent.by_name.end()) out.push_back(&policies_[found->second]);
  }
  return out;
}

}  // namespace meshproof
