// Servers that claim one authority on one port of the same proxies. Plain HTTP servers of a port
// share their routes; a TLS host (with its namespace) belongs to the server that has it first, and
// istiod leaves out every later server that names it; a server of another protocol is left out
// whole; one SNI host under two namespaces makes two filter chains alike, which Envoy refuses.
// First is the oldest Gateway. A TLS host under a wildcard goes by SNI to the more exact server,
// but a client that has a connection for the wildcard's certificate may send it there.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "analyze/server_groups.h"
#include "base/text.h"
#include "crypto/base64.h"
#include "crypto/x509.h"

namespace meshproof::overlapping_servers {
namespace {

constexpr size_t kMostRelated = 3;

bool Redirects(const GatewayServer& server) {
  return server.tls && server.tls->https_redirect;
}

std::string Quote(std::string_view text) {
  return "`" + std::string(text) + "`";
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const Secret& secret : analysis.model.secrets) {
      secrets_[{secret.meta.ns, std::string(secret.meta.name)}] = &secret;
    }
  }

  void CheckGroup(const ServerGroup& group) {
    const std::set<const GatewayServer*> dropped = CheckProtocols(group);
    std::vector<std::vector<size_t>> others(group.claims.size());
    for (const auto& [narrow, wide] : OverlapsOf(group.claims)) {
      const ServerClaim& a = group.claims[narrow];
      const ServerClaim& b = group.claims[wide];
      if (dropped.contains(a.server) || dropped.contains(b.server)) continue;
      if (a.gateway->made_from != nullptr && b.gateway->made_from == a.gateway->made_from) continue;
      if (Redirects(*a.server) && Redirects(*b.server) && a.server != b.server) continue;
      others[narrow].push_back(wide);
      if (a.gateway != b.gateway) others[wide].push_back(narrow);
    }
    for (size_t i = 0; i < others.size(); ++i) {
      if (!others[i].empty()) ReportOverlap(group, i, others[i]);
    }
  }

  // Gateways whose HTTPS servers share a certificate: one connection serves the hosts of both for
  // the client, and only those of one for the proxy.
  void CheckCertificates(const ServerGroup& group) {
    std::map<std::string, std::vector<const Mesh::BoundServer*>> users;
    for (const Mesh::BoundServer& bound : group.servers) {
      if (!EndsTls(*bound.server) || bound.gateway->made_from != nullptr) continue;
      const std::string name(bound.server->tls->credential_name.value);
      if (!name.empty()) users[name].push_back(&bound);
    }
    for (const auto& [name, servers] : users) {
      for (const Mesh::BoundServer* bound : servers) {
        const Mesh::BoundServer* other = nullptr;
        for (const Mesh::BoundServer* candidate : servers) {
          if (candidate->gateway == bound->gateway) continue;
          if (!IsTaken(*candidate->gateway, *bound->gateway)) continue;
          if (!MayShare(group, name, *bound->server, *candidate->server)) continue;
          other = candidate;
          break;
        }
        if (other != nullptr) ReportCertificate(group, name, *bound, *other);
      }
    }
  }

  void CheckListeners(const ObjectMeta& gateway) {
    std::map<std::pair<int, std::string>, const GatewayListener*> first;
    std::map<int, const GatewayListener*> plain, tls, raw;
    const std::vector<GatewayListener> listeners = ListenersOf(gateway);
    for (const GatewayListener& listener : listeners) {
      if (listener.protocol == "HBONE" || listener.protocol == "UDP") continue;
      const bool has_host = listener.protocol != "TCP";
      auto [found, added] =
          first.try_emplace({listener.port, std::string(listener.protocol) + "\n" +
                                                (has_host ? ToLower(listener.hostname) : "")},
                            &listener);
      const std::string name = Quote(listener.name);
      const std::string port = std::to_string(listener.port);
      if (!added) {
        Finding& finding = ReportAt(
            reporter_, gateway, SpanOf(gateway.file, *listener.node),
            "listener " + name + " claims what listener " + Quote(found->second->name) +
                " has: " + std::string(listener.protocol) + " on port " + port + " for " +
                (listener.hostname.empty() ? "every host" : Quote(listener.hostname)) +
                ", so which of the two a request gets, and with it the certificate and the "
                "routes, is not defined; remove one or give it another hostname",
            "Remove one of the two listeners, or give it another hostname.");
        finding.istioctl_codes.emplace();
        finding.detail = listener.name;
        finding.related.push_back({SpanOf(gateway.file, *found->second->node), "the other one"});
        continue;
      }
      auto& own = listener.protocol == "HTTP" ? plain : listener.protocol == "TCP" ? raw : tls;
      own.emplace(listener.port, &listener);
      for (const auto* other : {&plain, &tls, &raw}) {
        auto clash = other->find(listener.port);
        if (other == &own || clash == other->end()) continue;
        Finding& finding =
            ReportAt(reporter_, gateway, listener.FieldSpan("protocol"),
                     "listener " + name + " wants " + std::string(listener.protocol) + " on port " +
                         port + ", where listener " + Quote(clash->second->name) + " has " +
                         std::string(clash->second->protocol) +
                         ", so one of them is left out; give it a port of its own",
                     "Give the listener a port of its own.");
        finding.istioctl_codes.emplace();
        finding.detail = listener.name;
        finding.related.push_back(
            {clash->second->FieldSpan("protocol"), "the other protocol on this port"});
        break;
      }
    }
  }

