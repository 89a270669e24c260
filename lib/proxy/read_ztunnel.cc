// Ztunnel's dump: workloads, policies, certificates. Lists of older versions, maps of newer ones.

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

DumpedWorkload ReadWorkload(const Node& node, const SourceFile& file) {
  DumpedWorkload workload;
  workload.ns = TextField(&node, "namespace");
  workload.name = TextField(&node, "name");
  workload.workload = TextField(&node, "workload_name");
  workload.service_account = TextField(&node, "service_account");
  workload.trust_domain = TextField(&node, "trust_domain");
  workload.protocol = TextField(&node, "protocol");
  workload.node = TextField(&node, "node");
  workload.has_waypoint = Field(&node, "waypoint") != nullptr;
  std::vector<std::string> addresses = TextsField(&node, "workload_ips");
  if (addresses.empty()) addresses.push_back(TextField(&node, "workload_ip"));
  for (const std::string& text : addresses) {
    if (auto ip = ParseIpAddress(text)) workload.ips.push_back(*ip);
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
  ForEach(Field(&node, "services"), [&](const Node&) { ++dump.services; });
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
