// A client certificate that a gateway asks for and that a client need not show. Which server a
// connection gets is decided by SNI, which routes a request gets by its authority: where a server
// without client certificates covers a host of one with them, and one VirtualService serves both,
// the request for that host over the other connection is answered (HTTP/2 clients reuse connections
// so by themselves). An optional certificate protects what a rule asks a principal for.
#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/rule.h"
#include "analyze/server_groups.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof::client_certificate_avoided {
namespace {

bool Demands(const GatewayServer& server) {
  return EndsTls(server) && (server.tls->mode == TlsSettings::Mode::kMutual ||
                             server.tls->mode == TlsSettings::Mode::kIstioMutual);
}

bool IsOptional(const GatewayServer& server) {
  return EndsTls(server) && server.tls->mode == TlsSettings::Mode::kOptionalMutual;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const ServerGroup& group) {
    for (const auto& [narrow, wide] : OverlapsOf(group.claims)) {
      const ServerClaim& a = group.claims[narrow];
      const ServerClaim& b = group.claims[wide];
      if (Demands(*a.server) && EndsTls(*b.server) && !Demands(*b.server)) CheckPair(group, a, b);
      if (Demands(*b.server) && EndsTls(*a.server) && !Demands(*a.server)) CheckPair(group, b, a);
    }
    std::set<const GatewayServer*> done;
    for (const ServerClaim& claim : group.claims) {
      if (IsOptional(*claim.server) && done.insert(claim.server).second) {
        CheckOptional(group, claim);
      }
    }
  }

 private:
  static Case Question(const ServerGroup& group, std::string host, std::string sni) {
    Case question;
    question.name = "somebody without a client certificate";
    question.from_outside = true;
    question.to_workload = group.workload->ns + "/" + group.workload->name;
    question.to_port = group.port;
    question.protocol = WireProtocol::kHttp2;
    question.host = std::move(host);
    question.sni = std::move(sni);
    question.ext_authz = ExtAuthzAnswer::kDeny;
    return question;
  }

  // Whether the simulator lets it through to a route.
  std::optional<Witness> Ask(Case question) const {
    question.now = analysis_.now;
    auto verdict = analysis_.world.Run(question, World::Addresses::kAssume, Detail::kTrace);
    if (!verdict.ok() || verdict.value().outcome != Outcome::kAllow ||
        verdict.value().status >= 400)
      return std::nullopt;
    return Witness{std::move(question), verdict.Take()};
  }

  // Paths that routes of this host ask for.
  std::vector<std::string> PathsOf(const ServerClaim& claim) const {
    std::vector<std::string> paths = {"/"};
    for (const VirtualService* service : analysis_.mesh.VirtualServicesFor(*claim.gateway)) {
      for (const HttpRoute& route : service->http) {
        for (const HttpMatch& match : route.matches) {
          const StringMatch::Kind kind = match.uri.kind;
          if (kind != StringMatch::Kind::kPrefix && kind != StringMatch::Kind::kExact) continue;
          if (paths.size() < 6) paths.emplace_back(match.uri.value.value);
        }
      }
    }
    return paths;
  }

  void CheckPair(const ServerGroup& group, const ServerClaim& asks, const ServerClaim& open) {
    if (asks.host == open.host) return;  // the younger one is left out
    if (!said_.emplace(asks.written, open.server).second) return;
    const bool wide = HostCovers(open.host, asks.host);
    const std::string host = SampleHost(wide ? asks.host : open.host);
    const std::string sni = SampleHost(open.host == "*" ? "*" : open.host);
    std::optional<Witness> witness;
    if (group.workload != nullptr) {
      for (const std::string& path : PathsOf(asks)) {
        Case question = Question(group, wide ? host : SampleHost(asks.host), sni);
        question.path = path;
        witness = Ask(std::move(question));
        if (witness) break;
      }
      // The routes refuse it (421), or the other server has none for the host.
      if (!witness) return;
    } else if (!wide || asks.gateway != open.gateway || !ServesBoth(asks)) {
      return;
    }
    Finding& finding = ReportAt(
        reporter_, ObjectOf(*asks.gateway),
        asks.written->span ? asks.written->span : asks.server->span,
        "the client certificate for `" + asks.host + "` can be avoided: " +
            SayServer(*open.gateway, *open.server, asks.gateway) + " takes `" + open.host +
            "` on the same port without one, so a connection for server name " + sni +
            " carries requests for host " + host +
            "; ask for the certificate on both, or answer 421 where server name and host differ",
        "Ask for client certificates on every server whose hosts overlap.");
    finding.detail = open.host;
    finding.istioctl_codes.emplace();
    finding.related.push_back(
        {open.written->span ? open.written->span : open.server->span, "asks for no certificate"});
    if (witness) {
      finding.witness = std::move(witness);
      finding.certainty = Certainty::kProven;
    }
  }

  // A VirtualService that both servers serve has the host.
  bool ServesBoth(const ServerClaim& asks) const {
    for (const VirtualService* service : analysis_.mesh.VirtualServicesFor(*asks.gateway)) {
      for (const Text& host : service->hosts.values) {
        if (HostsOverlap(host.value, asks.host)) return true;
      }
    }
    return false;
  }

  void CheckOptional(const ServerGroup& group, const ServerClaim& claim) {
    if (group.workload == nullptr) return;
    for (const VirtualService* service : analysis_.mesh.VirtualServicesFor(*claim.gateway)) {
      for (const Text& written : service->hosts.values) {
        if (!HostsOverlap(written.value, claim.host)) continue;
        const std::string host =
            SampleHost(HostCovers(ToLower(written.value), claim.host) ? claim.host : written.value);
        for (const std::string& path : PathsOf(claim)) {
          Case question = Question(group, host, host);
          question.path = path;
          question.follow = true;
          std::optional<Witness> witness = Ask(std::move(question));
          if (!witness) continue;
          Finding& finding = ReportAt(
              reporter_, ObjectOf(*claim.gateway),
              claim.server->tls->span ? claim.server->tls->span : claim.server->span,
              "clients may show a certificate here and need not (OPTIONAL_MUTUAL), and no rule "
              "asks for one, so a request for " +
                  host + path + " passes without; use mode MUTUAL, or allow only `principals`",
              "Use mode MUTUAL, or a rule on `principals` at the gateway.");
          finding.istioctl_codes.emplace();
          finding.witness = std::move(witness);
          finding.certainty = Certainty::kProven;
          return;
        }
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::set<std::pair<const Text*, const GatewayServer*>> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const ServerGroup& group : GroupServers(analysis)) checker.Check(group);
}

}  // namespace meshproof::client_certificate_avoided
