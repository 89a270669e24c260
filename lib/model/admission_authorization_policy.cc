// AuthorizationPolicy: what the webhook refuses and warns of beyond the schema (istio-semantics
// section 8). Order and completeness follow that section; each finding stands at the value that
// causes it.

#include <algorithm>
#include <array>

#include "base/text.h"
#include "match/ip.h"
#include "model/admission.h"
#include "model/fields.h"
#include "model/go_values.h"

namespace meshproof {
namespace {

using Policy = AuthorizationPolicy;
using Action = AuthorizationPolicy::Action;

struct Field {
  std::string_view name;
  const TextList* list;
};

std::array<Field, 14> FieldsOf(const Policy::Source& s) {
  return {{{"principals", &s.principals},
           {"notPrincipals", &s.not_principals},
           {"requestPrincipals", &s.request_principals},
           {"notRequestPrincipals", &s.not_request_principals},
           {"namespaces", &s.namespaces},
           {"notNamespaces", &s.not_namespaces},
           {"serviceAccounts", &s.service_accounts},
           {"notServiceAccounts", &s.not_service_accounts},
           {"trustDomains", &s.trust_domains},
           {"notTrustDomains", &s.not_trust_domains},
           {"ipBlocks", &s.ip_blocks},
           {"notIpBlocks", &s.not_ip_blocks},
           {"remoteIpBlocks", &s.remote_ip_blocks},
           {"notRemoteIpBlocks", &s.not_remote_ip_blocks}}};
}

std::array<Field, 8> FieldsOf(const Policy::Operation& o) {
  return {{{"hosts", &o.hosts},
           {"notHosts", &o.not_hosts},
           {"methods", &o.methods},
           {"notMethods", &o.not_methods},
           {"paths", &o.paths},
           {"notPaths", &o.not_paths},
           {"ports", &o.ports},
           {"notPorts", &o.not_ports}}};
}

bool EndsWith(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

bool StartsWith(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

void AdmitNoEmptyValues(const Field& field, Report& report) {
  for (const Text& value : field.list->values) {
    if (value.value.empty()) {
      report.Refuse(value.span, "an empty value is not allowed in " + Quote(field.name));
    }
  }
}

void AdmitAddresses(const TextList& list, Report& report) {
  for (const Text& value : list.values) {
    if (value.value.empty()) continue;
    if (value.value.find('/') != std::string_view::npos) {
      if (!ParseCidr(value.value)) {
        report.Refuse(value.span, Quote(value.value) + " is no CIDR block");
      }
      continue;
    }
    // Go reads a zone behind an IPv6 address.
    size_t zone = value.value.find('%');
    std::string_view address = value.value.substr(0, zone);
    bool zone_fits = zone == std::string_view::npos ||
                     (zone + 1 < value.value.size() && address.find(':') != address.npos);
    if (!zone_fits || !ParseIpAddress(address)) {
      report.Refuse(value.span, Quote(value.value) + " is no IP address");
    }
  }
}

void AdmitPorts(const TextList& list, Report& report) {
  for (const Text& value : list.values) {
    if (value.value.empty()) continue;
    auto port = ParseUnsigned(value.value);
    if (port && *port <= 65535) continue;
    report.Refuse(value.span, Quote(value.value) + " is no port: 0 to 65535 are",
                  value.value.find('-') == std::string_view::npos
                      ? ""
                      : "ranges are not supported; list the ports");
  }
}

void AdmitServiceAccounts(const TextList& list, Report& report) {
  constexpr size_t kMost = 16;
  constexpr size_t kLongest = 320;
  if (list.values.size() > kMost) {
    report.Refuse(list.span, "more than 16 service accounts in one list");
  }
  for (const Text& value : list.values) {
    std::string_view text = value.value;
    if (text.empty()) continue;
    size_t slash = text.find('/');
    if (text.find('*') != std::string_view::npos) {
      report.Refuse(value.span, "wildcards are not supported in a service account: " + Quote(text));
    } else if (std::count(text.begin(), text.end(), '/') > 1) {
      report.Refuse(value.span, Quote(text) + " is no service account",
                    "write `name` or `namespace/name`");
    } else if (text.size() > kLongest) {
      report.Refuse(value.span, "a service account is longer than 320 characters");
    } else if (slash == 0 || slash == text.size() - 1) {
      report.Refuse(
          value.span,
          Quote(text) + (slash == 0 ? " names no namespace" : " names no service account"),
          "write `name` or `namespace/name`");
    }
  }
}

void AdmitTrustDomains(const TextList& list, bool slash_allowed, Report& report) {
  for (const Text& value : list.values) {
    std::string_view text = value.value;
    auto stars = std::count(text.begin(), text.end(), '*');
    size_t star = text.find('*');
    if (stars > 1) {
      report.Refuse(value.span, "a trust domain has at most one wildcard: " + Quote(text));
    } else if (stars == 1 && star != 0 && star != text.size() - 1) {
      report.Refuse(value.span,
                    "a wildcard is only allowed at the start or the end of a trust "
                    "domain: " +
                        Quote(text));
    }
    if (!slash_allowed && text.find('/') != std::string_view::npos) {
      report.Refuse(value.span, "a trust domain has no slash: " + Quote(text),
                    "whole identities belong into `principals`");
    }
  }
}

bool IsSegmentCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~%!$&'()+,;:@=").find(c) != std::string_view::npos;
}

// What is wrong with one path, "" where nothing is. Slashes at both ends do not count.
std::string PathTrouble(std::string_view path) {
  bool is_template =
      path.find("{*}") != std::string_view::npos || path.find("{**}") != std::string_view::npos;
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  bool rest_matched = false;
  for (std::string_view segment : Split(path, '/')) {
    if (segment == "{*}" || segment == "{**}") {
      if (rest_matched) return "nothing but literals may follow `{**}`";
      rest_matched = segment == "{**}";
      continue;
    }
    if (segment.find_first_of("{}") != std::string_view::npos) {
      return "braces are for whole segments `{*}` and `{**}` alone";
    }
    if (!is_template) continue;
    if (segment.empty()) return "a path with `{*}` or `{**}` has no empty segments";
    if (!std::all_of(segment.begin(), segment.end(), IsSegmentCharacter)) {
      return Quote(segment) + " is no literal segment, as a path with `{*}` or `{**}` needs";
    }
  }
  return {};
}

void AdmitPaths(const TextList& list, Report& report) {
  for (const Text& value : list.values) {
    std::string trouble = PathTrouble(value.value);
    if (trouble.empty()) continue;
    report.Refuse(value.span, "bad path " + Quote(value.value) + ": " + trouble);
  }
}

void AdmitSource(const Policy::Source& source, Report& report) {
  auto fields = FieldsOf(source);
  if (std::all_of(fields.begin(), fields.end(),
                  [](const Field& field) { return field.list->empty(); })) {
    report.Refuse(source.span, "a source that names nothing is not allowed",
                  "leave `from` out where any source is meant");
    return;
  }
  for (const Field& field : fields) AdmitNoEmptyValues(field, report);
  for (const TextList* blocks : {&source.ip_blocks, &source.not_ip_blocks, &source.remote_ip_blocks,
                                 &source.not_remote_ip_blocks}) {
    AdmitAddresses(*blocks, report);
  }
  AdmitServiceAccounts(source.service_accounts, report);
  AdmitServiceAccounts(source.not_service_accounts, report);
  AdmitTrustDomains(source.trust_domains, false, report);
  AdmitTrustDomains(source.not_trust_domains, false, report);
}

void AdmitOperation(const Policy::Operation& operation, Report& report) {
  auto fields = FieldsOf(operation);
  if (std::all_of(fields.begin(), fields.end(),
                  [](const Field& field) { return field.list->empty(); })) {
    report.Refuse(operation.span, "an operation that names nothing is not allowed",
                  "leave `to` out where any operation is meant");
    return;
  }
  for (const Field& field : fields) AdmitNoEmptyValues(field, report);
  AdmitPorts(operation.ports, report);
  AdmitPorts(operation.not_ports, report);
  AdmitPaths(operation.paths, report);
  AdmitPaths(operation.not_paths, report);
}

struct ConditionKey {
  std::string_view name;
  bool prefix = false;  // everything that starts so, with a name in brackets behind it
  void (*values)(const TextList& list, Report& report) = nullptr;
};

void AdmitTrustDomainCondition(const TextList& list, Report& report) {
  AdmitTrustDomains(list, true, report);
}

constexpr ConditionKey kConditionKeys[] = {
    {"request.headers", true},
    {"source.ip", false, AdmitAddresses},
    {"remote.ip", false, AdmitAddresses},
    {"source.namespace"},
    {"source.serviceAccount", false, AdmitServiceAccounts},
    {"source.principal"},
    {"source.trustDomain", false, AdmitTrustDomainCondition},
    {"request.auth.principal"},
    {"request.auth.audiences"},
    {"request.auth.presenter"},
    {"request.auth.claims", true},
    {"destination.ip", false, AdmitAddresses},
    {"destination.port", false, AdmitPorts},
    {"connection.sni"},
    {"experimental.envoy.filters.", true},
};

struct RetiredKey {
  std::string_view name;
  bool prefix;
  std::string_view instead;
};

constexpr RetiredKey kRetiredKeys[] = {
    {"destination.namespace", false, "the policy's own namespace says it"},
    {"destination.labels", true, "use the policy's selector"},
    {"destination.name", false, "use the policy's selector"},
    {"destination.user", false, "use the policy's selector"},
};

// `a[b]` with something in the brackets.
bool IsBracketed(std::string_view key) {
  size_t open = key.find('[');
  return open != std::string_view::npos && open > 0 && EndsWith(key, "]") && open + 2 < key.size();
}

void AdmitUnknownKey(const Text& key, Report& report) {
  for (const RetiredKey& retired : kRetiredKeys) {
    if (retired.prefix ? !StartsWith(key.value, retired.name) : key.value != retired.name) continue;
    report.Refuse(key.span, "the condition key " + Quote(key.value) + " is retired",
                  std::string(retired.instead));
    return;
  }
  std::vector<std::string> names;
  for (const ConditionKey& known : kConditionKeys) names.emplace_back(known.name);
  std::string help;
  if (auto nearest =
          Nearest(key.value.substr(0, std::min<size_t>(key.value.find('['), 200)), names)) {
    help = "did you mean " + Quote(*nearest) + "?";
  }
  report.Refuse(key.span, "unknown condition key " + Quote(key.value), help);
}

void AdmitCondition(const Policy::Condition& condition, Report& report) {
  const Text& key = condition.key;
  if (key.value.empty()) {
    report.Refuse(FirstSpan(key.span, condition.span), "a condition needs a `key`");
    return;
  }
  if (condition.values.empty() && condition.not_values.empty()) {
    report.Refuse(key.span,
                  "the condition on " + Quote(key.value) + " needs `values` or `notValues`");
    return;
  }
  const ConditionKey* known = nullptr;
  for (const ConditionKey& candidate : kConditionKeys) {
    if (candidate.prefix ? StartsWith(key.value, candidate.name) : key.value == candidate.name) {
      known = &candidate;
    }
  }
  if (known == nullptr) return AdmitUnknownKey(key, report);
  if (known->prefix && !IsBracketed(key.value)) {
    report.Refuse(key.span, "bad condition key " + Quote(key.value),
                  "the name stands in brackets: `" + std::string(known->name) + "[name]`");
  }
  for (const TextList* values : {&condition.values, &condition.not_values}) {
    AdmitNoEmptyValues({values == &condition.values ? "values" : "notValues", values}, report);
    if (known->values != nullptr) known->values(*values, report);
  }
}

// CUSTOM is decided before JWT and without the peer's identity.
void AdmitCustomRule(const Policy::Rule& rule, Report& report) {
  for (const Policy::Source& source : rule.from) {
    auto fields = FieldsOf(source);
    // The first ten: identities of the peer and of the token.
    for (size_t i = 0; i < 10; ++i) {
      if (fields[i].list->empty()) continue;
      report.Refuse(fields[i].list->span,
                    Quote(fields[i].name) + " is not supported with action CUSTOM");
    }
  }
  for (const Policy::Condition& condition : rule.when) {
    std::string_view key = condition.key.value;
    bool identity = key == "source.namespace" || key == "source.serviceAccount" ||
                    key == "source.trustDomain" || key == "source.principal" ||
                    StartsWith(key, "request.auth.");
    if (!identity) continue;
    report.Refuse(condition.key.span, Quote(key) + " is not supported with action CUSTOM");
  }
}

void AdmitAction(const Policy& policy, Report& report) {
  Span place = FirstSpan(policy.action_span, policy.meta.span);
  if (policy.action == Action::kCustom) {
    if (policy.rules.empty()) {
      report.Refuse(place, "action CUSTOM without rules never asks the authorizer",
                    "write `rules: [{}]` where every request is meant");
    } else if (policy.provider.value.empty()) {
      report.Refuse(FirstSpan(policy.provider.span, place), "action CUSTOM needs `provider.name`");
    }
    for (const Policy::Rule& rule : policy.rules) AdmitCustomRule(rule, report);
  } else if (policy.has_provider) {
    report.Refuse(policy.provider.span, "`provider` is for action CUSTOM alone");
  }
  if (policy.action == Action::kDeny && policy.rules.empty()) {
    report.Refuse(place, "action DENY without rules denies nothing",
                  "write `rules: [{}]` where every request is meant");
  }
}

void AdmitDryRun(const Policy& policy, Report& report) {
  const std::string* value = FindLabel(policy.meta.annotations, "istio.io/dry-run");
  if (value == nullptr) return;
  const Node* annotations = policy.meta.node->Find("metadata")->Find("annotations");
  const Node* node = annotations == nullptr ? nullptr : annotations->Find("istio.io/dry-run");
  Span place = node == nullptr ? policy.meta.span : report.SpanOf(*node);
  if (policy.action != Action::kAllow && policy.action != Action::kDeny) {
    report.Refuse(place, "a dry run is for the actions ALLOW and DENY alone");
  } else if (!ParseGoBool(*value)) {
    report.Refuse(place, "`istio.io/dry-run` is no boolean: " + Quote(*value),
                  "write \"true\" or \"false\"");
  }
}

// Whether istiod warns that a DENY rule denies all TCP traffic: HTTP attributes fall away on TCP
// ports. The webhook looks neither at `when` nor at trust domains.
bool DeniesAllTcp(const Policy::Rule& rule) {
  bool peer = std::any_of(rule.from.begin(), rule.from.end(), [](const Policy::Source& s) {
    return s.principals.present || s.not_principals.present || s.namespaces.present ||
           s.not_namespaces.present || s.service_accounts.present ||
           s.not_service_accounts.present || s.ip_blocks.present || s.not_ip_blocks.present ||
           s.remote_ip_blocks.present || s.not_remote_ip_blocks.present;
  });
  bool ports = std::any_of(rule.to.begin(), rule.to.end(), [](const Policy::Operation& o) {
    return o.ports.present || o.not_ports.present;
  });
  return (!rule.from.empty() && rule.to.empty() && !peer) || (!rule.to.empty() && !ports);
}

}  // namespace

void AdmitAuthorizationPolicy(const AuthorizationPolicy& policy, Report& report) {
  AdmitMetadata(policy.meta, true, report);
  AdmitDryRun(policy, report);
  AdmitSelector(policy.selector, report);
  AdmitTargetRefs(policy.target_refs, report);
  AdmitAction(policy, report);
  for (const Policy::Rule& rule : policy.rules) {
    for (const Policy::Source& source : rule.from) AdmitSource(source, report);
    for (const Policy::Operation& operation : rule.to) AdmitOperation(operation, report);
    for (const Policy::Condition& condition : rule.when) AdmitCondition(condition, report);
    if (policy.action == Action::kDeny && DeniesAllTcp(rule)) {
      report.Warn(
          rule.span,
          "this DENY rule has HTTP attributes alone, which fall away on TCP ports: there it "
          "denies every connection",
          "name the HTTP ports in `to.operation.ports`");
    }
  }
}

}  // namespace meshproof
