// Tokens and identities where others read or write them: tokens in query parameters, tokens in a
// header of their own, claims copied into a header that a policy or a route then reads (a policy
// with CUSTOM stands before the JWT filter and sees what the client sent; the others trust a name
// that only this RequestAuthentication protects), and routes that write identity headers or strip
// the header that carries the token.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/policy_lists.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"

namespace meshproof::token_in_unsafe_place {
namespace {

struct Reader {
  const ObjectMeta* object = nullptr;
  Span span;
  bool custom = false;  // stands before the JWT filter
};

using Headers = std::map<std::string, std::vector<Reader>, std::less<>>;

// Headers that the rules of a policy read, by lower-case name.
Headers HeadersReadBy(const AuthorizationPolicy& policy) {
  Headers headers;
  for (const AuthorizationPolicy::Rule& rule : policy.rules) {
    for (const AuthorizationPolicy::Condition& condition : rule.when) {
      auto header = HeaderOfKey(condition.key.value);
      if (!header) continue;
      headers[ToLower(*header)].push_back({&policy.meta, condition.key.span,
                                           policy.action == AuthorizationPolicy::Action::kCustom});
    }
  }
  return headers;
}

void Merge(const Headers& from, Headers* to) {
  for (const auto& [name, readers] : from) {
    auto& list = (*to)[name];
    list.insert(list.end(), readers.begin(), readers.end());
  }
}

bool WritesHeaders(const RequestAuthentication& policy) {
  for (const JwtRule& rule : policy.jwt_rules) {
    if (!rule.output_payload_to_header.value.empty() || !rule.output_claim_to_headers.empty()) {
      return true;
    }
  }
  return false;
}

// The header that carries the token, in lower case.
std::set<std::string> TokenHeaders(const RequestAuthentication& policy) {
  std::set<std::string> names;
  for (const JwtRule& rule : policy.jwt_rules) {
    for (const JwtRule::Header& header : rule.from_headers)
      names.insert(ToLower(header.name.value));
    bool elsewhere =
        !rule.from_headers.empty() || !rule.from_params.empty() || !rule.from_cookies.empty();
    if (!elsewhere) names.insert("authorization");
  }
  return names;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
      Headers headers = HeadersReadBy(policy);
      if (!headers.empty()) reads_.emplace(&policy, std::move(headers));
    }
  }

  void Run() {
    CollectReaders();
    for (const RequestAuthentication& policy : analysis_.model.request_authentications) {
      for (size_t i = 0; i < policy.jwt_rules.size(); ++i) CheckRule(policy, i);
    }
    for (const VirtualService& service : analysis_.model.virtual_services) CheckRoutes(service);
  }

 private:
  // Who reads headers behind each RequestAuthentication that writes some.
  void CollectReaders() {
    std::map<const RequestAuthentication*, std::set<const AuthorizationPolicy*>> together;
    std::map<const RequestAuthentication*, std::set<const VirtualService*>> routed;
    for (const Workload& workload : analysis_.mesh.workloads()) {
      PolicySet policies = analysis_.mesh.PoliciesFor(workload);
      for (const RequestAuthentication* writer : policies.request_authentications) {
        if (!WritesHeaders(*writer)) continue;
        for (const auto* list : {&policies.custom, &policies.deny, &policies.allow}) {
          for (const AuthorizationPolicy* policy : *list) {
            if (reads_.contains(policy)) together[writer].insert(policy);
          }
        }
        if (workload.mode != ProxyMode::kGateway) continue;
        for (const Mesh::BoundServer& server : analysis_.mesh.GatewayServersFor(workload)) {
          for (const VirtualService* service :
               analysis_.mesh.VirtualServicesFor(*server.gateway, workload.ns)) {
            routed[writer].insert(service);
          }
        }
      }
    }
    if (!analysis_.HasWorkloads()) GuessReaders(&together);
    // In the order of the model, so that messages do not depend on addresses.
    for (auto& [writer, policies] : together) {
      for (const AuthorizationPolicy& policy : analysis_.model.authorization_policies) {
        if (policies.contains(&policy)) Merge(reads_.at(&policy), &readers_[writer]);
      }
    }
    for (auto& [writer, services] : routed) {
      for (const VirtualService& service : analysis_.model.virtual_services) {
        if (services.contains(&service)) Merge(HeadersOf(service), &readers_[writer]);
      }
    }
  }