  // Gateways that ask for one address.
  void CheckAddresses() {
    struct Use {
      const ObjectMeta* gateway;
      const Node* node;
    };
    std::map<std::string, std::vector<Use>> uses;
    for (const K8sGateway& gateway : analysis_.model.k8s_gateways) {
      for (const Node& address : ListItems(NodeAt(gateway.meta.node, {"spec", "addresses"}))) {
        const Node* type = NodeAt(&address, {"type"});
        const Node* value = NodeAt(&address, {"value"});
        if (value == nullptr || value->text.empty()) continue;
        const std::string kind(type == nullptr ? "IPAddress" : type->text);
        std::string name = ToLower(value->text);
        if (kind == "Hostname" && name.find('.') == std::string::npos)
          name += "." + gateway.meta.ns;
        uses[kind + " " + name].push_back({&gateway.meta, value});
      }
    }
    for (const auto& [address, users] : uses) {
      for (const Use& use : users) {
        const Use& other = users.front().gateway == use.gateway ? users.back() : users.front();
        if (other.gateway == use.gateway) continue;
        Finding& finding = ReportAt(
            reporter_, *use.gateway, SpanOf(use.gateway->file, *use.node),
            "Gateway " + other.gateway->ns + "/" + std::string(other.gateway->name) +
                " asks for the same address, so their listeners meet on the same ports and which "
                "one a request gets is not defined; give each its own, or make it one Gateway",
            "Give each Gateway its own address.");
        finding.istioctl_codes.emplace();
        finding.related.push_back({SpanOf(other.gateway->file, *other.node), "the same address"});
      }
    }
  }

 private:
  // The servers that cannot share the port with the first.
  std::set<const GatewayServer*> CheckProtocols(const ServerGroup& group) {
    std::set<const GatewayServer*> dropped;
    if (group.servers.empty()) return dropped;
    const Mesh::BoundServer& first = group.servers.front();
    const bool plain_http = IsPlainHttp(*first.server);
    const bool plain = plain_http || !first.server->tls;
    for (const Mesh::BoundServer& bound : group.servers) {
      if (bound.server == first.server) continue;
      const bool http = IsPlainHttp(*bound.server);
      const bool fits = plain ? plain_http && http : bound.server->tls && !http;
      if (fits) continue;
      dropped.insert(bound.server);
      if (bound.gateway->made_from != nullptr && first.gateway->made_from != nullptr) continue;
      ReportProtocol(group, bound, first, true);
      if (bound.gateway != first.gateway && !KnowsOrder(*bound.gateway, *first.gateway)) {
        ReportProtocol(group, first, bound, false);
      }
    }
    return dropped;
  }

  static bool KnowsOrder(const Gateway& a, const Gateway& b) {
    return !a.meta.created.empty() && !b.meta.created.empty() && a.meta.created != b.meta.created;
  }

  bool SaidBefore(const void* what, const std::string& how) {
    return !said_.emplace(what, how).second;
  }

  static std::string SayPlace(const ServerGroup& group) {
    std::string text = "port " + std::to_string(group.port) + " of ";
    return text + (group.workload == nullptr
                       ? "the same proxies"
                       : "gateway " + group.workload->ns + "/" + group.workload->name);
  }

