// The manual page of the rules: the pages in man's macros.
#include <map>

#include "base/text.h"
#include "report/rule_page.h"

namespace meshproof {
namespace {

// A line of text: backslashes, hyphens and a leading control character are no macros.
std::string Roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else {
      out += c;
    }
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

// A paragraph: `code` and **bold** are bold.
std::string Paragraph(std::string_view text) {
  std::string out;
  bool bold = false;
  std::string piece;
  auto flush = [&] {
    out += bold ? "\\fB" + Roff(piece) + "\\fR" : Roff(piece);
    piece.clear();
  };
  for (size_t i = 0; i < text.size(); ++i) {
    bool stars = text.substr(i, 2) == "**";
    if (text[i] != '`' && !stars) {
      piece += text[i];
      continue;
    }
    flush();
    bold = !bold;
    i += stars ? 1 : 0;
  }
  flush();
  return out + "\n";
}

void AppendSection(const PageSection& section, std::string* out) {
  *out += ".PP\n.I " + Roff(section.title) + "\n";
  bool fenced = false, started = false;
  for (std::string_view line : Split(TrimSpace(section.text), '\n')) {
    if (line.starts_with("```")) {
      fenced = !fenced;
      *out += fenced ? ".PP\n.in +4n\n.EX\n" : ".EE\n.in\n";
    } else if (fenced) {
      *out += Roff(line) + "\n";
    } else if (line.empty()) {
      started = false;
    } else {
      if (line.starts_with("- ")) {
        *out += ".br\n";
      } else if (!started) {
        *out += ".br\n";
      }
      *out += Paragraph(line);
      started = true;
    }
  }
}

}  // namespace

std::string RulesMan(std::string_view version) {
  std::string out =
      ".\\\" Made of the pages in rules/; a test says how to make it anew.\n"
      ".TH MESHPROOF\\-RULES 7 \"\" \"meshproof " +
      std::string(version) +
      "\" \"Miscellaneous\"\n"
      ".SH NAME\n"
      "meshproof\\-rules \\- the misconfigurations that meshproof analyze finds\n"
      ".SH DESCRIPTION\n"
      "The rules of\n"
      ".BR \"meshproof analyze\" ,\n"
      "by code.\n"
      ".B meshproof explain\n"
      ".I RULE\n"
      "prints one of these pages.\n"
      "The comment\n"
      ".B # <\\-\n"
      "marks the line of an example that the finding points to.\n";
  for (const Rule& rule : AllRules()) {
    out += ".SH " + rule.code + " " + Roff(ToLower(rule.slug)) + "\n";
    out += Roff(rule.summary) + ".\n.br\nSeverity: " + std::string(ToString(rule.severity)) +
           ". Since: " + rule.since + ".\n";
    if (!rule.kinds.empty()) out += ".br\nKinds: " + Roff(Join(rule.kinds, ", ")) + ".\n";
    if (!rule.istioctl.empty()) {
      out += ".br\nistioctl: " + Roff(Join(rule.istioctl, ", ")) + ".\n";
    }
    for (const PageSection& section : SectionsOf(rule.page)) AppendSection(section, &out);
    if (!rule.refs.empty()) {
      out += ".PP\n.I References\n";
      for (const auto& ref : rule.refs) out += ".br\n" + Roff(ref) + "\n";
    }
  }
  return out + ".SH SEE ALSO\n.BR meshproof (1)\n";
}

std::string IstioctlCodesMan() {
  std::map<std::string, std::vector<std::string>> rules;
  for (const Rule& rule : AllRules()) {
    for (const auto& code : rule.istioctl) {
      rules[code].push_back(rule.code + " (" + std::string(rule.slug) + ")");
    }
  }
  std::string out;
  for (const auto& [code, names] : rules) {
    out += ".TP\n.B " + code + "\n" + Roff(Join(names, ", ")) + "\n";
  }
  return out;
}

}  // namespace meshproof
