// Items of `rules`, `from` and `to` are alternatives, fields of one item are conditions that hold
// together (istio-semantics section 1.4). One dash too many makes an OR of an AND. Two neighbours
// are taken for one when they test different things and each lets in what the other does not name.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

#include "analyze/raw_objects.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/slips.h"
#include "base/text.h"

namespace meshproof::extra_dash {
namespace {

using Policy = AuthorizationPolicy;

// What a source tests, as bits.
enum Tested : unsigned { kIdentities = 1, kTokens = 2, kAddresses = 4 };

struct SourceShape {
  unsigned tested = 0;
  bool positive = false;
};

SourceShape ShapeOf(const Policy::Source& s) {
  SourceShape shape;
  const auto add = [&](const TextList& list, const TextList& negated, unsigned what) {
    if (!list.empty() || !negated.empty()) shape.tested |= what;
    shape.positive = shape.positive || !list.empty();
  };
  add(s.principals, s.not_principals, kIdentities);
  add(s.namespaces, s.not_namespaces, kIdentities);
  add(s.service_accounts, s.not_service_accounts, kIdentities);
  add(s.trust_domains, s.not_trust_domains, kIdentities);
  add(s.request_principals, s.not_request_principals, kTokens);
  add(s.ip_blocks, s.not_ip_blocks, kAddresses);
  add(s.remote_ip_blocks, s.not_remote_ip_blocks, kAddresses);
  return shape;
}

// A caller with an identity or one with a token, one of them: either may be meant, but not beside
// an item that only excludes.
bool ProbablyOne(const SourceShape& a, const SourceShape& b) {
  if ((a.tested & b.tested) != 0) return false;
  if (!a.positive || !b.positive) return true;
  return ((a.tested | b.tested) & kTokens) != 0;
}

// Bits for hosts, methods, paths; ports tell services of one pod apart and are meant as
// alternatives.
std::optional<unsigned> ShapeOf(const Policy::Operation& o) {
  if (!o.ports.empty() || !o.not_ports.empty()) return std::nullopt;
  unsigned tested = 0;
  if (!o.hosts.empty() || !o.not_hosts.empty()) tested |= 1;
  if (!o.methods.empty() || !o.not_methods.empty()) tested |= 2;
  if (!o.paths.empty() || !o.not_paths.empty()) tested |= 4;
  return tested;
}

// Paths that are open to everybody by custom, so that a rule for them alone is meant.
bool IsPublicPath(std::string_view path) {
  constexpr std::array<std::string_view, 17> kWords = {
      "health", "ready",   "readi",    "live",   "metric",     "ping",
      "status", "version", "favicon",  "robots", "login",      "public",
      "static", "assets",  "callback", "stats",  ".well-known"};
  std::string lower = ToLower(path);
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

bool IsPublic(const Policy::Operation& operation) {
  if (!operation.ports.empty()) return true;
  const auto& paths = operation.paths.values;
  if (!paths.empty()) {
    return std::all_of(paths.begin(), paths.end(),
                       [](const Text& path) { return IsPublicPath(path.value); });
  }
  const auto& methods = operation.methods.values;
  return !methods.empty() && std::all_of(methods.begin(), methods.end(), [](const Text& method) {
    return method.value == "OPTIONS";
  });
}

// The one part that a rule has: 1 `from`, 2 `to`, 4 `when`; 0 where it has several or none.
unsigned OnlyPart(const Policy::Rule& rule) {
  unsigned parts =
      (rule.from.empty() ? 0U : 1U) | (rule.to.empty() ? 0U : 2U) | (rule.when.empty() ? 0U : 4U);
  return parts == 1 || parts == 2 || parts == 4 ? parts : 0;
}

std::string_view PartName(unsigned part) {
  return part == 1 ? "from" : part == 2 ? "to" : "when";
}

// The dash of a list item in block style; nothing where it stands elsewhere.
std::optional<Span> DashOf(const Span& item) {
  if (item.file == nullptr) return std::nullopt;
  std::string_view text = item.file->text();
  uint32_t at = item.begin;
  while (at > 0 && text[at - 1] == ' ') --at;
  if (at == 0 || text[at - 1] != '-') return std::nullopt;
  uint32_t line = item.file->LineStart(item.file->LineOf(at - 1));
  std::string_view before = text.substr(line, at - 1 - line);
  if (before.find_first_not_of(' ') != std::string_view::npos) return std::nullopt;
  return Span{item.file, at - 1, at};
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const Policy& policy) {
    if (policy.dry_run || policy.action != Policy::Action::kAllow) return;
    if (CheckRules(policy)) return;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      CheckSources(policy, i);
      CheckOperations(policy, i);
    }
  }

 private:
  struct Pair {
    Region first, second;
    std::vector<size_t> rules;  // that hold them
  };

  static const Node* ItemAt(const Policy& policy, size_t rule) {
    const Node* rules = NodeAt(policy.meta.node, {"spec", "rules"});
    return rules != nullptr && rule < rules->items().size() ? &rules->items()[rule] : nullptr;
  }

