// envoy.extensions.path.match.uri_template of Envoy 1.40: the grammar, the order of its checks and
// the regular expression it becomes (envoy-facts section 1.4; the oracle's facts, section 1.4;
// testdata/envoy-recorded/path_templates.tsv). Since 1.40 a variable may stand between literal text
// in its segment: `/a{name}.js`.
// Two oddities are Envoy's own: `*` inside a literal stays a repetition operator, and a template
// whose expression RE2 refuses is accepted and matches nothing.
#include <fmt/core.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "match/path.h"

namespace meshproof {
namespace {

constexpr size_t kMaxLength = 256;
constexpr size_t kMaxVariables = 5;
constexpr size_t kMaxNameLength = 16;
constexpr std::string_view kSegmentClass = "a-zA-Z0-9-._~%!$&'()*+,;:@=";
constexpr std::string_view kMatchesNothing = "[^\\x00-\\xff]";

bool IsAlpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsAlphaNumeric(char c) {
  return IsAlpha(c) || (c >= '0' && c <= '9');
}

bool IsLiteral(std::string_view text) {
  constexpr std::string_view kMarks = "-._~%!$&'()*+,;:@=";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return IsAlphaNumeric(c) || kMarks.find(c) != std::string_view::npos;
  });
}

bool IsVariableName(std::string_view text) {
  return !text.empty() && IsAlpha(text[0]) && std::all_of(text.begin(), text.end(), [](char c) {
    return IsAlphaNumeric(c) || c == '_';
  });
}

struct Piece {
  enum class Kind { kLiteral, kSegment, kRest };  // text, `*`, `**`
  Kind kind = Kind::kLiteral;
  std::string_view text;  // kLiteral
};

struct Segment {
  std::optional<std::string_view> variable;
  std::vector<Piece> pieces;  // one where this is no variable; none for `{name}`
  std::string_view before;    // literal text around a variable
  std::string_view behind;
};

struct Template {
  std::vector<Segment> segments;
  std::string_view suffix;  // literal text straight behind a last `*` or `**`
};

// Each Read function takes its piece off the front of `rest_`; false leaves the reason in `error_`.
class TemplateReader {
 public:
  explicit TemplateReader(std::string_view text) : rest_(text) {}

  const std::string& error() const { return error_; }

  bool Read(Template* out) {
    bool graphic =
        std::all_of(rest_.begin(), rest_.end(), [](char c) { return c > ' ' && c < 0x7F; });
    if (!rest_.starts_with('/') || !graphic) {
      return Fail(fmt::format("Invalid pattern: \"{}\"", rest_));
    }
    rest_.remove_prefix(1);
    while (!rest_.empty()) {
      Segment segment;
      if (!ReadSegment(&segment)) return false;
      out->segments.push_back(std::move(segment));
      if (rest_ == "/") {
        out->segments.push_back({std::nullopt, {Piece{}}, "", ""});
        return true;
      }
      if (rest_.starts_with('/')) {
        rest_.remove_prefix(1);
      } else if (!rest_.empty()) {
        Piece suffix;
        if (!ReadLiteral(&rest_, &suffix)) return false;
        out->suffix = suffix.text;
        return rest_.empty() || Fail("Prefix match not supported.");
      }
    }
    return true;
  }

 private:
  bool Fail(std::string reason) {
    error_ = std::move(reason);
    return false;
  }

  bool ReadSegment(Segment* out) {
    std::string_view segment = rest_.substr(0, rest_.find('/'));
    bool braces =
        segment.find('{') != std::string_view::npos && segment.find('}') != std::string_view::npos;
    if (rest_[0] == '{' || (rest_[0] != '*' && braces)) return ReadVariable(out);
    out->pieces.emplace_back();
    return ReadPiece(&rest_, &out->pieces.back());
  }

  bool ReadPiece(std::string_view* text, Piece* out) {
    if (!text->starts_with('*')) return ReadLiteral(text, out);
    bool rest = text->starts_with("**");
    out->kind = rest ? Piece::Kind::kRest : Piece::Kind::kSegment;
    text->remove_prefix(rest ? 2 : 1);
    return true;
  }

  bool ReadLiteral(std::string_view* text, Piece* out) {
    out->text = text->substr(0, text->find('/'));
    text->remove_prefix(out->text.size());
    return IsLiteral(out->text) || Fail(fmt::format("Invalid literal: \"{}\"", out->text));
  }

