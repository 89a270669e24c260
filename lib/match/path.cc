// What Envoy's connection manager makes of a request's path before any filter sees it, with the
// runtime of Istio's bootstrap (envoy-facts section 5; testdata/envoy-recorded/paths.tsv holds what
// Envoy 1.40 answered):
//   1. from `#` on everything is dropped;
//   2. %2F and %5C become / and \ once (path_with_escaped_slashes_action), not in the query;
//   3. normalize_path: the parameters of `.;x` and `..;x` segments are dropped, then the path
//   before
//      `?` is canonicalized as browsers do;
//   4. merge_slashes, not in the query; a path of slashes alone becomes `//`.
#include "match/path.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "base/text.h"
#include "match/normal_path.h"

namespace meshproof {
namespace {

enum class PathByte { kKeep, kDecode, kEscape };

// What canonicalization does to a byte: kDecode bytes stand bare (their escapes are undone),
// kEscape bytes as escapes, kKeep bytes as they were written.
PathByte Classify(unsigned char c) {
  if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
    return PathByte::kDecode;
  }
  if (c <= 0x20 || c >= 0x7F) return PathByte::kEscape;
  switch (c) {
    case '-':
    case '_':
    case '~':
      return PathByte::kDecode;
    case '"':
    case '#':
    case '<':
    case '>':
    case '?':
    case '^':
    case '`':
    case '{':
    case '|':
    case '}':
      return PathByte::kEscape;
    default:
      return PathByte::kKeep;
  }
}

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool IsSlash(char c) {
  return c == '/' || c == '\\';
}

// Reads the path once from left to right; the output always begins with a slash.
class Canonicalizer {
 public:
  explicit Canonicalizer(std::string_view path) : in_(path) {
    out_.reserve(path.size() + 16);
    if (path.empty() || !IsSlash(path[0])) out_.push_back('/');
  }

  // False where the path is refused: it holds %00 (or NUL, which no codec lets through).
  bool Run() {
    while (at_ < in_.size()) {
      char c = in_[at_];
      if (c == '\0') return false;
      if (size_t dot = DotLength(at_); dot > 0) {
        TakeDot(dot);
      } else if (c == '\\') {
        Take('/');
      } else if (c == '%') {
        if (!TakePercent()) return false;
      } else if (Classify(static_cast<unsigned char>(c)) == PathByte::kEscape) {
        TakeEscaped(static_cast<unsigned char>(c));
      } else {
        Take(c);
      }
    }
    return true;
  }

  std::string TakeOutput() { return std::move(out_); }

 private:
  void Take(char c) {
    out_.push_back(c);
    ++at_;
  }

  void TakeEscaped(unsigned char c) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    out_ += {'%', kDigits[c >> 4], kDigits[c & 15]};
    ++at_;
  }

  // A dot may be spelled as an escape.
  size_t DotLength(size_t at) const {
    std::string_view rest = in_.substr(std::min(at, in_.size()));
    if (rest.starts_with('.')) return 1;
    return rest.starts_with("%2e") || rest.starts_with("%2E") ? 3 : 0;
  }

  bool SegmentEnds(size_t at) const { return at >= in_.size() || IsSlash(in_[at]); }

  void TakeDot(size_t dot) {
    size_t after = at_ + dot;
    if (out_.back() == '/') {
      if (SegmentEnds(after)) {
        at_ = after + 1;
        return;
      }
      size_t second = DotLength(after);
      if (second > 0 && SegmentEnds(after + second)) {
        DropLastSegment();
        at_ = after + second + 1;
        return;
      }
    }
    out_.push_back('.');
    at_ = after;
  }

  void DropLastSegment() {
    if (out_.size() == 1) return;
    out_.resize(out_.rfind('/', out_.size() - 2) + 1);
    if (lone_percent_ >= out_.size()) lone_percent_ = std::string::npos;
  }

  bool TakePercent() {
    int high = at_ + 2 < in_.size() ? HexValue(in_[at_ + 1]) : -1;
    int low = at_ + 2 < in_.size() ? HexValue(in_[at_ + 2]) : -1;
    if (high < 0 || low < 0) {
      lone_percent_ = out_.size();
      Take('%');
      return true;
    }
    auto value = static_cast<unsigned char>(high * 16 + low);
    if (value == 0) return false;
    if (Classify(value) == PathByte::kDecode) {
      out_.push_back(static_cast<char>(value));
      at_ += 3;
      GuardLonePercent();
    } else {
      out_ += in_.substr(at_, 3);
      at_ += 3;
    }
    return true;
  }

