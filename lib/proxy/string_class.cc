// The string classes of istiod's policy compiler. Only one star is interpreted and a leading one is
// tested first: `*a*` is the suffix `a*` with a literal star, `a*b` an exact string. Namespaces are
// the exception, where each star is any text.

#include "proxy/string_class.h"

namespace meshproof {
namespace {

constexpr std::string_view kSpiffe = "spiffe://";

StringMatcher AnyText() {
  static const StringMatcher matcher = MatchPattern(".+");
  return matcher;
}

std::string Concat(std::string_view a, std::string_view b) {
  std::string joined(a);
  joined += b;
  return joined;
}

}  // namespace

std::string QuoteGoRegex(std::string_view text) {
  std::string quoted;
  quoted.reserve(text.size());
  for (const char c : text) {
    if (std::string_view("\\.+*?()|[]{}^$").find(c) != std::string_view::npos) quoted += '\\';
    quoted += c;
  }
  return quoted;
}

StringMatcher MatchPattern(std::string pattern) {
  StringMatcher matcher;
  matcher.kind = StringMatcher::Kind::kRegex;
  Result<Regex> regex = Regex::Compile(pattern);
  if (regex.ok()) matcher.regex = regex.Take();
  matcher.value = std::move(pattern);
  return matcher;
}

StringMatcher MatchString(std::string_view value) {
  if (value == "*") return AnyText();
  if (value.starts_with('*')) return StringMatcher::Suffix(std::string(value.substr(1)));
  if (value.ends_with('*')) {
    return StringMatcher::Prefix(std::string(value.substr(0, value.size() - 1)));
  }
  return StringMatcher::Exact(std::string(value));
}

HeaderMatcher MatchHeader(std::string_view name, std::string_view value, bool ignore_case) {
  HeaderMatcher matcher;
  matcher.name = std::string(name);
  if (value == "*") return matcher;  // present
  matcher.kind = HeaderMatcher::Kind::kString;
  matcher.string = MatchString(value);
  matcher.string.ignore_case = ignore_case;
  return matcher;
}

StringMatcher MatchPrincipal(std::string_view value) {
  if (value == "*") return AnyText();
  if (value.starts_with('*')) {
    return MatchPattern(Concat(kSpiffe, ".*") + QuoteGoRegex(value.substr(1)));
  }
  if (value.ends_with('*')) {
    return StringMatcher::Prefix(Concat(kSpiffe, value.substr(0, value.size() - 1)));
  }
  return StringMatcher::Exact(Concat(kSpiffe, value));
}

StringMatcher MatchNamespace(std::string_view value) {
  std::string pattern = ".*/ns/";
  size_t begin = 0;
  for (size_t star = value.find('*'); star != std::string_view::npos;
       star = value.find('*', begin)) {
    pattern += QuoteGoRegex(value.substr(begin, star - begin)) + ".*";
    begin = star + 1;
  }
  return MatchPattern(pattern + QuoteGoRegex(value.substr(begin)) + "/.*");
}

StringMatcher MatchServiceAccount(std::string_view value, std::string_view policy_namespace) {
  std::string_view ns = policy_namespace;
  std::string_view name = value;
  if (const size_t slash = value.find('/'); slash != std::string_view::npos) {
    ns = value.substr(0, slash);
    name = value.substr(slash + 1);
  }
  return MatchPattern("spiffe://.+/ns/" + QuoteGoRegex(ns) + "/(.+/|)sa/" + QuoteGoRegex(name) +
                      "(/.+)?");
}

StringMatcher MatchTrustDomain(std::string_view value) {
  if (value == "*") return StringMatcher::Prefix(std::string(kSpiffe));
  const size_t star = value.find('*');
  if (star == std::string_view::npos) return StringMatcher::Prefix(Concat(kSpiffe, value) + "/");
  return MatchPattern(Concat(kSpiffe, QuoteGoRegex(value.substr(0, star))) + "[^/]*" +
                      QuoteGoRegex(value.substr(star + 1)) + "/.*");
}

std::pair<StringMatcher, StringMatcher> MatchRequestPrincipal(std::string_view value) {
  if (value == "*") return {AnyText(), AnyText()};
  const size_t slash = value.rfind('/');
  const bool split = slash != std::string_view::npos;
  const std::string_view issuer = value.substr(0, split ? slash : value.size());
  const std::string_view subject = split ? value.substr(slash + 1) : std::string_view();
  if (value.starts_with('*')) {
    if (!split) return {AnyText(), StringMatcher::Suffix(std::string(value.substr(1)))};
    return {issuer == "*" ? AnyText() : StringMatcher::Suffix(std::string(issuer.substr(1))),
            StringMatcher::Exact(std::string(subject))};
  }
  if (value.ends_with('*')) {
    if (!split) {
      return {StringMatcher::Prefix(std::string(value.substr(0, value.size() - 1))), AnyText()};
    }
    return {StringMatcher::Exact(std::string(issuer)),
            subject == "*"
                ? AnyText()
                : StringMatcher::Prefix(std::string(subject.substr(0, subject.size() - 1)))};
  }
  return {StringMatcher::Exact(std::string(issuer)), StringMatcher::Exact(std::string(subject))};
}

std::optional<std::string> PathTemplateOf(std::string_view value) {
  std::string path_template;
  bool found = false;
  for (size_t i = 0; i < value.size();) {
    if (value.substr(i).starts_with("{*}")) {
      path_template += '*';
      i += 3;
      found = true;
    } else if (value.substr(i).starts_with("{**}")) {
      path_template += "**";
      i += 4;
      found = true;
    } else {
      path_template += value[i++];
    }
  }
  if (!found) return std::nullopt;
  return path_template;
}

std::optional<std::string> NameInBrackets(std::string_view text) {
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
  return std::string(text.substr(1, text.size() - 2));
}

std::optional<std::vector<std::string>> NamesInNestedBrackets(std::string_view text) {
  std::vector<std::string> names;
  size_t begin = 0;
  while (begin < text.size()) {
    const size_t end = text[begin] == '[' ? text.find_first_of("[]", begin + 1) : text.npos;
    if (end == text.npos || text[end] == '[') {
      std::optional<std::string> whole = NameInBrackets(text);
      if (!whole) return std::nullopt;
      return std::vector<std::string>{*std::move(whole)};
    }
    names.emplace_back(text.substr(begin + 1, end - begin - 1));
    begin = end + 1;
  }
  return names;
}

ValueMatcher MatchClaim(std::vector<StringMatcher> alternatives) {
  std::vector<ValueMatcher> strings;
  for (StringMatcher& alternative : alternatives) {
    ValueMatcher value;
    value.kind = ValueMatcher::Kind::kString;
    value.string = std::move(alternative);
    strings.push_back(std::move(value));
  }
  ValueMatcher scalar;
  if (strings.size() == 1) {
    scalar = std::move(strings.front());
  } else {
    scalar.kind = ValueMatcher::Kind::kOr;
    scalar.children = std::move(strings);
  }
  ValueMatcher list;
  list.kind = ValueMatcher::Kind::kList;
  list.children.push_back(scalar);
  ValueMatcher either;
  either.kind = ValueMatcher::Kind::kOr;
  either.children.push_back(std::move(list));
  either.children.push_back(std::move(scalar));
  return either;
}

}  // namespace meshproof
