// Envoy's StringMatcher (envoy-facts section 1.2) over RE2, the engine Envoy itself uses. Most
// patterns of a mesh are literals between `.*` (a namespace is `.*/ns/shop/.*`): these are matched
// without the engine, ten times as fast.
#include "match/string_matcher.h"

#include <re2/re2.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/text.h"

namespace meshproof {
namespace {

re2::StringPiece Re2Text(std::string_view text) {
  return {text.data(), text.size()};
}

bool IsPatternLiteral(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("/-_:@=,~%&#!<>; ").find(c) != std::string_view::npos;
}

bool IsPunctuation(char c) {
  return c > ' ' && c < 0x7F && !IsPatternLiteral(c) && c != '_';
}

// A pattern that is nothing but literals with `.*` between them: "ab.*c" is {"ab", "c"}.
class StarPattern {
 public:
  // Nothing where the pattern is more than that.
  static std::optional<StarPattern> Parse(std::string_view pattern) {
    StarPattern parsed;
    parsed.pieces_.emplace_back();
    for (size_t at = 0; at < pattern.size(); ++at) {
      const char c = pattern[at];
      const char next = at + 1 < pattern.size() ? pattern[at + 1] : '\0';
      if (c == '.' && next == '*') {
        parsed.pieces_.emplace_back();
        ++at;
      } else if (c == '\\' && (IsPunctuation(next) || next == '-' || next == '/')) {
        parsed.pieces_.back() += next;
        ++at;
      } else if (IsPatternLiteral(c)) {
        parsed.pieces_.back() += c;
      } else {
        return std::nullopt;
      }
    }
    return parsed;
  }

  // `text` holds no newline, which `.` does not match.
  bool Matches(std::string_view text) const {
    const std::string& head = pieces_.front();
    if (pieces_.size() == 1) return text == head;
    const std::string& tail = pieces_.back();
    if (text.size() < head.size() + tail.size()) return false;
    if (!text.starts_with(head) || !text.ends_with(tail)) return false;
    text = text.substr(head.size(), text.size() - head.size() - tail.size());
    for (size_t i = 1; i + 1 < pieces_.size(); ++i) {
      const size_t found = text.find(pieces_[i]);
      if (found == std::string_view::npos) return false;
      text.remove_prefix(found + pieces_[i].size());
    }
    return true;
  }

 private:
  std::vector<std::string> pieces_;  // one more than stars
};

// What every Regex holds.
struct Program : re2::RE2 {
  Program(const std::string& pattern, const re2::RE2::Options& options)
      : RE2(pattern, options), stars(StarPattern::Parse(pattern)) {}

  const std::optional<StarPattern> stars;
};

// Compiling costs a thousand times more than matching, and a mesh repeats its patterns.
class ProgramCache {
 public:
  std::shared_ptr<const Program> Get(const std::string& pattern) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = programs_.find(pattern);
      if (found != programs_.end()) return found->second;
    }
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    options.set_log_errors(false);
    auto program = std::make_shared<const Program>(pattern, options);
    if (!program->ok()) return program;
    std::lock_guard<std::mutex> lock(mutex_);
    if (programs_.size() >= kSweepAt) DropUnused();
    return programs_.emplace(pattern, std::move(program)).first->second;
  }

 private:
  static constexpr size_t kSweepAt = 8192;

  void DropUnused() {
    for (auto it = programs_.begin(); it != programs_.end();) {
      it = it->second.use_count() == 1 ? programs_.erase(it) : std::next(it);
    }
  }

  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const Program>> programs_;
};

ProgramCache& Cache() {
  static ProgramCache* const cache = new ProgramCache;  // outlives every static Regex
  return *cache;
}

StringMatcher Make(StringMatcher::Kind kind, std::string value, bool ignore_case) {
  StringMatcher matcher;
  matcher.kind = kind;
  matcher.value = std::move(value);
  matcher.ignore_case = ignore_case;
  return matcher;
}

bool StartsWith(std::string_view text, std::string_view prefix, bool ignore_case) {
  return ignore_case ? StartsWithIgnoreCase(text, prefix) : text.starts_with(prefix);
}

bool EndsWith(std::string_view text, std::string_view suffix, bool ignore_case) {
  return ignore_case ? EndsWithIgnoreCase(text, suffix) : text.ends_with(suffix);
}

bool ContainsText(std::string_view text, std::string_view part, bool ignore_case) {
  if (!ignore_case) return text.find(part) != std::string_view::npos;
  return ToLower(text).find(ToLower(part)) != std::string::npos;
}

}  // namespace

Result<Regex> Regex::Compile(std::string_view pattern) {
  auto program = Cache().Get(std::string(pattern));
  if (!program->ok()) return Error{program->error()};
  Regex regex;
  regex.program_ = std::move(program);
  return regex;
}

bool Regex::FullMatch(std::string_view text) const {
  MESHPROOF_CHECK(program_ != nullptr);
  const auto& program = static_cast<const Program&>(*program_);
  if (program.stars && text.find('\n') == std::string_view::npos) {
    return program.stars->Matches(text);
  }
  return re2::RE2::FullMatch(Re2Text(text), program);
}

bool Regex::PartialMatch(std::string_view text) const {
  return re2::RE2::PartialMatch(Re2Text(text), *program_);
}

std::string Regex::Replace(std::string_view text, const std::string& substitution) const {
  std::string out(text);
  if (program_ != nullptr) re2::RE2::GlobalReplace(&out, *program_, substitution);
  return out;
}

int Regex::ProgramSize() const {
  return program_->ProgramSize();
}

const std::string& Regex::pattern() const {
  MESHPROOF_CHECK(program_ != nullptr);
  return program_->pattern();
}

std::string QuoteRegex(std::string_view text) {
  return re2::RE2::QuoteMeta(Re2Text(text));
}

bool StringMatcher::Matches(std::string_view text) const {
  switch (kind) {
    case Kind::kExact:
      return ignore_case ? EqualsIgnoreCase(text, value) : text == value;
    case Kind::kPrefix:
      return StartsWith(text, value, ignore_case);
    case Kind::kSuffix:
      return EndsWith(text, value, ignore_case);
    case Kind::kContains:
      return ContainsText(text, value, ignore_case);
    case Kind::kRegex:
      return regex.FullMatch(text);
  }
  return false;
}

StringMatcher StringMatcher::Exact(std::string value, bool ignore_case) {
  return Make(Kind::kExact, std::move(value), ignore_case);
}

StringMatcher StringMatcher::Prefix(std::string value, bool ignore_case) {
  return Make(Kind::kPrefix, std::move(value), ignore_case);
}

StringMatcher StringMatcher::Suffix(std::string value, bool ignore_case) {
  return Make(Kind::kSuffix, std::move(value), ignore_case);
}

StringMatcher StringMatcher::Contains(std::string value, bool ignore_case) {
  return Make(Kind::kContains, std::move(value), ignore_case);
}

StringMatcher StringMatcher::Pattern(std::string_view pattern) {
  StringMatcher matcher = Make(Kind::kRegex, std::string(pattern), false);
  auto regex = Regex::Compile(pattern);
  MESHPROOF_CHECK(regex.ok());
  matcher.regex = regex.Take();
  return matcher;
}

}  // namespace meshproof
