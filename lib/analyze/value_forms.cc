#include "analyze/value_forms.h"

#include <algorithm>
#include <utility>

#include "analyze/spellings.h"
#include "base/ascii.h"
#include "base/text.h"

namespace meshproof {
namespace {

bool Has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool HasCapital(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

// Pieces that regular expressions have and names, paths and hosts do not.
bool LooksLikeRegex(std::string_view value) {
  if (value.starts_with('^') && value.size() > 1) return true;
  for (std::string_view piece : {".+", "(?", "[a-z", "[A-Z", "[0-9", "[^", "\\d", "\\w", "\\s",
                                 "\\.", "\\/", "\\-", "\\S"}) {
    if (Has(value, piece)) return true;
  }
  size_t any = value.find(".*");
  if (any != std::string_view::npos && any + 2 < value.size()) return true;
  size_t open = value.find('(');
  return open != std::string_view::npos && value.find('|', open) != std::string_view::npos &&
         value.find(')', open) != std::string_view::npos;
}

// The value of `paths` that a plain expression stands for; "" where none does.
std::string PathOfRegex(std::string_view regex) {
  if (regex.starts_with('^')) regex.remove_prefix(1);
  bool open_end = !regex.ends_with('$');
  if (!open_end) regex.remove_suffix(1);
  std::string path;
  while (!regex.empty()) {
    bool taken = false;
    for (std::string_view any : {"[^/]+", "[^/]*", ".*", ".+"}) {
      if (!regex.starts_with(any)) continue;
      regex.remove_prefix(any.size());
      taken = true;
      if (regex.empty() && any.front() == '.') {
        path += '*';
      } else if (path.ends_with('/') && (regex.empty() || regex.front() == '/')) {
        path += "{*}";
      } else {
        return {};
      }
      break;
    }
    if (taken) continue;
    if (regex.starts_with("\\.") || regex.starts_with("\\/") || regex.starts_with("\\-")) {
      path += regex[1];
      regex.remove_prefix(2);
    } else if (IsAsciiAlphanumeric(regex.front()) || Has("/-_~", regex.substr(0, 1))) {
      path += regex.front();
      regex.remove_prefix(1);
    } else {
      return {};
    }
  }
  if (!path.starts_with('/')) return {};
  // A template takes no star that is not in braces.
  if (Has(path, "{*}") && path.ends_with('*')) return {};
  return path;
}

size_t Stars(std::string_view text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '*'));
}

// Stars that count as stars: outside of `{*}` and `{**}`.
size_t LooseStars(std::string_view path) {
  std::string plain(path);
  for (std::string_view glob : {"{**}", "{*}"}) {
    for (size_t at = plain.find(glob); at != std::string::npos; at = plain.find(glob)) {
      plain.erase(at, glob.size());
    }
  }
  return Stars(plain);
}

std::string Backquoted(std::string_view text) {
  return "`" + std::string(text) + "`";
}

// What istiod compares with where a value has a star too many.
std::string ReadsStars(std::string_view value) {
  if (value.starts_with('*')) {
    return "one star at one end counts, so it matches what ends in " + Backquoted(value.substr(1)) +
           " with a star in it";
  }
  if (value.ends_with('*')) {
    return "one star at one end counts, so it matches what begins with " +
           Backquoted(value.substr(0, value.size() - 1)) + " with a star in it";
  }
  return "a star within a value is no wildcard, so it is compared as it stands";
}

// `/a/*/b` -> `/a/{*}/b`, `/a/**` -> `/a/*`; "" where no value says it.
std::string PathOfStars(std::string_view value) {
  if (!value.starts_with('/') || Has(value, "{")) {
    return value.starts_with("**/") && Stars(value) == 2 ? std::string(value.substr(1)) : "";
  }
  if (value.ends_with("/**") && Stars(value) == 2) {
    return std::string(value.substr(0, value.size() - 1));
  }
  std::string path;
  for (std::string_view segment : Split(value.substr(1), '/')) {
    path += '/';
    if (segment == "*") {
      path += "{*}";
    } else if (segment == "**") {
      path += "{**}";
    } else if (Stars(segment) == 0) {
      path += segment;
    } else {
      return {};
    }
  }
  // Nothing but literals may follow `{**}`; a last `*` was a prefix.
  size_t rest = path.find("{**}");
  if (rest != std::string::npos && Has(std::string_view(path).substr(rest + 4), "{")) return {};
  return path;
}

std::string WithoutAnchor(std::string_view path) {
  return std::string(path.substr(0, path.find_first_of("?#")));
}

std::string ToLowerText(std::string_view text) {
  return ToLower(text);
}

std::optional<FormProblem> StarsOrRegex(std::string_view value) {
  if (LooksLikeRegex(value)) {
    return FormProblem{"regular expressions are not read, so it is compared as it stands", ""};
  }
  if (value.size() > 1 &&
      Stars(value) > (value.starts_with('*') || value.ends_with('*') ? 1U : 0U)) {
    return FormProblem{ReadsStars(value), ""};
  }
  return std::nullopt;
}

}  // namespace

