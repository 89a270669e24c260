// Which spellings stay apart at the proxy is decided by its own normalization (match/path.h): a
// candidate whose normal form is the path itself is no other spelling. A prefix or suffix is
// answered through a sample of it.

#include "analyze/spellings.h"

#include <algorithm>

#include "base/ascii.h"
#include "base/text.h"
#include "proxy/string_class.h"

namespace meshproof {
namespace {

constexpr std::string_view kHexDigits = "0123456789abcdef";

// The first letter of the last segment as %XX; "" where the segment starts with none.
std::string WithEscapedLetter(std::string_view path) {
  size_t slash = path.rfind('/', path.size() - 2);
  if (slash == std::string_view::npos || slash + 1 >= path.size()) return {};
  char c = path[slash + 1];
  if (!IsAsciiAlphanumeric(c)) return {};
  auto byte = static_cast<unsigned char>(c);
  std::string escaped(path.substr(0, slash + 1));
  escaped += '%';
  escaped += kHexDigits[byte >> 4U];
  escaped += kHexDigits[byte & 15U];
  escaped += path.substr(slash + 2);
  return escaped;
}

// The last slash within the path replaced; "" where it has one slash only.
std::string WithInnerSlash(std::string_view path, std::string_view instead) {
  size_t slash = path.rfind('/', path.size() - 2);
  if (slash == std::string_view::npos || slash == 0) return {};
  return std::string(path.substr(0, slash)) + std::string(instead) +
         std::string(path.substr(slash + 1));
}

bool IsFile(std::string_view path) {
  std::string_view last = path.substr(path.rfind('/') + 1);
  return last.find('.') != std::string_view::npos;
}

}  // namespace

std::vector<Spelling> PathSpellings(std::string_view path, const PathOptions& options) {
  std::vector<Spelling> spellings;
  if (path.size() < 2 || path.front() != '/') return spellings;
  const std::string plain(path);
  const auto add = [&](std::string sent, std::string how, bool parameters = false) {
    if (sent.empty()) return;
    NormalizedPath normal = NormalizePath(sent, options);
    if (normal.outcome != NormalizedPath::Outcome::kOk) return;
    std::string seen(PathWithoutQuery(normal.path));
    if (seen == plain) return;
    spellings.push_back({plain, std::move(sent), std::move(seen), std::move(how), parameters});
  };
  add("/" + plain, "a doubled slash");
  add("/x/.." + plain, "a `..` segment");
  add("/." + plain, "a `.` segment");
  add(WithEscapedLetter(plain), "an escaped letter");
  add("/x/..%2f" + plain.substr(1), "an escaped slash behind `..`");
  add(WithInnerSlash(plain, "//"), "a doubled slash");
  add(WithInnerSlash(plain, "\\"), "a backslash for a slash");
  add(WithInnerSlash(plain, "%2f"), "an escaped slash");
  add(plain + ";x", "a path parameter", true);
  if (size_t slash = plain.find('/', 1); slash != std::string::npos) {
    add(plain.substr(0, slash) + ";x" + plain.substr(slash), "a path parameter", true);
  }
  add("/x/%2e%2e;x" + plain, "an escaped `..` segment with a path parameter", true);
  return spellings;
}

std::vector<Spelling> PathEdges(std::string_view value) {
  std::vector<Spelling> edges;
  if (value.size() < 2 || value == "/*" || value.front() != '/') return edges;
  const auto add = [&](std::string covered, const std::string& neighbour, std::string how) {
    edges.push_back({std::move(covered), neighbour, neighbour, std::move(how)});
  };
  const std::string sample = SamplePath(value);
  if (value.ends_with("/{**}")) {
    std::string parent = SamplePath(value.substr(0, value.size() - 5));
    if (parent.size() > 1) add(sample, parent, "the path itself");
  } else if (value.ends_with("/*")) {
    std::string parent(value.substr(0, value.size() - 2));
    if (parent.find('{') == std::string::npos) add(sample, parent, "the path itself");
  } else if (!value.ends_with('*') && !IsFile(value)) {
    if (value.ends_with('/')) {
      add(sample, sample.substr(0, sample.size() - 1), "the path without its last slash");
      add(sample, sample + "x", "what lies below it");
    } else {
      add(sample, sample + "/", "the path with a slash behind it");
      add(sample, sample + "/x", "what lies below it");
    }
  }
  return edges;
}

std::vector<Spelling> HostSpellings(std::string_view value) {
  std::vector<Spelling> spellings;
  if (value.empty() || value == "*" || value.ends_with('*')) return spellings;
  const std::string host = SampleOf(value);
  // A value with a port names one spelling on purpose; the other is the host alone.
  size_t colon = host.rfind(':');
  if (colon != std::string::npos && host.find(']') == std::string::npos) {
    std::string name = host.substr(0, colon);
    spellings.push_back({host, name, ToLower(name), "the host without its port"});
    return spellings;
  }
  spellings.push_back({host, host + ":8080", ToLower(host) + ":8080", "the host with a port"});
  if (value.starts_with("*.")) {
    std::string name(value.substr(2));
    spellings.push_back({host, name, ToLower(name), "the domain itself"});
  }
  spellings.push_back({host, host + ".", ToLower(host) + ".", "the host with a dot behind it"});
  return spellings;
}

std::string SampleOf(std::string_view pattern) {
  if (pattern == "*") return "x";
  if (pattern.starts_with('*')) return "x" + std::string(pattern.substr(1));
  if (pattern.ends_with('*')) return std::string(pattern.substr(0, pattern.size() - 1)) + "x";
  return std::string(pattern);
}

std::string FillTemplate(std::string_view pattern) {
  std::string path;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i, 3) == "{*}" || pattern.substr(i, 4) == "{**}") {
      i = pattern.find('}', i);
      path += 'x';
    } else {
      path += pattern[i];
    }
  }
  return path;
}

std::string SamplePath(std::string_view pattern) {
  std::string path = FillTemplate(pattern);
  bool star = pattern.starts_with('*') || pattern.ends_with('*');
  if (star) {
    if (path.starts_with('*')) {
      path = "/x" + path.substr(1);
    } else {
      path.pop_back();
      if (path.ends_with('/')) path += 'x';
    }
  }
  return path.starts_with('/') ? path : "/" + path;
}

bool IsExactPath(std::string_view value) {
  return !value.starts_with('*') && !value.ends_with('*') &&
         value.find("{*}") == std::string_view::npos &&
         value.find("{**}") == std::string_view::npos;
}

const Text* CoveringMethod(const TextList& values, std::string_view method) {
  auto found = std::find_if(values.values.begin(), values.values.end(), [&](const Text& text) {
    return text.value == "*" || MatchString(text.value).Matches(method);
  });
  return found == values.values.end() ? nullptr : &*found;
}

bool CoversMethod(const TextList& values, std::string_view method) {
  return CoveringMethod(values, method) != nullptr;
}

}  // namespace meshproof
