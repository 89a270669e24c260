#include "analyze/probe.h"

#include <string>
#include <string_view>
#include <vector>

#include "analyze/spellings.h"

namespace meshproof {
namespace {

constexpr size_t kMostProbes = 12;

// A value that the pattern matches: `*` and a leading or trailing star are the pattern's own.
std::string ValueOf(std::string_view pattern, std::string_view filler) {
  if (pattern == "*") return std::string(filler);
  if (pattern.ends_with('*')) return std::string(pattern.substr(0, pattern.size() - 1)) + "x";
  if (pattern.starts_with('*')) return "x" + std::string(pattern.substr(1));
  return std::string(pattern);
}

// `{*}` and `{**}` of a path template stand for any piece.
std::string PathOf(std::string_view pattern) {
  std::string path = ValueOf(FillTemplate(pattern), "/");
  return path.starts_with('/') ? path : "/" + path;
}

void AddRule(const AuthorizationPolicy::Rule& rule, const Case& plain, std::vector<Case>* cases) {
  for (const AuthorizationPolicy::Operation& operation : rule.to) {
    Case question = plain;
    if (!operation.methods.empty()) {
      question.method = ValueOf(operation.methods.values.front().value, "GET");
    }
    if (!operation.paths.empty()) question.path = PathOf(operation.paths.values.front().value);
    if (!operation.hosts.empty())
      question.host = ValueOf(operation.hosts.values.front().value, "x");
    cases->push_back(std::move(question));
  }
}

}  // namespace

WireProtocol ProbeProtocol(const Mesh& mesh, const Workload& workload, int port) {
  for (const InboundPort& inbound : mesh.InboundPorts(workload)) {
    if (inbound.port != port) continue;
    switch (inbound.protocol) {
      case Protocol::kTcp:
      case Protocol::kTls:
      case Protocol::kHttps:
        return WireProtocol::kTcp;
      case Protocol::kGrpc:
        return WireProtocol::kGrpc;
      case Protocol::kHttp2:
        return WireProtocol::kHttp2;
      default:
        return WireProtocol::kHttp1;
    }
  }
  return WireProtocol::kHttp1;
}

Probe ProbeFromOutside(const Analysis& analysis, const Workload& workload, int port) {
  Case plain;
  plain.name = "a caller without an identity";
  plain.from_outside = true;
  plain.tls = CaseTls::kPlaintext;
  plain.to_workload = workload.ns + "/" + workload.name;
  plain.to_port = port;
  plain.protocol = ProbeProtocol(analysis.mesh, workload, port);
  plain.now = analysis.now;
  std::vector<Case> cases = {plain};
  if (plain.protocol != WireProtocol::kTcp) {
    for (const AuthorizationPolicy* policy : analysis.mesh.PoliciesFor(workload).allow) {
      for (const AuthorizationPolicy::Rule& rule : policy->rules) AddRule(rule, plain, &cases);
      if (cases.size() >= kMostProbes) break;
    }
  }
  Probe probe;
  for (Case& question : cases) {
    auto verdict = analysis.world.Run(question, World::Addresses::kAssume, Detail::kVerdict);
    if (!verdict.ok()) continue;
    if (verdict.value().outcome == Outcome::kAllow) {
      probe.passed = std::move(question);
      return probe;
    }
    if (verdict.value().outcome == Outcome::kUndetermined) probe.undetermined = true;
  }
  return probe;
}

}  // namespace meshproof