std::optional<FormProblem> PathForm(std::string_view value) {
  if (value.empty() || value == "*") return std::nullopt;
  bool file = Has(value, "/index.*") || Has(value, "/favicon.*") || Has(value, "/robots.*");
  bool any_end = value.ends_with(".*") && !file && std::count(value.begin(), value.end(), '.') == 1;
  if (LooksLikeRegex(value) || any_end ||
      (value.ends_with('$') && value.find_first_of("*(+[") != std::string_view::npos)) {
    return FormProblem{"regular expressions are not read, so it is compared as it stands",
                       PathOfRegex(value)};
  }
  if (Has(value, "://")) {
    std::string_view rest = value.substr(value.find("://") + 3);
    size_t slash = rest.find('/');
    return FormProblem{"the scheme and the host are no part of the path",
                       slash == std::string_view::npos ? "" : std::string(rest.substr(slash))};
  }
  size_t allowed = value.starts_with('*') || value.ends_with('*') ? 1 : 0;
  bool is_template = Has(value, "{*}") || Has(value, "{**}");
  if (LooseStars(value) > (is_template ? 0 : allowed)) {
    return FormProblem{is_template ? "beside `{*}` a star stands for itself" : ReadsStars(value),
                       PathOfStars(value)};
  }
  if (!value.starts_with('/') && !value.starts_with('*')) {
    if (is_template) {
      return FormProblem{"a template has to start with a slash; Envoy refuses the listener",
                         "/" + std::string(value)};
    }
    return FormProblem{"every path starts with a slash",
                       Has(value, " ") ? "" : "/" + std::string(value)};
  }
  std::string meant;
  bool variables = false;
  for (std::string_view segment : Split(value.substr(value.starts_with('/') ? 1 : 0), '/')) {
    bool brace = segment.size() > 2 && segment.starts_with('{') && segment.ends_with('}') &&
                 segment != "{*}" && segment != "{**}";
    bool colon = segment.size() > 1 && segment.front() == ':' && IsAsciiAlphanumeric(segment[1]);
    variables = variables || brace || colon;
    meant += "/";
    meant += brace || colon ? "{*}" : std::string(segment);
  }
  if (!variables) return std::nullopt;
  if (meant.ends_with('*')) meant.clear();
  return FormProblem{"names of variables are not read, so it is compared as it stands", meant};
}

std::optional<FormProblem> HostForm(std::string_view value) {
  if (auto problem = StarsOrRegex(value)) return problem;
  if (!Has(value, "/")) return std::nullopt;
  std::string_view host = value;
  if (size_t scheme = host.find("://"); scheme != std::string_view::npos) {
    host.remove_prefix(scheme + 3);
  }
  return FormProblem{"the authority has neither a scheme nor a path",
                     std::string(host.substr(0, host.find('/')))};
}

