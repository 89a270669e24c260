// Conditions of rules over the fields of a request, as Envoy evaluates them (envoy-facts
// sections 1.2 and 1.3): a matcher on something absent is false and its negation true.

#include <algorithm>

#include "base/text.h"
#include "proxy/filter_names.h"
#include "reason/translator.h"
#include "simulate/approach.h"

namespace meshproof {
namespace {

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

bool HasUpper(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

Expr PortModel::Translator::IdentityText(const StringMatcher& matcher) {
  if (matcher.kind == StringMatcher::Kind::kRegex && !matcher.regex) {
    return Opaque("identity ~ " + matcher.value, "Envoy refuses the pattern " + matcher.value);
  }
  return Text(Identity(), ToPattern(matcher), 4);
}

Expr PortModel::Translator::Peer(const std::optional<StringMatcher>& name, const Scope& scope) {
  if (!scope.tls) return kNever;
  if (!name) return kAlways;
  // The empty subject is a name as well.
  if (name->Matches("")) return kAlways;
  return scope.asks ? IdentityText(*name) : kNever;
}

Expr PortModel::Translator::HostText(StringPattern pattern) {
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

bool PortModel::Translator::FromToken(const std::string& name, const Scope& scope) const {
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

Expr PortModel::Translator::Header(const HeaderMatcher& matcher, const Scope& scope) {
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
bool PortModel::Translator::StringAlternatives(const ValueMatcher& value,
                                               std::vector<StringMatcher>* out) {
  if (value.kind == ValueMatcher::Kind::kString) {
    out->push_back(value.string);
    return true;
  }
  if (value.kind != ValueMatcher::Kind::kOr) return false;
  return std::all_of(value.children.begin(), value.children.end(),
                     [&](const ValueMatcher& child) { return StringAlternatives(child, out); });
}

bool PortModel::Translator::ClaimAlternatives(const ValueMatcher& value,
                                              std::vector<StringMatcher>* out) {
  if (value.kind != ValueMatcher::Kind::kOr || value.children.size() != 2) return false;
  const ValueMatcher& list = value.children[0];
  std::vector<StringMatcher> in_list;
  return list.kind == ValueMatcher::Kind::kList && list.children.size() == 1 &&
         StringAlternatives(list.children[0], &in_list) &&
         StringAlternatives(value.children[1], out) && in_list.size() == out->size();
}

Expr PortModel::Translator::Metadata(const MetadataPredicate& predicate, const Scope& scope) {
  Expr found = kNever;
  if (scope.http && predicate.filter == kJwtFilter) {
    found = scope.payload == kNever ? kNever : ClaimLeaf(predicate, scope);
  } else if (predicate.filter == kHttpRbac || predicate.filter == kNetworkRbac) {
    found = Opaque("metadata " + predicate.filter + Join(predicate.path, "."),
                   "metadata of another RBAC filter is not reasoned about");
  }
  return predicate.invert ? space.Not(found) : found;
}

Expr PortModel::Translator::ClaimLeaf(const MetadataPredicate& predicate, const Scope& scope) {
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

Expr PortModel::Translator::AddressIn(const AddressPredicate& predicate, const Scope& scope) {
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

Expr PortModel::Translator::Translate(const Predicate& predicate, const Scope& scope) {
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

Expr PortModel::Translator::PathText(const StringPattern& pattern, const StringMatcher& matcher) {
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

}  // namespace meshproof
