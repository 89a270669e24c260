#include "proxy/dump_list.h"

#include <algorithm>
#include <variant>

#include "proxy/read_context.h"

namespace meshproof {
namespace {

Json Texts(const std::vector<std::string>& texts) {
  Json array = Json::MakeArray();
  for (const std::string& text : texts) array.Append(text);
  return array;
}

Json ListRules(const Rbac& rules) {
  Json names = Json::MakeArray();
  for (const auto& policy : rules.policies) names.Append(policy->name);
  return names;
}

std::string ActionName(const Rbac& rules) {
  switch (rules.action) {
    case Rbac::Action::kAllow:
      return "ALLOW";
    case Rbac::Action::kDeny:
      return "DENY";
    case Rbac::Action::kLog:
      return "LOG";
  }
  return "";
}

struct FilterLister {
  Json operator()(const RbacFilter& filter) const {
    Json out = Json::MakeObject({{"filter", filter.name.empty() ? "rbac" : filter.name}});
    if (filter.rules) {
      out.Set("action", ActionName(*filter.rules));
      out.Set("policies", ListRules(*filter.rules));
    }
    if (filter.shadow_rules) {
      out.Set("shadow_action", ActionName(*filter.shadow_rules));
      out.Set("shadow_policies", ListRules(*filter.shadow_rules));
    }
    if (filter.matcher != nullptr) out.Set("matcher", true);
    if (filter.disabled) out.Set("disabled", true);
    return out;
  }
  Json operator()(const JwtFilter& filter) const {
    Json providers = Json::MakeArray();
    for (const JwtProvider& provider : filter.providers) {
      providers.Append(provider.name + " " + provider.issuer);
    }
    return Json::MakeObject({{"filter", "jwt_authn"}, {"providers", std::move(providers)}});
  }
  Json operator()(const ExtAuthzFilter& filter) const {
    return Json::MakeObject({{"filter", "ext_authz"}, {"provider", filter.provider}});
  }
  Json operator()(const OpaqueFilter& filter) const {
    Json out = Json::MakeObject({{"filter", filter.name}});
    if (filter.effect == OpaqueFilter::Effect::kUnknown) out.Set("opaque", filter.type);
    return out;
  }
  Json operator()(const TcpProxy& proxy) const {
    return Json::MakeObject({{"filter", "tcp_proxy"}, {"cluster", proxy.cluster}});
  }
  Json operator()(const std::shared_ptr<const HttpConnectionManager>& manager) const {
    Json out = Json::MakeObject({{"filter", "http_connection_manager"}});
    if (!manager->rds.empty()) out.Set("rds", manager->rds);
    Json filters = Json::MakeArray();
    for (const HttpFilter& filter : manager->http_filters)
      filters.Append(std::visit(*this, filter));
    out.Set("http_filters", std::move(filters));
    return out;
  }
};

Json ListChain(const FilterChain& chain) {
  Json out = Json::MakeObject({{"name", chain.name}});
  if (chain.match.destination_port != 0) out.Set("port", chain.match.destination_port);
  if (!chain.match.transport_protocol.empty()) out.Set("transport", chain.match.transport_protocol);
  if (!chain.match.application_protocols.empty()) {
    out.Set("alpn", Texts(chain.match.application_protocols));
  }
  if (!chain.match.server_names.empty()) out.Set("server_names", Texts(chain.match.server_names));
  if (chain.tls) out.Set("tls", chain.tls->require_client_certificate ? "mutual" : "simple");
  if (!chain.opaque_transport.empty()) out.Set("opaque_transport", chain.opaque_transport);
  Json filters = Json::MakeArray();
  for (const NetworkFilter& filter : *chain.filters) {
    filters.Append(std::visit(FilterLister(), filter));
  }
  out.Set("filters", std::move(filters));
  return out;
}

Json ListTargets(const WaypointMatcher& matcher) {
  Json targets = Json::MakeArray();
  for (const WaypointMatcher::Vip& vip : matcher.services) {
    for (const IpAddress& address : vip.addresses) {
      for (const WaypointMatcher::Port& port : vip.ports) {
        const bool both = !port.http_chain.empty() && !port.tcp_chain.empty();
        targets.Append(ToString(address) + ":" + std::to_string(port.port) + " " + port.http_chain +
                       (both ? " or " : "") + port.tcp_chain);
      }
    }
  }
  for (const IpAddress& address : matcher.workload_addresses) {
    targets.Append(ToString(address) + " direct");
  }
  return targets;
}

Json ListListener(const Listener& listener) {
  Json out = Json::MakeObject({{"name", listener.name}});
  if (!listener.address.empty()) {
    out.Set("address", listener.address + ":" + std::to_string(listener.port));
  }
  Json filters = Json::MakeArray();
  if (listener.original_dst) filters.Append("original_dst");
  if (listener.tls_inspector) filters.Append("tls_inspector");
  if (listener.http_inspector) filters.Append("http_inspector");
  for (const OpaqueFilter& filter : listener.other_filters) filters.Append(filter.name);
  out.Set("listener_filters", std::move(filters));
  if (!listener.opaque.empty()) out.Set("opaque", Texts(listener.opaque));
  if (listener.waypoint) out.Set("targets", ListTargets(*listener.waypoint));
  Json chains = Json::MakeArray();
  for (const FilterChain& chain : listener.filter_chains) chains.Append(ListChain(chain));
  out.Set("filter_chains", std::move(chains));
  if (listener.default_filter_chain) {
    out.Set("default_filter_chain", ListChain(*listener.default_filter_chain));
  }
  return out;
}

const char* KindName(DumpSecret::Kind kind) {
  switch (kind) {
    case DumpSecret::Kind::kCertificate:
      return "certificate";
    case DumpSecret::Kind::kRoots:
      return "roots";
    case DumpSecret::Kind::kOther:
      return "other";
  }
  return "";
}

const char* TroubleName(DumpTrouble::Kind kind) {
  switch (kind) {
    case DumpTrouble::Kind::kWarming:
      return "warming";
    case DumpTrouble::Kind::kDraining:
      return "draining";
    case DumpTrouble::Kind::kRejected:
      return "rejected";
    case DumpTrouble::Kind::kStale:
      return "stale";
  }
  return "";
}

}  // namespace

Json ListProxy(const ProxyDump& dump) {
  const ProxyConfig& config = *dump.config;
  Json out = Json::MakeObject({{"namespace", config.ns},
                               {"workload", config.workload},
                               {"mode", ToString(config.mode)},
                               {"node", dump.node_id},
                               {"istio_version", dump.istio_version}});
  Json listeners = Json::MakeArray();
  for (const Listener& listener : config.listeners) listeners.Append(ListListener(listener));
  out.Set("listeners", std::move(listeners));
  Json outbound = Json::MakeArray();
  for (const Listener& listener : config.outbound) outbound.Append(ListListener(listener));
  out.Set("outbound_listeners", std::move(outbound));
  Json routes = Json::MakeArray();
  for (const auto& configuration : config.routes) {
    Json hosts = Json::MakeArray();
    for (const VirtualHost& host : configuration->virtual_hosts) {
      hosts.Append(host.name + " (" + std::to_string(host.routes.size()) + ")");
    }
    routes.Append(
        Json::MakeObject({{"name", configuration->name}, {"virtual_hosts", std::move(hosts)}}));
  }
  out.Set("routes", std::move(routes));
  out.Set("clusters", dump.clusters.size());
  out.Set("endpoints", dump.endpoints);
  Json secrets = Json::MakeArray();
  for (const DumpSecret& secret : dump.secrets) {
    secrets.Append(std::string(KindName(secret.kind)) + " " + secret.name +
                   (secret.state == DumpSecret::State::kWarming ? " (warming)" : "") +
                   (secret.redacted ? " (redacted)" : ""));
  }
  out.Set("secrets", std::move(secrets));
  Json troubles = Json::MakeArray();
  for (const DumpTrouble& trouble : dump.troubles) {
    troubles.Append(std::string(TroubleName(trouble.kind)) + " " + trouble.what);
  }
  out.Set("troubles", std::move(troubles));
  Json opaque = Json::MakeArray();
  for (const DumpOpaque& part : dump.opaque) {
    opaque.Append((part.where.empty() ? "" : part.where + ": ") + part.what);
  }
  out.Set("opaque", std::move(opaque));
  return out;
}

namespace {

// The security filters of a chain on one line.
struct FilterSummary {
  std::vector<std::string>* parts;
  void operator()(const RbacFilter& filter) const {
    for (const auto* rules : {&filter.shadow_rules, &filter.rules}) {
      if (!*rules) continue;
      std::string text = "RBAC " + ActionName(**rules);
      if (rules == &filter.shadow_rules) text += " (shadow)";
      for (const auto& policy : (*rules)->policies) text += " " + policy->name;
      parts->push_back(std::move(text));
    }
    if (filter.matcher != nullptr) parts->push_back("RBAC matcher");
  }
  void operator()(const JwtFilter& filter) const {
    std::string text = "jwt_authn";
    for (const JwtProvider& provider : filter.providers) text += " " + provider.issuer;
    parts->push_back(std::move(text));
  }
  void operator()(const ExtAuthzFilter& filter) const {
    parts->push_back("ext_authz " + filter.provider);
  }
  void operator()(const OpaqueFilter& filter) const {
    if (filter.effect == OpaqueFilter::Effect::kUnknown) {
      parts->push_back(filter.name + " (cannot be seen through)");
    }
  }
  void operator()(const TcpProxy&) const {}
  void operator()(const std::shared_ptr<const HttpConnectionManager>& manager) const {
    for (const HttpFilter& filter : manager->http_filters) std::visit(*this, filter);
  }
};

bool SpeaksHttp(const FilterChain& chain) {
  return std::any_of(chain.filters->begin(), chain.filters->end(), [](const auto& filter) {
    return std::holds_alternative<std::shared_ptr<const HttpConnectionManager>>(filter);
  });
}

// What a chain is for, as far as ports say it; a waypoint chooses by the Service that is meant.
std::string ChainTarget(const Listener& listener, const FilterChain& chain) {
  const std::string_view host = WaypointHostOf(chain.name);
  if (!host.empty()) {
    const size_t port = chain.name.find('|') + 1;
    return std::string(host) + ":" + chain.name.substr(port, chain.name.find('|', port) - port);
  }
  if (chain.match.destination_port != 0) {
    return "port " + std::to_string(chain.match.destination_port);
  }
  return listener.original_dst ? "every other port" : "whatever comes";
}

std::string ChainText(const Listener& listener, const FilterChain& chain, bool waypoint) {
  std::string text = "    " + ChainTarget(listener, chain);
  text += SpeaksHttp(chain) ? ", HTTP" : ", TCP";
  text += chain.tls ? (chain.tls->require_client_certificate ? ", mutual TLS" : ", TLS")
          : chain.match.transport_protocol == "tls"      ? ", TLS not opened"
          : waypoint && listener.name == "main_internal" ? ", out of HBONE"
                                                         : ", plaintext";
  if (!chain.match.server_names.empty()) text += ", for " + chain.match.server_names.front();
  std::vector<std::string> parts;
  for (const NetworkFilter& filter : *chain.filters) std::visit(FilterSummary{&parts}, filter);
  text += parts.empty() ? ": no security filter\n" : ":\n";
  for (const std::string& part : parts) text += "      " + part + "\n";
  return text;
}

}  // namespace

std::string ProxyText(const ProxyDump& dump) {
  std::string text = "What its proxy runs (" + dump.file + ")\n";
  for (const Listener& listener : dump.config->listeners) {
    text += "  listener " + listener.name + "\n";
    for (const FilterChain& chain : listener.filter_chains) {
      text += ChainText(listener, chain, dump.config->mode == ProxyMode::kWaypoint);
    }
  }
  for (const DumpTrouble& trouble : dump.troubles) {
    text += std::string("  ") + TroubleName(trouble.kind) + ": " + trouble.what +
            (trouble.details.empty() ? "" : " (" + trouble.details + ")") + "\n";
  }
  for (const DumpOpaque& part : dump.opaque) {
    text += "  cannot be seen through: " + (part.where.empty() ? "" : part.where + ": ") +
            part.what + "\n";
  }
  return text;
}

Json ListZtunnel(const ZtunnelDump& dump) {
  Json out =
      Json::MakeObject({{"workloads", dump.workloads.size()}, {"services", dump.services.size()}});
  Json policies = Json::MakeArray();
  for (const DumpedPolicy& policy : dump.policies) {
    policies.Append(policy.ns + "/" + policy.name + " " + policy.scope + " " + policy.action + " " +
                    std::to_string(policy.rules));
  }
  out.Set("policies", std::move(policies));
  Json identities = Json::MakeArray();
  for (const auto& identity : dump.identities) {
    identities.Append(identity.identity + " " + identity.state);
  }
  out.Set("identities", std::move(identities));
  return out;
}

}  // namespace meshproof