std::optional<FormProblem> MethodForm(std::string_view value) {
  if (auto problem = StarsOrRegex(value)) return problem;
  if (value.find_first_of("|, ;") == std::string_view::npos) return std::nullopt;
  return FormProblem{"one value is one method", ""};
}

std::optional<FormProblem> PrincipalForm(std::string_view value, const MeshConfig& config) {
  constexpr std::string_view kScheme = "spiffe://";
  if (value == "*" || value.empty()) return std::nullopt;
  if (value.starts_with(kScheme)) {
    std::string rest(value.substr(kScheme.size()));
    return FormProblem{"`spiffe://` is put before it once more",
                       PrincipalForm(rest, config) ? "" : rest};
  }
  if (auto problem = StarsOrRegex(value)) return problem;
  std::vector<std::string_view> parts = Split(value, '/');
  FormProblem shape{
      "an identity has the form `trust-domain/ns/NAMESPACE/sa/ACCOUNT`, and no other matches", ""};
  if (value.starts_with('*')) {
    // Read from the end: ACCOUNT, "sa", NAMESPACE, "ns".
    size_t n = parts.size();
    bool whole = n >= 2;  // the first piece holds the star
    if (!whole) return std::nullopt;
    if (n >= 3 && parts[n - 2] != "sa") return shape;
    if (n >= 5 && parts[n - 4] != "ns") return shape;
    if (n == 2 && parts[0] != "*" && !std::string_view("*sa").ends_with(parts[0].substr(1))) {
      return shape;
    }
    return n > 5 ? std::optional(shape) : std::nullopt;
  }
  bool prefix = value.ends_with('*');
  const auto whole = [&](size_t i) { return i + 1 < parts.size() || !prefix; };
  const auto meant = [&](std::string fixed) { return FormProblem{shape.why, std::move(fixed)}; };
  if (!prefix && parts.size() == 4 && parts[0] == "ns" && parts[2] == "sa") {
    return meant(config.trust_domain + "/" + std::string(value));
  }
  if (!prefix && parts.size() == 2 && !Has(parts[0], ".")) {
    return meant(config.trust_domain + "/ns/" + std::string(parts[0]) + "/sa/" +
                 std::string(parts[1]));
  }
  if (parts.size() > 5 || (!prefix && parts.size() != 5)) return shape;
  constexpr std::string_view kWords[] = {"", "ns", "", "sa", ""};
  std::string lower(parts[0]);
  bool differs = false, wrong = false;
  for (size_t i = 1; i < parts.size(); ++i) {
    std::string text(parts[i]);
    if (i % 2 == 1) {
      if (whole(i) && text != kWords[i]) {
        differs = true;
        wrong = wrong || !EqualsIgnoreCase(text, kWords[i]);
      } else if (!whole(i)) {
        std::string_view start = parts[i].substr(0, parts[i].size() - 1);
        wrong = wrong || !kWords[i].starts_with(start);
        differs = differs || wrong;
      }
    } else if (HasCapital(text)) {
      differs = true;
    }
    lower += "/" + ToLowerText(text);
  }
  if (!differs) return std::nullopt;
  if (wrong) return shape;
  return FormProblem{"identities are compared with case, and names of Kubernetes have no capitals",
                     lower};
}

std::optional<FormProblem> NamespaceForm(std::string_view value) {
  if (LooksLikeRegex(value)) {
    return FormProblem{"regular expressions are not read; only stars are", ""};
  }
  if (Has(value, "/")) return FormProblem{"a namespace has no slash in its name", ""};
  if (!HasCapital(value)) return std::nullopt;
  return FormProblem{"it is compared with case, and names of Kubernetes have no capitals",
                     ToLowerText(value)};
}