  // Without workloads: policies of the same namespace with the same selector, or none.
  void GuessReaders(std::map<const RequestAuthentication*, std::set<const AuthorizationPolicy*>>*
                        together) const {
    std::map<std::string, std::vector<const AuthorizationPolicy*>> by_namespace;
    for (const auto& [policy, headers] : reads_) by_namespace[policy->meta.ns].push_back(policy);
    for (const RequestAuthentication& writer : analysis_.model.request_authentications) {
      if (!WritesHeaders(writer)) continue;
      for (const AuthorizationPolicy* policy : by_namespace[writer.meta.ns]) {
        const Labels& mine = writer.selector.match_labels;
        const Labels& theirs = policy->selector.match_labels;
        if (Selects(mine, theirs) || Selects(theirs, mine)) (*together)[&writer].insert(policy);
      }
    }
  }

  static Headers HeadersOf(const VirtualService& service) {
    Headers headers;
    for (const HttpRoute& route : service.http) {
      for (const HttpMatch& match : route.matches) {
        for (const auto* list : {&match.headers, &match.without_headers}) {
          for (const auto& [name, value] : *list) {
            if (name.value.starts_with("@request.auth")) continue;
            headers[ToLower(name.value)].push_back({&service.meta, name.span, false});
          }
        }
      }
    }
    return headers;
  }

  Finding& Report(const ObjectMeta& meta, Span span, std::string message) {
    Finding& finding = reporter_.Report(meta, span, std::move(message));
    if (span) finding.field_path = FieldPathAt(*meta.node, span.begin);
    return finding;
  }

  void CheckRule(const RequestAuthentication& policy, size_t index) {
    const JwtRule& rule = policy.jwt_rules[index];
    for (const Text& param : rule.from_params.values) {
      Report(policy.meta, param.span,
             "the token is taken from the query parameter `" + std::string(param.value) +
                 "`: addresses with tokens end up in access logs, histories and Referer headers, "
                 "where others pick them up; send it as `Authorization: Bearer`")
          .fix = "Remove `fromParams` and send the token in the Authorization header.";
    }
    for (const JwtRule::Header& header : rule.from_headers) {
      if (EqualsIgnoreCase(header.name.value, "authorization") || !header.prefix.value.empty()) {
        continue;
      }
      Finding& finding = Report(
          policy.meta, header.name.span,
          "the token is taken whole from the header `" + std::string(header.name.value) +
              "`: logs and proxies that keep Authorization secret do not know this one; send it as "
              "`Authorization: Bearer`, or keep the header out of logs and of what is passed on");
      finding.severity = Severity::kInfo;
      finding.fix = "Use the Authorization header with the prefix `Bearer `.";
    }
    auto readers = readers_.find(&policy);
    if (readers == readers_.end()) return;
    if (!rule.output_payload_to_header.value.empty()) {
      CheckOutput(policy, rule.output_payload_to_header, "the token's payload", "",
                  readers->second);
    }
    for (const JwtRule::ClaimToHeader& output : rule.output_claim_to_headers) {
      CheckOutput(policy, output.header, "claim `" + std::string(output.claim.value) + "`",
                  output.claim.value, readers->second);
    }
  }

  void CheckOutput(const RequestAuthentication& policy, const Text& header, const std::string& what,
                   std::string_view claim, const Headers& readers) {
    auto it = readers.find(ToLower(header.value));
    if (it == readers.end()) return;
    std::vector<std::string> names;
    bool custom = false;
    for (const Reader& reader : it->second) {
      names.push_back(ToString(*reader.object));
      custom = custom || reader.custom;
    }
    std::string message = what + " is copied into the header `" + std::string(header.value) +
                          "`, which " + ListNames(names, 3) + " reads: ";
    message += custom ? "CUSTOM runs before the token is checked and sees what the client sent"
                      : "the decision hangs on a plain header, and any caller can write it where "
                        "this RequestAuthentication does not apply";
    message += claim.empty() ? "; read `request.auth.claims[…]` instead"
                             : "; read `request.auth.claims[" + std::string(claim) + "]` instead";
    Finding& finding = Report(policy.meta, header.span, std::move(message));
    finding.fix = "Decide on `request.auth.claims` and leave the header to the application.";
    for (size_t i = 0; i < it->second.size() && i < 5; ++i) {
      finding.related.push_back({it->second[i].span, "the header is read here"});
    }
  }

  // Headers that the workloads behind the routes read, and those that carry their tokens.
  struct Behind {
    Headers reads;
    std::map<std::string, const RequestAuthentication*> tokens;
    std::set<std::string> written;  // by a RequestAuthentication there
  };