  bool ReadVariable(Segment* out) {
    size_t open = rest_.find('{');
    size_t close = rest_.find('}', open);
    if (close == std::string_view::npos) {
      return Fail(fmt::format("Unmatched variable bracket in mixed pattern: \"{}\"", rest_));
    }
    std::string_view inside = rest_.substr(open + 1, close - open - 1);
    out->before = rest_.substr(0, open);
    rest_.remove_prefix(close + 1);
    out->behind = rest_.substr(0, rest_.find('/'));
    rest_.remove_prefix(out->behind.size());
    if (!out->before.empty() && !IsLiteral(out->before)) {
      return Fail(fmt::format("Invalid prefix literal: \"{}\"", out->before));
    }
    if (!out->behind.empty() && !IsLiteral(out->behind)) {
      return Fail(fmt::format("Invalid suffix literal: \"{}\"", out->behind));
    }
    size_t equals = inside.find('=');
    out->variable = inside.substr(0, equals);
    if (!IsVariableName(*out->variable)) {
      return Fail(fmt::format("Invalid variable name: \"{}\"", *out->variable));
    }
    if (equals == std::string_view::npos) return true;
    return ReadVariablePattern(inside.substr(equals + 1), out);
  }

  bool ReadVariablePattern(std::string_view pattern, Segment* out) {
    if (pattern.empty()) return Fail("Empty variable match");
    while (!pattern.empty()) {
      out->pieces.emplace_back();
      if (!ReadPiece(&pattern, &out->pieces.back())) return false;
      if (pattern.empty()) return true;
      if (pattern[0] != '/' || pattern.size() == 1) {
        return Fail(fmt::format("Invalid variable match: \"{}\"", pattern));
      }
      pattern.remove_prefix(1);
    }
    return true;
  }

  std::string_view rest_;
  std::string error_;
};

// Why the variables are refused; empty where they are not.
std::string CheckVariables(const Template& parsed) {
  std::vector<std::string_view> names;
  for (const Segment& segment : parsed.segments) {
    if (!segment.variable) continue;
    std::string_view name = *segment.variable;
    if (names.size() >= kMaxVariables) {
      return fmt::format("Exceeded variable count limit ({})", kMaxVariables);
    }
    if (name.size() > kMaxNameLength) {
      return fmt::format(
          "Invalid variable name length (length of \"{}\" should be at least 1 and no more than "
          "{})",
          name, kMaxNameLength);
    }
    if (std::find(names.begin(), names.end(), name) != names.end()) {
      return fmt::format("Repeated variable name: \"{}\"", name);
    }
    names.push_back(name);
  }
  return "";
}

// Nothing but literals may stand behind `**`.
std::string CheckGlobs(const Template& parsed) {
  bool rest_seen = false;
  for (const Segment& segment : parsed.segments) {
    if (segment.pieces.empty() && rest_seen) {
      return "Implicit variable path glob after text glob.";
    }
    for (const Piece& piece : segment.pieces) {
      if (piece.kind == Piece::Kind::kLiteral) continue;
      if (rest_seen) return "Glob after text glob.";
      rest_seen = piece.kind == Piece::Kind::kRest;
    }
  }
  return "";
}

void AppendLiteral(std::string_view text, std::string* regex) {
  for (char c : text) {
    if (std::string_view("$().+").find(c) != std::string_view::npos) regex->push_back('\\');
    regex->push_back(c);
  }
}

void AppendPiece(const Piece& piece, std::string* regex) {
  switch (piece.kind) {
    case Piece::Kind::kLiteral:
      AppendLiteral(piece.text, regex);
      break;
    case Piece::Kind::kSegment:
      *regex += fmt::format("[{}]+", kSegmentClass);
      break;
    case Piece::Kind::kRest:
      *regex += fmt::format("[{}/]*", kSegmentClass);
      break;
  }
}

std::string ToRegex(const Template& parsed) {
  std::string regex = "/";
  for (size_t i = 0; i < parsed.segments.size(); ++i) {
    const Segment& segment = parsed.segments[i];
    if (i > 0) regex.push_back('/');
    AppendLiteral(segment.before, &regex);
    if (segment.variable) regex.push_back('(');
    if (segment.pieces.empty()) AppendPiece({Piece::Kind::kSegment, ""}, &regex);
    for (size_t j = 0; j < segment.pieces.size(); ++j) {
      if (j > 0) regex.push_back('/');
      AppendPiece(segment.pieces[j], &regex);
    }
    if (segment.variable) regex.push_back(')');
    AppendLiteral(segment.behind, &regex);
  }
  AppendLiteral(parsed.suffix, &regex);
  return regex;
}

}  // namespace

Result<Regex> CompilePathTemplate(std::string_view path_template) {
  if (path_template.empty() || path_template.size() > kMaxLength) {
    return Error{fmt::format(
        "path_template {} is invalid: value must have between 1 and {} characters inclusive",
        path_template, kMaxLength)};
  }
  auto invalid = [&](const std::string& reason) {
    return Error{
        fmt::format("path_match_policy.path_template {} is invalid: {}", path_template, reason)};
  };
  Template parsed;
  TemplateReader reader(path_template);
  if (!reader.Read(&parsed)) return invalid(reader.error());
  if (std::string reason = CheckVariables(parsed); !reason.empty()) return invalid(reason);
  if (std::string reason = CheckGlobs(parsed); !reason.empty()) return invalid(reason);
  auto regex = Regex::Compile(ToRegex(parsed));
  return regex.ok() ? std::move(regex) : Regex::Compile(kMatchesNothing);
}

}  // namespace meshproof
