#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "analyze/rule.h"
#include "base/json.h"
#include "report/style.h"

// The pages of the rules in the forms in which people meet them.
namespace meshproof {

// A page in parts: its sections by title in order, each without its heading.
struct PageSection {
  std::string title, text;
};
std::vector<PageSection> SectionsOf(std::string_view page);
// The page without its front matter.
std::string_view BodyOf(std::string_view page);
// The text of the only fenced block of a section; "" where there is none or several.
std::string FencedBlock(std::string_view section);

// The page for a terminal: headings in bold, text wrapped, examples indented.
std::string PageText(const Rule& rule, const Style& style);
// {"code","name","severity","kinds","since","summary","istioctl_codes","references","page"}.
Json PageJson(const Rule& rule);

// Every rule on a line.
std::string RulesText(const Style& style);
Json RulesJson();
// The manual page meshproof-rules(7), in man's macros.
std::string RulesMan(std::string_view version);
// The rows of the table that says, in man's macros, which rules stand for which code of istioctl.
std::string IstioctlCodesMan();

// `file` as seen from `directory` (absolute) where it is in it; else unchanged.
std::string RelativePath(std::string_view directory, std::string_view file);

}  // namespace meshproof
