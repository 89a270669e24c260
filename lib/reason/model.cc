// Turns the configuration of a proxy into expressions over the requests to one
// of its ports: which filter chain takes a connection (asked of the same index
// that the simulator uses), whether the handshake succeeds, and what the
// filters say in their order (envoy-facts sections 1 to 5).
//
// A matcher on something absent is false and its negation true, so "no such
// header", "no token" and "no peer" are values of their own. What a proxy makes
// up itself and what cannot be seen through becomes a free truth value whose
// name begins with kOpaque; an answer that depends on one is not given.

#include "reason/model.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "match/path.h"
#include "proxy/rbac.h"
#include "proxy/string_class.h"
#include "proxy/trust_domain.h"
#include "simulate/approach.h"
#include "simulate/filter_chain.h"
#include "simulate/header_map.h"
#include "simulate/simulate.h"

namespace meshproof {
namespace {

constexpr std::string_view kJwtFilter = "envoy.filters.http.jwt_authn";
constexpr std::string_view kHttpRbac = "envoy.filters.http.rbac";
constexpr std::string_view kNetworkRbac = "envoy.filters.network.rbac";
constexpr std::string_view kShadowId = "shadow_effective_policy_id";
constexpr std::string_view kPeerPrincipal = "io.istio.peer_principal";
constexpr std::string_view kInternalListener = "main_internal";  // what comes out of a tunnel

// Without QUERY, which wants a body, and CONNECT, which has no path.
constexpr std::array<const char*, 33> kHttp1Methods = {
    "GET",       "POST",       "PUT",        "DELETE",   "PATCH",      "HEAD",    "OPTIONS",
    "TRACE",     "ACL",        "BIND",       "CHECKOUT", "COPY",       "LINK",    "LOCK",
    "MERGE",     "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",       "MSEARCH", "NOTIFY",
    "PROPFIND",  "PROPPATCH",  "PURGE",      "REBIND",   "REPORT",     "SEARCH",  "SOURCE",
    "SUBSCRIBE", "UNBIND",     "UNLINK",     "UNLOCK",   "UNSUBSCRIBE"};

constexpr std::string_view kMethodDomain = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
constexpr std::string_view kLowerHostDomain = "[a-z0-9!$%&'()*+,.:;=\\[\\]_~-]+";
constexpr std::string_view kHostDomain = "[A-Za-z0-9!$%&'()*+,.:;=\\[\\]_~-]+";
constexpr std::string_view kMeshIdentityDomain =
    "spiffe://[a-z0-9._-]+/ns/[a-z0-9-]+/sa/[a-z0-9.-]+";
constexpr std::string_view kForeignIdentityDomain = "[a-z]+://[!-~]+";
constexpr std::string_view kHeaderDomain = "([!-~]([ -~]*[!-~])?)?";
constexpr std::string_view kJoinedHeaderDomain = "[!-~]([ -~]*[!-~])?";
constexpr std::string_view kClaimDomain = "[ -~]*";
constexpr std::string_view kServerNameDomain = "[a-z0-9._-]*";

enum Order {
  kPathOrder,
  kMethodOrder,
  kHostOrder,
  kTransportOrder,
  kIdentityOrder,
  kIssuerOrder,
  kSubjectOrder,
  kClaimOrder,
  kHeaderOrder,
  kAddressOrder,
  kServerNameOrder,
  kFlagOrder
};

// Headers of which a proxy adds, replaces or drops some (envoy-facts section
// 5).
bool IsManaged(std::string_view name) {
  static const std::set<std::string_view> kNames = {"connection",
                                                    "content-length",
                                                    "content-type",
                                                    "cookie",
                                                    "expect",
                                                    "keep-alive",
                                                    "proxy-connection",
                                                    "referer",
                                                    "te",
                                                    "trailer",
                                                    "transfer-encoding",
                                                    "upgrade",
                                                    "x-forwarded-proto",
                                                    "x-request-id",
                                                    "x-forwarded-client-cert",
                                                    "x-forwarded-for",
                                                    ":scheme",
                                                    "http2-settings"};
  return kNames.count(name) != 0 || name.starts_with("x-envoy-");
}

std::string Quote(std::string_view text) {
  return QuoteGoRegex(text);
}

StringPattern ToPattern(const StringMatcher& matcher) {
  StringPattern pattern;
  pattern.value = matcher.value;
  pattern.ignore_case = matcher.ignore_case;
  switch (matcher.kind) {
    case StringMatcher::Kind::kExact:
      pattern.kind = StringPattern::Kind::kExact;
      break;
    case StringMatcher::Kind::kPrefix:
      pattern.kind = StringPattern::Kind::kPrefix;
      break;
    case StringMatcher::Kind::kSuffix:
      pattern.kind = StringPattern::Kind::kSuffix;
      break;
    case StringMatcher::Kind::kContains:
      pattern.kind = StringPattern::Kind::kContains;
      break;
    case StringMatcher::Kind::kRegex:
      pattern.kind = StringPattern::Kind::kRegex;
      break;
  }
  return pattern;
}

// A text of the pattern's language that says what it is about.
std::string SampleOf(const StringPattern& pattern) {
  switch (pattern.kind) {
    case StringPattern::Kind::kExact:
      return pattern.value;
    case StringPattern::Kind::kPrefix:
      return pattern.value + "x";
    case StringPattern::Kind::kSuffix:
    case StringPattern::Kind::kContains:
      return "x" + pattern.value;
    case StringPattern::Kind::kRegex:
      break;
  }
  return "";
}

bool HasUpper(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

Transport TransportAt(size_t index) {
  return {static_cast<Transport::Security>(index / 3), static_cast<Transport::Speech>(index % 3)};
}

size_t IndexOf(const Transport& transport) {
  return static_cast<size_t>(transport.security) * 3 + static_cast<size_t>(transport.speech);
}

// Builds the expressions of all sides and of regions.
struct PortModel::Translator {
  using Field = Space::FieldId;

  explicit Translator(PortModel* m) : model(*m), space(m->space_) {}

  // --- fields, made when they are first asked for

  Field Transport_() {
    if (!transport) {
      std::vector<std::pair<std::string, int>> values;
      for (size_t i = 0; i < kTransports; ++i) {
        const Transport at = TransportAt(i);
        const std::array<int, 3> security = {0, 2, 1};
        const std::array<int, 3> speech = {0, 6, 9};
        values.emplace_back("", security[static_cast<size_t>(at.security)] +
                                    speech[static_cast<size_t>(at.speech)]);
      }
      transport = space.ChoiceField("transport", kTransportOrder, std::move(values));
    }
    return *transport;
  }

  Expr TransportIs(size_t index) { return space.IsChoice(Transport_(), index); }
  Expr SecurityIs(Transport::Security security) {
    std::vector<Expr> any;
    for (size_t i = 0; i < kTransports; ++i) {
      if (TransportAt(i).security == security) any.push_back(TransportIs(i));
    }
    return space.OrAll(std::move(any));
  }

  Field Identity() {
    if (!identity) {
      identity = space.TextField(
          "identity", kIdentityOrder,
          PatternDomain(foreign_identities ? kForeignIdentityDomain : kMeshIdentityDomain), true);
    }
    return *identity;
  }

  // Identities that the mesh has, for people to read. Of a large mesh those of the namespaces that
  // the patterns name, and a few for what they do not.
  void AddCallers() {
    constexpr size_t kFew = 300;
    if (!identity) return;
    std::set<std::string, std::less<>> named;
    bool all_small = true;
    for (const PortModel::Side& side : model.asked_) {
      named.insert(side.workload->ns);
      all_small = all_small && side.callers->sidecars.size() + side.callers->ambient.size() <= kFew;
    }
    for (const StringPattern& pattern : space.PatternsOf(*identity)) {
      constexpr std::string_view kNamespace = "/ns/";
      size_t at = pattern.value.find(kNamespace);
      if (at == std::string::npos) continue;
      std::string_view rest = std::string_view(pattern.value).substr(at + kNamespace.size());
      named.emplace(
          rest.substr(0, rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-")));
    }
    for (const PortModel::Side& side : model.asked_) {
      const Mesh& mesh = side.world->mesh();
      size_t others = 0;
      for (const auto& [ns, workloads] : side.callers->by_namespace) {
        bool known = all_small || named.count(ns) != 0;
        if (!known && others++ >= kFew) continue;
        for (const Workload* workload : workloads) {
          space.AddCandidate(*identity, workload->identity, ns == side.workload->ns);
          if (!known) break;
        }
      }
      const std::vector<std::string> bundle = TrustDomainBundle(mesh.config());
      const std::string domain = bundle.empty() ? "cluster.local" : bundle.front();
      space.AddCandidate(*identity, "spiffe://" + domain + "/ns/other/sa/other", 5);
      auto add_default = [&](std::string_view ns) {
        space.AddCandidate(*identity,
                           "spiffe://" + domain + "/ns/" + std::string(ns) + "/sa/default", 3);
      };
      if (all_small && mesh.model().namespaces.size() <= kFew) {
        for (const Namespace& ns : mesh.model().namespaces) add_default(ns.meta.name);
      } else {
        for (const std::string& ns : named) {
          if (mesh.FindNamespace(ns) != nullptr) add_default(ns);
        }
      }
    }
  }

  Field Path() {
    if (!path) {
      path = space.TextField("path", kPathOrder, PathDomain(model.path_options_, false), false);
      space.AddCandidate(*path, "/", 0);
      space.AddCandidate(*path, "/x", 8);
    }
    return *path;
  }
  Field Method() {
    if (!method) {
      method = space.TextField("method", kMethodOrder, PatternDomain(kMethodDomain), false);
      int rank = 0;
      for (const char* name : kHttp1Methods) space.AddCandidate(*method, name, rank++);
    }
    return *method;
  }
  Field Host() {
    if (!host) {
      host =
          space.TextField("host", kHostOrder,
                          PatternDomain(host_case_matters ? kHostDomain : kLowerHostDomain), false);
      for (const PortModel::Side& side : model.asked_) {
        const Mesh& mesh = side.world->mesh();
        if (auto service = mesh.ServiceForPort(*side.workload, side.port)) {
          space.AddCandidate(*host, service->first->host, 0);
          space.AddCandidate(*host,
                             service->first->host + ":" + std::to_string(service->second->port), 1);
        }
      }
      space.AddCandidate(*host, "example.com", 3);
    }
    return *host;
  }
  Field ServerName() {
    if (!server_name) {
      server_name =
          space.TextField("server name", kServerNameOrder, PatternDomain(kServerNameDomain), false);
      for (const PortModel::Side& side : model.asked_) {
        if (auto service = side.world->mesh().ServiceForPort(*side.workload, side.port)) {
          space.AddCandidate(
              *server_name,
              "outbound_." + std::to_string(service->second->port) + "_._." + service->first->host,
              0);
        }
      }
      space.AddCandidate(*server_name, "example.com", 1);
    }
    return *server_name;
  }
  Field Issuer() {
    if (!issuer) {
      std::string domain = "[^\\x00-\\xff]";
      for (const std::string& one : issuers) domain += "|" + Quote(one);
      if (any_issuer) domain = std::string(kClaimDomain);
      issuer = space.TextField("issuer", kIssuerOrder, PatternDomain(domain), true);
    }
    return *issuer;
  }
  Field Subject() {
    if (!subject) {
      subject = space.TextField("subject", kSubjectOrder, PatternDomain(kClaimDomain), true);
      space.AddCandidate(*subject, "alice", 0);
    }
    return *subject;
  }
  Field Claim(const std::vector<std::string>& names) {
    std::string key = "claim " + Join(names, "\x1f");
    if (auto known = space.Find(key)) return *known;
    Field field = space.TextSetField(key, kClaimOrder, PatternDomain(kClaimDomain));
    space.AddCandidate(field, "x", 3);
    model.claim_fields_[key] = names;
    return field;
  }
  Field HeaderField(const std::string& name) {
    std::string key = "header " + name;
    if (auto known = space.Find(key)) return *known;
    Field field = IsJoinedHeader(name)
                      ? space.TextField(key, kHeaderOrder, PatternDomain(kJoinedHeaderDomain), true)
                      : space.TextSetField(key, kHeaderOrder, PatternDomain(kHeaderDomain));
    space.AddCandidate(field, "x", 3);
    model.header_fields_[key] = name;
    return field;
  }
  Field Source() {
    if (!source) {
      source = space.AddressField("source address", kAddressOrder, {}, "client");
      space.AddAddressCandidate(*source, *ParseIpAddress("198.51.100.77"), 0);
      space.AddAddressCandidate(*source, *ParseIpAddress("10.244.0.9"), 1);
    }
    return *source;
  }
  Field Remote() {
    if (!remote) {
      Field direct = Source();
      (void)direct;
      remote = space.AddressField("remote address", kAddressOrder, {}, "client");
      space.AddAddressCandidate(*remote, *ParseIpAddress("198.51.100.77"), 0);
      space.AddAddressCandidate(*remote, *ParseIpAddress("10.244.0.9"), 1);
    }
    return *remote;
  }
  Expr Flag(const std::string& name) {
    auto known = space.Find(name);
    return space.IsSet(known ? *known : space.FlagField(name, kFlagOrder));
  }
  Expr Opaque(const std::string& key, const std::string& reason) {
    std::string name = std::string(kOpaque) + key;
    model.opaque_.try_emplace(name, reason);
    return Flag(name);
  }

  // --- leaves

  Expr Text(Field field, const StringPattern& pattern, int rank = 2) {
    bool understood = pattern.kind != StringPattern::Kind::kRegex;
    if (!understood) {
      auto [known, added] = understood_regexes.try_emplace(pattern.value, false);
      if (added) known->second = IsUnderstood(pattern);
      understood = known->second;
    }
    if (!understood) {
      return Opaque(space.name(field) + " ~ " + pattern.value,
                    "the pattern " + pattern.value + " is not understood");
    }
    if (std::string sample = SampleOf(pattern); !sample.empty()) {
      space.AddCandidate(field, std::move(sample), rank);
    }
    return space.Matches(field, pattern);
  }

  // What the conditions of one chain are evaluated in.
  struct Scope {
    bool http = true;
    bool tls = false;   // the chain ends TLS
    bool asks = false;  // and asks for a certificate
    bool remote_is_source = false;
    bool waypoint = false;
    Expr payload = kNever;  // claims of a verified token stand in the metadata
    const JwtFilter* jwt = nullptr;
    const SideModel* side = nullptr;
    const Mesh* mesh = nullptr;
    int port = 0;
  };

  Expr IdentityText(const StringMatcher& matcher) {
    if (matcher.kind == StringMatcher::Kind::kRegex && !matcher.regex) {
      return Opaque("identity ~ " + matcher.value, "Envoy refuses the pattern " + matcher.value);
    }
    return Text(Identity(), ToPattern(matcher), 4);
  }

  Expr Peer(const std::optional<StringMatcher>& name, const Scope& scope) {
    if (!scope.tls) return kNever;
    if (!name) return kAlways;
    // The empty subject is a name as well.
    if (name->Matches("")) return kAlways;
    return scope.asks ? IdentityText(*name) : kNever;
  }

  Expr HostText(StringPattern pattern) {
    if (!host_case_matters) {
      if (!pattern.ignore_case && HasUpper(pattern.value) &&
          pattern.kind != StringPattern::Kind::kRegex) {
        return kNever;
      }
      pattern.value = ToLower(pattern.value);
      pattern.ignore_case = false;
    }
    return Text(Host(), pattern, 1);
  }

  bool FromToken(const std::string& name, const Scope& scope) const {
    if (scope.jwt == nullptr) return false;
    for (const JwtProvider& provider : scope.jwt->providers) {
      if (ToLower(provider.forward_payload_header) == name) return true;
      for (const auto& [header, claim] : provider.claim_to_headers) {
        if (ToLower(header) == name) return true;
      }
      for (const JwtHeaderLocation& location : provider.from_headers) {
        if (ToLower(location.name) == name) return true;
      }
      bool default_place = provider.from_headers.empty() && provider.from_params.empty() &&
                           provider.from_cookies.empty();
      if (default_place && name == "authorization") return true;
    }
    return false;
  }

  Expr Header(const HeaderMatcher& matcher, const Scope& scope) {
    std::string name = ToLower(matcher.name);
    using Kind = HeaderMatcher::Kind;
    std::string key = name + " " + matcher.string.value;
    bool pseudo = name == ":method" || name == ":authority" || name == "host" || name == ":path";
    if (matcher.kind == Kind::kRange) {
      return Opaque("header " + key + std::to_string(matcher.low) + std::to_string(matcher.high),
                    "a number range over header " + name + " is not reasoned about");
    }
    if (matcher.kind == Kind::kString && matcher.string.kind == StringMatcher::Kind::kRegex &&
        !matcher.string.regex) {
      return Opaque("header " + key, "Envoy refuses the pattern " + matcher.string.value);
    }
    if (!pseudo && (IsManaged(name) || FromToken(name, scope))) {
      return Opaque("header " + key + " " + std::to_string(static_cast<int>(matcher.kind)) +
                        std::to_string(static_cast<int>(matcher.string.kind)),
                    "the proxy itself sets or drops header " + name);
    }
    if (name == ":path" && matcher.kind == Kind::kString) {
      return Opaque("header " + key + std::to_string(static_cast<int>(matcher.string.kind)),
                    "a condition on :path sees the query, which is not reasoned about");
    }
    Expr present = kAlways;
    Expr matched = kNever;
    if (pseudo) {
      if (matcher.kind == Kind::kString) {
        matched = name == ":method" ? Text(Method(), ToPattern(matcher.string), 50)
                                    : HostText(ToPattern(matcher.string));
      }
    } else {
      Field field = HeaderField(name);
      present = space.IsPresent(field);
      if (matcher.kind == Kind::kString) matched = Text(field, ToPattern(matcher.string));
    }
    if (matcher.kind == Kind::kPresent) {
      Expr there = matcher.treat_missing_as_empty ? kAlways : present;
      bool negated = matcher.present == matcher.invert;
      return negated ? space.Not(there) : there;
    }
    Expr value = matcher.invert ? space.And(present, space.Not(matched)) : matched;
    if (!matcher.treat_missing_as_empty) return value;
    bool missing = matcher.string.Matches("") != matcher.invert;
    return missing ? space.Or(value, space.Not(present)) : value;
  }

  // The alternatives of "the string, or some element of the list" as istiod
  // writes it.
  static bool StringAlternatives(const ValueMatcher& value, std::vector<StringMatcher>* out) {
    if (value.kind == ValueMatcher::Kind::kString) {
      out->push_back(value.string);
      return true;
    }
    if (value.kind != ValueMatcher::Kind::kOr) return false;
    return std::all_of(value.children.begin(), value.children.end(),
                       [&](const ValueMatcher& child) { return StringAlternatives(child, out); });
  }

  static bool ClaimAlternatives(const ValueMatcher& value, std::vector<StringMatcher>* out) {
    if (value.kind != ValueMatcher::Kind::kOr || value.children.size() != 2) return false;
    const ValueMatcher& list = value.children[0];
    std::vector<StringMatcher> in_list;
    return list.kind == ValueMatcher::Kind::kList && list.children.size() == 1 &&
           StringAlternatives(list.children[0], &in_list) &&
           StringAlternatives(value.children[1], out) && in_list.size() == out->size();
  }

  Expr Metadata(const MetadataPredicate& predicate, const Scope& scope) {
    Expr found = kNever;
    if (scope.http && predicate.filter == kJwtFilter) {
      found = scope.payload == kNever ? kNever : ClaimLeaf(predicate, scope);
    } else if (predicate.filter == kHttpRbac || predicate.filter == kNetworkRbac) {
      found = Opaque("metadata " + predicate.filter + Join(predicate.path, "."),
                     "metadata of another RBAC filter is not reasoned about");
    }
    return predicate.invert ? space.Not(found) : found;
  }

  Expr ClaimLeaf(const MetadataPredicate& predicate, const Scope& scope) {
    if (predicate.path.size() < 2 || predicate.path[0] != "payload") return kNever;
    std::vector<std::string> names(predicate.path.begin() + 1, predicate.path.end());
    std::vector<StringMatcher> alternatives;
    bool single = names.size() == 1 && (names[0] == "iss" || names[0] == "sub");
    bool understood = ClaimAlternatives(predicate.value, &alternatives);
    if (!understood && single) {
      alternatives.clear();
      understood = predicate.value.kind == ValueMatcher::Kind::kString;
      alternatives.push_back(predicate.value.string);
    }
    if (!understood) {
      return Opaque("claim " + Join(names, "."), "a condition of this form on claim " +
                                                     Join(names, ".") + " is not reasoned about");
    }
    std::vector<Expr> any;
    for (const StringMatcher& matcher : alternatives) {
      Field field = !single ? Claim(names) : names[0] == "iss" ? Issuer() : Subject();
      any.push_back(Text(field, ToPattern(matcher)));
    }
    return space.And(scope.payload, space.OrAll(std::move(any)));
  }

  Expr AddressIn(const AddressPredicate& predicate, const Scope& scope) {
    switch (predicate.field) {
      case AddressField::kDirectRemote:
        if (scope.waypoint) return kNever;  // a tunnel has no address
        [[fallthrough]];
      case AddressField::kSource:
        return space.IsIn(Source(), predicate.range);
      case AddressField::kRemote:
        return space.IsIn(scope.http && !scope.remote_is_source ? Remote() : Source(),
                          predicate.range);
      case AddressField::kDestination:
        break;
    }
    Address known =
        meshproof::AddressOf(*scope.mesh, *scope.side->workload, World::Addresses::kAssume);
    if (const auto* ip = std::get_if<IpAddress>(&known.value)) {
      return predicate.range.Contains(*ip) ? kAlways : kNever;
    }
    if (!destination) {
      std::vector<CidrRange> within = scope.mesh->options().pod_cidrs;
      if (within.empty()) within.push_back(*ParseCidr("10.244.0.0/16"));
      destination = space.AddressField("destination address", kAddressOrder, within, "destination");
    }
    return space.IsIn(*destination, predicate.range);
  }

  Expr Translate(const Predicate& predicate, const Scope& scope) {
    const auto& match = predicate.match;
    if (std::holds_alternative<AnyPredicate>(match)) return kAlways;
    if (const auto* all = std::get_if<AndPredicate>(&match)) {
      std::vector<Expr> parts;
      for (const Predicate& child : all->all) parts.push_back(Translate(child, scope));
      return space.AndAll(std::move(parts));
    }
    if (const auto* any = std::get_if<OrPredicate>(&match)) {
      std::vector<Expr> parts;
      for (const Predicate& child : any->any) parts.push_back(Translate(child, scope));
      return space.OrAll(std::move(parts));
    }
    if (const auto* negated = std::get_if<NotPredicate>(&match)) {
      return negated->inner.empty() ? kNever : space.Not(Translate(negated->inner.front(), scope));
    }
    if (const auto* header = std::get_if<HeaderPredicate>(&match)) {
      return scope.http ? Header(header->header, scope) : kNever;
    }
    if (const auto* url = std::get_if<UrlPathPredicate>(&match)) {
      return scope.http ? PathText(ToPattern(url->path), url->path) : kNever;
    }
    if (const auto* path_template = std::get_if<PathTemplatePredicate>(&match)) {
      if (!scope.http || !path_template->regex) return kNever;
      StringPattern pattern{StringPattern::Kind::kRegex, path_template->regex.pattern(), false};
      AddTemplateSample(path_template->path_template);
      return Text(Path(), pattern);
    }
    if (const auto* address = std::get_if<AddressPredicate>(&match)) {
      return AddressIn(*address, scope);
    }
    if (const auto* port = std::get_if<PortPredicate>(&match)) {
      auto number = static_cast<uint32_t>(scope.port);
      return number >= port->begin && number < port->end ? kAlways : kNever;
    }
    if (const auto* name = std::get_if<ServerNamePredicate>(&match)) {
      if (scope.waypoint) return name->name.Matches("") ? kAlways : kNever;
      return Text(ServerName(), ToPattern(name->name));
    }
    if (const auto* metadata = std::get_if<MetadataPredicate>(&match)) {
      return Metadata(*metadata, scope);
    }
    if (const auto* peer = std::get_if<AuthenticatedPredicate>(&match)) {
      return Peer(peer->principal_name, scope);
    }
    if (const auto* opaque = std::get_if<OpaquePredicate>(&match)) {
      return Opaque(opaque->name, "condition " + opaque->name + " cannot be seen through");
    }
    if (const auto* state = std::get_if<FilterStatePredicate>(&match)) {
      return scope.waypoint && state->key == kPeerPrincipal ? IdentityText(state->value) : kNever;
    }
    return kNever;
  }

  Expr PathText(const StringPattern& pattern, const StringMatcher& matcher) {
    if (matcher.kind == StringMatcher::Kind::kRegex && !matcher.regex) {
      return Opaque("path ~ " + matcher.value, "Envoy refuses the pattern " + matcher.value);
    }
    if (pattern.kind == StringPattern::Kind::kPrefix && pattern.value.ends_with('/')) {
      space.AddCandidate(Path(), pattern.value + "x", 2);
    } else if (pattern.kind == StringPattern::Kind::kPrefix) {
      space.AddCandidate(Path(), pattern.value, 2);
      space.AddCandidate(Path(), pattern.value + "/x", 3);
    } else if (pattern.kind == StringPattern::Kind::kSuffix) {
      std::string head = pattern.value.starts_with('/') ? "/x" : "/x";
      space.AddCandidate(Path(), head + pattern.value, 3);
      space.AddCandidate(Path(), pattern.value, 2);
    }
    return Text(Path(), pattern, 2);
  }

  void AddTemplateSample(std::string_view text) {
    std::string sample;
    for (size_t i = 0; i < text.size(); ++i) {
      if (text.substr(i).starts_with("**")) {
        sample += "x/y";
        ++i;
      } else if (text[i] == '*') {
        sample += 'x';
      } else {
        sample += text[i];
      }
    }
    space.AddCandidate(Path(), std::move(sample), 3);
  }

  // --- routes of a gateway

  Expr DomainMatches(std::string_view written, bool ignore_port) {
    std::string domain = ToLower(written);
    if (domain == "*") return kAlways;
    std::string port = ignore_port ? "(:[^:\\]]*)?" : "";
    std::string pattern;
    std::string sample;
    if (domain.starts_with('*')) {
      pattern = ".+" + Quote(domain.substr(1)) + port;
      sample = "x" + domain.substr(1);
    } else if (domain.ends_with('*')) {
      pattern = Quote(domain.substr(0, domain.size() - 1)) + ".+";
      sample = domain.substr(0, domain.size() - 1) + "x";
    } else {
      pattern = Quote(domain) + port;
      sample = domain;
    }
    space.AddCandidate(Host(), sample, 1);
    if (host_case_matters) {
      return Opaque("host ~ " + domain, "hosts of routes beside a case-sensitive host condition");
    }
    return Text(Host(), {StringPattern::Kind::kRegex, pattern, false});
  }

  Expr RouteMatches(const RouteMatch& match, const Scope& scope) {
    std::vector<Expr> all;
    using Kind = RouteMatch::Path;
    bool fold = !match.case_sensitive;
    switch (match.path_kind) {
      case Kind::kPrefix:
        if (match.path != "/") {
          space.AddCandidate(Path(), match.path, 2);
          all.push_back(Text(Path(), {StringPattern::Kind::kPrefix, match.path, fold}, 3));
        }
        break;
      case Kind::kExact:
        all.push_back(Text(Path(), {StringPattern::Kind::kExact, match.path, fold}));
        break;
      case Kind::kRegex:
        all.push_back(Text(Path(), {StringPattern::Kind::kRegex,
                                    match.regex ? match.regex.pattern() : match.path, false}));
        break;
      case Kind::kPathSeparatedPrefix:
        all.push_back(
            space.Or(Text(Path(), {StringPattern::Kind::kExact, match.path, fold}),
                     Text(Path(), {StringPattern::Kind::kPrefix, match.path + "/", fold})));
        break;
    }
    for (const HeaderMatcher& header : match.headers) all.push_back(Header(header, scope));
    for (const MetadataPredicate& metadata : match.dynamic_metadata) {
      all.push_back(Metadata(metadata, scope));
    }
    for (const RouteMatch::QueryParameter& parameter : match.query_parameters) {
      all.push_back(Query(parameter));
    }
    return space.AndAll(std::move(all));
  }

  Expr Query(const RouteMatch::QueryParameter& parameter) {
    bool plain = !parameter.value || (parameter.value->kind == StringMatcher::Kind::kExact &&
                                      !parameter.value->ignore_case);
    std::string value = parameter.value ? parameter.value->value : "x";
    bool sendable = value.find_first_of("&#% ") == std::string::npos &&
                    parameter.name.find_first_of("&#%= ") == std::string::npos;
    if (!plain || !sendable) {
      return Opaque("query " + parameter.name + value,
                    "a condition of this form on the query parameter " + parameter.name);
    }
    std::string key = "query " + parameter.name + "=" + value;
    Expr flag = Flag(key);
    for (const auto& [other, named] : model.query_flags_) {
      if (named.first == parameter.name && other != key) {
        space.Constrain(space.Not(space.And(flag, Flag(other))));
      }
    }
    model.query_flags_[key] = {parameter.name, value};
    return flag;
  }

  // Which routes take what; `found` gets the requests that any takes.
  void Routes(const RouteConfiguration& routes, const Scope& scope, ChainModel* chain,
              Expr* found) {
    struct DomainEntry {
      int kind;  // 0 exact, 1 suffix, 2 prefix, 3 default
      size_t length;
      std::string domain;
      const VirtualHost* host;
    };
    std::vector<DomainEntry> entries;
    for (const VirtualHost& virtual_host : routes.virtual_hosts) {
      for (const std::string& domain : virtual_host.domains) {
        int kind = domain == "*" ? 3 : domain.starts_with('*') ? 1 : domain.ends_with('*') ? 2 : 0;
        entries.push_back({kind, domain.size(), domain, &virtual_host});
      }
    }
    std::stable_sort(
        entries.begin(), entries.end(), [](const DomainEntry& a, const DomainEntry& b) {
          return a.kind != b.kind ? a.kind < b.kind : (a.kind != 0 && a.length > b.length);
        });
    std::map<const VirtualHost*, std::vector<Expr>> by_host;
    Expr left = kAlways;
    for (const DomainEntry& entry : entries) {
      Expr matches = DomainMatches(entry.domain, routes.ignore_port_in_host_matching);
      by_host[entry.host].push_back(space.And(left, matches));
      left = space.And(left, space.Not(matches));
    }
    std::vector<Expr> any;
    for (const VirtualHost& virtual_host : routes.virtual_hosts) {
      Expr rest = space.OrAll(by_host[&virtual_host]);
      if (virtual_host.require_tls && !scope.tls) {
        any.push_back(rest);  // a redirect
        continue;
      }
      for (const Route& route : virtual_host.routes) {
        Expr matches = RouteMatches(route.match, scope);
        Expr own = space.And(rest, matches);
        chain->routes.push_back({&route, &virtual_host, own});
        any.push_back(own);
        rest = space.And(rest, space.Not(matches));
      }
    }
    *found = space.OrAll(std::move(any));
  }

  // --- filters

  RuleInChain TranslateRule(const std::shared_ptr<const RbacPolicy>& policy, Rbac::Action action,
                            bool custom, const Scope& scope) {
    RuleInChain rule;
    rule.policy = policy.get();
    rule.action = action;
    rule.custom = custom;
    std::vector<Expr> permissions, principals;
    for (const Predicate& one : policy->permissions) permissions.push_back(Translate(one, scope));
    for (const Predicate& one : policy->principals) principals.push_back(Translate(one, scope));
    Expr condition = kAlways;
    if (policy->has_condition) {
      condition = Opaque("condition of " + policy->name,
                         "the CEL condition of " + policy->name + " cannot be seen through");
    }
    std::vector<Expr> any;
    for (size_t i = 0; i < permissions.size(); ++i) {
      for (size_t j = 0; j < principals.size(); ++j) {
        Expr both = space.And(condition, space.And(permissions[i], principals[j]));
        rule.pairs.push_back({i, j, both});
      }
    }
    if (policy->permissions.size() == 1 && policy->principals.size() == 1) {
      for (const auto* side : {&policy->permissions.front(), &policy->principals.front()}) {
        const auto* all = std::get_if<AndPredicate>(&side->match);
        if (all == nullptr) continue;
        for (const Predicate& part : all->all) {
          rule.conditions.emplace_back(&part, Translate(part, scope));
        }
      }
    }
    rule.match = space.And(condition, space.And(space.OrAll(std::move(permissions)),
                                                space.OrAll(std::move(principals))));
    return rule;
  }

  // What RBAC filters have left in their metadata: possible ids with when they
  // stand there.
  struct ShadowIds {
    std::vector<std::pair<std::string, Expr>> ids;
  };

  void RunShadow(const RbacFilter& filter, const Scope& scope, ChainModel* chain, ShadowIds* ids) {
    const Rbac& rules = *filter.shadow_rules;
    bool custom = filter.shadow_rules_stat_prefix == "istio_ext_authz_";
    if (!custom) return;  // dry run: nothing reads what it leaves
    Expr none_yet = kAlways;
    std::vector<std::pair<std::string, Expr>> now;
    for (const auto& policy : rules.policies) {
      RuleInChain rule = TranslateRule(policy, rules.action, true, scope);
      rule.enforced = false;
      now.emplace_back(policy->name, space.And(none_yet, rule.match));
      none_yet = space.And(none_yet, space.Not(rule.match));
      chain->rules.push_back(std::move(rule));
    }
    for (auto& [id, when] : ids->ids) when = space.And(when, none_yet);
    ids->ids.insert(ids->ids.end(), now.begin(), now.end());
  }

  void Enforce(const RbacFilter& filter, const Scope& scope, ChainModel* chain) {
    const Rbac& rules = *filter.rules;
    std::vector<Expr> any;
    for (const auto& policy : rules.policies) {
      bool broken = policy->name.find("bad-CUSTOM-action") != std::string::npos;
      chain->rules.push_back(TranslateRule(policy, rules.action, broken, scope));
      any.push_back(chain->rules.back().match);
    }
    Expr matched = space.OrAll(std::move(any));
    if (rules.action == Rbac::Action::kAllow) {
      ++chain->allow_filters;
      chain->admitted = space.And(chain->admitted, matched);
    } else if (rules.action == Rbac::Action::kDeny) {
      chain->denied = space.Or(chain->denied, matched);
    }
  }

  void AskAuthorizer(const ExtAuthzFilter& filter, Expr route_found, const ShadowIds& http,
                     const ShadowIds& network, ChainModel* chain) {
    Expr open = kAlways;
    if (!filter.gate_filter.empty()) {
      const ShadowIds& ids = filter.gate_filter == kNetworkRbac ? network : http;
      bool known = filter.gate_key == std::string("istio_ext_authz_") + std::string(kShadowId);
      std::vector<Expr> any;
      for (const auto& [id, when] : ids.ids) {
        if (known && id.starts_with(filter.gate_prefix)) any.push_back(when);
      }
      open = space.OrAll(std::move(any));
    }
    open = space.And(open, route_found);
    model.providers_.insert(filter.provider);
    Expr agrees = Flag(std::string(kAuthorizer) + filter.provider);
    chain->gates.emplace_back(filter.provider, open);
    chain->custom_ok = space.And(chain->custom_ok, space.Or(space.Not(open), agrees));
  }

  // The token that the request carries is one that a provider of this filter
  // accepts.
  Expr Accepted(const JwtFilter& jwt) {
    std::vector<Expr> any;
    for (const JwtProvider& provider : jwt.providers) {
      Expr accepts = kAlways;
      if (provider.issuer.empty()) {
        accepts = space.IsPresent(Issuer());
      } else {
        accepts = Text(Issuer(), {StringPattern::Kind::kExact, provider.issuer, false}, 0);
      }
      std::vector<Expr> audiences;
      for (const std::string& audience : provider.audiences) {
        audiences.push_back(Text(Claim({"aud"}), {StringPattern::Kind::kExact, audience, false}));
      }
      if (!audiences.empty()) accepts = space.And(accepts, space.OrAll(std::move(audiences)));
      any.push_back(accepts);
    }
    return space.OrAll(std::move(any));
  }

  static bool NeedsToken(const JwtRequirement& requirement) {
    using Kind = JwtRequirement::Kind;
    switch (requirement.kind) {
      case Kind::kProvider:
        return true;
      case Kind::kAny:
        return std::all_of(requirement.children.begin(), requirement.children.end(), NeedsToken);
      case Kind::kAll:
        return std::any_of(requirement.children.begin(), requirement.children.end(), NeedsToken);
      case Kind::kAllowMissing:
      case Kind::kAllowMissingOrFailed:
        return false;
    }
    return false;
  }

  void CheckToken(const JwtFilter& jwt, Scope* scope, ChainModel* chain, SideModel* side) {
    Expr accepted = Accepted(jwt);
    Expr token = space.IsPresent(Issuer());
    Expr rest = kAlways;
    Expr checked = kNever;
    Expr strict = kNever;
    for (const JwtRuleMatch& rule : jwt.rules) {
      Expr matches = rule.prefix == "/"
                         ? kAlways
                         : Text(Path(), {StringPattern::Kind::kPrefix, rule.prefix, false});
      if (rule.requirement) {
        checked = space.Or(checked, space.And(rest, matches));
        if (NeedsToken(*rule.requirement)) strict = space.Or(strict, space.And(rest, matches));
      }
      rest = space.And(rest, space.Not(matches));
    }
    chain->jwt = &jwt;
    side->has_jwt = true;
    side->token_accepted = space.Or(side->token_accepted, accepted);
    scope->jwt = &jwt;
    scope->payload = space.And(space.And(checked, token), accepted);
    Expr refused = space.And(checked, space.And(token, space.Not(accepted)));
    if (jwt.bypass_cors_preflight && strict != kNever) {
      strict = space.And(strict, space.Not(Opaque("preflight", "a CORS preflight is not checked")));
    }
    refused = space.Or(refused, space.And(strict, space.Not(token)));
    chain->token_ok = space.Not(refused);
  }

  void RunHttp(const HttpConnectionManager& manager, Scope scope, ChainModel* chain,
               SideModel* side) {
    chain->http = true;
    scope.http = true;
    scope.remote_is_source = manager.use_remote_address && manager.xff_num_trusted_hops == 0;
    model.edge_ = manager.use_remote_address;
    model.trusted_hops_ = manager.xff_num_trusted_hops;
    Scope after_jwt = scope;
    Expr route_found = kAlways;
    const RouteConfiguration* routes = manager.routes.get();
    if (routes == nullptr && !manager.rds.empty()) {
      routes = side->proxy->FindRoutes(manager.rds);
      if (routes == nullptr) {
        route_found = Opaque("routes " + manager.rds,
                             "route configuration " + manager.rds + " is not in the input");
      }
    }
    bool gateway = side->proxy->mode == ProxyMode::kGateway;
    // Claims that routes ask about are those of a verified token.
    for (const HttpFilter& filter : manager.http_filters) {
      const auto* jwt = std::get_if<JwtFilter>(&filter);
      if (jwt == nullptr) continue;
      ChainModel unused;
      SideModel unused_side;
      CheckToken(*jwt, &after_jwt, &unused, &unused_side);
    }
    if (routes != nullptr && gateway) Routes(*routes, after_jwt, chain, &route_found);
    ShadowIds ids, no_ids;
    BlurWhatDumpsHave(manager, chain);
    for (const HttpFilter& filter : manager.http_filters) {
      if (std::visit([](const auto& any) { return any.disabled; }, filter)) continue;
      if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
        if (rbac->shadow_rules) RunShadow(*rbac, scope, chain, &ids);
        if (rbac->rules) Enforce(*rbac, scope, chain);
      } else if (const auto* jwt = std::get_if<JwtFilter>(&filter)) {
        CheckToken(*jwt, &scope, chain, side);
      } else if (const auto* authorizer = std::get_if<ExtAuthzFilter>(&filter)) {
        AskAuthorizer(*authorizer, route_found, ids, no_ids, chain);
      } else if (const auto* opaque = std::get_if<OpaqueFilter>(&filter);
                 opaque != nullptr && opaque->effect == OpaqueFilter::Effect::kUnknown) {
        chain->clear = space.And(
            chain->clear,
            Opaque("filter " + opaque->name, "filter " + opaque->name + " cannot be seen through"));
      }
    }
  }

  // What Envoy has and istiod does not use is not reasoned about: it may let pass or not.
  void BlurWhatDumpsHave(const HttpConnectionManager& manager, ChainModel* chain) {
    auto blur = [&](const std::string& what) {
      chain->clear = space.And(chain->clear, Opaque(what, what + " is not reasoned about"));
    };
    for (const std::string& setting : manager.opaque) blur("setting " + setting);
    for (const HttpFilter& filter : manager.http_filters) {
      const auto* rbac = std::get_if<RbacFilter>(&filter);
      if (rbac != nullptr && rbac->matcher != nullptr) blur("an RBAC matcher tree");
      if (std::visit([](const auto& any) { return any.disabled; }, filter)) {
        blur("a filter that routes may turn on");
      }
    }
    if (manager.routes == nullptr) return;
    for (const VirtualHost& virtual_host : manager.routes->virtual_hosts) {
      bool changed = !virtual_host.overrides.empty();
      for (const Route& route : virtual_host.routes) changed |= !route.overrides.empty();
      if (changed) blur("what routes change of filters");
    }
  }

  void RunNetwork(Scope scope, ChainModel* chain, SideModel* side) {
    scope.http = false;
    ShadowIds ids, no_ids;
    bool ends = false;
    for (const NetworkFilter& filter : *chain->chain->filters) {
      if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
        if (rbac->shadow_rules) RunShadow(*rbac, scope, chain, &ids);
        if (rbac->rules) Enforce(*rbac, scope, chain);
      } else if (const auto* authorizer = std::get_if<ExtAuthzFilter>(&filter)) {
        AskAuthorizer(*authorizer, kAlways, no_ids, ids, chain);
      } else if (const auto* tcp = std::get_if<TcpProxy>(&filter)) {
        if (tcp->cluster == "BlackHoleCluster") chain->clear = kNever;
        ends = true;
        break;
      } else if (const auto* http =
                     std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter)) {
        RunHttp(**http, scope, chain, side);
        ends = true;
        break;
      } else if (const auto* opaque = std::get_if<OpaqueFilter>(&filter);
                 opaque != nullptr && opaque->effect == OpaqueFilter::Effect::kUnknown) {
        chain->clear = space.And(
            chain->clear,
            Opaque("filter " + opaque->name, "filter " + opaque->name + " cannot be seen through"));
      }
    }
    if (!ends) chain->clear = kNever;
  }

  // --- connections

  static bool Asks(const FilterChain& chain) {
    return chain.tls && (chain.tls->require_client_certificate ||
                         !chain.tls->subject_alt_names.empty() || !chain.tls->ca_secret.empty());
  }

  // Whether a connection of this kind gets through the handshake and the codec.
  Expr Arrives(const ChainModel& chain, const Transport& at) {
    using Security = Transport::Security;
    const FilterChain& config = *chain.chain;
    if (chain.http && at.speech == Transport::Speech::kBytes) return kNever;
    if (!config.tls) {
      if (at.security == Security::kPlaintext) return kAlways;
      // TLS bytes on a plaintext HTTP port; mesh TLS that nobody opens.
      return !chain.http && at.security == Security::kNoCertificate ? kAlways : kNever;
    }
    if (at.security == Security::kPlaintext) return kNever;
    bool needed = config.tls->require_client_certificate || !config.tls->subject_alt_names.empty();
    if (at.security == Security::kNoCertificate) return needed ? kNever : kAlways;
    if (!Asks(config) || config.tls->subject_alt_names.empty()) return kAlways;
    std::vector<Expr> any;
    for (const StringMatcher& name : config.tls->subject_alt_names) {
      any.push_back(IdentityText(name));
    }
    return space.OrAll(std::move(any));
  }

  static const Listener* ChooseListener(const ProxyConfig& proxy, int port) {
    const Listener* chosen = nullptr;
    for (const Listener& listener : proxy.listeners) {
      if (listener.name == kInternalListener) continue;
      if (listener.original_dst || listener.name == "virtualInbound") return &listener;
      if (static_cast<int>(listener.port) == port && chosen == nullptr) chosen = &listener;
    }
    return chosen;
  }

  // A connection as the simulator's index wants it.
  static ConnectionFacts FactsOf(const Listener& listener, const Transport& at, bool gateway,
                                 int port, std::vector<std::string>* alpn,
                                 std::string server_name) {
    WireProtocol protocol = at.speech == Transport::Speech::kHttp1   ? WireProtocol::kHttp1
                            : at.speech == Transport::Speech::kHttp2 ? WireProtocol::kHttp2
                                                                     : WireProtocol::kTcp;
    ConnectionFacts facts;
    facts.source = Address{*ParseIpAddress("198.51.100.77")};
    facts.destination = Address{*ParseIpAddress("10.244.0.1")};
    facts.destination_port = static_cast<uint32_t>(port);
    facts.transport = "raw_buffer";
    bool tls = at.security != Transport::Security::kPlaintext;
    if (tls && listener.InspectsTls(facts.destination_port)) {
      facts.transport = "tls";
      facts.server_name = std::move(server_name);
      if (!gateway) {
        *alpn = meshproof::MeshAlpn(protocol);
      } else if (protocol == WireProtocol::kHttp1) {
        *alpn = {"http/1.1"};
      } else if (protocol == WireProtocol::kHttp2) {
        *alpn = {"h2"};
      }
      facts.protocols.assign(alpn->begin(), alpn->end());
    } else if (!tls && listener.InspectsHttp(facts.destination_port)) {
      if (protocol == WireProtocol::kHttp1) facts.protocols.push_back("http/1.1");
      if (protocol == WireProtocol::kHttp2) facts.protocols.push_back("h2c");
    }
    return facts;
  }

  // Server names in the order in which the index looks them up: exact, longest
  // wildcard, none.
  struct NameCase {
    std::string name;  // one that is looked up so
    Expr when = kAlways;
  };
  std::vector<NameCase> NameCases(const Listener& listener, int port) {
    std::set<std::string> exact, wild;
    for (const FilterChain& chain : listener.filter_chains) {
      if (chain.match.destination_port != 0 &&
          chain.match.destination_port != static_cast<uint32_t>(port)) {
        continue;
      }
      for (const std::string& name : chain.match.server_names) {
        std::string lower = ToLower(name);
        if (lower.starts_with("*.")) {
          wild.insert(lower.substr(1));
        } else {
          exact.insert(lower);
        }
      }
    }
    std::vector<NameCase> cases;
    if (exact.empty() && wild.empty()) return {{"", kAlways}};
    std::vector<std::string> wildcards(wild.begin(), wild.end());
    std::stable_sort(wildcards.begin(), wildcards.end(),
                     [](const auto& a, const auto& b) { return a.size() > b.size(); });
    Expr left = kAlways;
    auto add = [&](const std::string& name, const StringPattern& pattern) {
      Expr matches = Text(ServerName(), pattern, 1);
      cases.push_back({name, space.And(left, matches)});
      left = space.And(left, space.Not(matches));
    };
    for (const std::string& name : exact) add(name, {StringPattern::Kind::kExact, name, false});
    for (const std::string& suffix : wildcards) {
      std::string sample = "some-name" + suffix;
      space.AddCandidate(ServerName(), sample, 1);
      add(sample, {StringPattern::Kind::kRegex, ".+" + Quote(suffix), false});
    }
    cases.push_back({"", left});
    return cases;
  }

  void BuildSide(const PortModel::Side& asked, SideModel* side) {
    side->workload = asked.workload;
    side->port = asked.port;
    side->door = asked.door;
    const Workload& workload = *asked.workload;
    const Waypoint* waypoint = asked.door.service != nullptr
                                   ? asked.world->mesh().WaypointFor(*asked.door.service).waypoint
                                   : nullptr;
    if (waypoint != nullptr) return BuildWaypointSide(asked, *waypoint, side);
    if (workload.mode == ProxyMode::kNone) {
      ChainModel open;
      open.arrives = SecurityIs(Transport::Security::kPlaintext);
      side->chains.push_back(open);
      side->tidy = kAlways;
      return;
    }
    if (workload.mode == ProxyMode::kWaypoint) {
      side->undetermined =
          workload.ns + "/" + workload.name + " is a waypoint: ask about what stands behind it";
      return;
    }
    if (workload.mode == ProxyMode::kAmbient) {
      BuildZtunnelSide(asked, side);
      return;
    }
    const ProxyConfig& proxy = asked.world->Proxy(workload).proxy();
    side->proxy = &proxy;
    if (!proxy.unmodelled.empty()) {
      side->undetermined =
          ToString(*proxy.unmodelled.front()) + " changes this proxy and cannot be seen through";
      return;
    }
    const Listener* listener = ChooseListener(proxy, asked.port);
    if (listener == nullptr) return;
    for (const LoadFailure& failure : proxy.load_failures) {
      if (failure.listener == listener->name) {
        side->undetermined = "Envoy refuses listener " + listener->name + ": " + failure.reason;
        return;
      }
    }
    BuildListener(asked, *listener, side);
  }

  Scope ScopeOf(const PortModel::Side& asked, SideModel* side) const {
    Scope scope;
    scope.side = side;
    scope.mesh = &asked.world->mesh();
    scope.port = asked.port;
    return scope;
  }

  // ztunnel takes HBONE and plaintext, whatever is spoken inside.
  void BuildZtunnelSide(const PortModel::Side& asked, SideModel* side) {
    const Workload& workload = *asked.workload;
    side->proxy = asked.ztunnel;
    if (asked.world->mesh().WaypointFor(workload).waypoint != nullptr) {
      side->undetermined = workload.ns + "/" + workload.name +
                           " has a waypoint before its own address, which is not reasoned about";
      return;
    }
    if (IsZtunnelsOwnPort(asked.port)) return;
    using Security = Transport::Security;
    for (const FilterChain& config : asked.ztunnel->listeners.front().filter_chains) {
      ChainModel chain;
      chain.chain = &config;
      Scope scope = ScopeOf(asked, side);
      scope.tls = scope.asks = config.tls.has_value();
      RunNetwork(scope, &chain, side);
      const Security security = config.tls ? Security::kCertificate : Security::kPlaintext;
      std::vector<Expr> any;
      for (size_t i = 0; i < kTransports; ++i) {
        const Transport at = TransportAt(i);
        if (at.security != security) continue;
        any.push_back(space.And(TransportIs(i), Arrives(chain, at)));
      }
      chain.arrives = space.OrAll(std::move(any));
      side->chains.push_back(std::move(chain));
    }
    side->tidy = TidyFor(asked);
  }

  // What the port's Service says is spoken there.
  Expr TidyFor(const PortModel::Side& asked) {
    bool http = false;
    for (const InboundPort& port : asked.world->mesh().InboundPorts(*asked.workload)) {
      if (port.port == asked.port) http = IsHttp(port.protocol);
    }
    std::vector<Expr> any;
    for (size_t i = 0; i < kTransports; ++i) {
      const Transport::Speech speech = TransportAt(i).speech;
      if (speech == (http ? Transport::Speech::kHttp1 : Transport::Speech::kBytes)) {
        any.push_back(TransportIs(i));
      }
    }
    return space.OrAll(std::move(any));
  }

  // The chains of a Service's port at its waypoint, which takes HBONE alone, and what the pods
  // behind say to the waypoint.
  void BuildWaypointSide(const PortModel::Side& asked, const Waypoint& waypoint, SideModel* side) {
    const std::string name =
        waypoint.gateway->meta.ns + "/" + std::string(waypoint.gateway->meta.name);
    if (waypoint.workload == nullptr) {
      side->undetermined = "the proxy of waypoint " + name + " is not in the input";
      return;
    }
    const ProxyConfig& proxy = asked.world->Proxy(*waypoint.workload).proxy();
    side->proxy = &proxy;
    if (!proxy.unmodelled.empty()) {
      side->undetermined =
          ToString(*proxy.unmodelled.front()) + " changes this proxy and cannot be seen through";
      return;
    }
    for (const LoadFailure& failure : proxy.load_failures) {
      side->undetermined = "Envoy refuses listener " + failure.listener + ": " + failure.reason;
      return;
    }
    for (const Listener& listener : proxy.listeners) {
      if (!listener.waypoint || listener.opaque.empty()) continue;
      side->undetermined = listener.opaque.front() + " of waypoint " + name + " is not computed";
      return;
    }
    const BehindWaypoint behind = AskBehind(*asked.world, *waypoint.workload, asked.door);
    if (behind == BehindWaypoint::kRefuses) {
      side->tidy = kAlways;
      return;
    }
    const FilterChain* http = nullptr;
    const FilterChain* tcp = nullptr;
    FindWaypointChains(proxy, asked.door, &http, &tcp);
    if (http == nullptr && tcp == nullptr) {
      side->undetermined = "waypoint " + name + " has no chain for " + asked.door.service->host;
      return;
    }
    std::vector<Expr> tidy;
    for (const FilterChain* config : {http, tcp}) {
      if (config == nullptr) continue;
      ChainModel chain;
      chain.chain = config;
      Scope scope = ScopeOf(asked, side);
      scope.port = asked.door.port->port;
      scope.waypoint = true;
      RunNetwork(scope, &chain, side);
      if (behind == BehindWaypoint::kDepends) {
        chain.clear = space.And(
            chain.clear, Opaque("behind " + name, "what the pods behind waypoint " + name +
                                                      " say to it depends on the request or the "
                                                      "pod that it chooses"));
      }
      if (config == http) CheckRoutesStay(asked.door, *config, &chain);
      std::vector<Expr> any;
      for (size_t i = 0; i < kTransports; ++i) {
        const Transport at = TransportAt(i);
        if (at.security != Transport::Security::kCertificate) continue;
        const bool bytes = at.speech == Transport::Speech::kBytes;
        // With both chains the inspector tells them apart.
        if (http != nullptr && tcp != nullptr && bytes != (config == tcp)) continue;
        if (chain.http && bytes) {
          side->garbled = space.Or(side->garbled, TransportIs(i));
          continue;
        }
        any.push_back(TransportIs(i));
        if (chain.http != bytes) tidy.push_back(TransportIs(i));
      }
      std::vector<Expr> domains;
      for (const std::string& domain : TrustDomainBundle(asked.world->mesh().config())) {
        StringMatcher prefix;
        prefix.kind = StringMatcher::Kind::kPrefix;
        prefix.value = "spiffe://" + domain + "/";
        domains.push_back(IdentityText(prefix));
      }
      chain.arrives = space.And(space.OrAll(std::move(any)), space.OrAll(std::move(domains)));
      side->chains.push_back(std::move(chain));
    }
    side->tidy = space.OrAll(std::move(tidy));
  }

  static void FindWaypointChains(const ProxyConfig& proxy, const Door& door,
                                 const FilterChain** http, const FilterChain** tcp) {
    for (const Listener& listener : proxy.listeners) {
      if (!listener.waypoint) continue;
      for (const WaypointMatcher::Vip& vip : listener.waypoint->services) {
        if (vip.service != door.service) continue;
        for (const WaypointMatcher::Port& port : vip.ports) {
          if (static_cast<int>(port.port) != door.port->port) continue;
          for (const FilterChain& chain : listener.filter_chains) {
            if (!port.http_chain.empty() && chain.name == port.http_chain) *http = &chain;
            if (!port.tcp_chain.empty() && chain.name == port.tcp_chain) *tcp = &chain;
          }
        }
      }
    }
  }

  // Routes that answer themselves or lead to another Service are not followed.
  void CheckRoutesStay(const Door& door, const FilterChain& config, ChainModel* chain) {
    for (const NetworkFilter& filter : *config.filters) {
      const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
      if (manager == nullptr || (*manager)->routes == nullptr) continue;
      for (const VirtualHost& entry : (*manager)->routes->virtual_hosts) {
        for (const Route& route : entry.routes) {
          bool stays = route.action == Route::Action::kCluster && route.match.path == "/" &&
                       route.match.path_kind == RouteMatch::Path::kPrefix &&
                       route.match.headers.empty() && route.match.query_parameters.empty();
          for (const WeightedCluster& cluster : route.clusters) {
            stays = stays && cluster.cluster.ends_with("|" + door.service->host);
          }
          if (stays) continue;
          chain->clear = space.And(
              chain->clear,
              Opaque("routes of " + config.name, "routes for " + door.service->host +
                                                     " at its waypoint are not reasoned about"));
          return;
        }
      }
    }
  }

  void BuildListener(const PortModel::Side& asked, const Listener& listener, SideModel* side) {
    bool gateway = asked.workload->mode == ProxyMode::kGateway;
    FilterChainIndex index(listener);
    std::map<const FilterChain*, std::map<size_t, std::vector<Expr>>> taken;
    std::vector<NameCase> names = NameCases(listener, asked.port);
    for (size_t i = 0; i < kTransports; ++i) {
      Transport at = TransportAt(i);
      if (!Possible(at, gateway)) continue;
      for (const NameCase& name : names) {
        bool plaintext = at.security == Transport::Security::kPlaintext;
        if (plaintext && !name.name.empty()) continue;
        std::vector<std::string> alpn;
        ConnectionFacts facts = FactsOf(listener, at, gateway, asked.port, &alpn, name.name);
        ChainChoice choice = index.Find(facts);
        if (!choice.unknown.empty()) {
          side->undetermined = choice.unknown;
          return;
        }
        if (choice.chain != nullptr) {
          taken[choice.chain][i].push_back(plaintext ? kAlways : name.when);
        }
      }
    }
    // In the order of the configuration.
    std::vector<const FilterChain*> order;
    for (const FilterChain& chain : listener.filter_chains) order.push_back(&chain);
    if (listener.default_filter_chain) order.push_back(&*listener.default_filter_chain);
    std::vector<Expr> tidy;
    for (const FilterChain* config : order) {
      auto found = taken.find(config);
      if (found == taken.end()) continue;
      ChainModel chain;
      chain.chain = config;
      Scope scope;
      scope.tls = config->tls.has_value();
      scope.asks = Asks(*config);
      scope.side = side;
      scope.mesh = &asked.world->mesh();
      scope.port = asked.port;
      RunNetwork(scope, &chain, side);
      std::vector<Expr> any;
      for (const auto& [transport_index, whens] : found->second) {
        Transport at = TransportAt(transport_index);
        Expr here = space.And(TransportIs(transport_index), space.OrAll(whens));
        any.push_back(space.And(here, Arrives(chain, at)));
        if (chain.http && at.speech == Transport::Speech::kBytes) {
          side->garbled = space.Or(side->garbled, here);
        }
        if (chain.http == (at.speech != Transport::Speech::kBytes)) {
          tidy.push_back(TransportIs(transport_index));
        }
      }
      chain.arrives = space.OrAll(std::move(any));
      side->chains.push_back(std::move(chain));
    }
    side->tidy = space.OrAll(std::move(tidy));
  }

  bool Possible(const Transport& at, bool gateway) const {
    using Security = Transport::Security;
    if (at.security == Security::kNoCertificate) return gateway;
    if (at.security == Security::kCertificate && gateway) return gateway_asks;
    return true;
  }

  // --- before the sides: what the fields have to tell apart

  void Survey() {
    bool any_gateway = false;
    bool first = true;
    for (const PortModel::Side& asked : model.asked_) {
      if (asked.door.service != nullptr) SurveyWaypoint(asked, &first);
      if (asked.workload->mode != ProxyMode::kSidecar &&
          asked.workload->mode != ProxyMode::kGateway) {
        continue;
      }
      bool gateway = asked.workload->mode == ProxyMode::kGateway;
      any_gateway |= gateway;
      const ProxyConfig& proxy = asked.world->Proxy(*asked.workload).proxy();
      const Listener* listener = ChooseListener(proxy, asked.port);
      if (listener == nullptr) continue;
      for (const FilterChain& chain : listener->filter_chains) {
        if (gateway && Asks(chain)) {
          gateway_asks = true;
          if (chain.tls->subject_alt_names.empty()) foreign_identities = true;
        }
        for (const NetworkFilter& filter : *chain.filters) {
          const auto* http = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
          if (http == nullptr) continue;
          SurveyManager(**http, proxy, &first);
        }
      }
    }
    any_gateway_ = any_gateway;
  }

  void SurveyWaypoint(const PortModel::Side& asked, bool* first) {
    const Waypoint* waypoint = asked.world->mesh().WaypointFor(*asked.door.service).waypoint;
    if (waypoint == nullptr || waypoint->workload == nullptr) return;
    const ProxyConfig& proxy = asked.world->Proxy(*waypoint->workload).proxy();
    const FilterChain* http = nullptr;
    const FilterChain* tcp = nullptr;
    FindWaypointChains(proxy, asked.door, &http, &tcp);
    if (http == nullptr) return;
    for (const NetworkFilter& filter : *http->filters) {
      const auto* manager = std::get_if<std::shared_ptr<const HttpConnectionManager>>(&filter);
      if (manager != nullptr) SurveyManager(**manager, proxy, first);
    }
  }

  void SurveyManager(const HttpConnectionManager& manager, const ProxyConfig& proxy, bool* first) {
    const PathOptions& options = manager.path;
    PathOptions& own = model.path_options_;
    if (*first) {
      own = options;
    } else if (own.normalize != options.normalize || own.merge_slashes != options.merge_slashes ||
               own.escaped_slashes != options.escaped_slashes) {
      path_options_differ = true;
    }
    *first = false;
    for (const HttpFilter& filter : manager.http_filters) {
      if (const auto* jwt = std::get_if<JwtFilter>(&filter)) {
        has_jwt = true;
        for (const JwtProvider& provider : jwt->providers) {
          if (provider.issuer.empty()) any_issuer = true;
          issuers.insert(provider.issuer);
          for (const std::string& claim : provider.space_delimited_claims) {
            model.list_claims_.insert(claim);
          }
        }
      } else if (const auto* rbac = std::get_if<RbacFilter>(&filter)) {
        for (const auto* rules : {&rbac->rules, &rbac->shadow_rules}) {
          if (!*rules) continue;
          for (const auto& policy : (*rules)->policies) {
            for (const Predicate& one : policy->permissions) SurveyPredicate(one);
            for (const Predicate& one : policy->principals) SurveyPredicate(one);
          }
        }
      }
    }
    (void)proxy;
  }

  // A condition on the host that minds the case makes the whole field mind it.
  void SurveyPredicate(const Predicate& predicate) {
    const auto& match = predicate.match;
    const std::vector<Predicate>* children = nullptr;
    if (const auto* all = std::get_if<AndPredicate>(&match)) children = &all->all;
    if (const auto* any = std::get_if<OrPredicate>(&match)) children = &any->any;
    if (const auto* negated = std::get_if<NotPredicate>(&match)) children = &negated->inner;
    if (children != nullptr) {
      for (const Predicate& child : *children) SurveyPredicate(child);
      return;
    }
    const auto* header = std::get_if<HeaderPredicate>(&match);
    if (header == nullptr || header->header.kind != HeaderMatcher::Kind::kString) return;
    std::string name = ToLower(header->header.name);
    if ((name == ":authority" || name == "host") && !header->header.string.ignore_case) {
      host_case_matters = true;
    }
  }

  // What holds of every request.
  void AddConstraints() {
    using Security = Transport::Security;
    std::vector<Expr> possible;
    for (size_t i = 0; i < kTransports; ++i) {
      if (Possible(TransportAt(i), any_gateway_)) possible.push_back(TransportIs(i));
    }
    space.Constrain(space.OrAll(std::move(possible)));
    Expr certificate = SecurityIs(Security::kCertificate);
    auto same = [&](Expr a, Expr b) {
      space.Constrain(space.Or(space.And(a, b), space.And(space.Not(a), space.Not(b))));
    };
    if (identity || gateway_asks) same(certificate, space.IsPresent(Identity()));
    if (server_name) {
      space.Constrain(
          space.Or(space.Not(SecurityIs(Security::kPlaintext)),
                   space.Matches(*server_name, {StringPattern::Kind::kExact, "", false})));
    }
    if (method) {
      std::vector<std::string> known(kHttp1Methods.begin(), kHttp1Methods.end());
      std::vector<Expr> http1;
      for (size_t i = 0; i < kTransports; ++i) {
        if (TransportAt(i).speech == Transport::Speech::kHttp1) http1.push_back(TransportIs(i));
      }
      space.Constrain(
          space.Or(space.Not(space.OrAll(std::move(http1))), space.ShowsOneOf(*method, known)));
      space.Constrain(space.Not(space.ShowsOneOf(*method, {"CONNECT", "QUERY"})));
    }
    if (issuer) {
      Expr token = space.IsPresent(*issuer);
      std::vector<Expr> accepted;
      for (const SideModel& side : model.sides_) accepted.push_back(side.token_accepted);
      space.Constrain(space.Or(space.Not(token), space.OrAll(std::move(accepted))));
      if (subject) space.Constrain(space.Or(token, space.Not(space.IsPresent(*subject))));
      for (const auto& [field, names] : model.claim_fields_) {
        space.Constrain(space.Or(token, space.Not(space.IsPresent(*space.Find(field)))));
        AddNesting(field, names);
      }
    }
  }

  // A claim inside another one is there only if that one is an object, not
  // texts.
  void AddNesting(const std::string& field, const std::vector<std::string>& names) {
    for (const auto& [other, other_names] : model.claim_fields_) {
      if (other_names.size() >= names.size() ||
          !std::equal(other_names.begin(), other_names.end(), names.begin())) {
        continue;
      }
      space.Constrain(space.Not(
          space.And(space.IsPresent(*space.Find(field)), space.IsPresent(*space.Find(other)))));
    }
  }

  // --- regions

  Expr RegionExpr(const Region& region) {
    switch (region.kind) {
      case Region::Kind::kAll:
        return kAlways;
      case Region::Kind::kAnd:
      case Region::Kind::kOr: {
        std::vector<Expr> parts;
        for (const Region& child : region.children) parts.push_back(RegionExpr(child));
        return region.kind == Region::Kind::kAnd ? space.AndAll(std::move(parts))
                                                 : space.OrAll(std::move(parts));
      }
      case Region::Kind::kNot:
        return space.Not(RegionExpr(region.children.front()));
      case Region::Kind::kField:
        return RegionField(region);
    }
    return kNever;
  }

  // Scope of what a request shows, whatever a chain makes of it.
  Scope Shown() {
    Scope scope;
    scope.tls = scope.asks = true;
    scope.remote_is_source = model.edge_ && model.trusted_hops_ == 0;
    scope.payload = has_jwt ? space.IsPresent(Issuer()) : kNever;
    scope.side = &model.sides_.front();
    scope.mesh = &model.asked_.front().world->mesh();
    scope.port = model.asked_.front().port;
    return scope;
  }

  // Bytes have no method, path or token.
  static bool IsOfHttp(Region::Field field) {
    switch (field) {
      case Region::Field::kMethod:
      case Region::Field::kHost:
      case Region::Field::kPath:
      case Region::Field::kHeader:
      case Region::Field::kRequestPrincipal:
      case Region::Field::kClaim:
      case Region::Field::kToken:
        return true;
      default:
        return false;
    }
  }

  Expr Bytes() {
    std::vector<Expr> any;
    for (size_t i = 0; i < kTransports; ++i) {
      if (TransportAt(i).speech == Transport::Speech::kBytes) any.push_back(TransportIs(i));
    }
    return space.OrAll(std::move(any));
  }

  Expr RegionField(const Region& region) {
    Expr shown = ShownField(region);
    return IsOfHttp(region.field) ? space.And(shown, space.Not(Bytes())) : shown;
  }

  Expr ShownField(const Region& region) {
    using Asked = Region::Field;
    const std::string& value = region.value;
    Scope scope = Shown();
    auto address = [&](AddressField field) {
      AddressPredicate predicate;
      predicate.field = field;
      auto range = ParseCidr(value);
      if (!range) return kNever;
      predicate.range = *range;
      return AddressIn(predicate, scope);
    };
    switch (region.field) {
      case Asked::kIdentity: {
        std::vector<Expr> any;
        for (const std::string& each :
             ExpandPrincipal(value, TrustDomainBundle(scope.mesh->config()))) {
          any.push_back(IdentityText(MatchPrincipal(each)));
        }
        return space.OrAll(std::move(any));
      }
      case Asked::kNamespace:
        return IdentityText(MatchNamespace(value));
      case Asked::kServiceAccount:
        return IdentityText(MatchServiceAccount(value, ""));
      case Asked::kSourceIp:
        return address(AddressField::kDirectRemote);
      case Asked::kRemoteIp:
        return address(AddressField::kRemote);
      case Asked::kMethod:
        return Header(MatchHeader(":method", value, false), scope);
      case Asked::kHost:
        return Header(MatchHeader(":authority", value, true), scope);
      case Asked::kPath: {
        if (std::optional<std::string> text = PathTemplateOf(value)) {
          auto regex = CompilePathTemplate(*text);
          if (!regex.ok()) return kNever;
          AddTemplateSample(*text);
          return Text(Path(), {StringPattern::Kind::kRegex, regex.value().pattern(), false});
        }
        StringMatcher matcher = MatchString(value);
        return PathText(ToPattern(matcher), matcher);
      }
      case Asked::kHeader:
        return Header(MatchHeader(region.name, value, false), scope);
      case Asked::kRequestPrincipal: {
        if (!has_jwt) return kNever;
        auto [iss, sub] = MatchRequestPrincipal(value);
        return space.And(Text(Issuer(), ToPattern(iss)), Text(Subject(), ToPattern(sub)));
      }
      case Asked::kClaim: {
        if (!has_jwt) return kNever;
        MetadataPredicate predicate;
        predicate.filter = std::string(kJwtFilter);
        predicate.path = {"payload"};
        auto names = NamesInNestedBrackets(region.name);
        if (!names) return kNever;
        predicate.path.insert(predicate.path.end(), names->begin(), names->end());
        predicate.value = MatchClaim({MatchString(value)});
        return Metadata(predicate, scope);
      }
      case Asked::kServerName:
        return Text(ServerName(), ToPattern(MatchString(value)));
      case Asked::kMutualTls:
        return SecurityIs(Transport::Security::kCertificate);
      case Asked::kTls:
        return space.Not(SecurityIs(Transport::Security::kPlaintext));
      case Asked::kToken:
        return has_jwt ? space.IsPresent(Issuer()) : kNever;
      case Asked::kRule:
        return RuleMatches(region);
      case Asked::kRouted:
        return RoutedTo(value);
    }
    return kNever;
  }

  Expr RuleMatches(const Region& region) {
    std::vector<Expr> any;
    for (const ChainModel& chain : model.sides_.front().chains) {
      for (const RuleInChain& rule : chain.rules) {
        if (rule.policy->origin.object != region.object ||
            rule.policy->origin.rule != region.rule) {
          continue;
        }
        any.push_back(space.And(chain.arrives, rule.match));
      }
    }
    return space.OrAll(std::move(any));
  }

  Expr RoutedTo(const std::string& host_name) {
    std::vector<Expr> any;
    const SideModel& side = model.sides_.front();
    for (const ChainModel& chain : side.chains) {
      bool sidecar = side.proxy == nullptr || side.proxy->mode != ProxyMode::kGateway;
      if (sidecar && host_name.empty()) any.push_back(chain.arrives);
      for (const RouteInChain& route : chain.routes) {
        if (route.route->action != Route::Action::kCluster) continue;
        bool leads =
            std::any_of(route.route->clusters.begin(), route.route->clusters.end(),
                        [&](const WeightedCluster& cluster) {
                          return host_name.empty() || cluster.cluster.ends_with("|" + host_name);
                        });
        if (leads) any.push_back(space.And(chain.arrives, route.match));
      }
    }
    return space.OrAll(std::move(any));
  }

  PortModel& model;
  Space& space;
  std::optional<Field> transport, identity, path, method, host, server_name, issuer, subject,
      source, remote, destination;
  bool foreign_identities = false, gateway_asks = false, host_case_matters = false;
  bool has_jwt = false, any_issuer = false, path_options_differ = false, any_gateway_ = false;
  std::set<std::string> issuers;
  std::unordered_map<std::string, bool> understood_regexes;
};

PortModel::PortModel(const std::vector<Side>& sides, const Budget& budget)
    : asked_(sides), space_(budget.classes, budget.nodes, budget.seconds, sides.front().classes) {
  for (Side& side : asked_) {
    if (side.callers != nullptr) continue;
    own_callers_.push_back(std::make_unique<Callers>(side.world->mesh()));
    side.callers = own_callers_.back().get();
  }
  translator_ = std::make_unique<Translator>(this);
  Translator& translator = *translator_;
  translator.Survey();
  sides_.resize(sides.size());
  for (size_t i = 0; i < sides.size(); ++i) {
    SideModel& side = sides_[i];
    translator.BuildSide(sides[i], &side);
    std::vector<Expr> any;
    for (ChainModel& chain : side.chains) {
      Expr passes = space_.AndAll({chain.arrives, chain.token_ok, chain.custom_ok,
                                   space_.Not(chain.denied), chain.admitted, chain.clear});
      any.push_back(passes);
    }
    side.allowed = space_.OrAll(std::move(any));
    if (translator.path_options_differ) {
      side.undetermined = "the two sides normalize paths differently";
    }
  }
}

PortModel::~PortModel() = default;

Callers::Callers(const Mesh& mesh) {
  for (const Workload& workload : mesh.workloads()) {
    const bool is_ambient = workload.mode == ProxyMode::kAmbient;
    if (!is_ambient && workload.mode != ProxyMode::kSidecar) continue;
    if (is_ambient && first_ambient == nullptr) first_ambient = &workload;
    const bool known =
        sidecars.count(workload.identity) != 0 || ambient.count(workload.identity) != 0;
    (is_ambient ? ambient : sidecars).try_emplace(workload.identity, &workload);
    if (!known) by_namespace[workload.ns].push_back(&workload);
  }
}

Expr PortModel::RegionOf(const Region& region) {
  return translator_->RegionExpr(region);
}

bool PortModel::Build() {
  translator_->AddCallers();
  translator_->AddConstraints();
  if (!space_.Build()) {
    reason_ = "the class budget is spent on field " + space_.exhausted_field();
    return false;
  }
  return true;
}

Space::Node PortModel::Prefer(Space::Node node, size_t side, int* missed) {
  Bdd& bdd = space_.bdd();
  auto prefer = [&](Expr wish, int weight) {
    Space::Node better = bdd.And(node, space_.ToNode(wish));
    if (better != Bdd::kFalse) {
      node = better;
    } else {
      *missed += weight;
    }
  };
  const Translator& own = *translator_;
  if (own.remote) prefer(space_.SameClass(*own.source, *own.remote), 2);
  prefer(sides_[side].tidy, 1);
  return node;
}

Space::Point PortModel::Choose(Space::Node node, size_t side) {
  int missed = 0;
  return space_.Pick(Prefer(node, side, &missed));
}

namespace {

// The request target that a listener normalizes to `path`.
std::optional<std::string> SendablePath(const std::string& path, const PathOptions& options) {
  auto is = [&](const std::string& sent) {
    NormalizedPath normalized = NormalizePath(sent, options);
    return normalized.outcome == NormalizedPath::Outcome::kOk && normalized.path == path;
  };
  if (is(path)) return path;
  // `..;x` is what `%2e%2e;x` becomes; bare it would be taken for a dot
  // segment.
  std::string escaped;
  for (size_t i = 0; i < path.size(); ++i) {
    bool segment = i > 0 && path[i - 1] == '/';
    if (segment && path.compare(i, 3, "..;") == 0) {
      escaped += "%2e%2e";
      ++i;
    } else if (segment && path.compare(i, 2, ".;") == 0) {
      escaped += "%2e";
    } else {
      escaped += path[i];
    }
  }
  if (is(escaped)) return escaped;
  return std::nullopt;
}

void SetClaim(const std::vector<std::string>& names, Json value, Json* claims) {
  Json* at = claims;
  for (size_t i = 0; i + 1 < names.size(); ++i) {
    if (at->Find(names[i]) == nullptr) at->Set(names[i], Json::MakeObject());
    for (auto& [key, child] : at->as_object()) {
      if (key == names[i]) {
        at = &child;
        break;
      }
    }
  }
  at->Set(names.back(), std::move(value));
}

}  // namespace

std::string PortModel::Describe(const Space::Point& point,
                                const std::vector<Space::FieldId>& fields) const {
  const Translator& own = *translator_;
  std::vector<std::string> words;
  for (Space::FieldId field : fields) {
    const std::string& name = space_.name(field);
    if (own.transport == field) {
      Transport at = TransportAt(space_.ChoiceOf(field, point));
      std::string text = at.security == Transport::Security::kPlaintext     ? "plaintext"
                         : at.security == Transport::Security::kCertificate ? "mTLS"
                                                                            : "TLS";
      if (at.speech == Transport::Speech::kBytes) text += " (bytes)";
      if (at.speech == Transport::Speech::kHttp2) text += " (HTTP/2)";
      words.push_back(text);
    } else if (own.source == field || own.remote == field || own.destination == field) {
      words.push_back(name + " like " + ToString(space_.AddressOf(field, point)));
    } else if (claim_fields_.count(name) != 0 ||
               (header_fields_.count(name) != 0 && !IsJoinedHeader(header_fields_.at(name)))) {
      auto claim = claim_fields_.find(name);
      std::string what = claim != claim_fields_.end() ? "claim " + Join(claim->second, ".") : name;
      std::vector<std::string> texts = space_.TextsOf(field, point);
      words.push_back(texts.empty() ? "no " + what : what + " like " + Join(texts, ", "));
    } else if (name.starts_with(kAuthorizer) || name.starts_with(kOpaque)) {
      continue;
    } else if (query_flags_.count(name) != 0) {
      words.push_back((space_.FlagOf(field, point) ? "" : "no ") + name);
    } else if (auto text = space_.TextOf(field, point)) {
      words.push_back((name == "issuer" ? "token of " : name + " like ") + *text);
    } else {
      words.push_back(name == "issuer" ? "no token" : "no " + name);
    }
  }
  return words.empty() ? "any request" : Join(words, ", ");
}

std::optional<Case> PortModel::Decode(const Space::Point& point, size_t side) const {
  const Translator& own = *translator_;
  const SideModel& to = sides_[side];
  const Workload& workload = *to.workload;
  Case request;
  request.to_workload = workload.ns + "/" + workload.name;
  request.to_port = to.port;
  if (to.door.service != nullptr) {
    request.to_workload.clear();
    request.to_host = to.door.service->host;
    request.to_port = to.door.port->port;
  }
  request.from_outside = true;
  Transport at = own.transport ? TransportAt(space_.ChoiceOf(*own.transport, point)) : Transport{};
  bool gateway = workload.mode == ProxyMode::kGateway;
  switch (at.security) {
    case Transport::Security::kPlaintext:
      request.tls = CaseTls::kPlaintext;
      break;
    case Transport::Security::kCertificate:
      request.tls = CaseTls::kMtls;
      break;
    case Transport::Security::kNoCertificate:
      request.tls = CaseTls::kAuto;
      break;
  }
  switch (at.speech) {
    case Transport::Speech::kHttp1:
      request.protocol = WireProtocol::kHttp1;
      break;
    case Transport::Speech::kHttp2:
      request.protocol = WireProtocol::kHttp2;
      break;
    case Transport::Speech::kBytes:
      request.protocol = WireProtocol::kTcp;
      break;
  }
  if (at.security == Transport::Security::kCertificate) {
    std::string name = workload.identity;
    if (own.identity) name = space_.TextOf(*own.identity, point).value_or(name);
    request.from_identity = name;
    // HBONE is what ambient callers speak.
    const bool tunnel = workload.mode == ProxyMode::kAmbient || to.door.service != nullptr;
    const Callers& known = *asked_[side].callers;
    const auto& callers = tunnel ? known.ambient : known.sidecars;
    if (auto caller = callers.find(name); caller != callers.end()) {
      request.from_workload = caller->second->ns + "/" + caller->second->name;
      request.from_outside = false;
      request.from_identity.reset();
    }
    if (tunnel && request.from_workload.empty() && known.first_ambient != nullptr) {
      request.from_workload = known.first_ambient->ns + "/" + known.first_ambient->name;
      request.from_outside = false;
    }
  }
  if (own.server_name && at.security != Transport::Security::kPlaintext) {
    request.sni = space_.TextOf(*own.server_name, point);
  }
  if (own.source) {
    request.from_ip = space_.AddressOf(*own.source, point);
  } else if (to.door.service != nullptr) {
    // Where the pods refuse the waypoint, its own rules are not asked here, and are in a replay.
    request.from_ip = ParseIpAddress("10.244.0.9");
  }
  if (own.destination) request.to_ip = space_.AddressOf(*own.destination, point);
  for (const std::string& provider : providers_) {
    auto flag = space_.Find(std::string(kAuthorizer) + provider);
    request.ext_authz_by_provider[provider] =
        flag && space_.FlagOf(*flag, point) ? ExtAuthzAnswer::kAllow : ExtAuthzAnswer::kDeny;
  }
  if (at.speech == Transport::Speech::kBytes) return request;

  if (own.method) request.method = space_.TextOf(*own.method, point);
  if (own.path) {
    auto sent = SendablePath(*space_.TextOf(*own.path, point), path_options_);
    if (!sent) return std::nullopt;
    request.path = *sent;
  }
  if (own.host) request.host = space_.TextOf(*own.host, point);
  if (gateway && !request.host) request.host = "example.com";
  char separator = '?';
  for (const auto& [field, named] : query_flags_) {
    if (!space_.FlagOf(*space_.Find(field), point)) continue;
    request.path += separator + named.first + "=" + named.second;
    separator = '&';
  }
  for (const auto& [field, name] : header_fields_) {
    Space::FieldId id = *space_.Find(field);
    if (IsJoinedHeader(name)) {
      if (auto text = space_.TextOf(id, point)) request.headers.emplace_back(name, *text);
      continue;
    }
    for (const std::string& text : space_.TextsOf(id, point)) {
      request.headers.emplace_back(name, text);
    }
  }
  if (own.remote && space_.AddressOf(*own.remote, point) != space_.AddressOf(*own.source, point)) {
    std::string value = ToString(space_.AddressOf(*own.remote, point));
    // Trusted proxies stand to the right of the entry that counts.
    uint32_t behind = edge_ ? (trusted_hops_ > 0 ? trusted_hops_ - 1 : 0) : trusted_hops_;
    for (uint32_t i = 0; i < behind; ++i) value += ", 192.0.2.1";
    request.headers.emplace_back("x-forwarded-for", value);
  }
  if (own.issuer) {
    if (auto issuer = space_.TextOf(*own.issuer, point)) {
      Json claims = Json::MakeObject();
      claims.Set("iss", *issuer);
      if (own.subject) {
        if (auto subject = space_.TextOf(*own.subject, point)) claims.Set("sub", *subject);
      }
      for (const auto& [field, names] : claim_fields_) {
        std::vector<std::string> texts = space_.TextsOf(*space_.Find(field), point);
        if (texts.empty()) continue;
        bool list = texts.size() != 1 || list_claims_.count(names.back()) != 0;
        Json value(texts.front());
        if (list) {
          value = Json::MakeArray();
          for (const std::string& text : texts) value.Append(text);
        }
        SetClaim(names, std::move(value), &claims);
      }
      request.claims = std::move(claims);
    }
  }
  return request;
}

}  // namespace meshproof
