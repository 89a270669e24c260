#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"
#include "source/source.h"

namespace meshproof {

// The files of a git revision, in memory. `root` is what names it on the command line; files are
// named as `root` with their path behind a slash.
class RevisionFiles : public FileSystem {
 public:
  RevisionFiles(std::string root, std::map<std::string, std::string> files)
      : root_(std::move(root)), files_(std::move(files)) {}

  Result<std::string> Read(const std::string& path) const override;
  Kind Stat(const std::string& path) const override;
  Result<std::vector<std::string>> List(const std::string& path) const override;

 private:
  // The path below the root, with a slash behind a directory; nothing outside.
  std::optional<std::string> Below(const std::string& path) const;

  std::string root_;
  std::map<std::string, std::string> files_;
};

// "git:REV" or "git:REV:PATH".
bool IsRevision(std::string_view path);
// Reads it with `git archive` from the repository around `directory`.
Result<std::shared_ptr<const FileSystem>> OpenRevision(const std::string& path,
                                                       const std::string& directory);

// The regular files of a tar archive (ustar with pax headers for long names), by name.
std::map<std::string, std::string> FilesOfTar(std::string_view tar);

}  // namespace meshproof
