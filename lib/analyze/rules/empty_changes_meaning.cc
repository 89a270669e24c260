// Emptiness means opposite things at different places (istio-semantics sections 1.3 and 4): no
// rules match nothing, an empty rule matches everything, an empty list is no condition at all, an
// empty `mtls` inherits. Said where a request shows the effect; an ALLOW without rules and without
// selector is the documented default deny and no finding.
#include <string>
#include <vector>

#include "analyze/raw_objects.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/witness_cases.h"
#include "analyze/workload_index.h"

namespace meshproof::empty_changes_meaning {
namespace {

using Policy = AuthorizationPolicy;

std::string_view Name(MtlsMode mode) {
  return mode == MtlsMode::kStrict    ? "STRICT"
         : mode == MtlsMode::kDisable ? "DISABLE"
                                      : "PERMISSIVE";
}

bool IsEmpty(const Node& node) {
  if (node.IsMapping()) return node.entries().empty();
  return node.IsNull();
}

bool IsEmptyList(const Node* node) {
  return node != nullptr && ((node->IsSequence() && node->items().empty()) || node->IsNull());
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check() {
    for (const Policy& policy : analysis_.model.authorization_policies) {
      if (policy.dry_run) continue;
      CheckSelector(policy.meta, policy.selector,
                    policy.rules.empty() && policy.action == Policy::Action::kAllow);
      if (policy.rules.empty()) {
        CheckNoRules(policy);
      } else {
        CheckRules(policy);
      }
    }
    for (const RequestAuthentication& policy : analysis_.model.request_authentications) {
      CheckSelector(policy.meta, policy.selector, false);
    }
    for (const PeerAuthentication& policy : analysis_.model.peer_authentications) {
      CheckSelector(policy.meta, policy.selector, false);
      CheckMtls(policy);
    }
    CheckRefused();
  }

 private:
  Span PlaceOf(const ObjectMeta& meta, const Node& node) const { return SpanOf(meta.file, node); }

  // Also a warning of admission, which has a rule of its own.
  void CheckSelector(const ObjectMeta& meta, const Selector& selector, bool default_deny) {
    if (!selector.present || !selector.match_labels.empty() || default_deny) return;
    bool root = meta.ns == analysis_.model.mesh_config.root_namespace;
    Finding& finding =
        reporter_.Report(meta, selector.span,
                         "a selector without labels selects " +
                             (root ? std::string("every workload of the mesh")
                                   : "every workload of namespace " + meta.ns) +
                             ", not none; leave it out where that is meant, else name the labels");
    finding.severity = Severity::kInfo;
    finding.field_path = "spec.selector";
    finding.fix = "Name the labels, or leave the selector out.";
  }

  // An ALLOW with a selector or target and no rules.
  void CheckNoRules(const Policy& policy) {
    if (policy.action != Policy::Action::kAllow) return;
    if (policy.selector.match_labels.empty() && policy.target_refs.empty()) return;
    const Node* node = NodeAt(policy.meta.node, {"spec", "rules"});
    for (const Site* site : analysis_.reach->SitesOf(policy)) {
      size_t rules = 0;
      for (const Policy* other : site->policies.allow) rules += other->rules.size();
      if (rules > 0) {
        // Also a rule without effect.
        Finding& finding = reporter_.Report(
            policy.meta, node != nullptr ? PlaceOf(policy.meta, *node) : Span{},
            "an ALLOW policy without rules matches nothing: beside the others of " +
                site->workload().name + " it lets nobody in and shuts nobody out; name who is " +
                "meant to get in, or drop it");
        finding.severity = Severity::kInfo;
        finding.field_path = "spec.rules";
        finding.fix = "Name who is meant to get in, or drop the policy.";
        return;
      }
      for (int port : analysis_.reach->CalledPorts(*site)) {
        Answer answer =
            analysis_.reach->Find(site->workload(), port, Region::All(), Wanted::kRefused);
        if (!answer.found()) continue;
        Finding& finding = reporter_.Report(
            policy.meta, node != nullptr ? PlaceOf(policy.meta, *node) : Span{},
            "an ALLOW policy without rules matches nothing, so that all requests to " +
                site->workload().name +
                " are refused; write `rules: [{}]` where all are meant to "
                "be let in, and leave it where none is");
        finding.field_path = "spec.rules";
        finding.fix = "Name who is meant to get in.";
        AttachExample(analysis_, *answer.example, &finding);
        return;
      }
    }
  }

  static bool MatchesAll(const Policy::Rule& rule) {
    return !rule.null && rule.from.empty() && rule.to.empty() && rule.when.empty();
  }

  void CheckRules(const Policy& policy) {
    if (policy.action != Policy::Action::kAllow && policy.action != Policy::Action::kDeny) return;
    const Node* rules = NodeAt(policy.meta.node, {"spec", "rules"});
    if (rules == nullptr) return;
    for (size_t i = 0; i < policy.rules.size() && i < rules->items().size(); ++i) {
      const Node& node = rules->items()[i];
      const std::string at = "spec.rules[" + std::to_string(i) + "]";
      if (MatchesAll(policy.rules[i]) && IsEmpty(node)) {
        ReportRule(policy, i, PlaceOf(policy.meta, node), at, "an empty rule matches everything",
                   Severity::kInfo);
        continue;
      }
      for (const char* part : {"from", "to"}) {
        const Node* list = node.Find(part);
        if (!IsEmptyList(list)) continue;
        std::string what = std::string(part) == "from" ? "any source" : "any operation";
        ReportRule(policy, i, PlaceOf(policy.meta, *list), at + "." + part,
                   "an empty `" + std::string(part) + "` means " + what + ", not none",
                   Severity::kWarning);
      }
      CheckLists(policy, i, node, at);
    }
  }

  // `principals: []` beside another field.
  void CheckLists(const Policy& policy, size_t i, const Node& rule, const std::string& at) {
    for (const auto& [part, inner] :
         {std::pair<const char*, const char*>{"from", "source"}, {"to", "operation"}}) {
      const Node* items = rule.Find(part);
      if (items == nullptr) continue;
      for (size_t j = 0; j < items->items().size(); ++j) {
        const Node* fields = items->items()[j].Find(inner);
        if (fields == nullptr || !fields->IsMapping()) continue;
        for (const Entry& entry : fields->entries()) {
          if (!entry.value.IsSequence() || !entry.value.items().empty()) continue;
          const std::string name(entry.key.text);
          ReportRule(policy, i, PlaceOf(policy.meta, entry.value),
                     at + "." + part + "[" + std::to_string(j) + "]." + inner + "." + name,
                     "an empty `" + name + "` is no condition at all" +
                         (name.starts_with("not") ? "" : ", and does not mean none"),
                     name.starts_with("not") ? Severity::kInfo : Severity::kWarning);
        }
      }
    }
  }

  void ReportRule(const Policy& policy, size_t i, const Span& place, const std::string& path,
                  const std::string& what, Severity severity) {
    bool deny = policy.action == Policy::Action::kDeny;
    Region region = Region::Rule(policy.meta, static_cast<int>(i));
    constexpr size_t kMostSites = 3;
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    for (const Site* site : sites) {
      for (int port : analysis_.reach->CalledPorts(*site)) {
        Answer answer = analysis_.reach->Find(site->workload(), port, region,
                                              deny ? Wanted::kRefused : Wanted::kAllowed);
        if (!answer.found()) continue;
        Finding& finding = reporter_.Report(policy.meta, place,
                                            what + ": " + InWords(answer.example->request) +
                                                (deny ? " is refused" : " is let in") +
                                                "; leave the emptiness out and say what is meant");
        finding.severity = severity;
        finding.field_path = path;
        finding.fix = "Say what is meant, or drop the rule.";
        AttachExample(analysis_, *answer.example, &finding);
        return;
      }
    }
  }

  void CheckMtls(const PeerAuthentication& policy) {
    const Node* mtls = NodeAt(policy.meta.node, {"spec"});
    mtls = mtls == nullptr ? nullptr : mtls->Find("mtls");
    if (mtls != nullptr && IsEmpty(*mtls)) ReportMtls(policy, *mtls, "spec.mtls", 0);
    const Node* ports = NodeAt(policy.meta.node, {"spec", "portLevelMtls"});
    if (ports == nullptr) return;
    for (const Entry& port : ports->entries()) {
      if (!IsEmpty(port.value)) continue;
      ReportMtls(policy, port.value, "spec.portLevelMtls." + std::string(port.key.text),
                 static_cast<int>(port.key.AsInt().value_or(0)));
    }
  }

  void ReportMtls(const PeerAuthentication& policy, const Node& node, const std::string& path,
                  int port) {
    bool root = policy.meta.ns == analysis_.model.mesh_config.root_namespace;
    const WorkloadIndex& index = *analysis_.index;
    std::optional<InboundPort> asked;
    const Workload* target = nullptr;
    MtlsMode mode =
        root ? MtlsMode::kPermissive : analysis_.mesh.NamespaceMtls(policy.meta.ns).mode;
    for (const Workload* workload :
         index.Selected(policy.selector.match_labels, root ? "" : policy.meta.ns)) {
      if (workload->mode != ProxyMode::kSidecar) continue;
      for (const InboundPort& inbound : analysis_.mesh.InboundPorts(*workload)) {
        if (port != 0 && inbound.port != port) continue;
        asked = inbound;
        break;
      }
      if (!asked) continue;
      target = workload;
      mode = analysis_.mesh.MtlsFor(*workload).ForPort(asked->port).mode;
      break;
    }
    bool strict = mode == MtlsMode::kStrict;
    Finding& finding = reporter_.Report(
        policy.meta, PlaceOf(policy.meta, node),
        std::string(port == 0 ? "an empty `mtls`" : "an empty port entry") +
            " sets no mode; the one around it holds, " + std::string(Name(mode)) +
            (strict ? ", and plaintext stays refused" : ", and plaintext is accepted") +
            "; name the mode that is meant");
    finding.field_path = path;
    finding.fix = "Write `mode: STRICT`, or drop the object.";
    if (target == nullptr) return;
    Case question = PlaintextCase(*target, asked->port, asked->protocol);
    question.name = "plaintext from outside the mesh";
    AttachWitness(analysis_, question, strict ? Outcome::kReject : Outcome::kAllow, &finding);
  }

  // Empty sources and operations never get past admission, which has a rule of its own.
  void CheckRefused() {
    for (const RawObject& object : ObjectsOf(analysis_.objects, {"AuthorizationPolicy"})) {
      const Node* rules = NodeAt(object.node, {"spec", "rules"});
      if (rules == nullptr) continue;
      for (const Node& rule : rules->items()) {
        for (const auto& [part, inner] :
             {std::pair<const char*, const char*>{"from", "source"}, {"to", "operation"}}) {
          const Node* items = rule.Find(part);
          if (items == nullptr) continue;
          for (const Node& item : items->items()) {
            const Node* fields = item.Find(inner);
            const Node& empty = fields == nullptr ? item : *fields;
            if (!IsEmpty(empty)) continue;
            Span span = SpanOf(object.file, empty);
            Finding& finding = reporter_.Report(NameOf(object), span,
                                                "an empty `" + std::string(inner) +
                                                    "` is refused on admission, and the policy "
                                                    "protects nothing; leave `" +
                                                    std::string(part) + "` out where any is meant");
            finding.severity = Severity::kInfo;
            finding.field_path = FieldPathOf(*object.node, span);
            finding.fix = "Leave `" + std::string(part) + "` out, or name what is meant.";
          }
        }
      }
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Check();
}

}  // namespace meshproof::empty_changes_meaning
