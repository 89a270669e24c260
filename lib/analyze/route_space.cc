// A route's match as istiod translates it (RouteMatch) over fields that exclude nothing: path
// without query, method, authority, scheme, headers and query parameters (absent, or the value
// that Envoy compares: several lines of a header joined), the client's labels and namespace, the
// gateway and the port. Envoy takes the first route of a virtual host that matches; exact and
// prefix conditions may ignore case, a regex matches the whole text.
#include "analyze/route_space.h"

#include <algorithm>

#include "base/text.h"
#include "proxy/routes.h"

namespace meshproof {
namespace {

constexpr size_t kMostClasses = 20'000;
constexpr size_t kMostNodes = 1'000'000;
constexpr double kMostSeconds = 5;

enum Order { kGatewayOrder, kPathOrder, kMethodOrder, kHostOrder, kHeaderOrder, kFlagOrder };

constexpr std::string_view kMethodDomain = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
constexpr std::string_view kHostDomain = "[A-Za-z0-9!$%&'()*+,.:;=\\[\\]_~-]+";
constexpr std::string_view kHeaderDomain = "([!-~]([ -~]*[!-~])?)?";
constexpr std::string_view kQueryDomain = "[!-~]*";
constexpr std::string_view kNameDomain = "[!-~]*";
constexpr std::string_view kPortDomain = "[0-9]+";
constexpr std::string_view kOtherPort = "1";

StringPattern PatternOf(const StringMatcher& matcher) {
  using From = StringMatcher::Kind;
  using To = StringPattern::Kind;
  StringPattern pattern;
  pattern.value = matcher.value;
  pattern.ignore_case = matcher.ignore_case;
  pattern.kind = matcher.kind == From::kExact      ? To::kExact
                 : matcher.kind == From::kPrefix   ? To::kPrefix
                 : matcher.kind == From::kSuffix   ? To::kSuffix
                 : matcher.kind == From::kContains ? To::kContains
                                                   : To::kRegex;
  return pattern;
}

}  // namespace

std::string ToString(const RouteExample& example) {
  std::string text = example.method + " " + example.path;
  if (!example.authority.empty()) text += " of host " + example.authority;
  for (size_t i = 0; i < example.headers.size(); ++i) {
    text +=
        (i == 0 ? " with " : ", ") + example.headers[i].first + ": " + example.headers[i].second;
  }
  return text;
}

std::vector<std::string> GatewaysOf(const VirtualService& service) {
  std::vector<std::string> gateways;
  for (const Text& gateway : service.gateways.values) {
    const bool whole = gateway.value == "mesh" || gateway.value.find('/') != std::string_view::npos;
    gateways.push_back(whole ? std::string(gateway.value)
                             : service.meta.ns + "/" + std::string(gateway.value));
  }
  if (gateways.empty()) gateways.emplace_back("mesh");
  return gateways;
}

RouteSpace::RouteSpace() : space_(kMostClasses, kMostNodes, kMostSeconds) {
  path_ = space_.TextField("path", kPathOrder, PathDomain({}, false), false);
  space_.AddCandidate(path_, "/", 0);
}

Space::FieldId RouteSpace::Field(const std::string& name, int order, std::string_view domain,
                                 bool absent) {
  auto found = fields_.find(name);
  if (found != fields_.end()) return found->second;
  const Space::FieldId field = space_.TextField(name, order, PatternDomain(domain), absent);
  fields_.emplace(name, field);
  if (name == "method") {
    int rank = 0;
    for (const char* method : {"GET", "POST", "PUT", "DELETE", "HEAD"}) {
      space_.AddCandidate(field, method, rank++);
    }
  } else if (name == "port") {
    space_.AddCandidate(field, std::string(kOtherPort), 5);
  } else {
    space_.AddCandidate(field, "x", 5);
  }
  return field;
}

Expr RouteSpace::Opaque(const std::string& what) {
  opaque_ = true;
  const std::string name = "opaque " + what;
  auto known = space_.Find(name);
  return space_.IsSet(known ? *known : space_.FlagField(name, kFlagOrder));
}

Expr RouteSpace::TextIs(Space::FieldId field, const StringMatcher& matcher) {
  const StringPattern pattern = PatternOf(matcher);
  const bool refused = matcher.kind == StringMatcher::Kind::kRegex && !matcher.regex;
  if (refused || !IsUnderstood(pattern)) {
    return Opaque(space_.name(field) + " ~ " + pattern.value);
  }
  if (pattern.kind == StringPattern::Kind::kExact || pattern.kind == StringPattern::Kind::kPrefix) {
    space_.AddCandidate(field, pattern.value, 1);
  }
  return space_.Matches(field, pattern);
}

Expr RouteSpace::Exact(Space::FieldId field, std::string_view value) {
  return TextIs(field, StringMatcher::Exact(std::string(value)));
}

Expr RouteSpace::Path(const RouteMatch& match) {
  const bool fold = !match.case_sensitive;
  switch (match.path_kind) {
    case RouteMatch::Path::kExact:
      return TextIs(path_, StringMatcher::Exact(match.path, fold));
    case RouteMatch::Path::kPrefix:
      return match.path.empty() || match.path == "/"
                 ? kAlways
                 : TextIs(path_, StringMatcher::Prefix(match.path, fold));
    case RouteMatch::Path::kPathSeparatedPrefix:
      return space_.Or(TextIs(path_, StringMatcher::Exact(match.path, fold)),
                       TextIs(path_, StringMatcher::Prefix(match.path + "/", fold)));
    case RouteMatch::Path::kRegex:
      break;
  }
  StringMatcher regex;
  regex.kind = StringMatcher::Kind::kRegex;
  regex.value = match.path;
  regex.regex = match.regex;
  return TextIs(path_, regex);
}

Expr RouteSpace::Header(const HeaderMatcher& matcher) {
  const std::string name = ToLower(matcher.name);
  const bool pseudo = name == ":method" || name == ":authority" || name == "host";
  const Space::FieldId field =
      name == ":method" ? Field("method", kMethodOrder, kMethodDomain, false)
      : pseudo          ? Field("authority", kHostOrder, kHostDomain, false)
                        : Field("header " + name, kHeaderOrder, kHeaderDomain, true);
  Expr matched = kAlways;
  if (matcher.kind == HeaderMatcher::Kind::kString) {
    matched = TextIs(field, matcher.string);
    if (!pseudo && matcher.treat_missing_as_empty && matcher.string.Matches("")) {
      matched = space_.Or(matched, space_.Not(space_.IsPresent(field)));
    }
  } else if (matcher.kind == HeaderMatcher::Kind::kRange) {
    matched = Opaque("header " + name + " in " + std::to_string(matcher.low) + ".." +
                     std::to_string(matcher.high));
  } else {
    const Expr present = pseudo ? kAlways : space_.IsPresent(field);
    matched = matcher.present ? present : space_.Not(present);
  }
  return matcher.invert ? space_.Not(matched) : matched;
}

Expr RouteSpace::Add(const RouteMatch& match) {
  std::vector<Expr> all = {Path(match)};
  for (const HeaderMatcher& header : match.headers) all.push_back(Header(header));
  for (const RouteMatch::QueryParameter& parameter : match.query_parameters) {
    const Space::FieldId field = Field("query " + parameter.name, kHeaderOrder, kQueryDomain, true);
    all.push_back(parameter.value ? TextIs(field, *parameter.value) : space_.IsPresent(field));
  }
  for (const MetadataPredicate& claim : match.dynamic_metadata) {
    std::string key = Join(claim.path, ".");
    for (const ValueMatcher& value : claim.value.children) {
      key += " " + std::to_string(static_cast<int>(value.string.kind)) + value.string.value;
      for (const ValueMatcher& inner : value.children) {
        key += " " + std::to_string(static_cast<int>(inner.string.kind)) + inner.string.value;
      }
    }
    key +=
        " " + std::to_string(static_cast<int>(claim.value.string.kind)) + claim.value.string.value;
    const Expr holds = Opaque(key);
    all.push_back(claim.invert ? space_.Not(holds) : holds);
  }
  return space_.AndAll(std::move(all));
}

Expr RouteSpace::Add(const HttpMatch& match, std::string_view ns,
                     const std::vector<std::string>& gateways) {
  std::vector<Expr> all = {Add(TranslateRouteMatch(match))};
  if (match.port != 0) {
    all.push_back(
        Exact(Field("port", kGatewayOrder, kPortDomain, false), std::to_string(match.port)));
  }
  if (!match.gateways.empty()) {
    std::vector<Expr> any;
    const Space::FieldId field = Field("gateway", kGatewayOrder, kNameDomain, false);
    for (const Text& written : match.gateways.values) {
      const bool whole =
          written.value == "mesh" || written.value.find('/') != std::string_view::npos;
      std::string name =
          whole ? std::string(written.value) : std::string(ns) + "/" + std::string(written.value);
      if (std::find(gateways.begin(), gateways.end(), name) == gateways.end()) continue;
      any.push_back(Exact(field, name));
    }
    // All of them: no condition.
    if (any.size() < gateways.size()) all.push_back(space_.OrAll(std::move(any)));
    return space_.AndAll(std::move(all));
  }
  for (const auto& [key, value] : match.source_labels) {
    all.push_back(Exact(Field("label " + key, kGatewayOrder, kNameDomain, true), value));
  }
  if (!match.source_namespace.empty()) {
    all.push_back(
        Exact(Field("namespace", kGatewayOrder, kNameDomain, true), match.source_namespace));
  }
  return space_.AndAll(std::move(all));
}

RouteExample RouteSpace::Pick(Node node) {
  const Space::Point point = space_.Pick(node);
  const std::vector<Space::FieldId> essential = space_.Essential(node, point);
  RouteExample example;
  example.path = *space_.TextOf(path_, point);
  for (const auto& [name, field] : fields_) {
    if (std::find(essential.begin(), essential.end(), field) == essential.end()) continue;
    const std::optional<std::string> text = space_.TextOf(field, point);
    if (!text) continue;
    if (name == "method") example.method = *text;
    if (name == "authority") example.authority = *text;
    if (name == "gateway") example.gateway = *text;
    if (name == "port") example.port = static_cast<int>(ParseUnsigned(*text).value_or(0));
    if (name.starts_with("header :")) continue;
    if (name.starts_with("header ")) example.headers.emplace_back(name.substr(7), *text);
    if (name.starts_with("query ")) {
      example.path += example.path.find('?') == std::string::npos ? "?" : "&";
      example.path += name.substr(6) + "=" + *text;
    }
  }
  return example;
}

}  // namespace meshproof
