// Who may attach routes. A server's host `ns/host` takes VirtualServices of that namespace,
// `./host` of the Gateway's own, `*/host` and a bare host those of all. A Gateway API listener
// takes its own namespace's routes unless `allowedRoutes` says more; a ReferenceGrant without a
// name covers every object of the kind.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "analyze/shared_views.h"
#include "base/text.h"

namespace meshproof::listener_open_to_all {
namespace {

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), names_(analysis.views->Names()) {}

  // One that forwards by SNI or only redirects does not do what a route says.
  static bool ServesRoutes(const GatewayServer& server) {
    return !server.tls ||
           (server.tls->mode != TlsSettings::Mode::kAutoPassthrough && !server.tls->https_redirect);
  }

  void CheckServers(const Gateway& gateway) {
    for (const GatewayServer& server : gateway.servers) {
      if (!ServesRoutes(server)) continue;
      for (const Text& host : server.hosts.values) CheckHost(gateway, host);
    }
  }

  void CheckListener(const GatewayListener& listener) {
    const Node* namespaces = NodeAt(listener.node, {"allowedRoutes", "namespaces"});
    const Node* from = NodeAt(namespaces, {"from"});
    if (from == nullptr || listener.auto_passthrough || listener.protocol == "HBONE") return;
    if (!listener.hostname.empty() && !listener.hostname.starts_with('*')) return;
    if (from->text != "All" && !(from->text == "Selector" && SelectsAll(namespaces))) return;
    std::string hosts =
        listener.hostname.empty() ? "every host" : "`" + std::string(listener.hostname) + "`";
    ReportAt(reporter_, *listener.gateway, SpanOf(listener.gateway->file, *from),
             "listener `" + std::string(listener.name) + "` takes routes of all namespaces for " +
                 hosts + ", so whoever may write a route anywhere" + Others(listener.gateway->ns) +
                 " can publish hosts through it or take over those of others; allow the "
                 "namespaces that need it, or give the listener one hostname",
             "Set `from: Selector` with the labels of the namespaces that may attach routes.");
  }

  void CheckListenerSets(const ObjectMeta& gateway) {
    const Node* from = NodeAt(gateway.node, {"spec", "allowedListeners", "namespaces", "from"});
    if (from == nullptr || from->text != "All") return;
    ReportAt(reporter_, gateway, SpanOf(gateway.file, *from),
             "listeners of all namespaces may be added to this Gateway, so whoever may write a "
             "ListenerSet" +
                 Others(gateway.ns) +
                 " can open ports and hosts on it; allow the namespaces that need it",
             "Set `from: Selector` with the labels of the namespaces that may add listeners.");
  }

  void CheckGrant(const ObjectMeta& grant) {
    std::vector<std::string> from;
    for (const Node& item : ListItems(NodeAt(grant.node, {"spec", "from"}))) {
      const Node* ns = NodeAt(&item, {"namespace"});
      if (ns == nullptr) continue;
      from.emplace_back(ns->text);
      if (!names_.HasNamespace(ns->text)) MissingNamespace(grant, *ns);
    }
    for (const Node& item : ListItems(NodeAt(grant.node, {"spec", "to"}))) {
      const Node* name = NodeAt(&item, {"name"});
      const Node* kind = NodeAt(&item, {"kind"});
      if ((name != nullptr && !name->text.empty()) || kind == nullptr) continue;
      const std::string what(kind->text);
      ReportAt(reporter_, grant, SpanOf(grant.file, item),
               "the grant names no " + what + ", so namespace " + ListNames(from) +
                   " may use every " + what + " of namespace " + grant.ns +
                   ", those made later too; name the one that is meant",
               "Add the `name` of the " + what + " that is meant.");
    }
  }

  // Kept for people who forbid wildcard VirtualServices: only where the gateway offers every host.
  void CheckWildcard(const VirtualService& service, const std::set<std::string>& open_gateways) {
    for (const Text& host : service.hosts.values) {
      if (host.value != "*") continue;
      for (const Text& gateway : service.gateways.values) {
        std::string name(gateway.value);
        if (name.find('/') == std::string::npos) name = service.meta.ns + "/" + name;
        if (!open_gateways.contains(name)) continue;
        Finding& finding = ReportAt(
            reporter_, service.meta, host.span,
            "the routes are taken for every host of gateway `" + name +
                "` that nobody claims more exactly, so requests for hosts that nobody means to "
                "serve reach the destinations; name the hosts that are served",
            "Name the hosts that are served.");
        finding.severity = Severity::kInfo;
        break;
      }
    }
  }

