// Envoy's StringMatcher (envoy-facts section 1.2) over RE2, the engine Envoy itself uses.
#include "match/string_matcher.h"

#include <re2/re2.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace meshproof {
namespace {

re2::StringPiece Piece(std::string_view text) {
  return {text.data(), text.size()};
}

// Compiling costs a thousand times more than matching, and a mesh repeats its patterns.
class ProgramCache {
 public:
  std::shared_ptr<const re2::RE2> Get(const std::string& pattern) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = programs_.find(pattern);
      if (found != programs_.end()) return found->second;
    }
    re2::RE2::Options options;
    options.set_encoding(re2::RE2::Options::EncodingLatin1);
    options.set_log_errors(false);
    auto program = std::make_shared<const re2::RE2>(pattern, options);
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
  std::unordered_map<std::string, std::shared_ptr<const re2::RE2>> programs_;
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
  return re2::RE2::FullMatch(Piece(text), *program_);
}

bool Regex::PartialMatch(std::string_view text) const {
  return re2::RE2::PartialMatch(Piece(text), *program_);
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
  return re2::RE2::QuoteMeta(Piece(text));
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
