// Compares each dump with the configuration that the manifests compile into, chain by chain: which
// policies stand there, whether rules of the same name decide alike, the order of the security
// filters and the settings of the connection manager, who may come in plaintext. Chains are paired
// by what they match, so that another order or spelling (older releases of Istio write header
// matchers otherwise) is no difference; a chain that only one side has is judged by what it lets
// in.
//
// "Decide alike" is settled by requests made of the values in both rules: two simulators answer
// each, and the first that gets two verdicts is the evidence. Rules whose conditions are equal are
// not asked about.

#include "analyze/drift.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "analyze/drift_certificates.h"
#include "analyze/drift_version.h"
#include "analyze/drift_ztunnel.h"
#include "base/text.h"
#include "proxy/compile.h"
#include "proxy/dump_input.h"
#include "proxy/emit.h"
#include "proxy/emit_match.h"
#include "simulate/approach.h"
#include "simulate/filter_chain.h"

namespace meshproof {
namespace {

using Manager = std::shared_ptr<const HttpConnectionManager>;

// The security filters of a chain, HTTP and network ones in order.
struct ChainView {
  const FilterChain* chain = nullptr;
  const HttpConnectionManager* manager = nullptr;
  struct Filter {
    std::string kind;  // "rbac DENY", "jwt_authn", "ext_authz", "rbac shadow"
    const RbacFilter* rbac = nullptr;
    const JwtFilter* jwt = nullptr;
    const ExtAuthzFilter* ext_authz = nullptr;
    std::string opaque;  // a filter that cannot be seen through
  };
  std::vector<Filter> filters;
};

std::string KindOf(const RbacFilter& filter) {
  if (filter.matcher != nullptr) return "rbac matcher";
  if (!filter.rules) return filter.shadow_rules ? "rbac shadow" : "rbac without rules";
  switch (filter.rules->action) {
    case Rbac::Action::kAllow:
      return "rbac ALLOW";
    case Rbac::Action::kDeny:
      return "rbac DENY";
    case Rbac::Action::kLog:
      return "rbac LOG";
  }
  return "rbac";
}

struct Viewer {
  ChainView* view;
  void operator()(const RbacFilter& filter) const {
    view->filters.push_back({KindOf(filter), &filter, nullptr, nullptr, ""});
  }
  void operator()(const JwtFilter& filter) const {
    view->filters.push_back({"jwt_authn", nullptr, &filter, nullptr, ""});
  }
  void operator()(const ExtAuthzFilter& filter) const {
    view->filters.push_back({"ext_authz " + filter.provider, nullptr, nullptr, &filter, ""});
  }
  void operator()(const OpaqueFilter& filter) const {
    if (filter.effect != OpaqueFilter::Effect::kUnknown) return;
    view->filters.push_back({filter.name, nullptr, nullptr, nullptr, filter.name});
  }
  void operator()(const TcpProxy&) const {}
  void operator()(const Manager& manager) const {
    view->manager = manager.get();
    for (const HttpFilter& filter : manager->http_filters) std::visit(*this, filter);
  }
};

ChainView ViewOf(const FilterChain& chain) {
  ChainView view;
  view.chain = &chain;
  if (chain.filters != nullptr) {
    for (const NetworkFilter& filter : *chain.filters) std::visit(Viewer{&view}, filter);
  }
  return view;
}

// What tells chains apart: their match, in any order of its lists; their name where a matcher of
// the listener's chooses by it.
std::string KeyOf(const Listener& listener, const FilterChain& chain) {
  if (listener.name == "main_internal") return chain.name;
  const FilterChainMatch& match = chain.match;
  auto sorted = [](std::vector<std::string> texts) {
    std::sort(texts.begin(), texts.end());
    return Join(texts, ",");
  };
  std::vector<std::string> ranges;
  for (const CidrRange& range : match.prefix_ranges) ranges.push_back(ToString(range));
  return std::to_string(match.destination_port) + "|" + match.transport_protocol + "|" +
         sorted(match.application_protocols) + "|" + sorted(match.server_names) + "|" +
         sorted(ranges);
}

std::string PortText(const FilterChain& chain) {
  return chain.match.destination_port == 0 ? std::string("every other port")
                                           : "port " + std::to_string(chain.match.destination_port);
}

// The policies of a chain: every key with what stands behind it.
struct PolicyPlace {
  const RbacPolicy* policy = nullptr;
  Rbac::Action action = Rbac::Action::kAllow;
  bool shadow = false;
};
using Policies = std::map<std::string, PolicyPlace>;

Policies PoliciesOf(const ChainView& view) {
  Policies policies;
  for (const auto& filter : view.filters) {
    if (filter.rbac == nullptr) continue;
    auto add = [&](const std::optional<Rbac>& rules, bool shadow) {
      if (!rules) return;
      for (const auto& policy : rules->policies) {
        policies[policy->name] = {policy.get(), rules->action, shadow};
      }
    };
    add(filter.rbac->shadow_rules, true);
    add(filter.rbac->rules, false);
  }
  return policies;
}

// What stands alone in an AND or OR.
const Json* OnlyChild(const Json& value) {
  if (value.as_object().size() != 1) return nullptr;
  for (const char* list : {"rules", "ids"}) {
    for (const char* kind : {"and_", "or_"}) {
      const Json* members = value.Find(std::string(kind) + list);
      if (members == nullptr || !members->is_object()) continue;
      const Json* items = members->Find(list);
      bool single = items != nullptr && items->is_array() && items->as_array().size() == 1;
      if (single) return &items->as_array().front();
    }
  }
  return nullptr;
}

// The order of lists that are OR or AND does not count.
Json Canonical(const Json& value) {
  if (value.is_array()) {
    std::vector<std::pair<std::string, Json>> items;
    for (const Json& item : value.as_array()) {
      Json canonical = Canonical(item);
      items.emplace_back(WriteJson(canonical), std::move(canonical));
    }
    std::sort(items.begin(), items.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    Json out = Json::MakeArray();
    for (auto& item : items) out.Append(std::move(item.second));
    return out;
  }
  if (!value.is_object()) return value;
  if (const Json* only = OnlyChild(value)) return Canonical(*only);
  Json::Object fields;
  for (const auto& [key, child] : value.as_object()) fields.emplace_back(key, Canonical(child));
  std::sort(fields.begin(), fields.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return Json(std::move(fields));
}

std::string TextOf(const RbacPolicy& policy) {
  RbacFilter filter;
  filter.rules.emplace();
  RbacPolicy plain = policy;
  plain.name = "p";
  filter.rules->policies.push_back(std::make_shared<const RbacPolicy>(std::move(plain)));
  return WriteJson(Canonical(EmitRbacFilter(filter, false)));
}

// Requests that meet a predicate, or come near: one for each value in it.
class Prober {
 public:
  explicit Prober(std::vector<ProxyRequest> seeds) : requests_(std::move(seeds)) {}

  std::vector<ProxyRequest> Take() { return std::move(requests_); }

  void Add(const RbacPolicy& policy) {
    std::vector<ProxyRequest> out;
    std::vector<ProxyRequest> base(requests_.begin(),
                                   requests_.begin() + std::min<ptrdiff_t>(kSeeds, Size()));
    for (const ProxyRequest& seed : base) {
      for (const Predicate& permission : policy.permissions) {
        for (ProxyRequest& met : Meet(permission, {seed})) {
          for (const Predicate& principal : policy.principals) {
            for (ProxyRequest& both : Meet(principal, {met})) out.push_back(std::move(both));
            if (out.size() > kMost) break;
          }
          if (out.size() > kMost) break;
        }
      }
    }
    requests_.insert(requests_.end(), out.begin(), out.end());
  }

 private:
  static constexpr ptrdiff_t kSeeds = 2;
  static constexpr size_t kMost = 600, kFew = 48;
  ptrdiff_t Size() const { return static_cast<ptrdiff_t>(requests_.size()); }

  static std::vector<std::string> Examples(const StringMatcher& matcher) {
    using Kind = StringMatcher::Kind;
    switch (matcher.kind) {
      case Kind::kExact:
        return {matcher.value};
      case Kind::kPrefix:
        return {matcher.value, matcher.value + "x"};
      case Kind::kSuffix:
        return {matcher.value, "x" + matcher.value};
      case Kind::kContains:
        return {"x" + matcher.value + "x"};
      case Kind::kRegex:
        return ExamplesOfRegex(matcher);
    }
    return {};
  }

  // Istio's own patterns; whatever else is tried as it stands.
  static std::vector<std::string> ExamplesOfRegex(const StringMatcher& matcher) {
    std::string plain = matcher.value;
    auto replace = [&plain](std::string_view from, std::string_view to) {
      for (size_t at = plain.find(from); at != std::string::npos; at = plain.find(from, at)) {
        plain.replace(at, from.size(), to);
        at += to.size();
      }
    };
    replace("(.+/|)", "");
    replace("(/.+)?", "");
    replace(".*/ns/", "spiffe://cluster.local/ns/");
    if (plain.ends_with("/.*")) replace("/.*", "/sa/x");
    replace(".*", "x");
    replace(".+", "x");
    std::erase(plain, '\\');
    std::vector<std::string> found;
    for (const std::string& text : {plain, std::string("x"), std::string("/x")}) {
      if (matcher.Matches(text)) found.push_back(text);
    }
    return found;
  }

  static std::vector<ProxyRequest> Meet(const Predicate& predicate,
                                        std::vector<ProxyRequest> from) {
    std::vector<ProxyRequest> out;
    if (const auto* both = std::get_if<AndPredicate>(&predicate.match)) {
      for (const Predicate& child : both->all) {
        from = Meet(child, std::move(from));
        if (from.size() > kFew) from.resize(kFew);
      }
      return from;
    }
    if (const auto* either = std::get_if<OrPredicate>(&predicate.match)) {
      for (const Predicate& child : either->any) {
        for (ProxyRequest& request : Meet(child, from)) out.push_back(std::move(request));
        if (out.size() > kFew) break;
      }
      return out;
    }
    if (const auto* negated = std::get_if<NotPredicate>(&predicate.match)) {
      // Left as it is, and with what is forbidden.
      out = from;
      if (!negated->inner.empty()) {
        for (ProxyRequest& request : Meet(negated->inner.front(), from)) {
          out.push_back(std::move(request));
        }
      }
      return out;
    }
    for (const ProxyRequest& request : from) {
      for (ProxyRequest& met : Leaf(predicate, request)) out.push_back(std::move(met));
    }
    return out.empty() ? from : out;
  }

  static std::vector<ProxyRequest> Leaf(const Predicate& predicate, const ProxyRequest& request) {
    std::vector<ProxyRequest> out;
    auto each = [&](const std::vector<std::string>& values, auto set) {
      for (const std::string& value : values) {
        ProxyRequest changed = request;
        set(&changed, value);
        out.push_back(std::move(changed));
      }
    };
    if (const auto* path = std::get_if<UrlPathPredicate>(&predicate.match)) {
      each(Examples(path->path), [](ProxyRequest* r, const std::string& v) {
        r->path = v.starts_with('/') ? v : "/" + v;
      });
    } else if (const auto* pattern = std::get_if<PathTemplatePredicate>(&predicate.match)) {
      std::string filled;
      for (char c : pattern->path_template)
        filled += c == '*' ? std::string("x") : std::string(1, c);
      each({filled}, [](ProxyRequest* r, const std::string& v) { r->path = v; });
    } else if (const auto* header = std::get_if<HeaderPredicate>(&predicate.match)) {
      const HeaderMatcher& matcher = header->header;
      std::vector<std::string> values = matcher.kind == HeaderMatcher::Kind::kString
                                            ? Examples(matcher.string)
                                            : std::vector<std::string>{"x"};
      std::string name = ToLower(matcher.name);
      each(values, [&](ProxyRequest* r, const std::string& v) {
        if (name == ":method") {
          r->method = v;
        } else if (name == ":authority" || name == "host") {
          r->authority = v;
        } else if (name == ":path") {
          r->path = v;
        } else {
          r->headers.emplace_back(matcher.name, v);
        }
      });
    } else if (const auto* peer = std::get_if<AuthenticatedPredicate>(&predicate.match)) {
      std::vector<std::string> values =
          peer->principal_name ? Examples(*peer->principal_name) : std::vector<std::string>{};
      each(values, SetPeer);
    } else if (const auto* state = std::get_if<FilterStatePredicate>(&predicate.match)) {
      each(Examples(state->value), SetPeer);
    } else if (const auto* address = std::get_if<AddressPredicate>(&predicate.match)) {
      ProxyRequest changed = request;
      if (address->field == AddressField::kDestination) {
        changed.connection.destination = Address{address->range.address};
      } else {
        changed.connection.source = Address{address->range.address};
      }
      out.push_back(std::move(changed));
    } else if (const auto* metadata = std::get_if<MetadataPredicate>(&predicate.match)) {
      MeetClaim(*metadata, request, &out);
    } else if (const auto* name = std::get_if<ServerNamePredicate>(&predicate.match)) {
      each(Examples(name->name),
           [](ProxyRequest* r, const std::string& v) { r->connection.sni = v; });
    }
    return out;
  }

  static void SetPeer(ProxyRequest* request, const std::string& name) {
    if (!request->connection.certificate) return;
    request->connection.certificate->uri_sans = {name};
  }

  static const StringMatcher* AnyString(const ValueMatcher& value) {
    if (value.kind == ValueMatcher::Kind::kString) return &value.string;
    for (const ValueMatcher& child : value.children) {
      if (const StringMatcher* found = AnyString(child)) return found;
    }
    return nullptr;
  }

  static void MeetClaim(const MetadataPredicate& metadata, const ProxyRequest& request,
                        std::vector<ProxyRequest>* out) {
    const StringMatcher* matcher = AnyString(metadata.value);
    if (metadata.path.size() < 2 || matcher == nullptr) return;
    for (const std::string& value : Examples(*matcher)) {
      ProxyRequest changed = request;
      Json claims = changed.claims.value_or(Json::MakeObject());
      Json leaf = value;
      for (size_t i = metadata.path.size() - 1; i > 1; --i) {
        leaf = Json::MakeObject({{metadata.path[i], std::move(leaf)}});
      }
      if (claims.Find(metadata.path[1]) == nullptr) claims.Set(metadata.path[1], std::move(leaf));
      changed.claims = std::move(claims);
      out->push_back(std::move(changed));
    }
  }

  std::vector<ProxyRequest> requests_;
};

std::string VerdictText(const Verdict& verdict) {
  std::string text(ToString(verdict.outcome));
  if (verdict.status != 0) text += " " + std::to_string(verdict.status);
  return text;
}

std::string RequestText(const ProxyRequest& request) {
  std::string text = request.method + " " + request.path;
  if (request.authority && *request.authority != "x") text += " host " + *request.authority;
  text += " to port " + std::to_string(request.connection.destination_port);
  for (const auto& [name, value] : request.headers) text += ", " + name + ": " + value;
  if (request.connection.certificate && !request.connection.certificate->uri_sans.empty()) {
    text += ", as " + request.connection.certificate->uri_sans.front();
  } else {
    text += ", in plaintext";
  }
  if (const auto* ip = std::get_if<IpAddress>(&request.connection.source.value)) {
    text += ", from " + ToString(*ip);
  }
  if (request.claims) text += ", with claims " + WriteJson(*request.claims);
  return text;
}

Case CaseOf(const ProxyRequest& request) {
  Case question;
  const Connection& connection = request.connection;
  question.tls = connection.tls == WireTls::kTls ? CaseTls::kMtls : CaseTls::kPlaintext;
  if (connection.certificate && !connection.certificate->uri_sans.empty()) {
    question.from_identity = connection.certificate->uri_sans.front();
  }
  if (const auto* ip = std::get_if<IpAddress>(&connection.source.value)) question.from_ip = *ip;
  if (const auto* ip = std::get_if<IpAddress>(&connection.destination.value)) {
    question.to_ip = *ip;
  }
  question.to_port = static_cast<int>(connection.destination_port);
  question.protocol = request.protocol;
  question.method = request.method;
  question.path = request.path;
  question.host = request.authority;
  question.headers = request.headers;
  question.claims = request.claims;
  question.ext_authz = request.ext_authz;
  question.now = request.now;
  return question;
}

class Comparer {
 public:
  Comparer(const DriftInput& input, size_t index, const Workload& workload,
           std::shared_ptr<const ProxyConfig> expected, std::vector<DriftDifference>* out)
      : input_(input),
        dump_(input.dumps.proxies[index]),
        index_(index),
        workload_(workload),
        expected_(std::move(expected)),
        who_(workload.ns + "/" + workload.name),
        versions_(FindVersionDifferences(input.mesh, workload, dump_.istio_version)),
        out_(*out) {}

  void Compare() {
    if (dump_.has_listeners) {
      PairChains();
      ComparePolicies();
      CompareProviders();
      CompareOrder();
      CompareSettings();
      ComparePlaintext();
      ComparePeers();
    }
    CompareClusters();
  }

 private:
  struct Pair {
    ChainView expected, got;
    std::string listener;
  };

  DriftDifference& Add(std::string code, Span span, std::string message) {
    DriftDifference difference;
    difference.code = std::move(code);
    difference.proxy = index_;
    difference.span = span ? span : dump_.span;
    difference.message = std::move(message);
    out_.push_back(std::move(difference));
    return out_.back();
  }

  // What the release of Istio makes otherwise is no drift; `name` is "ns/name".
  void ExplainByVersion(std::string_view kind, std::string_view name, DriftDifference* difference) {
    for (const VersionDifference& version : versions_) {
      const ObjectMeta& object = *version.object;
      if (object.kind != kind || object.ns + "/" + std::string(object.name) != name) continue;
      difference->code.clear();
      difference->message = ToString(object) + " is not enforced as written in the proxy of " +
                            who_ + ": Istio " + dump_.istio_version + " " + version.text +
                            " (changed in " + version.since + ")";
      difference->object = &object;
      difference->span = version.span;
      return;
    }
  }

  const Listener* Find(const ProxyConfig& config, const Listener& like) const {
    for (const Listener& listener : config.listeners) {
      if (listener.name == like.name) return &listener;
    }
    for (const Listener& listener : config.listeners) {
      if (listener.port == like.port && listener.address == like.address) return &listener;
    }
    return nullptr;
  }

  void PairChains() {
    for (const Listener& expected : expected_->listeners) {
      const Listener* got = Find(*dump_.config, expected);
      if (got == nullptr) continue;
      std::map<std::string, const FilterChain*> by_key;
      for (const FilterChain& chain : got->filter_chains)
        by_key.emplace(KeyOf(*got, chain), &chain);
      for (const FilterChain& chain : expected.filter_chains) {
        auto found = by_key.find(KeyOf(expected, chain));
        if (found == by_key.end()) continue;
        pairs_.push_back({ViewOf(chain), ViewOf(*found->second), got->name});
      }
    }
  }

  // MP0901: policies that are missing or that nobody wrote. MP0902: the same name, another meaning.
  void ComparePolicies() {
    struct Seen {
      std::set<std::string> ports;
      const PolicyPlace* place = nullptr;
      PolicyPlace kept;
    };
    std::map<std::string, Seen> missing, extra;  // by "ns/name (ACTION)"
    std::map<std::string, Pair*> changed;        // by key
    const std::set<std::string> turned = TurnedPolicies();
    for (Pair& pair : pairs_) {
      Policies expected = PoliciesOf(pair.expected);
      Policies got = PoliciesOf(pair.got);
      std::set<std::string> expected_objects, got_objects;
      for (const auto& [key, place] : expected) expected_objects.insert(ObjectOf(key));
      for (const auto& [key, place] : got) got_objects.insert(ObjectOf(key));
      for (const auto& [key, place] : expected) {
        if (got.contains(key)) {
          if (!SameMeaning(place, got.at(key))) changed.emplace(key, &pair);
        } else if (got_objects.contains(ObjectOf(key))) {
          changed.emplace(key, &pair);  // the policy is there, this rule of it is not
        } else if (turned.contains(ObjectOf(key))) {
          continue;
        } else {
          Seen& seen = missing[ObjectOf(key)];
          seen.ports.insert(PortText(*pair.got.chain));
          seen.kept = place;
        }
      }
      for (const auto& [key, place] : got) {
        if (expected.contains(key)) continue;
        if (expected_objects.contains(ObjectOf(key))) {
          changed.emplace(key, &pair);
          continue;
        }
        if (turned.contains(ObjectOf(key))) continue;
        Seen& seen = extra[ObjectOf(key)];
        seen.ports.insert(PortText(*pair.got.chain));
        seen.kept = place;
      }
    }
    for (const auto& [name, seen] : missing) {
      const Origin& origin = seen.kept.policy->origin;
      auto& difference = Add(
          "MP0901", origin.object != nullptr ? origin.object->span : Span(),
          "policy `" + name + "` is missing in the proxy of " + who_ + " on " + List(seen.ports) +
              ": what it says is not enforced there; see whether istiod pushed the update (" +
              "istioctl proxy-status) or the dump is older than the policy");
      difference.object = origin.object;
      difference.detail = who_ + " missing " + name;
      difference.related.push_back({dump_.span, "the dump of " + who_});
      ExplainByVersion("AuthorizationPolicy", name, &difference);
    }
    for (const auto& [name, seen] : extra) {
      auto& difference =
          Add("MP0901", DumpSpan(*seen.kept.policy),
              "policy `" + name + "` is in the proxy of " + who_ + " on " + List(seen.ports) +
                  ", but no manifest has it: somebody applied it by hand or it was deleted " +
                  "without reaching the proxy; add it to the manifests or delete it");
      difference.detail = who_ + " extra " + name;
      ExplainByVersion("AuthorizationPolicy", name, &difference);
    }
    CompareMeanings(changed);
  }

  // Policies that both sides have, with another action: on TCP ports, where ALLOW and DENY keep
  // other parts of a rule, one of them may then lack it.
  std::set<std::string> TurnedPolicies() const {
    using Way = std::pair<Rbac::Action, bool>;
    std::map<std::string, std::set<Way>> expected, got;
    auto note = [](const ChainView& view, std::map<std::string, std::set<Way>>* ways) {
      for (const auto& [key, place] : PoliciesOf(view)) {
        (*ways)[ObjectOf(key)].emplace(place.action, place.shadow);
      }
    };
    for (const Pair& pair : pairs_) {
      note(pair.expected, &expected);
      note(pair.got, &got);
    }
    std::set<std::string> turned;
    for (const auto& [name, ways] : expected) {
      auto other = got.find(name);
      if (other != got.end() && other->second != ways) turned.insert(name);
    }
    return turned;
  }

  // A policy's place in the dump; origins may point to the manifest.
  Span DumpSpan(const RbacPolicy& policy) const {
    if (!policy.permissions.empty() && policy.permissions.front().span) {
      return policy.permissions.front().span;
    }
    return policy.origin.span;
  }

  static std::string ObjectOf(const std::string& key) {
    auto parsed = ParsePolicyKey(key);
    return parsed ? std::string(parsed->ns) + "/" + std::string(parsed->name) : key;
  }

  static std::string List(const std::set<std::string>& texts) {
    return Join(std::vector<std::string>(texts.begin(), texts.end()), ", ");
  }

  bool SameMeaning(const PolicyPlace& a, const PolicyPlace& b) const {
    return a.action == b.action && a.shadow == b.shadow && TextOf(*a.policy) == TextOf(*b.policy);
  }

  void CompareMeanings(const std::map<std::string, Pair*>& changed) {
    if (changed.empty()) return;
    ProxySimulator expected(expected_);
    ProxySimulator got(dump_.config);
    std::set<std::string> reported;
    for (const auto& [key, pair] : changed) {
      if (reported.contains(ObjectOf(key))) continue;
      Prober prober(Seeds(*pair));
      Policies before = PoliciesOf(pair->expected), after = PoliciesOf(pair->got);
      for (const Policies* side : {&before, &after}) {
        auto found = side->find(key);
        if (found != side->end()) prober.Add(*found->second.policy);
      }
      bool asked = false;
      for (const ProxyRequest& request : prober.Take()) {
        Verdict wanted = expected.Run(request);
        Verdict seen = got.Run(request);
        if (wanted.outcome == Outcome::kUndetermined || seen.outcome == Outcome::kUndetermined) {
          continue;
        }
        // Who is let in at all is not the rule's doing.
        if (EndsBeforeRules(wanted) || EndsBeforeRules(seen)) continue;
        asked = true;
        if (wanted.outcome == seen.outcome && wanted.status == seen.status) continue;
        reported.insert(ObjectOf(key));
        const PolicyPlace* place = after.contains(key) ? &after.at(key) : &before.at(key);
        auto& difference = Add(
            "MP0902", after.contains(key) ? DumpSpan(*place->policy) : place->policy->origin.span,
            "rule `" + key + "` decides otherwise in the proxy of " + who_ +
                " than in the manifests: " + RequestText(request) + " gets " + VerdictText(seen) +
                " there and " + VerdictText(wanted) + " by the manifests; find out which of the " +
                "two is meant, and apply it");
        difference.witness = WitnessOf(request, seen.outcome);
        if (difference.witness) difference.certainty = Certainty::kProven;
        difference.detail = who_ + " " + key;
        if (before.contains(key)) {
          difference.object = before.at(key).policy->origin.object;
          difference.related.push_back({before.at(key).policy->origin.span, "the manifest's rule"});
        }
        ExplainByVersion("AuthorizationPolicy", ObjectOf(key), &difference);
        break;
      }
      if (!asked) AddUnasked(key, before, after, &reported);
    }
  }

  // The request in the terms of the mesh, as `can --dump` takes it, where that gives the verdict
  // that the dump gave.
  std::optional<Witness> WitnessOf(const ProxyRequest& request, Outcome seen) const {
    Case question = CaseOf(request);
    question.to_workload = who_;
    // The mesh outlives this pass.
    const std::shared_ptr<const Mesh> mesh(std::shared_ptr<const Mesh>(), &input_.mesh);
    const World world(mesh, {dump_.config});
    auto verdict = world.Run(question, World::Addresses::kAssume, Detail::kTrace);
    if (!verdict.ok() || verdict.value().outcome != seen) return std::nullopt;
    return Witness{std::move(question), verdict.Take()};
  }

  // Where nothing can be asked (a waypoint's chains are chosen by a matcher that cannot be seen
  // through) the text of the rule has to do.
  void AddUnasked(const std::string& key, const Policies& before, const Policies& after,
                  std::set<std::string>* reported) {
    if (!reported->insert(ObjectOf(key)).second) return;
    const RbacPolicy& there = *(after.contains(key) ? after : before).at(key).policy;
    auto& difference =
        Add("MP0902", DumpSpan(there),
            "rule `" + key + "` is " +
                (!after.contains(key)   ? std::string("missing")
                 : before.contains(key) ? std::string("written otherwise")
                                        : std::string("one more")) +
                " in the proxy of " + who_ +
                " than in the manifests, and no request could be asked of it; compare the two");
    difference.detail = who_ + " " + key;
    if (before.contains(key)) {
      const Origin& origin = before.at(key).policy->origin;
      difference.object = origin.object;
      difference.related.push_back({origin.span, "the manifest's rule"});
    }
    ExplainByVersion("AuthorizationPolicy", ObjectOf(key), &difference);
  }

  static bool EndsBeforeRules(const Verdict& verdict) {
    return verdict.outcome == Outcome::kReject &&
           (verdict.stage == Stage::kMtls || verdict.stage == Stage::kNone);
  }

  // Requests on the chain's port, as the mesh's workloads and strangers send them.
  std::vector<ProxyRequest> Seeds(const Pair& pair) const {
    ProxyRequest request;
    request.now = input_.now;
    request.authority = "x";
    request.ext_authz = ExtAuthzAnswer::kAllow;
    uint32_t port = pair.got.chain->match.destination_port;
    if (expected_->mode == ProxyMode::kGateway) {
      for (const Listener& listener : expected_->listeners) {
        if (listener.name == pair.listener) port = listener.port;
      }
    }
    request.connection.destination_port = port != 0 ? port : 8080;
    request.connection.source = Address{*ParseIpAddress("198.51.100.77")};
    request.connection.destination = Address{*ParseIpAddress("10.244.0.1")};
    if (!workload_.ips.empty()) request.connection.destination = Address{workload_.ips.front()};
    if (pair.got.manager == nullptr) request.protocol = WireProtocol::kTcp;
    ProxyRequest mesh = request;
    mesh.connection.tls = WireTls::kTls;
    mesh.connection.alpn = MeshAlpn(request.protocol);
    Certificate certificate;
    certificate.uri_sans = {"spiffe://" + expected_->trust_domain + "/ns/other/sa/stranger"};
    mesh.connection.certificate = certificate;
    return {mesh, request};
  }

  using Providers = std::map<std::string, std::vector<const JwtProvider*>>;  // by issuer

  static Providers ProvidersOf(const ChainView& view) {
    Providers found;
    for (const auto& filter : view.filters) {
      if (filter.jwt == nullptr) continue;
      for (const JwtProvider& provider : filter.jwt->providers) {
        found[provider.issuer].push_back(&provider);
      }
    }
    return found;
  }

  // MP0901 for RequestAuthentication: issuers; MP0902: what is asked of their tokens.
  void CompareProviders() {
    std::map<std::string, std::set<std::string>> missing, extra;
    std::map<std::string, const JwtProvider*> places;
    for (const Pair& pair : pairs_) {
      Providers expected = ProvidersOf(pair.expected), got = ProvidersOf(pair.got);
      // Without the filter the order of filters tells it.
      if (expected.empty() || got.empty()) continue;
      for (const auto& [issuer, providers] : expected) {
        auto there = got.find(issuer);
        if (there != got.end()) {
          CompareIssuer(issuer, providers, there->second);
          continue;
        }
        missing[issuer].insert(PortText(*pair.got.chain));
        places[issuer] = providers.front();
      }
      for (const auto& [issuer, providers] : got) {
        if (expected.contains(issuer)) continue;
        extra[issuer].insert(PortText(*pair.got.chain));
        places[issuer] = providers.front();
      }
    }
    for (const auto& [issuer, ports] : missing) {
      auto& difference =
          Add("MP0901", places[issuer]->origin.span,
              "the proxy of " + who_ + " does not know JWT issuer `" + issuer + "` on " +
                  List(ports) + ": its tokens are refused with 401; see whether istiod pushed " +
                  "the RequestAuthentication (istioctl proxy-status)");
      difference.object = places[issuer]->origin.object;
      difference.detail = who_ + " missing issuer " + issuer;
    }
    for (const auto& [issuer, ports] : extra) {
      auto& difference =
          Add("MP0901", places[issuer]->origin.span,
              "the proxy of " + who_ + " accepts tokens of JWT issuer `" + issuer + "` on " +
                  List(ports) + ", which no manifest names; add the RequestAuthentication to the " +
                  "manifests or delete it");
      difference.detail = who_ + " extra issuer " + issuer;
    }
  }

  // What decides about a token, by the name of the setting.
  static std::map<std::string, std::string> SettingsOf(const JwtProvider& provider) {
    auto sorted = [](std::vector<std::string> texts) {
      std::sort(texts.begin(), texts.end());
      return texts.empty() ? std::string("none") : Join(texts, ", ");
    };
    std::vector<std::string> headers, claims;
    for (const auto& header : provider.from_headers) {
      headers.push_back(header.name + (header.prefix.empty() ? "" : " `" + header.prefix + "`"));
    }
    for (const auto& [header, claim] : provider.claim_to_headers) {
      claims.push_back(header + " = " + claim);
    }
    return {{"audiences", sorted(provider.audiences)},
            {"fromHeaders", sorted(std::move(headers))},
            {"fromParams", sorted(provider.from_params)},
            {"fromCookies", sorted(provider.from_cookies)},
            {"forwardOriginalToken", provider.forward ? "true" : "false"},
            {"outputPayloadToHeader", provider.forward_payload_header},
            {"outputClaimToHeaders", sorted(std::move(claims))}};
  }

  static bool SameKeys(const JwtProvider& a, const JwtProvider& b) {
    // Keys that istiod fetched are not in the manifests; a placeholder is told by its own rule.
    if (!a.local_jwks || !b.local_jwks || *a.local_jwks == *b.local_jwks) return true;
    if (IsPlaceholderKeySet(*b.local_jwks)) return true;
    auto expected = ParseJson(*a.local_jwks), got = ParseJson(*b.local_jwks);
    if (!expected.ok() || !got.ok()) return false;
    return WriteJson(Canonical(expected.value())) == WriteJson(Canonical(got.value()));
  }

  void CompareIssuer(const std::string& issuer, const std::vector<const JwtProvider*>& expected,
                     const std::vector<const JwtProvider*>& got) {
    if (expected.size() != got.size()) return;
    for (size_t i = 0; i < expected.size(); ++i) {
      std::map<std::string, std::string> wanted = SettingsOf(*expected[i]);
      std::vector<std::string> notes;
      for (const auto& [setting, text] : SettingsOf(*got[i])) {
        if (text == wanted[setting]) continue;
        notes.push_back("`" + setting + "` is " + text + " where the manifests say " +
                        wanted[setting]);
      }
      if (!SameKeys(*expected[i], *got[i])) notes.emplace_back("its keys are others");
      if (notes.empty() || !issuers_reported_.insert(issuer).second) continue;
      const Origin& origin = expected[i]->origin;
      auto& difference =
          Add("MP0902", origin.span,
              "the proxy of " + who_ + " judges tokens of JWT issuer `" + issuer +
                  "` otherwise than the manifests: " + Join(notes, ", ") +
                  "; see whether istiod pushed the RequestAuthentication (istioctl proxy-status)");
      difference.object = origin.object;
      difference.detail = who_ + " issuer " + issuer;
      difference.related.push_back({dump_.span, "the dump of " + who_});
      if (origin.object != nullptr) {
        ExplainByVersion("RequestAuthentication",
                         origin.object->ns + "/" + std::string(origin.object->name), &difference);
      }
    }
  }

  // MP0904: filters that are absent, put out of order or turned into mere shadows. An RBAC filter
  // that is gone with its policies is told by them.
  void CompareOrder() {
    struct Where {
      std::set<std::string> ports;
      Span span;
      std::string lists;  // of the chain with the most filters
      size_t filters = 0;
    };
    std::map<std::string, Where> found;  // by message
    for (const Pair& pair : pairs_) {
      std::vector<std::string> expected = Kinds(pair.expected), got = Kinds(pair.got);
      std::string message = OrderMessage(expected, got);
      if (message.empty()) continue;
      Where& where = found[message];
      where.ports.insert(PortText(*pair.got.chain));
      if (!where.span) where.span = pair.got.chain->span;
      if (!where.lists.empty() && expected.size() <= where.filters) continue;
      where.filters = expected.size();
      where.lists = " (expected " + Join(expected, ", ") + "; found " +
                    (got.empty() ? std::string("none") : Join(got, ", ")) + ")";
    }
    for (const auto& [message, where] : found) {
      auto& difference = Add("MP0904", where.span,
                             "the security filters of " + who_ + " on " + List(where.ports) +
                                 " are not those of the manifests: " + message + where.lists);
      difference.detail = who_ + " filters " + message;
    }
  }

  static std::vector<std::string> Kinds(const ChainView& view) {
    std::vector<std::string> kinds;
    for (const auto& filter : view.filters) kinds.push_back(filter.kind);
    return kinds;
  }

  static std::string OrderMessage(const std::vector<std::string>& expected,
                                  const std::vector<std::string>& got) {
    if (expected == got) return "";
    auto has = [](const std::vector<std::string>& list, const std::string& kind) {
      return std::find(list.begin(), list.end(), kind) != list.end();
    };
    std::vector<std::string> notes;
    for (const std::string& kind : expected) {
      bool rbac = kind.starts_with("rbac");
      if (!has(got, kind) && !rbac) notes.push_back("`" + kind + "` is absent");
    }
    bool shadow_only = std::any_of(expected.begin(), expected.end(), [&](const std::string& kind) {
      return (kind == "rbac ALLOW" || kind == "rbac DENY") && !has(got, kind) &&
             Count(got, "rbac shadow") > Count(expected, "rbac shadow");
    });
    if (shadow_only)
      notes.emplace_back("rules stand there as shadow rules only, which enforce nothing");
    for (const std::string& kind : got) {
      bool rbac = kind.starts_with("rbac ") && kind != "rbac matcher";
      if (!has(expected, kind) && !rbac) notes.push_back("`" + kind + "` stands there");
    }
    std::vector<std::string> common_expected, common_got;
    for (const std::string& kind : expected) {
      if (has(got, kind)) common_expected.push_back(kind);
    }
    for (const std::string& kind : got) {
      if (has(expected, kind)) common_got.push_back(kind);
    }
    if (common_expected != common_got) notes.emplace_back("their order is another");
    if (notes.empty()) return "";
    return Join(notes, ", ");
  }

  static size_t Count(const std::vector<std::string>& list, const std::string& kind) {
    return static_cast<size_t>(std::count(list.begin(), list.end(), kind));
  }

  // MP0904: settings of the connection manager that change what the rules see.
  void CompareSettings() {
    std::map<std::string, std::pair<std::set<std::string>, Span>> found;
    for (const Pair& pair : pairs_) {
      if (pair.expected.manager == nullptr || pair.got.manager == nullptr) continue;
      const HttpConnectionManager& a = *pair.expected.manager;
      const HttpConnectionManager& b = *pair.got.manager;
      auto note = [&](const std::string& setting, const std::string& expected,
                      const std::string& got) {
        if (expected == got) return;
        auto& [ports, span] =
            found["`" + setting + "` is " + got + " where the mesh settings give " + expected];
        ports.insert(PortText(*pair.got.chain));
        if (!span) span = pair.got.chain->span;
      };
      auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
      note("normalize_path", flag(a.path.normalize), flag(b.path.normalize));
      note("merge_slashes", flag(a.path.merge_slashes), flag(b.path.merge_slashes));
      note("path_with_escaped_slashes_action", EscapedSlashesName(a.path.escaped_slashes),
           EscapedSlashesName(b.path.escaped_slashes));
      note("use_remote_address", flag(a.use_remote_address), flag(b.use_remote_address));
      note("xff_num_trusted_hops", std::to_string(a.xff_num_trusted_hops),
           std::to_string(b.xff_num_trusted_hops));
      note("forward_client_cert_details", CertMode(a), CertMode(b));
      note("failure_mode_allow of ext_authz", FailsOpen(pair.expected), FailsOpen(pair.got));
    }
    for (const auto& [message, where] : found) {
      auto& difference =
          Add("MP0904", where.second,
              "the connection manager of " + who_ + " on " + List(where.first) +
                  " shapes requests otherwise than the manifests say, so rules on paths or " +
                  "addresses see something else: " + message);
      difference.detail = who_ + " setting " + message;
    }
  }

  // Of all providers in order.
  static std::string FailsOpen(const ChainView& view) {
    std::vector<std::string> texts;
    for (const auto& filter : view.filters) {
      if (filter.ext_authz == nullptr) continue;
      texts.emplace_back(filter.ext_authz->failure_mode_allow ? "true" : "false");
    }
    return Join(texts, ", ");
  }

  // MP0903: TLS that the manifests want from a peer of the mesh and the proxy takes from others.
  void ComparePeers() {
    std::map<std::string, std::pair<std::set<std::string>, Span>> found;
    for (const Pair& pair : pairs_) {
      const auto& expected = pair.expected.chain->tls;
      const auto& got = pair.got.chain->tls;
      if (!expected || !got || !expected->require_client_certificate || !got->opaque.empty()) {
        continue;
      }
      std::string message;
      if (!got->require_client_certificate) {
        message = "TLS without a client certificate";
      } else if (std::set<std::string> wider = Wider(*expected, *got); !wider.empty()) {
        message = "certificates of " + List(wider);
      }
      if (message.empty()) continue;
      auto& [ports, span] = found[message];
      ports.insert(PortText(*pair.got.chain));
      if (!span) span = pair.got.chain->span;
    }
    for (const auto& [message, where] : found) {
      auto& difference =
          Add("MP0903", where.second,
              "the proxy of " + who_ + " takes " + message + " on " + List(where.first) +
                  ", which by the manifests and the mesh's trust domains it must " +
                  "not; restart the proxy and see what changes its chains");
      difference.detail = who_ + " peers " + message;
    }
  }

  // Names that a certificate may bear in the dump and not by the manifests.
  static std::set<std::string> Wider(const TlsContext& expected, const TlsContext& got) {
    // None at all is PILOT_SKIP_VALIDATE_TRUST_DOMAIN, of which manifests say nothing.
    if (expected.subject_alt_names.empty()) return {};
    std::set<std::string> wider;
    for (const StringMatcher& matcher : got.subject_alt_names) {
      bool known = std::any_of(
          expected.subject_alt_names.begin(), expected.subject_alt_names.end(),
          [&](const StringMatcher& wanted) {
            return (wanted.kind == matcher.kind && wanted.value == matcher.value) ||
                   (matcher.kind != StringMatcher::Kind::kRegex && wanted.Matches(matcher.value));
          });
      if (!known) wider.insert("`" + matcher.value + "`");
    }
    return wider;
  }

  static std::string CertMode(const HttpConnectionManager& manager) {
    return manager.forward_client_cert_details.empty() ? "SANITIZE"
                                                       : manager.forward_client_cert_details;
  }

  // MP0903: a port that takes plaintext in the dump and not by the manifests.
  void ComparePlaintext() {
    for (const Listener& expected : expected_->listeners) {
      const Listener* got = Find(*dump_.config, expected);
      if (got == nullptr || expected_->mode != ProxyMode::kSidecar) continue;
      struct Open {
        std::set<std::string> ports;
        const FilterChain* chain = nullptr;
        const EffectiveMode* mode = nullptr;
      };
      std::map<const PeerAuthentication*, Open> found;  // by who wants it otherwise
      std::set<uint32_t> ports = {0};
      for (const FilterChain& chain : got->filter_chains)
        ports.insert(chain.match.destination_port);
      FilterChainIndex expected_chains(expected), got_chains(*got);
      for (uint32_t port : ports) {
        if (port == kCapturePort) continue;
        const FilterChain* open = Plaintext(got_chains, port);
        if (open == nullptr || Plaintext(expected_chains, port) != nullptr) continue;
        // A port of the dump alone falls under the chains for every other port.
        const EffectiveMode& mode = ModeOf(expected, port);
        Open& entry = found[mode.source];
        entry.ports.insert(PortText(*open));
        if (entry.chain == nullptr) {
          entry.chain = open;
          entry.mode = &mode;
        }
      }
      for (const auto& [source, open] : found) {
        auto& difference =
            Add("MP0903", open.chain->span,
                "the proxy of " + who_ + " takes plaintext on " + List(open.ports) +
                    " (filter chain `" + open.chain->name +
                    "`), and the manifests say STRICT: whoever reaches the pod comes in without "
                    "an identity; apply the PeerAuthentication again or restart the proxy");
        difference.detail = who_ + " plaintext " + List(open.ports);
        if (source == nullptr) continue;
        difference.object = &source->meta;
        difference.related.push_back({open.mode->span, "the mode that is wanted"});
      }
    }
  }

  static constexpr uint32_t kCapturePort = 15006;

  static const EffectiveMode& ModeOf(const Listener& listener, uint32_t port) {
    static const EffectiveMode kNone;
    for (uint32_t wanted : {port, 0U}) {
      for (const FilterChain& chain : listener.filter_chains) {
        if (chain.match.destination_port == wanted) return chain.mtls;
      }
    }
    return kNone;
  }

  // The chain that takes plaintext HTTP or bytes on a port; null: none.
  const FilterChain* Plaintext(const FilterChainIndex& chains, uint32_t port) const {
    for (std::string_view protocol : {"", "http/1.1"}) {
      ConnectionFacts facts;
      facts.source = Address{*ParseIpAddress("198.51.100.77")};
      facts.destination = Address{*ParseIpAddress("10.244.0.1")};
      facts.destination_port = port == 0 ? kOtherPort : port;
      facts.transport = "raw_buffer";
      if (!protocol.empty()) facts.protocols.push_back(protocol);
      ChainChoice choice = chains.Find(facts);
      if (choice.chain != nullptr && !choice.chain->tls) return choice.chain;
    }
    return nullptr;
  }
  static constexpr uint32_t kOtherPort = 64999;

  // MP0903: an outbound cluster that sends plaintext where mutual TLS is chosen.
  void CompareClusters() {
    std::set<std::string> reported;
    for (const DumpCluster& cluster : dump_.clusters) {
      auto parts = Split(cluster.name, '|');
      if (parts.size() != 4 || parts[0] != "outbound" || cluster.tls || cluster.tls_by_endpoint) {
        continue;
      }
      const MeshService* service = input_.mesh.FindService(parts[3]);
      auto number = ParseUnsigned(parts[1]);
      if (service == nullptr || !number) continue;
      const MeshServicePort* port = service->FindPort(static_cast<int>(*number));
      if (port == nullptr) continue;
      for (size_t index : service->workloads) {
        const Workload& endpoint = input_.mesh.workloads()[index];
        ClientTlsChoice choice =
            input_.mesh.ChooseClientTls(workload_, *service, *port, parts[2], endpoint);
        if (choice.kind != ClientTlsChoice::Kind::kMeshMtls) continue;
        auto& difference =
            Add("MP0903", cluster.span,
                "the proxy of " + who_ + " calls `" + std::string(parts[3]) + ":" +
                    std::string(parts[1]) + "` without TLS (cluster `" + cluster.name +
                    "` has no TLS context), and the manifests give mutual TLS (" + choice.reason +
                    "); see which DestinationRule or EnvoyFilter the proxy has");
        difference.detail = who_ + " cluster " + cluster.name;
        break;
      }
    }
  }

  const DriftInput& input_;
  const ProxyDump& dump_;
  size_t index_;
  const Workload& workload_;
  std::shared_ptr<const ProxyConfig> expected_;
  std::string who_;
  std::vector<Pair> pairs_;
  std::vector<VersionDifference> versions_;
  std::set<std::string> issuers_reported_;
  std::vector<DriftDifference>& out_;
};

std::string WhoOf(const ProxyDump& dump) {
  if (dump.config->workload.empty()) return dump.file;
  return dump.config->ns + "/" + (dump.pod.empty() ? dump.config->workload : dump.pod);
}

// MP0906: istiod hands out a key set of its own making where it cannot fetch the real one: one RSA
// key whose modulus is the URI in base64 (or, before, an empty or well-known one).
void FindPlaceholders(const DriftInput& input, size_t index, std::vector<DriftDifference>* out) {
  const ProxyDump& dump = input.dumps.proxies[index];
  std::set<std::string> seen;
  for (const Listener& listener : dump.config->listeners) {
    for (const FilterChain& chain : listener.filter_chains) {
      ChainView view = ViewOf(chain);
      for (const auto& filter : view.filters) {
        if (filter.jwt == nullptr) continue;
        for (const JwtProvider& provider : filter.jwt->providers) {
          if (!provider.local_jwks || !IsPlaceholderKeySet(*provider.local_jwks)) continue;
          if (!seen.insert(provider.issuer).second) continue;
          DriftDifference difference;
          difference.code = "MP0906";
          difference.proxy = index;
          difference.span = provider.origin.span ? provider.origin.span : dump.span;
          difference.object = provider.origin.object;
          difference.message =
              "the proxy of " + WhoOf(dump) + " has no real keys of issuer `" + provider.issuer +
              "`: istiod could not fetch them and pushed a placeholder, so that every token of the "
              "issuer is refused with 401, or, with a key that everybody knows, a forged one is " +
              "taken; make the jwksUri reachable from istiod, or write jwks into the " +
              "RequestAuthentication";
          difference.detail = WhoOf(dump) + " " + provider.issuer;
          out->push_back(std::move(difference));
        }
      }
    }
  }
}

// MP0907: who may reach the admin port, what Envoy refused, what is older than the manifests.
void FindStanding(const DriftInput& input, size_t index, std::vector<DriftDifference>* out) {
  const ProxyDump& dump = input.dumps.proxies[index];
  auto add = [&](Span span, std::string detail, std::string message) {
    DriftDifference difference;
    difference.code = "MP0907";
    difference.proxy = index;
    difference.span = span ? span : dump.span;
    difference.message = std::move(message);
    difference.detail = WhoOf(dump) + " " + std::move(detail);
    out->push_back(std::move(difference));
  };
  const std::string& admin = dump.admin_address;
  bool local = admin.empty() || admin.starts_with("127.") || admin.starts_with("::1:") ||
               admin.starts_with("localhost:") || admin.starts_with("unix:") || admin == ":";
  if (!local) {
    add(dump.admin_span, "admin",
        "the admin interface of " + WhoOf(dump) + " listens on " + admin +
            ", not on localhost alone: whoever reaches it reads keys and stops the proxy; set " +
            "proxyAdminPort's address back to 127.0.0.1");
  }
  for (const DumpTrouble& trouble : dump.troubles) {
    if (trouble.kind == DumpTrouble::Kind::kWarming) {
      add(trouble.span, trouble.what + " warming",
          "the last update of " + trouble.what + " is still warming in " + WhoOf(dump) +
              ": until what it waits for is there (secrets, routes, clusters) the configuration "
              "before it is enforced; see istioctl proxy-status");
    }
    if (trouble.kind != DumpTrouble::Kind::kRejected) continue;
    add(trouble.span, trouble.what,
        "Envoy of " + WhoOf(dump) + " refused the last update of " + trouble.what +
            (trouble.details.empty() ? "" : " (" + trouble.details + ")") +
            ": it still runs the configuration before, and newer policies are not enforced; " +
            "correct what it refuses");
  }
  const ObjectMeta* newest = nullptr;
  std::string version = dump.listeners_version.substr(0, dump.listeners_version.find('/'));
  if (version.size() < 20 || version[10] != 'T') return;
  const Workload* workload = input.mesh.FindWorkload(dump.config->ns, dump.config->workload);
  if (workload == nullptr) return;
  PolicySet policies = input.mesh.PoliciesFor(*workload);
  for (const auto* list : {&policies.custom, &policies.audit, &policies.deny, &policies.allow}) {
    for (const AuthorizationPolicy* policy : *list) {
      bool later = !policy->meta.created.empty() && policy->meta.created > version;
      if (later && (newest == nullptr || newest->created < policy->meta.created)) {
        newest = &policy->meta;
      }
    }
  }
  if (newest == nullptr) return;
  add(dump.span, "stale",
      "the listeners of " + WhoOf(dump) + " are of " + version + ", older than " +
          ToString(*newest) + " (" + std::string(newest->created) +
          "): the proxy has not got the policy; see istioctl proxy-status");
}

// MP0901 among replicas where no manifest says what is right.
void CompareReplicas(const DriftInput& input, const std::vector<size_t>& replicas,
                     std::vector<DriftDifference>* out) {
  auto names = [&](size_t index) {
    std::set<std::string> keys;
    for (const Listener& listener : input.dumps.proxies[index].config->listeners) {
      for (const FilterChain& chain : listener.filter_chains) {
        for (const auto& [key, place] : PoliciesOf(ViewOf(chain))) {
          keys.insert(key + " " + TextOf(*place.policy));
        }
      }
    }
    return keys;
  };
  std::set<std::string> first = names(replicas.front());
  for (size_t i = 1; i < replicas.size(); ++i) {
    if (names(replicas[i]) == first) continue;
    const ProxyDump& a = input.dumps.proxies[replicas.front()];
    const ProxyDump& b = input.dumps.proxies[replicas[i]];
    DriftDifference difference;
    difference.code = "MP0901";
    difference.proxy = replicas[i];
    difference.span = b.span;
    difference.message = "the replicas " + WhoOf(a) + " and " + WhoOf(b) + " of " + a.config->ns +
                         "/" + a.config->workload +
                         " enforce different policies: which one answers is chance; see which of " +
                         "them lacks an update (istioctl proxy-status)";
    difference.related.push_back({a.span, "the other replica"});
    difference.detail = WhoOf(b) + " replicas";
    out->push_back(std::move(difference));
  }
}

}  // namespace

std::vector<DriftDifference> FindDrift(const DriftInput& input) {
  std::vector<DriftDifference> out;
  std::shared_ptr<const Mesh> mesh(std::shared_ptr<const Mesh>(), &input.mesh);
  Compiler compiler(mesh);
  std::map<std::pair<std::string, std::string>, std::vector<size_t>> replicas;
  for (size_t i = 0; i < input.dumps.proxies.size(); ++i) {
    const ProxyDump& dump = input.dumps.proxies[i];
    const Workload* workload = input.mesh.FindWorkload(dump.config->ns, dump.config->workload);
    bool has_proxy = workload != nullptr && workload->mode != ProxyMode::kNone &&
                     workload->mode != ProxyMode::kAmbient;
    if (has_proxy && !IsFromDump(*workload)) {
      auto expected = compiler.Compile(*workload);
      if (expected->unmodelled.empty()) {
        Comparer(input, i, *workload, std::move(expected), &out).Compare();
      }
    } else if (!dump.config->workload.empty()) {
      replicas[{dump.config->ns, dump.config->workload}].push_back(i);
    }
    FindPlaceholders(input, i, &out);
    FindStanding(input, i, &out);
    FindCertificateDrift(input, i, workload, &out);
  }
  for (const auto& [name, indexes] : replicas) {
    if (indexes.size() > 1) CompareReplicas(input, indexes, &out);
  }
  for (size_t i = 0; i < input.dumps.ztunnels.size(); ++i) FindZtunnelDrift(input, i, &out);
  FindRootDrift(input, &out);
  return out;
}

void ReportDrift(const Analysis& analysis, std::string_view code, Reporter& reporter) {
  if (analysis.drift == nullptr) return;
  for (const DriftDifference& difference : *analysis.drift) {
    if (difference.code != code) continue;
    const auto& proxies = analysis.dumps->proxies;
    ObjectName name;
    if (difference.object != nullptr) {
      name = NameOf(*difference.object);
    } else if (difference.proxy >= proxies.size()) {
      name.kind = "Ztunnel";
      name.name = analysis.dumps->ztunnels[difference.proxy - proxies.size()].file;
    } else {
      const ProxyDump& dump = proxies[difference.proxy];
      name.kind = "Proxy";
      name.ns = dump.config->ns;
      name.name = dump.pod.empty() ? dump.config->workload : dump.pod;
    }
    Finding& finding = reporter.Report(std::move(name), difference.span, difference.message);
    finding.related = difference.related;
    finding.detail = difference.detail;
    finding.fix = difference.fix;
    finding.certainty = difference.certainty;
    finding.witness = difference.witness;
    finding.dump = difference.proxy;
    if (difference.severity) finding.severity = *difference.severity;
  }
}

}  // namespace meshproof
