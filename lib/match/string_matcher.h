#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace re2 {
class RE2;
}

namespace meshproof {

// A compiled regular expression in Envoy's own engine: RE2 over bytes (Latin-1), full match, `.`
// is any byte but a newline (oracle facts, section 1.2). Cheap to copy; equal patterns share one
// compiled program.
class Regex {
 public:
  Regex() = default;
  static Result<Regex> Compile(std::string_view pattern);

  bool FullMatch(std::string_view text) const;
  // A match anywhere in the text, as Go's MatchString.
  bool PartialMatch(std::string_view text) const;
  // Every match replaced, `\1` standing for what the first group took (RE2::GlobalReplace).
  std::string Replace(std::string_view text, const std::string& substitution) const;
  // How large the compiled program is; grows with the cost of matching.
  int ProgramSize() const;
  const std::string& pattern() const;
  explicit operator bool() const { return program_ != nullptr; }

 private:
  std::shared_ptr<const re2::RE2> program_;
};

// RE2::QuoteMeta: `text` as a pattern that matches just it.
std::string QuoteRegex(std::string_view text);

// envoy.type.matcher.v3.StringMatcher.
struct StringMatcher {
  enum class Kind { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  std::string value;         // kRegex: the pattern
  bool ignore_case = false;  // not for kRegex: Envoy refuses it
  Regex regex;               // kRegex only

  bool Matches(std::string_view text) const;

  static StringMatcher Exact(std::string value, bool ignore_case = false);
  static StringMatcher Prefix(std::string value, bool ignore_case = false);
  static StringMatcher Suffix(std::string value, bool ignore_case = false);
  static StringMatcher Contains(std::string value, bool ignore_case = false);
  // The pattern must compile (istiod's own patterns always do).
  static StringMatcher Pattern(std::string_view pattern);
};

}  // namespace meshproof
