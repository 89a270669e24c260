// Which files a run reads. Paths are walked in the order of their names, so that neither the disk's
// order nor that of the command line shows; a file or directory to which several ways lead is
// taken once, which also ends loops of links.

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <set>

#include "base/parallel.h"
#include "base/text.h"
#include "source/glob.h"
#include "source/parse.h"
#include "source/source.h"

namespace meshproof {
namespace {

using Kind = FileSystem::Kind;

// Without `.` names, doubled and trailing slashes; "." for the working directory.
std::string Clean(std::string_view path) {
  std::string clean = path.starts_with('/') ? "/" : "";
  for (std::string_view name : Split(path, '/')) {
    if (name.empty() || name == ".") continue;
    if (!clean.empty() && clean.back() != '/') clean += '/';
    clean += name;
  }
  return clean.empty() ? "." : clean;
}

std::string Below(const std::string& directory, const std::string& name) {
  if (directory == ".") return name;
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

bool IsManifestName(std::string_view name) {
  return EndsWithIgnoreCase(name, ".yaml") || EndsWithIgnoreCase(name, ".yml") ||
         EndsWithIgnoreCase(name, ".json");
}

Diagnostic Unreadable(const std::string& message) {
  return {Severity::kError, Trouble::kUnreadable, message, {}, ""};
}

class Walker {
 public:
  Walker(const FileSystem& file_system, const LoadOptions& options)
      : file_system_(file_system), options_(options) {}

  // What is wrong with the path, if it names nothing.
  std::optional<Error> Add(const std::string& path) {
    if (path == "-") {
      Take("-", "-");
      return std::nullopt;
    }
    std::string clean = Clean(path);
    Kind kind = file_system_.Stat(clean);
    if (kind == Kind::kMissing) return Missing(path, clean);
    if (clean != "." && IsIgnored(clean, "")) return std::nullopt;
    if (kind == Kind::kDirectory) {
      Walk(clean, "");
    } else {
      Take(clean, file_system_.Canonical(clean));
    }
    return std::nullopt;
  }

  std::vector<std::string> files;
  std::vector<Diagnostic> diagnostics;

 private:
  void Take(const std::string& path, const std::string& canonical) {
    if (seen_files_.insert(canonical).second) files.push_back(path);
  }

  bool IsIgnored(const std::string& path, const std::string& relative) const {
    return std::any_of(
        options_.ignore.begin(), options_.ignore.end(), [&](const std::string& glob) {
          return GlobCovers(glob, path) || (!relative.empty() && GlobCovers(glob, relative));
        });
  }

  // `relative` is the directory as seen from the one that was named.
  void Walk(const std::string& directory, const std::string& relative) {
    if (!seen_directories_.insert(file_system_.Canonical(directory)).second) return;
    auto listed = file_system_.List(directory);
    if (!listed.ok()) {
      diagnostics.push_back(Unreadable(
          fmt::format("cannot read directory {}: {}", directory, listed.error().message)));
      return;
    }
    std::vector<std::string> names = listed.Take();
    std::sort(names.begin(), names.end());
    for (const std::string& name : names) {
      if (name.starts_with('.')) continue;
      std::string path = Below(directory, name);
      std::string inner = relative.empty() ? name : relative + "/" + name;
      Kind kind = file_system_.Stat(path);
      bool manifest = IsManifestName(name);
      if (kind != Kind::kDirectory && !manifest) continue;
      if (IsIgnored(path, inner)) continue;
      if (kind == Kind::kDirectory) {
        Walk(path, inner);
      } else if (kind == Kind::kFile) {
        Take(path, file_system_.Canonical(path));
      } else if (kind == Kind::kMissing) {
        diagnostics.push_back(
            Unreadable(fmt::format("cannot read {}: the link leads nowhere", path)));
      }
    }
  }

  Error Missing(const std::string& path, const std::string& clean) const {
    size_t slash = clean.rfind('/');
    std::string directory = slash == std::string::npos ? "."
                            : slash == 0               ? "/"
                                                       : clean.substr(0, slash);
    std::string name = slash == std::string::npos ? clean : clean.substr(slash + 1);
    std::string message = fmt::format("{}: no such file or directory", path);
    auto names = file_system_.List(directory);
    if (names.ok()) {
      std::vector<std::string> candidates = names.Take();
      std::sort(candidates.begin(), candidates.end());
      if (auto nearest = Nearest(name, candidates)) {
        message += fmt::format("; did you mean {}?", Below(directory, *nearest));
      }
    }
    return Error{message};
  }

  const FileSystem& file_system_;
  const LoadOptions& options_;
  std::set<std::string> seen_files_;
  std::set<std::string> seen_directories_;
};

}  // namespace

Result<Load> LoadPaths(const std::vector<std::string>& paths, const FileSystem& file_system,
                       const LoadOptions& options) {
  Walker walker(file_system, options);
  std::vector<std::string> sorted = paths;
  std::sort(sorted.begin(), sorted.end(),
            [](const std::string& a, const std::string& b) { return Clean(a) < Clean(b); });
  for (const std::string& path : sorted) {
    if (auto error = walker.Add(path)) return *error;
  }
  std::sort(walker.files.begin(), walker.files.end());
  size_t count = walker.files.size();
  std::vector<std::optional<PreparedFile>> slots(count);
  std::vector<std::string> errors(count);
  ParallelFor(
      count,
      [&](size_t i) {
        auto text = file_system.Read(walker.files[i]);
        if (text.ok()) {
          slots[i] = PrepareText(walker.files[i], text.Take());
        } else {
          errors[i] = text.error().message;
        }
      },
      options.threads);
  Load load;
  load.diagnostics = std::move(walker.diagnostics);
  std::vector<PreparedFile> prepared;
  for (size_t i = 0; i < count; ++i) {
    if (slots[i]) {
      prepared.push_back(std::move(*slots[i]));
    } else {
      load.diagnostics.push_back(
          Unreadable(fmt::format("cannot read {}: {}", walker.files[i], errors[i])));
    }
  }
  load.files = ReadAll(std::move(prepared), options.threads);
  SortDiagnostics(&load.diagnostics);
  return load;
}

}  // namespace meshproof
