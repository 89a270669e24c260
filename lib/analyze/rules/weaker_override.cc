// A more specific setting takes away the mutual TLS that a wider one gave: a rule for a host beside
// one for `*.local`, a subset or a port entry beside the rule's own `tls`, the younger of two rules
// for one host. DestinationRules do not inherit: the most specific host of the first namespace that
// has any wins whole, port entries replace, and of two rules for one host istiod keeps the oldest
// one's traffic policy (istio-semantics section 5).
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/client_tls_sites.h"
#include "analyze/names.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "mesh/hosts.h"

namespace meshproof::weaker_override {
namespace {

bool GivesMtls(const ClientTls* tls) {
  return tls != nullptr && tls->mode == ClientTls::Mode::kIstioMutual;
}

const TlsSite* WideSite(const std::vector<TlsSite>& sites) {
  for (const TlsSite& site : sites) {
    if (site.subset == nullptr && site.port == 0 && GivesMtls(site.tls)) return &site;
  }
  return nullptr;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter), survey_(analysis) {
    for (const DestinationRule& rule : analysis.model.destination_rules) {
      std::string host = Host(rule);
      by_host_[host].push_back(&rule);
      for (const TlsSite& site : TlsSitesOf(rule)) {
        if (site.subset == nullptr && GivesMtls(site.tls)) mtls_rules_[host].push_back(&rule);
      }
    }
  }

  void Run() {
    for (const DestinationRule& rule : analysis_.model.destination_rules) CheckRule(rule);
    for (const auto& [host, rules] : by_host_) {
      if (rules.size() > 1) CheckTwins(host, rules);
    }
  }

 private:
  std::string Host(const DestinationRule& rule) const {
    return CompleteHost(ToLower(rule.host.value), rule.meta.ns, analysis_.model.mesh_config.domain);
  }

  // A wider rule with ISTIO_MUTUAL that `client` would take for the Service, were `rule` not there.
  const DestinationRule* Hidden(const DestinationRule& rule, const Workload& client,
                                const MeshService& service) const {
    const DestinationRule* found = nullptr;
    VisitCoveringHosts(service.host, [&](const std::string& pattern) {
      auto it = mtls_rules_.find(pattern);
      if (it == mtls_rules_.end()) return false;
      for (const DestinationRule* wide : it->second) {
        bool reachable = wide->meta.ns == client.ns || wide->meta.ns == service.ns ||
                         wide->meta.ns == analysis_.model.mesh_config.root_namespace;
        std::vector<std::string_view> to;
        for (const Text& value : wide->export_to.values) to.push_back(value.value);
        if (wide == &rule || !reachable || !IsExportedTo(to, wide->meta.ns, client.ns)) continue;
        if (pattern == Host(rule) && wide->meta.ns == rule.meta.ns) continue;
        found = wide;
        return true;
      }
      return false;
    });
    return found;
  }

  struct Loss {
    const TlsSite* site = nullptr;
    const DestinationRule* hidden = nullptr;
    TlsUse first;
    std::vector<std::string> places;
  };

  void CheckRule(const DestinationRule& rule) {
    const std::vector<TlsSite> sites = TlsSitesOf(rule);
    const TlsSite* wide = WideSite(sites);
    std::map<std::string, Loss> losses;  // by path of the site; "" = the rule has none
    survey_.VisitUses(rule, [&](const TlsUse& use) {
      if (use.choice.kind == ClientTlsChoice::Kind::kMeshMtls || !use.server_proxy) return;
      const DestinationRule* hidden = nullptr;
      bool narrower = use.site != nullptr && (use.site->subset != nullptr || use.site->port != 0);
      bool inside = narrower && (wide != nullptr || GaveBefore(use));
      if (!inside) {
        // Where the rule itself stands above subsets and ports, those alone are to blame.
        hidden = Hidden(rule, *use.client, *use.service);
        if (hidden == nullptr) return;
      }
      Loss& loss = losses[use.site == nullptr ? "" : use.site->path];
      if (loss.places.empty()) loss.first = use;
      loss.hidden = hidden;
      loss.places.push_back(use.service->host + ":" + std::to_string(use.port->port));
    });
    for (auto& [path, loss] : losses) {
      for (const TlsSite& site : sites) {
        if (site.path == path) loss.site = &site;
      }
      Report(rule, wide, loss);
    }
  }

  // Without the subset's own policy the same client uses mTLS (auto mTLS gives it).
  bool GaveBefore(const TlsUse& use) const {
    if (use.site->subset == nullptr) return false;
    return analysis_.mesh.ChooseClientTls(*use.client, *use.service, *use.port, "", *use.server)
               .kind == ClientTlsChoice::Kind::kMeshMtls;
  }