  Behind BehindRoute(const VirtualService& service, const HttpRoute& route) const {
    Behind behind;
    std::set<const AuthorizationPolicy*> seen;
    for (const RouteDestination& to : route.routes) {
      const MeshService* found =
          analysis_.mesh.ResolveObjectHost(to.destination.host.value, service.meta.ns);
      if (found == nullptr) continue;
      for (size_t index : found->workloads) {
        PolicySet policies = analysis_.mesh.PoliciesFor(analysis_.mesh.workloads()[index]);
        for (const auto* list : {&policies.custom, &policies.deny, &policies.allow}) {
          for (const AuthorizationPolicy* policy : *list) {
            auto it = reads_.find(policy);
            if (it != reads_.end() && seen.insert(policy).second) Merge(it->second, &behind.reads);
          }
        }
        for (const RequestAuthentication* policy : policies.request_authentications) {
          for (const std::string& name : TokenHeaders(*policy)) behind.tokens.emplace(name, policy);
          for (const JwtRule& rule : policy->jwt_rules) {
            behind.written.insert(ToLower(rule.output_payload_to_header.value));
            for (const auto& output : rule.output_claim_to_headers) {
              behind.written.insert(ToLower(output.header.value));
            }
          }
        }
      }
    }
    return behind;
  }

  void CheckRoutes(const VirtualService& service) {
    const Node* routes = NodeAt(service.meta.node, {"spec", "http"});
    if (routes == nullptr || routes->items().size() != service.http.size()) return;
    for (size_t i = 0; i < routes->items().size(); ++i) {
      std::vector<const Node*> operations;
      const auto add = [&](const Node& holder) {
        if (const Node* request = NodeAt(&holder, {"headers", "request"})) {
          operations.push_back(request);
        }
      };
      add(routes->items()[i]);
      if (const Node* to = NodeAt(&routes->items()[i], {"route"})) {
        for (const Node& destination : to->items()) add(destination);
      }
      if (operations.empty()) continue;
      Behind behind = BehindRoute(service, service.http[i]);
      for (const Node* operation : operations) CheckOperation(service, *operation, behind);
    }
  }

  void CheckOperation(const VirtualService& service, const Node& request, const Behind& behind) {
    for (std::string_view kind : {"set", "add"}) {
      const Node* headers = NodeAt(&request, {kind});
      if (headers == nullptr) continue;
      for (const Entry& entry : headers->entries()) CheckWrite(service, entry, behind);
    }
    const Node* removed = NodeAt(&request, {"remove"});
    if (removed == nullptr) return;
    for (const Node& name : removed->items()) {
      auto it = behind.tokens.find(ToLower(name.text));
      if (it == behind.tokens.end()) continue;
      Finding& finding = Report(
          service.meta, SpanOf(service.meta.file, name),
          "the route strips `" + std::string(name.text) + "`, which carries the token that " +
              ToString(it->second->meta) +
              " checks behind it: requests arrive there without a token and pass or fail as such; "
              "leave the header");
      finding.fix = "Remove the header from `remove`.";
      finding.related.push_back({it->second->meta.span, "the token is looked for here"});
    }
  }

  void CheckWrite(const VirtualService& service, const Entry& entry, const Behind& behind) {
    std::string name = ToLower(entry.key.text);
    std::string shown = "`" + std::string(entry.key.text) + "`";
    std::string message;
    auto reader = behind.reads.find(name);
    if (name == "x-forwarded-client-cert") {
      message = "the route writes " + shown +
                ", which names the caller's certificate: servers behind take whoever uses the "
                "route for that caller; leave it to the proxies";
    } else if (name == "authorization" || behind.tokens.contains(name)) {
      message = "the route writes " + shown +
                ": the caller's own credential is replaced by one that everybody who uses the "
                "route gets, and everybody who reads this object sees; let callers send theirs";
    } else if (reader != behind.reads.end()) {
      message = "the route writes " + shown + ", which " +
                ToString(*reader->second.front().object) +
                " reads behind it: whoever uses the route gets what that value opens; decide on "
                "the caller's identity or token instead";
    } else if (!name.empty() && behind.written.contains(name)) {
      message = "the route writes " + shown +
                ", which a RequestAuthentication behind it fills from the token: one of the two is "
                "lost; use another header";
    } else {
      return;
    }
    Finding& finding =
        Report(service.meta, SpanOf(service.meta.file, entry.key), std::move(message));
    finding.fix = "Remove the header from the route.";
    if (reader != behind.reads.end()) {
      finding.related.push_back({reader->second.front().span, "the header is read here"});
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<const AuthorizationPolicy*, Headers> reads_;
  std::map<const RequestAuthentication*, Headers> readers_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker(analysis, reporter).Run();
}

}  // namespace meshproof::token_in_unsafe_place