  bool CheckRules(const Policy& policy) {
    const auto& rules = policy.rules;
    for (size_t i = 0; i + 1 < rules.size(); ++i) {
      unsigned one = OnlyPart(rules[i]), other = OnlyPart(rules[i + 1]);
      if (one == 0 || other == 0 || one == other) continue;
      const Policy::Rule& to = one == 2 ? rules[i] : rules[i + 1];
      if (std::any_of(to.to.begin(), to.to.end(), IsPublic)) continue;
      Pair pair{
          RegionOf(rules[i], policy.meta.ns), RegionOf(rules[i + 1], policy.meta.ns), {i, i + 1}};
      auto example = Proof(policy, pair);
      if (!example) continue;
      const Node* item = ItemAt(policy, i + 1);
      Span place = item == nullptr ? rules[i + 1].span : SpanOf(policy.meta.file, *item);
      const std::string first = "`" + std::string(PartName(one)) + "`";
      const std::string second = "`" + std::string(PartName(other)) + "`";
      Finding& finding = reporter_.Report(
          policy.meta, place,
          "the dash before " + second + " begins another rule, so that either " + first + " or " +
              second + " is enough: " + InWords(example->request) +
              " is let in; take the dash away where both are meant");
      finding.field_path = "spec.rules[" + std::to_string(i + 1) + "]";
      finding.fix = "Take the dash before " + second + " away.";
      const Node* before = ItemAt(policy, i);
      auto dash = DashOf(place);
      auto first_dash =
          before == nullptr ? std::nullopt : DashOf(SpanOf(policy.meta.file, *before));
      if (dash && first_dash && Locate(*dash).column == Locate(*first_dash).column) {
        finding.edits.push_back({*dash, " "});
      }
      AttachExample(analysis_, *example, &finding);
      return true;
    }
    return false;
  }

  void CheckSources(const Policy& policy, size_t index) {
    const Policy::Rule& rule = policy.rules[index];
    for (size_t j = 0; j + 1 < rule.from.size(); ++j) {
      if (!ProbablyOne(ShapeOf(rule.from[j]), ShapeOf(rule.from[j + 1]))) continue;
      Policy::Rule rest = rule;
      rest.from.clear();
      Region others = RegionOf(rest, policy.meta.ns);
      Pair pair{Region::And({others, RegionOf(rule.from[j], policy.meta.ns)}),
                Region::And({others, RegionOf(rule.from[j + 1], policy.meta.ns)}),
                {index}};
      Report(policy, pair, rule.from[j + 1].span, "source",
             "spec.rules[" + std::to_string(index) + "].from[" + std::to_string(j + 1) + "]");
      return;
    }
  }

  void CheckOperations(const Policy& policy, size_t index) {
    const Policy::Rule& rule = policy.rules[index];
    for (size_t j = 0; j + 1 < rule.to.size(); ++j) {
      auto one = ShapeOf(rule.to[j]), other = ShapeOf(rule.to[j + 1]);
      if (!one || !other || *one == 0 || *other == 0 || (*one & *other) != 0) continue;
      if (IsPublic(rule.to[j]) || IsPublic(rule.to[j + 1])) continue;
      Policy::Rule rest = rule;
      rest.to.clear();
      Region others = RegionOf(rest, policy.meta.ns);
      Pair pair{Region::And({others, RegionOf(rule.to[j])}),
                Region::And({others, RegionOf(rule.to[j + 1])}),
                {index}};
      Report(policy, pair, rule.to[j + 1].span, "operation",
             "spec.rules[" + std::to_string(index) + "].to[" + std::to_string(j + 1) + "]");
      return;
    }
  }

  // A request that the second item alone lets in, where the first alone lets something in too.
  std::optional<Example> Proof(const Policy& policy, const Pair& pair) const {
    constexpr size_t kMostSites = 2;
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    const Reach& reach = *analysis_.reach;
    for (const Site* site : sites) {
      std::vector<Region> elsewhere;
      for (const Policy* other : site->policies.allow) {
        for (size_t k = 0; k < other->rules.size(); ++k) {
          bool own = other == &policy &&
                     std::find(pair.rules.begin(), pair.rules.end(), k) != pair.rules.end();
          if (!own) elsewhere.push_back(Region::Rule(other->meta, static_cast<int>(k)));
        }
      }
      Region not_elsewhere = Region::Not(Region::Or(std::move(elsewhere)));
      Region routed = Region::Is(Region::Field::kRouted);
      for (int port : analysis_.reach->CalledPorts(*site)) {
        const auto find = [&](const Region& in, const Region& out) {
          return reach.Find(site->workload(), port,
                            Region::And({in, Region::Not(out), not_elsewhere, routed}),
                            Wanted::kAllowed);
        };
        if (!find(pair.first, pair.second).found()) continue;
        Answer answer = find(pair.second, pair.first);
        if (answer.found()) return answer.example;
      }
    }
    return std::nullopt;
  }

  void Report(const Policy& policy, const Pair& pair, const Span& place, const std::string& what,
              const std::string& path) {
    auto example = Proof(policy, pair);
    if (!example) return;
    Finding& finding =
        reporter_.Report(policy.meta, place,
                         "the dash before this `" + what +
                             "` makes it an alternative to the one above, so that "
                             "either is enough: " +
                             InWords(example->request) + " is let in; write both into one `" +
                             what + "` where both are meant");
    finding.field_path = path;
    finding.fix = "Write the fields of both into one `" + what + "`.";
    AttachExample(analysis_, *example, &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    checker.Check(policy);
  }
}

}  // namespace meshproof::extra_dash