  std::string Subject(const Loss& loss) const {
    if (loss.site == nullptr) return "this rule has no `tls`";
    std::string mode = loss.site->tls == nullptr
                           ? "has no `tls`"
                           : "has tls mode `" + std::string(ToString(loss.site->tls->mode)) + "`";
    if (loss.site->subset != nullptr) {
      return "subset `" + std::string(loss.site->subset->name.value) + "` " + mode;
    }
    if (loss.site->port != 0) {
      return "the entry for port " + std::to_string(loss.site->port) + " " + mode;
    }
    return "this rule " + mode;
  }

  void Report(const DestinationRule& rule, const TlsSite* wide, const Loss& loss) {
    std::string given = loss.hidden != nullptr
                            ? "the ISTIO_MUTUAL of " + loss.hidden->meta.ns + "/" +
                                  std::string(loss.hidden->meta.name) + " (`" +
                                  std::string(loss.hidden->host.value) + "`)"
                        : wide != nullptr ? "the ISTIO_MUTUAL of the rule"
                                          : "what auto mTLS gives";
    const char* sent = loss.first.choice.kind == ClientTlsChoice::Kind::kPlaintext
                           ? "plaintext"
                           : "TLS without a mesh identity";
    Span span = loss.site != nullptr ? loss.site->FieldSpan("mode") : rule.host.span;
    Finding& finding = reporter_.Report(rule.meta, span,
                                        Subject(loss) + " and replaces " + given +
                                            ", for settings do not add up: clients such as " +
                                            "those of namespace " + loss.first.client->ns +
                                            " send " + sent + " to " + SayPlaces(loss.places) +
                                            "; repeat `tls: {mode: ISTIO_MUTUAL}` here");
    finding.field_path = loss.site != nullptr ? loss.site->FieldPath("mode") : "spec.host";
    finding.fix = "Repeat `tls: {mode: ISTIO_MUTUAL}` here, or leave TLS to auto mTLS.";
    if (loss.hidden != nullptr) {
      finding.related.push_back({loss.hidden->meta.span, "this wider rule no longer counts"});
    } else if (wide != nullptr) {
      finding.related.push_back({wide->FieldSpan("mode"), "this is replaced"});
    }
  }

  // Rules of one namespace and host: istiod merges them and drops what the younger ones repeat.
  void CheckTwins(const std::string& host, const std::vector<const DestinationRule*>& rules) {
    std::map<std::string, std::vector<const DestinationRule*>> by_namespace;
    for (const DestinationRule* rule : rules) {
      // Rules for different clients may repeat a host.
      if (rule->workload_selector.present || !rule->export_to.empty()) continue;
      by_namespace[rule->meta.ns].push_back(rule);
    }
    for (const auto& [ns, twins] : by_namespace) {
      for (const DestinationRule* rule : twins) {
        for (const DestinationRule* other : twins) {
          if (rule == other || !SameScope(*rule, *other)) continue;
          ReportTwin(host, *rule, *other);
          break;
        }
      }
    }
  }

  static bool SameScope(const DestinationRule& a, const DestinationRule& b) {
    if (a.policy && b.policy) return true;
    std::set<std::string_view> names;
    for (const auto& subset : a.subsets) names.insert(subset.name.value);
    for (const auto& subset : b.subsets) {
      if (names.contains(subset.name.value)) return true;
    }
    return false;
  }

  void ReportTwin(const std::string& host, const DestinationRule& rule,
                  const DestinationRule& other) {
    const std::string_view mine = rule.meta.created, theirs = other.meta.created;
    bool known = !mine.empty() && !theirs.empty() && mine != theirs;
    if (known && mine < theirs) return;
    bool same = SameTls(rule, other);
    std::string name = "`" + std::string(other.meta.name) + "`";
    Finding& finding = reporter_.Report(
        rule.meta, rule.host.span,
        "this and " + name + " are both for " + host +
            ": istiod merges them and keeps the older one's traffic policy and subsets, " +
            (known ? "so that what this one repeats is dropped"
                   : "and the files do not say which that is") +
            (same ? "" : "; they differ in TLS, so clients may use less than this one asks for") +
            "; put all into one rule");
    if (same) finding.severity = Severity::kInfo;
    finding.field_path = "spec.host";
    finding.detail = "twin";
    finding.fix = "Merge the rules into one.";
    finding.related.push_back({other.host.span, "the other rule"});
  }

  static bool SameTls(const DestinationRule& a, const DestinationRule& b) {
    const auto modes = [](const DestinationRule& rule) {
      std::set<std::string> out;
      for (const TlsSite& site : TlsSitesOf(rule)) {
        std::string key = site.subset == nullptr ? "" : std::string(site.subset->name.value);
        out.insert(key + ":" + std::to_string(site.port) + ":" +
                   (site.tls == nullptr ? "" : std::string(ToString(site.tls->mode))));
      }
      return out;
    };
    return modes(a) == modes(b);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  ClientTlsSurvey survey_;
  std::map<std::string, std::vector<const DestinationRule*>> by_host_;
  std::map<std::string, std::vector<const DestinationRule*>> mtls_rules_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::weaker_override
