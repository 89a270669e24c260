// CORS that lets any website read answers with the user's cookies. Envoy takes an origin if some
// matcher of `allowOrigins` takes it or takes the text `*`, answers with the origin itself, and
// sends `access-control-allow-credentials` beside it. Regexes match the whole origin. Foreign is an
// origin whose registrable domain the author did not write: whoever buys the domain has it.
#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/string_matcher.h"
#include "reason/string_classes.h"

namespace meshproof::foreign_origins {
namespace {

constexpr size_t kMostClasses = 2000;
constexpr std::string_view kAttacker = "https://attacker.example";
constexpr std::string_view kOrigins =
    "https?://([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z][a-z]+(:[1-9][0-9]*)?";

// `shop.example.org` -> `example.org`, `shop.example.co.uk` -> `example.co.uk`.
std::string Registrable(std::string_view host) {
  static const std::set<std::string_view> kSecond = {"co",  "com", "org", "net",
                                                     "gov", "ac",  "edu", "or"};
  const std::vector<std::string_view> labels = Split(host, '.');
  size_t keep = 2;
  if (labels.size() > 2 && labels.back().size() == 2 && kSecond.contains(labels[labels.size() - 2]))
    keep = 3;
  std::string domain;
  for (size_t i = labels.size() - std::min(keep, labels.size()); i < labels.size(); ++i) {
    domain += (domain.empty() ? "" : ".") + std::string(labels[i]);
  }
  return domain;
}

// Without groups of alternatives: `a\.(org|net)` is `a\.org` and `a\.net`.
std::vector<std::string> Alternatives(std::string_view regex) {
  constexpr size_t kMost = 64;
  std::vector<std::string> open = {std::string(regex)}, done;
  while (!open.empty() && open.size() + done.size() <= kMost) {
    std::string text = std::move(open.back());
    open.pop_back();
    const size_t end = text.find(')');
    const size_t begin = end == std::string::npos ? end : text.rfind('(', end);
    if (begin == std::string::npos) {
      done.push_back(std::move(text));
      continue;
    }
    std::string_view inside = std::string_view(text).substr(begin + 1, end - begin - 1);
    if (inside.starts_with("?:")) inside.remove_prefix(2);
    for (std::string_view one : Split(inside, '|')) {
      open.push_back(text.substr(0, begin) + std::string(one) + text.substr(end + 1));
    }
  }
  for (std::string& text : open) done.push_back(std::move(text));
  return done;
}

// The domains that stand in a matcher: names with a dot, as a reader of the regex sees them.
std::set<std::string> DomainsIn(std::string_view text, bool regex) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (regex && c == '\\' && i + 1 < text.size()) {
      plain += text[++i] == '.' ? '.' : ' ';
    } else if (regex && c == '[') {
      i = std::min(text.find(']', i), text.size() - 1);
      plain += ' ';
    } else if (regex && c == '.') {
      const char next = i + 1 < text.size() ? text[i + 1] : '\0';
      plain += next == '*' || next == '+' || next == '?' ? ' ' : '.';
    } else {
      const bool name = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
      plain += name ? c : ' ';
    }
  }
  std::set<std::string> domains;
  for (std::string_view word : Split(plain, ' ')) {
    while (word.starts_with('.')) word.remove_prefix(1);
    while (word.ends_with('.')) word.remove_suffix(1);
    if (word.find('.') != std::string_view::npos) domains.insert(Registrable(word));
  }
  return domains;
}

struct Origins {  // one entry of allowOrigins
  StringPattern pattern;
  std::set<std::string> domains;
};

// `^` and `$` around the whole change nothing.
std::string_view WithoutAnchors(std::string_view pattern) {
  if (pattern.starts_with('^')) pattern.remove_prefix(1);
  if (pattern.ends_with('$') && !pattern.ends_with("\\$")) pattern.remove_suffix(1);
  return pattern;
}

// A foreign origin that the entry takes.
std::optional<std::string> ForeignOrigin(const Origins& entry) {
  using Kind = StringPattern::Kind;
  if (entry.pattern.kind == Kind::kExact) {
    if (entry.pattern.value == "*") return std::string(kAttacker);
    if (entry.pattern.value == "null") return "null";
    return std::nullopt;
  }
  std::optional<Regex> regex;
  if (entry.pattern.kind == Kind::kRegex) {
    Result<Regex> compiled = Regex::Compile(entry.pattern.value);
    if (!compiled.ok()) return std::nullopt;
    regex = compiled.Take();
    if (regex->FullMatch("*")) return std::string(kAttacker);
  }
  const auto takes = [&](const std::string& origin) {
    return regex ? regex->FullMatch(origin) : origin.starts_with(entry.pattern.value);
  };
  std::vector<StringPattern> patterns = {entry.pattern};
  patterns.front().value =
      regex ? std::string(WithoutAnchors(entry.pattern.value)) : entry.pattern.value;
  std::vector<StringCandidate> candidates = {{std::string(kAttacker), 0}};
  for (const std::string& domain : entry.domains) {
    patterns.push_back(
        {Kind::kRegex, "https?://([a-z0-9-]+\\.)*" + QuoteRegex(domain) + "(:[0-9]+)?", false});
    for (const char* scheme : {"https://", "http://"}) {
      candidates.push_back({scheme + ("attacker-" + domain), 1});
      candidates.push_back({scheme + ("attacker" + domain), 2});
      candidates.push_back({scheme + domain + ".attacker.example", 2});
      candidates.push_back({scheme + ("www." + domain) + ".attacker.example", 3});
    }
  }
  if (IsUnderstood(patterns.front())) {
    const std::unique_ptr<StringDomain> domain = PatternDomain(kOrigins);
    const StringClasses classes =
        BuildStringClasses(patterns, domain.get(), candidates, kMostClasses);
    if (!classes.too_many) {
      std::set<uint32_t> foreign(classes.members[0].begin(), classes.members[0].end());
      for (size_t i = 1; i < patterns.size(); ++i) {
        for (uint32_t member : classes.members[i]) foreign.erase(member);
      }
      const StringClasses::Class* best = nullptr;
      for (uint32_t at : foreign) {
        const StringClasses::Class& own = classes.classes[at];
        if (takes(own.text) && (best == nullptr || own.rank < best->rank)) best = &own;
      }
      if (best == nullptr) return std::nullopt;
      return best->text;
    }
  }
  for (const StringCandidate& candidate : candidates) {
    if (takes(candidate.text)) return candidate.text;
  }
  return std::nullopt;
}