  void ReportProtocol(const ServerGroup& group, const Mesh::BoundServer& bound,
                      const Mesh::BoundServer& other, bool later) {
    if (SaidBefore(bound.server, "protocol")) return;
    std::string message = SayServer(*bound.gateway, *bound.server, bound.gateway) + " wants " +
                          std::string(bound.server->protocol.value) + " on " + SayPlace(group) +
                          ", where " + SayServer(*other.gateway, *other.server, bound.gateway) +
                          " has " + std::string(other.server->protocol.value) + ", so ";
    if (bound.gateway == other.gateway || KnowsOrder(*bound.gateway, *other.gateway)) {
      message += "istiod leaves this server out and its hosts are not served";
    } else {
      message += "istiod leaves out the server of the younger Gateway and its hosts are not served";
    }
    Finding& finding =
        ReportAt(reporter_, ObjectOf(*bound.gateway), PlaceOf(bound),
                 message + "; give it a port of its own", "Give the server a port of its own.");
    finding.istioctl_codes = Codes(bound.gateway != other.gateway);
    finding.related.push_back({PlaceOf(other), "the other protocol on this port"});
    if (later) ShowUnserved(group, bound, &finding);
  }

  static Span PlaceOf(const Mesh::BoundServer& bound) {
    return bound.server->protocol.span ? bound.server->protocol.span : bound.server->span;
  }

  static std::vector<std::string> Codes(bool several_gateways) {
    return several_gateways ? std::vector<std::string>{"IST0138"} : std::vector<std::string>{};
  }

  void ReportOverlap(const ServerGroup& group, size_t at, const std::vector<size_t>& others) {
    const ServerClaim& claim = group.claims[at];
    const ServerClaim& other = group.claims[others.front()];
    if (SaidBefore(claim.written, "host")) return;
    const bool same_gateway = claim.gateway == other.gateway;
    const bool same_host = claim.host == other.host;
    const bool tls = EndsTls(*claim.server) && EndsTls(*other.server);
    const std::string them = SayServer(*other.gateway, *other.server, claim.gateway);
    std::string message = Quote(claim.written->value);
    Severity severity = Severity::kWarning;
    std::string fix = "Let one server have the host.";
    if (claim.server == other.server) {
      message += same_host
                     ? " stands twice in the server's hosts"
                     : " is covered by " + Quote(other.written->value) + " of the same server";
      message += ", which changes nothing; remove it";
      severity = Severity::kInfo;
      fix = "Remove the host.";
    } else if (tls && same_host && claim.ns != other.ns) {
      message += " is claimed on " + SayPlace(group) + " by " + them +
                 " for other namespaces, so two filter chains have the same server name and Envoy "
                 "refuses the whole listener; let one server name both namespaces";
      severity = Severity::kError;
    } else if (tls && same_host) {
      const bool known = same_gateway || KnowsOrder(*claim.gateway, *other.gateway);
      message += " is claimed on " + SayPlace(group) + " by " + them +
                 " too, so istiod leaves out " +
                 (known ? "the younger server with all its hosts"
                        : "the server of the younger Gateway with all its hosts") +
                 ", and with it its certificate and its routes; let one server have the host";
    } else if (tls) {
      const bool narrow = claim.host.size() >= other.host.size();
      message += " overlaps with " + Quote(other.written->value) + " of " + them + " on " +
                 SayPlace(group) + ", so " + Quote(SampleHost(narrow ? claim.host : other.host)) +
                 " belongs to two servers: SNI leads it to the more exact one, but a client with "
                 "a connection of the other may send it there; keep the hosts apart";
      if (same_gateway) severity = Severity::kInfo;
      fix = "Keep the hosts of the servers apart.";
    } else {
      message +=
          (same_host ? " is claimed on "
                     : " overlaps with " + Quote(other.written->value) + " on ") +
          SayPlace(group) + " by " + them + (same_host ? " too" : "") + ", so " +
          Quote(SampleHost(claim.host.size() >= other.host.size() ? claim.host : other.host)) +
          " has two owners, the routes of both are joined and which come first is not "
          "defined; let one server have the host";
      if (same_gateway && !same_host) severity = Severity::kInfo;
    }
    Finding& finding = ReportAt(reporter_, ObjectOf(*claim.gateway),
                                claim.written->span ? claim.written->span : claim.server->span,
                                std::move(message), std::move(fix));
    finding.severity = severity;
    finding.istioctl_codes = Codes(!same_gateway);
    for (size_t i = 0; i < others.size() && i < kMostRelated; ++i) {
      const ServerClaim& claimed = group.claims[others[i]];
      finding.related.push_back(
          {claimed.written->span ? claimed.written->span : claimed.server->span, "claims it too"});
    }
  }