std::optional<FormProblem> RequestPrincipalForm(std::string_view value,
                                                const std::vector<std::string_view>& issuers) {
  if (value == "*" || value.empty()) return std::nullopt;
  if (value == "*/*") {
    return FormProblem{"the subject would have to be a star itself", "*"};
  }
  if (auto problem = StarsOrRegex(value)) return problem;
  std::string_view bare = value.ends_with('*') ? value.substr(0, value.size() - 1) : value;
  bool is_issuer = std::find(issuers.begin(), issuers.end(), bare) != issuers.end();
  std::string_view name = bare;
  if (size_t scheme = name.find("://"); scheme != std::string_view::npos) {
    name.remove_prefix(scheme + 3);
  }
  // Split at the last slash: what stands before it is the issuer.
  bool within_issuer = is_issuer || (!Has(name, "/") && !name.empty() && name.size() < bare.size());
  if (!value.starts_with('*') && within_issuer) {
    return FormProblem{
        "the issuer ends at the last slash, so that a part of it is taken for the "
        "subject",
        std::string(bare) + "/*"};
  }
  if (!Has(value, "/") && !value.starts_with('*') && !value.ends_with('*')) {
    return FormProblem{"without a slash the subject would have to be empty",
                       std::string(value) + "/*"};
  }
  return std::nullopt;
}

std::optional<FormProblem> PlainForm(std::string_view value) {
  if (value == "*/*") return std::nullopt;
  return StarsOrRegex(value);
}

std::optional<FormProblem> ServerNameForm(std::string_view value) {
  if (auto problem = StarsOrRegex(value)) return problem;
  if (!HasCapital(value)) return std::nullopt;
  return FormProblem{"the server name is in small letters before it is compared",
                     ToLowerText(value)};
}

std::optional<FormProblem> PathNotNormal(std::string_view value, const PathOptions& options) {
  if (value.empty() || value == "*") return std::nullopt;
  if (size_t end = value.find_first_of("?#"); end != std::string_view::npos) {
    std::string meant = WithoutAnchor(value);
    return FormProblem{value[end] == '?' ? "the query is cut off before paths are compared"
                                         : "the fragment is cut off before paths are compared",
                       meant.size() > 1 ? meant : ""};
  }
  bool is_template = !IsExactPath(value) && Has(value, "{");
  bool prefix = !is_template && !value.starts_with('*') && value.ends_with('*');
  bool suffix = !is_template && value.starts_with('*');
  std::string literal(value);
  if (is_template) {
    literal = SamplePath(value);
  } else if (prefix) {
    literal.back() = 'x';  // goes on in any way
  } else if (suffix) {
    literal = "/x" + literal.substr(1);
  }
  if (!literal.starts_with('/')) return std::nullopt;
  if (Has(literal, " ")) return FormProblem{"a blank is sent as `%20`", ""};
  NormalizedPath normal = NormalizePath(literal, options);
  bool same = normal.outcome == NormalizedPath::Outcome::kOk && normal.path == literal;
  if (same) return std::nullopt;
  std::string meant;
  if (normal.outcome == NormalizedPath::Outcome::kOk && !suffix && !is_template) {
    meant = normal.path;
    if (prefix && meant.ends_with('x')) meant.back() = '*';
  }
  return FormProblem{"the mesh's normalization leaves no path like it", meant};
}

namespace {

using ValueKind = PolicyValue::Kind;

// `name` stands behind `path` in the place of the list.
void AddList(const TextList& list, const std::string& field, const std::string& path,
             std::string_view name, ValueKind kind, bool negated,
             std::vector<PolicyValue>* values) {
  for (size_t i = 0; i < list.values.size(); ++i) {
    std::string place = path;
    place += name;
    place += '[';
    place += std::to_string(i);
    place += ']';
    values->push_back({&list.values[i], field, std::move(place), kind, negated});
  }
}

ValueKind KindOfKey(std::string_view key) {
  if (key == "source.principal") return ValueKind::kPrincipal;
  if (key == "source.namespace") return ValueKind::kNamespace;
  if (key == "request.auth.principal") return ValueKind::kRequestPrincipal;
  if (key == "connection.sni") return ValueKind::kServerName;
  return ValueKind::kPlain;
}

bool IsText(std::string_view key) {
  return key.starts_with("request.") || key == "source.principal" || key == "source.namespace" ||
         key == "connection.sni";
}

}  // namespace

