#include "analyze/rule.h"
#include "analyze/suppress.h"
#include "app/analyze.h"
#include "base/text.h"
#include "report/rule_page.h"

namespace meshproof {
namespace {

// By code, name, or a code of istioctl, which several rules may stand for.
std::vector<const Rule*> FindRules(const std::string& text) {
  if (const Rule* rule = FindRule(text)) return {rule};
  std::vector<const Rule*> found;
  for (const Rule& rule : AllRules()) {
    for (const auto& code : rule.istioctl) {
      if (EqualsIgnoreCase(code, text)) found.push_back(&rule);
    }
  }
  return found;
}

}  // namespace

Exit RunExplain(const ExplainOptions& options, const Host& host) {
  std::vector<const Rule*> rules = FindRules(options.rule);
  if (rules.empty()) {
    return Fail(host, Error{UnknownRule(options.rule) + " (`meshproof rules` lists them)"});
  }
  if (options.format == "json") {
    Json list = Json::MakeArray();
    for (const Rule* rule : rules) list.Append(PageJson(*rule));
    Json out = Json::MakeObject({{"version", 1}});
    out.Set("rules", std::move(list));
    host.out << WriteJson(out, 2) << "\n";
    return Exit::kOk;
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    if (i > 0) host.out << "\n";
    // A pipe gets the page as it is written.
    if (host.colour) {
      host.out << PageText(*rules[i], Style{true});
    } else {
      host.out << rules[i]->page;
    }
  }
  return Exit::kOk;
}

Exit RunRules(const RulesOptions& options, const Host& host) {
  if (options.format == "json") {
    host.out << WriteJson(RulesJson(), 2) << "\n";
  } else {
    host.out << RulesText(Style{host.colour});
  }
  return Exit::kOk;
}

}  // namespace meshproof
