// Ztunnel's dump: workloads, policies, certificates. Lists of older versions, maps of newer ones.

#include <algorithm>

#include "base/text.h"
#include "proxy/read_context.h"

namespace meshproof {
namespace {

template <typename Function>
void ForEach(const Node* node, Function function) {
  if (node == nullptr) return;
  if (node->IsSequence()) {
    for (const Node& item : node->items()) function(item);
  } else if (node->IsMapping()) {
    for (const Entry& entry : node->entries()) function(entry.value);
  }
}

std::vector<std::string> Pems(const Node* node) {
  std::vector<std::string> pems;
  ForEach(node, [&](const Node& certificate) {
    if (std::string pem = TextField(&certificate, "pem"); !pem.empty()) pems.push_back(pem);
  });
  return pems;
}

// The address of "network1/10.244.1.2", "/10.244.1.2" or "10.244.1.2".
std::optional<IpAddress> AddressIn(std::string_view text) {
  const size_t slash = text.rfind('/');
  return ParseIpAddress(slash == std::string_view::npos ? text : text.substr(slash + 1));
}

// A waypoint or network gateway: its address, or the Service by namespace and host. Texts of newer
// ztunnels, objects of older ones.
std::string DestinationOf(const Node* gateway) {
  const Node* destination = Field(gateway, "destination");
  if (destination == nullptr) return gateway != nullptr ? TextOf(gateway) : std::string();
  std::string text = TextOf(destination);
  if (!text.empty()) {
    const auto address = AddressIn(text);
    return address ? ToString(*address) : text;
  }
  if (std::string host = TextField(destination, "hostname"); !host.empty()) {
    return TextField(destination, "namespace") + "/" + host;
  }
  return TextField(destination, "address");
}

// {"80": 8080}; a port that differs from pod to pod stands as 0.
std::vector<std::pair<int, int>> PortsField(const Node& node) {
  std::vector<std::pair<int, int>> ports;
  const Node* map = Field(&node, "ports");
  if (map == nullptr) map = Field(&node, "port");
  if (map == nullptr || !map->IsMapping()) return ports;
  for (const Entry& entry : map->entries()) {
    const auto from = ParseUnsigned(TextOf(&entry.key));
    const auto to = entry.value.AsInt();
    if (!from || *from == 0 || *from > 65535) continue;
    ports.emplace_back(static_cast<int>(*from),
                       to && *to > 0 && *to <= 65535 ? static_cast<int>(*to) : 0);
  }
  std::sort(ports.begin(), ports.end());
  return ports;
}

DumpedService ReadService(const Node& node, const SourceFile& file) {
  DumpedService service;
  service.ns = TextField(&node, "namespace");
  service.name = TextField(&node, "name");
  service.host = TextField(&node, "hostname");
  service.waypoint = DestinationOf(Field(&node, "waypoint"));
  for (const std::string& text : TextsField(&node, "vips")) {
    if (auto address = AddressIn(text)) service.vips.push_back(*address);
  }
  service.ports = PortsField(node);
  ForEach(Field(&node, "endpoints"), [&](const Node& endpoint) {
    service.endpoints.push_back({TextField(&endpoint, "workload_uid"), PortsField(endpoint)});
  });
  service.span = {&file, node.begin, node.end};
  return service;
}

DumpedWorkload ReadWorkload(const Node& node, const SourceFile& file) {
  DumpedWorkload workload;
  workload.ns = TextField(&node, "namespace");
  workload.name = TextField(&node, "name");
  workload.workload = TextField(&node, "workload_name");
  workload.service_account = TextField(&node, "service_account");
  workload.trust_domain = TextField(&node, "trust_domain");
  workload.protocol = TextField(&node, "protocol");
  if (workload.protocol.empty()) workload.protocol = TextField(&node, "tunnel_protocol");
  workload.node = TextField(&node, "node");
  const Node* waypoint = Field(&node, "waypoint");
  workload.waypoint = DestinationOf(waypoint);
  workload.has_waypoint = waypoint != nullptr && !waypoint->IsNull();
  workload.network_gateway = DestinationOf(Field(&node, "network_gateway"));
  workload.uid = TextField(&node, "uid");
  workload.native_tunnel = BoolField(&node, "native_tunnel");
  workload.host_network = TextField(&node, "network_mode") == "HostNetwork";
  std::vector<std::string> addresses = TextsField(&node, "workload_ips");
  if (addresses.empty()) addresses.push_back(TextField(&node, "workload_ip"));
  for (const std::string& text : addresses) {
    if (auto ip = AddressIn(text)) workload.ips.push_back(*ip);
  }
  workload.policies = TextsField(&node, "authorization_policies");
  workload.span = {&file, node.begin, node.end};
  return workload;
}

// {"Exact": "a"}, {"Presence": []}; nothing for what is none of them.
std::vector<ZtunnelString> Strings(const Node& match, std::string_view key,
                                   const SourceFile& file) {
  using Kind = ZtunnelString::Kind;
  constexpr std::pair<std::string_view, Kind> kKinds[] = {{"Exact", Kind::kExact},
                                                          {"Prefix", Kind::kPrefix},
                                                          {"Suffix", Kind::kSuffix},
                                                          {"Presence", Kind::kPresence}};
  std::vector<ZtunnelString> strings;
  for (const Node& node : ItemsField(&match, key)) {
    for (const auto& [name, kind] : kKinds) {
      const Node* value = node.IsMapping() ? node.Find(name) : nullptr;
      bool bare = TextOf(&node) == name;
      if (value == nullptr && !bare) continue;
      strings.push_back({kind,
                         kind == Kind::kPresence ? std::string() : TextOf(value),
                         {&file, node.begin, node.end}});
    }
  }
  return strings;
}

std::vector<ZtunnelAccount> Accounts(const Node& match, std::string_view key,
                                     const SourceFile& file) {
  std::vector<ZtunnelAccount> accounts;
  for (const Node& node : ItemsField(&match, key)) {
    accounts.push_back({TextField(&node, "namespace"),
                        TextField(&node, "service_account"),
                        {&file, node.begin, node.end}});
  }
  return accounts;
}

std::vector<ZtunnelBlock> Blocks(const Node& match, std::string_view key, const SourceFile& file) {
  std::vector<ZtunnelBlock> blocks;
  for (const Node& node : ItemsField(&match, key)) {
    std::string text = TextOf(&node);
    auto range = ParseCidr(text);
    if (!range) continue;
    blocks.push_back({*range, text.substr(0, text.find('/')), {&file, node.begin, node.end}});
  }
  return blocks;
}

std::vector<ZtunnelPort> Ports(const Node& match, std::string_view key, const SourceFile& file) {
  std::vector<ZtunnelPort> ports;
  for (const Node& node : ItemsField(&match, key)) {
    auto port = node.AsInt();
    if (port && *port >= 0 && *port <= 65535) {
      ports.push_back({static_cast<uint32_t>(*port), {&file, node.begin, node.end}});
    }
  }
  return ports;
}

ZtunnelMatch ReadMatch(const Node& node, const SourceFile& file) {
  ZtunnelMatch match;
  match.namespaces = Strings(node, "namespaces", file);
  match.not_namespaces = Strings(node, "not_namespaces", file);
  match.principals = Strings(node, "principals", file);
  match.not_principals = Strings(node, "not_principals", file);
  match.service_accounts = Accounts(node, "service_accounts", file);
  match.not_service_accounts = Accounts(node, "not_service_accounts", file);
  match.source_ips = Blocks(node, "source_ips", file);
  match.not_source_ips = Blocks(node, "not_source_ips", file);
  match.destination_ips = Blocks(node, "destination_ips", file);
  match.not_destination_ips = Blocks(node, "not_destination_ips", file);
  match.destination_ports = Ports(node, "destination_ports", file);
  match.not_destination_ports = Ports(node, "not_destination_ports", file);
  return match;
}

// Rules, each a list of clauses, each a list of matches.
std::vector<ZtunnelGroup> ReadGroups(const Node& policy, const SourceFile& file) {
  std::vector<ZtunnelGroup> groups;
  for (const Node& rule : ItemsField(&policy, "rules")) {
    ZtunnelGroup group;
    group.origin.span = {&file, rule.begin, rule.end};
    ForEach(&rule, [&](const Node& node) {
      ZtunnelClause clause;
      ForEach(&node, [&](const Node& match) { clause.matches.push_back(ReadMatch(match, file)); });
      group.clauses.push_back(std::move(clause));
    });
    groups.push_back(std::move(group));
  }
  return groups;
}

}  // namespace

ZtunnelDump ReadZtunnel(const Node& node, const SourceFile& file) {
  ZtunnelDump dump;
  dump.file = file.name();
  dump.span = {&file, node.begin, node.end};
  ForEach(Field(&node, "workloads"),
          [&](const Node& entry) { dump.workloads.push_back(ReadWorkload(entry, file)); });
  dump.has_policies = Field(&node, "policies") != nullptr;
  ForEach(Field(&node, "policies"), [&](const Node& entry) {
    DumpedPolicy policy;
    policy.ns = TextField(&entry, "namespace");
    policy.name = TextField(&entry, "name");
    policy.scope = TextField(&entry, "scope");
    policy.action = TextField(&entry, "action");
    policy.groups = ReadGroups(entry, file);
    policy.rules = policy.groups.size();
    policy.dry_run = BoolField(&entry, "dry_run");
    policy.span = {&file, entry.begin, entry.end};
    dump.policies.push_back(std::move(policy));
  });
  ForEach(Field(&node, "services"),
          [&](const Node& entry) { dump.services.push_back(ReadService(entry, file)); });
  ForEach(Field(&node, "workload_state"), [&](const Node& entry) {
    const Node* info = Field(&entry, "info");
    dump.served.insert(TextField(info, "namespace") + "/" + TextField(info, "name"));
  });
  ForEach(Field(&node, "certificates"), [&](const Node& entry) {
    ZtunnelDump::Identity identity;
    identity.identity = TextField(&entry, "identity");
    identity.state = TextField(&entry, "state");
    identity.chain_pem = Pems(Field(&entry, "cert_chain"));
    if (identity.chain_pem.empty()) identity.chain_pem = Pems(Field(&entry, "ca_cert"));
    identity.root_pem = Pems(Field(&entry, "root_certs"));
    identity.span = {&file, entry.begin, entry.end};
    dump.identities.push_back(std::move(identity));
  });
  return dump;
}

}  // namespace meshproof