class Checker {
 public:
  explicit Checker(Reporter& reporter) : reporter_(reporter) {}

  void CheckVirtualService(const ObjectMeta& meta) {
    for (const Node& http : ListItems(NodeAt(meta.node, {"spec", "http"}))) {
      const Node* cors = NodeAt(&http, {"corsPolicy"});
      if (cors == nullptr || !WithCredentials(*cors)) continue;
      for (const Node& origin : ListItems(NodeAt(cors, {"allowOrigins"}))) {
        for (const auto& [field, kind] : {std::pair("exact", StringPattern::Kind::kExact),
                                          std::pair("prefix", StringPattern::Kind::kPrefix),
                                          std::pair("regex", StringPattern::Kind::kRegex)}) {
          const Node* value = NodeAt(&origin, {field});
          if (value == nullptr) continue;
          Origins entry;
          entry.pattern = {kind, std::string(value->text), false};
          const bool regex = kind == StringPattern::Kind::kRegex;
          for (const std::string& one : Alternatives(regex ? value->text : std::string_view())) {
            entry.domains.merge(DomainsIn(one, true));
          }
          if (!regex) entry.domains = DomainsIn(value->text, false);
          Check(meta, *value, entry, field);
        }
      }
      for (const Node& origin : ListItems(NodeAt(cors, {"allowOrigin"}))) {
        Check(meta, origin, {{StringPattern::Kind::kExact, std::string(origin.text), false}, {}},
              "exact");
      }
    }
  }

  // Filters of type CORS: `*` stands for any host, or for labels in front of one.
  void CheckRoute(const ObjectMeta& meta) {
    for (const Node& rule : ListItems(NodeAt(meta.node, {"spec", "rules"}))) {
      for (const Node& filter : ListItems(NodeAt(&rule, {"filters"}))) {
        const Node* cors = NodeAt(&filter, {"cors"});
        if (cors == nullptr || !WithCredentials(*cors)) continue;
        for (const Node& origin : ListItems(NodeAt(cors, {"allowOrigins"}))) {
          Origins entry;
          entry.pattern = {StringPattern::Kind::kExact, std::string(origin.text), false};
          const size_t star = origin.text.find('*');
          if (star != std::string_view::npos && origin.text != "*") {
            entry.pattern.kind = StringPattern::Kind::kRegex;
            entry.pattern.value = QuoteRegex(origin.text.substr(0, star)) + ".*" +
                                  QuoteRegex(origin.text.substr(star + 1));
            entry.domains = DomainsIn(origin.text, false);
          }
          Check(meta, origin, entry, "origin");
        }
      }
    }
  }

 private:
  static bool WithCredentials(const Node& cors) {
    const Node* allow = cors.Find("allowCredentials");
    return allow != nullptr && allow->text == "true";
  }

  void Check(const ObjectMeta& meta, const Node& node, const Origins& entry,
             std::string_view field) {
    const std::optional<std::string> foreign = ForeignOrigin(entry);
    if (!foreign) return;
    std::string why = " takes ";
    if (*foreign == kAttacker) {
      why += "every origin, " + *foreign + " too";
    } else {
      why += "the foreign origin `" + *foreign + "`";
    }
    Finding& finding = ReportAt(
        reporter_, meta, SpanOf(meta.file, node),
        std::string(field) + " `" + std::string(node.text) + "`" + why +
            ", and `allowCredentials` is set, so a page there can call this route with the "
            "cookies of whoever looks at it and read the answers; name the origins that are meant",
        "Name the origins exactly, or a regex that ends in the whole domain with its dots "
        "escaped.");
    finding.detail = *foreign;
  }

  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(reporter);
  for (const VirtualService& service : analysis.model.virtual_services) {
    checker.CheckVirtualService(service.meta);
  }
  for (const K8sRoute& route : analysis.model.k8s_routes) checker.CheckRoute(route.meta);
}

}  // namespace meshproof::foreign_origins
