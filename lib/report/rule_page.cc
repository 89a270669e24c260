#include "report/rule_page.h"

#include "base/text.h"

namespace meshproof {
namespace {

constexpr size_t kWidth = 80;

std::string Wrap(std::string_view text, size_t indent) {
  std::string out, line(indent, ' ');
  bool empty = true;
  for (std::string_view word : Split(text, ' ')) {
    if (word.empty()) continue;
    if (!empty && line.size() + 1 + word.size() > kWidth) {
      out += line + "\n";
      line.assign(indent, ' ');
      empty = true;
    }
    if (!empty) line += " ";
    line += word;
    empty = false;
  }
  return out + line + "\n";
}

bool IsListItem(std::string_view line) {
  return line.starts_with("- ") || line.starts_with("* ");
}

Json ListJson(const std::vector<std::string>& values) {
  Json out = Json::MakeArray();
  for (const auto& value : values) out.Append(value);
  return out;
}

}  // namespace

std::string_view BodyOf(std::string_view page) {
  size_t end = page.find("\n---\n", 3);
  std::string_view body = page.substr(end + 5);
  while (body.starts_with('\n')) body.remove_prefix(1);
  return body;
}

std::vector<PageSection> SectionsOf(std::string_view page) {
  std::vector<PageSection> sections;
  bool fenced = false;
  for (std::string_view line : Split(BodyOf(page), '\n')) {
    if (line.starts_with("```")) fenced = !fenced;
    if (!fenced && line.starts_with("## ")) {
      sections.push_back({std::string(line.substr(3)), ""});
    } else if (!sections.empty()) {
      sections.back().text += std::string(line) + "\n";
    }
  }
  for (auto& section : sections) section.text = std::string(TrimSpace(section.text)) + "\n";
  return sections;
}

std::string FencedBlock(std::string_view section) {
  std::string block;
  int fences = 0;
  for (std::string_view line : Split(section, '\n')) {
    if (line.starts_with("```")) {
      ++fences;
    } else if (fences == 1) {
      block += std::string(line) + "\n";
    }
  }
  return fences == 2 ? block : "";
}

std::string PageText(const Rule& rule, const Style& style) {
  std::string out = style.Bold(rule.code + " " + std::string(rule.slug)) + "  " +
                    std::string(ToString(rule.severity)) + ", since " + rule.since + "\n" +
                    Wrap(rule.summary, 0);
  if (!rule.kinds.empty()) out += Wrap("Kinds: " + Join(rule.kinds, ", "), 0);
  if (!rule.istioctl.empty()) out += Wrap("istioctl: " + Join(rule.istioctl, ", "), 0);
  for (const PageSection& section : SectionsOf(rule.page)) {
    out += "\n" + style.Bold(section.title) + "\n";
    bool fenced = false;
    for (std::string_view line : Split(TrimSpace(section.text), '\n')) {
      if (line.starts_with("```")) {
        fenced = !fenced;
      } else if (fenced) {
        out += line.empty() ? "\n" : "    " + std::string(line) + "\n";
      } else if (line.empty()) {
        out += "\n";
      } else {
        out += Wrap(line, IsListItem(line) ? 4 : 2);
      }
    }
  }
  if (!rule.refs.empty()) {
    out += "\n" + style.Bold("References") + "\n";
    for (const auto& ref : rule.refs) out += "  " + ref + "\n";
  }
  return out;
}

Json PageJson(const Rule& rule) {
  Json out = Json::MakeObject({{"code", rule.code},
                               {"name", rule.slug},
                               {"severity", ToString(rule.severity)},
                               {"kinds", ListJson(rule.kinds)},
                               {"since", rule.since},
                               {"summary", rule.summary}});
  out.Set("istioctl_codes", ListJson(rule.istioctl));
  out.Set("references", ListJson(rule.refs));
  out.Set("page", BodyOf(rule.page));
  return out;
}

std::string RulesText(const Style& style) {
  size_t width = 0;
  for (const Rule& rule : AllRules()) width = std::max(width, rule.slug.size());
  std::string out;
  for (const Rule& rule : AllRules()) {
    std::string slug(rule.slug), severity(ToString(rule.severity));
    slug.resize(width, ' ');
    severity.resize(7, ' ');
    out += style.Bold(rule.code) + "  " + severity + "  " + slug + "  " + rule.summary + "\n";
  }
  return out;
}

Json RulesJson() {
  Json rules = Json::MakeArray();
  for (const Rule& rule : AllRules()) {
    rules.Append(Json::MakeObject({{"code", rule.code},
                                   {"name", rule.slug},
                                   {"severity", ToString(rule.severity)},
                                   {"kinds", ListJson(rule.kinds)},
                                   {"since", rule.since},
                                   {"summary", rule.summary}}));
  }
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("rules", std::move(rules));
  return out;
}

std::string RelativePath(std::string_view directory, std::string_view file) {
  if (directory.empty() || !file.starts_with(directory)) return std::string(file);
  std::string_view rest = file.substr(directory.size());
  if (!directory.ends_with('/')) {
    if (!rest.starts_with('/')) return std::string(file);
    rest.remove_prefix(1);
  }
  return rest.empty() ? std::string(file) : std::string(rest);
}

}  // namespace meshproof
