#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/result.h"
#include "source/node.h"

namespace meshproof {

// What the reader made of one file.
struct ParsedFile {
  std::shared_ptr<const SourceFile> file;
  std::vector<Document> documents;      // in order; those that could not be read, and those
                                        // without any content, are missing
  std::vector<Diagnostic> diagnostics;  // syntax errors, duplicate keys, templates, bad UTF-8
  std::vector<Comment> comments;        // YAML only
};

// The one door to text: YAML or JSON by content, any number of documents. A document that cannot
// be read becomes a diagnostic at its place and the others are still read. Depth, aliases and the
// number of nodes are bounded; a document over a bound is refused with a diagnostic. The documents
// of a long text are read on up to `threads` threads (0 = one a core).
ParsedFile ParseText(std::string name, std::string text, unsigned threads = 1);

// The disk, so that the whole program can be tested in memory.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual Result<std::string> Read(const std::string& path) const = 0;
  enum class Kind { kMissing, kFile, kDirectory, kOther };
  virtual Kind Stat(const std::string& path) const = 0;
  // Names (not paths) in a directory, in any order.
  virtual Result<std::vector<std::string>> List(const std::string& path) const = 0;
  // One name for a file or directory however links lead to it.
  virtual std::string Canonical(const std::string& path) const { return path; }
};

// The machine's own. `-` is read from standard input.
const FileSystem& RealFileSystem();

struct LoadOptions {
  // Globs (`*` within a name, `**` across folders) of paths that are not read. One without `/` is
  // compared with every name of a path, one with it with the path as written and from the
  // directory that was named; a folder that matches is left out with all that it holds.
  std::vector<std::string> ignore;
  unsigned threads = 0;  // 0 = one a core
};

struct Load {
  std::vector<ParsedFile> files;        // by name, whatever order the disk or the threads have
  std::vector<Diagnostic> diagnostics;  // files that could not be read (no span)
};

// Reads files, directories (recursively, `.yaml` `.yml` `.json`; hidden ones are skipped) and `-`.
// A path that does not exist is an error of the run (with the nearest name beside it); a file in a
// directory that cannot be read is a diagnostic. A file that is named twice is read once.
Result<Load> LoadPaths(const std::vector<std::string>& paths, const FileSystem& file_system,
                       const LoadOptions& options = {});

}  // namespace meshproof
