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
    policy.rules = ItemsField(&entry, "rules").size();
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
