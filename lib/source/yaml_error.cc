#include "source/yaml_error.h"

#include <fmt/format.h>

#include <algorithm>

#include "source/yaml_text.h"

namespace meshproof {
namespace {

constexpr std::string_view kTabHelp = "indent with blanks; YAML takes no tabs there";

// The tab in the blanks that the line of `at` starts with, or npos.
size_t LeadingTab(std::string_view text, uint32_t at) {
  uint32_t start = at - ColumnOf(text, at);
  size_t end = text.find_first_not_of(" \t", start);
  size_t tab = text.find('\t', start);
  return tab < std::min(end, text.size()) ? tab : std::string_view::npos;
}

std::string Quoted(std::string_view text, uint32_t at) {
  if (at >= text.size()) return "the end of the document";
  size_t length = 1;
  while (at + length < text.size() && (static_cast<unsigned char>(text[at + length]) >> 6) == 2) {
    ++length;
  }
  char c = text[at];
  if (c == '\n' || c == '\r') return "the end of the line";
  return c == '`' ? "\"`\"" : fmt::format("`{}`", text.substr(at, length));
}

// Where the `*` or `&` stands that yaml-cpp has just eaten.
uint32_t Indicator(std::string_view text, uint32_t at, char indicator) {
  return at > 0 && text[at - 1] == indicator ? at - 1 : at;
}

YamlError Unfinished(std::string_view text, uint32_t at, const OpenCollection& open) {
  std::string_view what = open.mapping ? "mapping" : "list";
  char close = open.mapping ? '}' : ']';
  uint32_t token = SkipSpace(text, std::min(at, static_cast<uint32_t>(text.size())));
  if (token >= text.size()) {
    return {open.begin, fmt::format("this {} is not closed by `{}`", what, close), ""};
  }
  return {at,
          fmt::format("expected `,` or `{}` of the {} that starts on line {}, found {}", close,
                      what, open.line, Quoted(text, at)),
          ""};
}

}  // namespace

YamlError ExplainYamlError(std::string_view message, std::string_view text, uint32_t at,
                           uint32_t read, const OpenCollection& open) {
  auto is = [&](std::string_view start) { return message.starts_with(start); };
  at = std::min(at, static_cast<uint32_t>(text.size()));
  size_t tab = LeadingTab(text, at);
  if (tab != std::string_view::npos && !(open.exists && open.flow)) {
    return {static_cast<uint32_t>(tab), "a tab in the indentation", std::string(kTabHelp)};
  }
  if (is("illegal tab")) return {at, "a tab in the indentation", std::string(kTabHelp)};
  if (is("illegal EOF in scalar") || is("illegal document indicator")) {
    uint32_t quote = FindOpenQuote(text, read).value_or(at);
    return {quote, "the quoted text that starts here is not closed", ""};
  }
  if (is("end of map flow") || is("end of sequence flow")) {
    if (open.exists && open.flow) return Unfinished(text, at, open);
    return {at, fmt::format("unexpected {} between brackets", Quoted(text, at)), ""};
  }
  if (is("end of map not found")) {
    return {at,
            fmt::format("expected a key of the mapping that starts on line {}, found {}", open.line,
                        Quoted(text, at)),
            "check the indentation of this line"};
  }
  if (is("end of sequence not found")) {
    return {at,
            fmt::format("expected `-` of the list that starts on line {}, found {}", open.line,
                        Quoted(text, at)),
            "check the indentation of this line"};
  }
  if (is("illegal map value")) {
    return {at, "a `:` where no key stands in front of it",
            "quote the text if the `:` belongs to it; check the indentation otherwise"};
  }
  if (is("illegal map key")) return {at, "a `?` where no key can start", ""};
  if (is("illegal block entry")) {
    return {at, "a `-` where no list item can start",
            "put the list on lines of its own, or quote the text"};
  }
  if (is("illegal flow end")) {
    return {at, fmt::format("{} closes nothing that is open", Quoted(text, at)), ""};
  }
  if (is("unknown token")) {
    return {at, fmt::format("{} cannot start a value", Quoted(text, at)),
            "quote the text that starts with it"};
  }
  if (is("unknown escape character")) {
    uint32_t slash = at;
    while (slash > read && text[slash - 1] != '\\') --slash;
    if (slash > read) --slash;
    return {slash, fmt::format("unknown escape `{}`", text.substr(slash, 2)),
            "write `\\\\` for a backslash, or use single quotes"};
  }
  if (is("bad character found while scanning hex") || is("invalid unicode")) {
    return {at, "this escape is no Unicode character", ""};
  }
  if (is("the referenced anchor is not defined")) {
    uint32_t end = AliasEnd(text, std::min(at, static_cast<uint32_t>(text.size()) - 1));
    return {at, fmt::format("alias `{}` has no anchor before it", text.substr(at, end - at)),
            "quote the text if it is no alias"};
  }
  if (is("alias not found") || is("illegal character found while scanning alias")) {
    return {Indicator(text, at, '*'), "a `*` that is no alias",
            "quote the text that starts with it"};
  }
  if (is("anchor not found") || is("illegal character found while scanning anchor")) {
    return {Indicator(text, at, '&'), "a `&` that is no anchor",
            "quote the text that starts with it"};
  }
  if (is("illegal character found while scanning tag") || is("tag handle with no suffix") ||
      is("end of verbatim tag")) {
    return {at, "a `!` that is no tag", "quote the text that starts with it"};
  }
  if (is("cannot assign multiple tags")) return {at, "a value with two tags", ""};
  if (is("cannot assign multiple anchors")) return {at, "a value with two anchors", ""};
  if (is("unexpected character in block scalar")) {
    return {at, "text behind the `|` or `>` of a block of text", "start the text on the next line"};
  }
  if (is("cannot set zero indentation")) return {at, "a block of text cannot be indented by 0", ""};
  if (is("YAML directive") || is("bad YAML version") || is("repeated") || is("TAG directive") ||
      is("YAML major version")) {
    return {at, fmt::format("bad directive: {}", message), ""};
  }
  return {at, std::string(message), ""};
}

}  // namespace meshproof