std::vector<PolicyValue> ValuesOf(const AuthorizationPolicy& policy) {
  std::vector<PolicyValue> values;
  for (size_t i = 0; i < policy.rules.size(); ++i) {
    const AuthorizationPolicy::Rule& rule = policy.rules[i];
    const std::string at = "spec.rules[" + std::to_string(i) + "].";
    for (size_t j = 0; j < rule.from.size(); ++j) {
      const AuthorizationPolicy::Source& s = rule.from[j];
      const std::string path = at + "from[" + std::to_string(j) + "].source.";
      const auto add = [&](const TextList& list, const char* name, ValueKind kind, bool negated) {
        if (!list.empty()) AddList(list, name, path, name, kind, negated, &values);
      };
      add(s.principals, "principals", ValueKind::kPrincipal, false);
      add(s.not_principals, "notPrincipals", ValueKind::kPrincipal, true);
      add(s.namespaces, "namespaces", ValueKind::kNamespace, false);
      add(s.not_namespaces, "notNamespaces", ValueKind::kNamespace, true);
      add(s.request_principals, "requestPrincipals", ValueKind::kRequestPrincipal, false);
      add(s.not_request_principals, "notRequestPrincipals", ValueKind::kRequestPrincipal, true);
    }
    for (size_t j = 0; j < rule.to.size(); ++j) {
      const AuthorizationPolicy::Operation& o = rule.to[j];
      const std::string path = at + "to[" + std::to_string(j) + "].operation.";
      const auto add = [&](const TextList& list, const char* name, ValueKind kind, bool negated) {
        if (!list.empty()) AddList(list, name, path, name, kind, negated, &values);
      };
      add(o.paths, "paths", ValueKind::kPath, false);
      add(o.not_paths, "notPaths", ValueKind::kPath, true);
      add(o.hosts, "hosts", ValueKind::kHost, false);
      add(o.not_hosts, "notHosts", ValueKind::kHost, true);
      add(o.methods, "methods", ValueKind::kMethod, false);
      add(o.not_methods, "notMethods", ValueKind::kMethod, true);
    }
    for (size_t j = 0; j < rule.when.size(); ++j) {
      const AuthorizationPolicy::Condition& c = rule.when[j];
      if (!IsText(c.key.value)) continue;
      const std::string path = at + "when[" + std::to_string(j) + "].";
      const std::string field = "when " + std::string(c.key.value);
      AddList(c.values, field, path, "values", KindOfKey(c.key.value), false, &values);
      AddList(c.not_values, field, path, "notValues", KindOfKey(c.key.value), true, &values);
    }
  }
  return values;
}

std::string EffectOfNoMatch(AuthorizationPolicy::Action action, bool negated) {
  switch (action) {
    case AuthorizationPolicy::Action::kDeny:
      return negated ? "the rule denies what it was to spare" : "the rule denies nothing by it";
    case AuthorizationPolicy::Action::kAudit:
      return negated ? "the rule records what it was to leave out" : "nothing is recorded by it";
    case AuthorizationPolicy::Action::kCustom:
      return negated ? "the authorizer is asked about what was to be left out"
                     : "the authorizer is not asked about it";
    case AuthorizationPolicy::Action::kAllow:
      break;
  }
  return negated ? "the rule excludes nothing by it" : "the rule lets nobody in by it";
}

Edit EditOfValue(const Span& span, const std::string& value) {
  std::string_view text = span.file->text();
  bool inside = span.begin > 0 && (text[span.begin - 1] == '"' || text[span.begin - 1] == '\'');
  return {span, inside ? value : "\"" + value + "\""};
}

}  // namespace meshproof