  // Every proxy that takes `inner` takes `outer`.
  bool IsTaken(const Gateway& inner, const Gateway& outer) {
    const std::set<const Workload*>& a = WorkloadsOf(inner);
    const std::set<const Workload*>& b = WorkloadsOf(outer);
    return std::includes(b.begin(), b.end(), a.begin(), a.end());
  }

  const std::set<const Workload*>& WorkloadsOf(const Gateway& gateway) {
    if (!workloads_known_) {
      workloads_known_ = true;
      for (const Workload& workload : analysis_.mesh.workloads()) {
        if (workload.mode != ProxyMode::kGateway) continue;
        for (const Mesh::BoundServer& bound : analysis_.mesh.GatewayServersFor(workload)) {
          workloads_[bound.gateway].insert(&workload);
        }
      }
    }
    return workloads_[&gateway];
  }

  // Whether a client may take a connection to one for the hosts of the other: the certificate is
  // good for both, as far as it can be read.
  bool MayShare(const ServerGroup& group, const std::string& name, const GatewayServer& a,
                const GatewayServer& b) const {
    if (group.workload == nullptr) return true;
    auto found = secrets_.find({group.workload->ns, name});
    if (found == secrets_.end()) return true;
    std::string pem;
    for (const auto& [key, value] : found->second->data) {
      if (key != "tls.crt" && key != "cert") continue;
      if (auto decoded = DecodeBase64(value)) pem = *decoded;
    }
    for (const auto& [key, value] : found->second->string_data) {
      if (key == "tls.crt" || key == "cert") pem = value;
    }
    const std::vector<CertificateBlock> blocks = ReadCertificates(pem);
    if (blocks.empty() || !blocks.front().certificate) return true;
    return CoversAny(*blocks.front().certificate, a) && CoversAny(*blocks.front().certificate, b);
  }

  static bool CoversAny(const X509Certificate& certificate, const GatewayServer& server) {
    return std::any_of(server.hosts.values.begin(), server.hosts.values.end(), [&](const Text& at) {
      std::string_view ns;
      return CoversHost(certificate, SampleHost(HostOfServer(at.value, &ns)));
    });
  }

  void ReportCertificate(const ServerGroup& group, const std::string& name,
                         const Mesh::BoundServer& bound, const Mesh::BoundServer& other) {
    if (SaidBefore(bound.server, "certificate")) return;
    std::string_view ns;
    const std::string host = SampleHost(HostOfServer(other.server->hosts.values.empty()
                                                         ? std::string_view()
                                                         : other.server->hosts.values.front().value,
                                                     &ns));
    Finding& finding = ReportAt(
        reporter_, bound.gateway->meta, bound.server->tls->credential_name.span,
        "certificate " + Quote(name) + " also serves " +
            SayServer(*other.gateway, *other.server, bound.gateway) + " on " + SayPlace(group) +
            ", so a client that has a connection to one host uses it for " + Quote(host) +
            " as well and gets 404; serve the hosts of one certificate in one server",
        "Put the hosts that share the certificate into one server.");
    finding.istioctl_codes = {"IST0145"};
    finding.detail = "certificate";
    finding.related.push_back({other.server->tls->credential_name.span, "the same certificate"});
  }

  // A request for a host of a server that was left out.
  void ShowUnserved(const ServerGroup& group, const Mesh::BoundServer& bound, Finding* finding) {
    if (group.workload == nullptr || bound.server->hosts.values.empty()) return;
    if (!IsPlainHttp(*bound.server)) return;
    std::string_view ns;
    Case question;
    question.name = "a request for the host of a server that is left out";
    question.from_outside = true;
    question.tls = CaseTls::kPlaintext;
    question.to_workload = group.workload->ns + "/" + group.workload->name;
    question.to_port = group.port;
    question.host = SampleHost(HostOfServer(bound.server->hosts.values.front().value, &ns));
    if (!AttachWitness(analysis_, question, Outcome::kReject, finding)) {
      AttachWitness(analysis_, question, Outcome::kDeny, finding);
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::pair<std::string, std::string>, const Secret*> secrets_;
  std::set<std::pair<const void*, std::string>> said_;
  bool workloads_known_ = false;
  std::map<const Gateway*, std::set<const Workload*>> workloads_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const ServerGroup& group : GroupServers(analysis)) {
    checker.CheckGroup(group);
    checker.CheckCertificates(group);
  }
  for (const K8sGateway& gateway : analysis.model.k8s_gateways) {
    checker.CheckListeners(gateway.meta);
  }
  checker.CheckAddresses();
}

}  // namespace meshproof::overlapping_servers
