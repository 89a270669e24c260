#include "source/glob.h"

#include <string>
#include <vector>

#include "base/text.h"

namespace meshproof {
namespace {

bool NameMatches(std::string_view glob, std::string_view name) {
  size_t g = 0;
  size_t n = 0;
  size_t star = std::string_view::npos;
  size_t retry = 0;
  while (n < name.size()) {
    if (g < glob.size() && glob[g] == '*') {
      star = g++;
      retry = n;
    } else if (g < glob.size() && (glob[g] == '?' || glob[g] == name[n])) {
      ++g;
      ++n;
    } else if (star != std::string_view::npos) {
      g = star + 1;
      n = ++retry;
    } else {
      return false;
    }
  }
  while (g < glob.size() && glob[g] == '*') ++g;
  return g == glob.size();
}

}  // namespace

bool GlobMatches(std::string_view glob, std::string_view path) {
  std::vector<std::string_view> globs = Split(glob, '/');
  std::vector<std::string_view> names = Split(path, '/');
  // reach[j]: the globs so far match the first j names.
  std::vector<bool> reach(names.size() + 1, false);
  reach[0] = true;
  for (std::string_view part : globs) {
    std::vector<bool> next(names.size() + 1, false);
    bool any = part == "**";
    if (any) next[0] = reach[0];
    for (size_t j = 1; j <= names.size(); ++j) {
      next[j] = any ? next[j - 1] || reach[j] : reach[j - 1] && NameMatches(part, names[j - 1]);
    }
    reach = std::move(next);
  }
  return reach[names.size()];
}

bool GlobCovers(std::string_view glob, std::string_view path) {
  if (glob.starts_with("./")) glob.remove_prefix(2);
  while (glob.size() > 1 && glob.ends_with('/')) glob.remove_suffix(1);
  if (glob.empty()) return false;
  if (glob.find('/') == std::string_view::npos && glob != "**") {
    for (std::string_view name : Split(path, '/')) {
      if (NameMatches(glob, name)) return true;
    }
    return false;
  }
  for (size_t end = path.find('/', 1); end != std::string_view::npos;
       end = path.find('/', end + 1)) {
    if (GlobMatches(glob, path.substr(0, end))) return true;
  }
  return GlobMatches(glob, path);
}

}  // namespace meshproof