 private:
  static bool SelectsAll(const Node* namespaces) {
    const Node* selector = NodeAt(namespaces, {"selector"});
    if (selector == nullptr) return false;
    const Node* labels = NodeAt(selector, {"matchLabels"});
    return (labels == nullptr || labels->entries().empty()) &&
           ListItems(NodeAt(selector, {"matchExpressions"})).empty();
  }

  // " (here also billing, fuel)": namespaces of the input that gain the right.
  std::string Others(const std::string& own) const {
    const std::string& root = analysis_.model.mesh_config.root_namespace;
    std::vector<std::string> others;
    for (const std::string& ns : names_.namespaces()) {
      if (ns != own && ns != root && names_.HasWorkloads(ns)) others.push_back(ns);
    }
    return others.empty() ? "" : " (in the input: " + ListNames(others) + ")";
  }

  // Namespaces whose VirtualServices bind to it.
  const std::set<std::string>& NamespacesOf(const Gateway& gateway) {
    auto [found, added] = users_.try_emplace(&gateway);
    if (added) {
      for (const VirtualService* service : analysis_.mesh.VirtualServicesFor(gateway)) {
        found->second.insert(service->meta.ns);
      }
    }
    return found->second;
  }

  void CheckHost(const Gateway& gateway, const Text& written) {
    std::string_view ns;
    std::string_view host = HostOfServer(written.value, &ns);
    if (!ns.empty() && ns != "*") return;
    const std::set<std::string>& users = NamespacesOf(gateway);
    std::string better = "<namespace>/" + std::string(host);
    if (users.size() == 1) {
      better = (*users.begin() == gateway.meta.ns ? "." : *users.begin()) + "/" + std::string(host);
    }
    const bool named = ns.empty() && host != "*";
    Finding& finding = ReportAt(
        reporter_, gateway.meta, written.span,
        "host `" + std::string(written.value) + "` takes VirtualServices of all namespaces" +
            (named ? " (a host without a namespace means `*/`)" : "") +
            ", so whoever may write one" + Others(gateway.meta.ns) +
            (host == "*" ? " can publish any host here or take over those of others"
                         : " can route this host to other destinations") +
            "; write `" + better + "`",
        "Write `" + better + "`.");
    if (named) finding.severity = Severity::kInfo;
  }

  void MissingNamespace(const ObjectMeta& grant, const Node& ns) {
    std::string name(ns.text);
    if (!said_.insert(name).second) return;
    std::string nearest = NearestName(name, names_.namespaces());
    Finding& finding =
        ReportAt(reporter_, grant, SpanOf(grant.file, ns),
                 "the grant is for namespace `" + name + "`, which is not in the input" +
                     (nearest.empty() ? "" : " (`" + nearest + "` is)") +
                     ", so whoever creates a namespace of that name may use what it grants; " +
                     (nearest.empty() ? "remove the entry if the namespace is gone"
                                      : "write `" + nearest + "` if that is meant"),
                 "Remove the entry, or name a namespace that exists.");
    if (nearest.empty()) finding.certainty = Certainty::kCannotSee;
    if (nearest.empty() && analysis_.model.namespaces.empty()) {
      finding.severity = Severity::kInfo;
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  const KnownNames& names_;
  std::map<const Gateway*, std::set<std::string>> users_;
  std::set<std::string> said_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  std::set<std::string> open_gateways;
  for (const Gateway& gateway : analysis.model.gateways) {
    checker.CheckServers(gateway);
    for (const GatewayServer& server : gateway.servers) {
      if (!Checker::ServesRoutes(server)) continue;
      for (const Text& host : server.hosts.values) {
        if (host.value != "*" && host.value != "*/*") continue;
        open_gateways.insert(gateway.meta.ns + "/" + std::string(gateway.meta.name));
      }
    }
  }
  for (const VirtualService& service : analysis.model.virtual_services) {
    checker.CheckWildcard(service, open_gateways);
  }
  for (const OtherObject& object : analysis.model.others) {
    if (IsGatewayApi(object.meta, "ReferenceGrant")) checker.CheckGrant(object.meta);
    if (!IsGatewayApi(object.meta, "Gateway")) continue;
    checker.CheckListenerSets(object.meta);
    for (const GatewayListener& listener : ListenersOf(object.meta)) {
      checker.CheckListener(listener);
    }
  }
}

}  // namespace meshproof::listener_open_to_all