  // A lone `%` that decoded digits behind it would turn into an escape becomes `%25`.
  void GuardLonePercent() {
    if (lone_percent_ == std::string::npos) return;
    int first = -1;
    int second = -1;
    if (lone_percent_ + 3 == out_.size()) {
      first = HexValue(out_[lone_percent_ + 1]);
      second = HexValue(out_[lone_percent_ + 2]);
    } else if (lone_percent_ + 2 == out_.size() && at_ < in_.size()) {
      first = HexValue(out_[lone_percent_ + 1]);
      second = HexValue(in_[at_]);
    }
    if (first >= 0 && second >= 0) out_.insert(lone_percent_ + 1, "25");
  }

  std::string_view in_;
  size_t at_ = 0;
  std::string out_;
  size_t lone_percent_ = std::string::npos;  // in `out_`: the last `%` that began no escape
};

std::string UnescapeSlashes(std::string_view path) {
  std::string out;
  for (size_t at = 0; at < path.size();) {
    std::string_view rest = path.substr(at, 3);
    if (EqualsIgnoreCase(rest, "%2f")) {
      out.push_back('/');
      at += 3;
    } else if (EqualsIgnoreCase(rest, "%5c")) {
      out.push_back('\\');
      at += 3;
    } else {
      out.push_back(path[at++]);
    }
  }
  return out;
}

// `/a/..;x/b` is `/a/../b` for many servers, so Envoy reads it so (CVE-2026-73551). Only literal
// dots and slashes are seen: `%2e%2e;x` and `\..;x` stay.
std::string DropDotSegmentParameters(std::string_view path) {
  if (path.find(".;") == std::string_view::npos) return std::string(path);
  std::string out;
  bool first = true;
  for (std::string_view segment : Split(path, '/')) {
    if (!first) out.push_back('/');
    first = false;
    if (segment.starts_with("..;")) {
      out += "..";
    } else if (segment.starts_with(".;")) {
      out += ".";
    } else {
      out += segment;
    }
  }
  return out;
}

std::string MergeSlashes(std::string_view path) {
  if (path.find("//") == std::string_view::npos) return std::string(path);
  std::string out;
  for (std::string_view segment : Split(path, '/')) {
    if (segment.empty()) continue;
    if (!out.empty() || path.starts_with('/')) out.push_back('/');
    out += segment;
  }
  if (out.empty()) return "//";
  if (path.ends_with('/')) out.push_back('/');
  return out;
}

}  // namespace

std::string_view PathWithoutQuery(std::string_view path) {
  // Asked of every path condition of every rule; find_first_of calls memchr for each byte.
  size_t end = 0;
  while (end < path.size() && path[end] != '?' && path[end] != '#') ++end;
  return path.substr(0, end);
}

bool IsNormalPath(std::string_view path) {
  if (!path.starts_with('/')) return false;
  for (size_t at = 0; at < path.size(); ++at) {
    const char c = path[at];
    if (c == '?') return path.find('#', at) == std::string_view::npos;
    if (c == '%' || c == '\\') return false;
    if ((c == '.' || c == '/') && at > 0 && path[at - 1] == '/') return false;
    if (Classify(static_cast<unsigned char>(c)) == PathByte::kEscape) return false;
  }
  return true;
}

NormalizedPath NormalizePath(std::string_view path, const PathOptions& options) {
  using Outcome = NormalizedPath::Outcome;
  path = path.substr(0, path.find('#'));
  size_t question = path.find('?');
  std::string_view query = question == std::string_view::npos ? "" : path.substr(question);
  std::string before(path.substr(0, question));

  Outcome outcome = Outcome::kOk;
  if (options.escaped_slashes != EscapedSlashes::kKeepUnchanged) {
    std::string unescaped = UnescapeSlashes(before);
    if (unescaped != before) {
      if (options.escaped_slashes == EscapedSlashes::kRejectRequest) return {Outcome::kReject, ""};
      if (options.escaped_slashes == EscapedSlashes::kUnescapeAndRedirect) {
        outcome = Outcome::kRedirect;
      }
      before = std::move(unescaped);
    }
  }
  if (options.normalize) {
    before = DropDotSegmentParameters(before);
    Canonicalizer canonicalizer(before);
    if (!canonicalizer.Run()) return {Outcome::kReject, ""};
    before = canonicalizer.TakeOutput();
  }
  if (options.merge_slashes) before = MergeSlashes(before);
  before += query;
  return {outcome, std::move(before)};
}

}  // namespace meshproof
