#include "app/git_files.h"

#include <array>
#include <cstdio>
#include <optional>
#include <set>

#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kScheme = "git:";
constexpr size_t kBlock = 512;

std::string Quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out + "'";
}

struct ShellOutput {
  std::string text;
  bool ok = false;
};

ShellOutput RunShell(const std::string& command) {
  ShellOutput output;
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return output;
  std::array<char, 65536> buffer{};
  size_t count = 0;
  while ((count = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) {
    output.text.append(buffer.data(), count);
  }
  output.ok = pclose(pipe) == 0;
  return output;
}

std::string_view HeaderField(std::string_view header, size_t at, size_t size) {
  std::string_view text = header.substr(at, size);
  return text.substr(0, text.find('\0'));
}

size_t Octal(std::string_view text) {
  size_t value = 0;
  for (char c : text) {
    if (c >= '0' && c <= '7') value = value * 8 + static_cast<size_t>(c - '0');
  }
  return value;
}

// "27 path=long/name\n" records of a pax header.
std::string PaxPath(std::string_view records) {
  while (!records.empty()) {
    size_t blank = records.find(' ');
    auto length = ParseUnsigned(records.substr(0, blank));
    if (!length || blank == std::string_view::npos || *length > records.size()) return "";
    std::string_view record = records.substr(blank + 1, *length - blank - 2);
    if (record.starts_with("path=")) return std::string(record.substr(5));
    records.remove_prefix(*length);
  }
  return "";
}

}  // namespace

std::map<std::string, std::string> FilesOfTar(std::string_view tar) {
  std::map<std::string, std::string> files;
  std::string long_name;
  while (tar.size() >= kBlock && tar[0] != '\0') {
    std::string_view header = tar.substr(0, kBlock);
    size_t size = Octal(HeaderField(header, 124, 12));
    char type = header[156];
    tar.remove_prefix(kBlock);
    if (size > tar.size()) break;
    std::string_view content = tar.substr(0, size);
    if (type == 'x') {
      long_name = PaxPath(content);
    } else {
      std::string name(HeaderField(header, 0, 100));
      if (std::string_view prefix = HeaderField(header, 345, 155); !prefix.empty()) {
        name = std::string(prefix) + "/" + name;
      }
      if (!long_name.empty()) name = long_name;
      long_name.clear();
      if (type == '0' || type == '\0') files[name] = std::string(content);
    }
    size_t padded = (size + kBlock - 1) / kBlock * kBlock;
    tar.remove_prefix(std::min(padded, tar.size()));
  }
  return files;
}

bool IsRevision(std::string_view path) {
  return path.starts_with(kScheme) && path.size() > kScheme.size();
}

Result<std::shared_ptr<const FileSystem>> OpenRevision(const std::string& path,
                                                       const std::string& directory) {
  std::string revision = path.substr(kScheme.size());
  std::string inside;
  if (size_t colon = revision.find(':'); colon != std::string::npos) {
    inside = revision.substr(colon + 1);
    revision.erase(colon);
  }
  if (revision.empty() || revision[0] == '-') {
    return Error{"`" + path + "` names no revision: git:REV or git:REV:PATH"};
  }
  std::string command = "git -C " + Quoted(directory) + " archive --format=tar " + Quoted(revision);
  if (!inside.empty()) command += " -- " + Quoted(inside);
  ShellOutput output = RunShell(command + " 2>&1");
  if (!output.ok) {
    std::string_view line = Split(output.text, '\n').front();
    return Error{path + " cannot be read: " + std::string(TrimSpace(line))};
  }
  std::map<std::string, std::string> files;
  std::string prefix = inside.empty() || inside.ends_with('/') ? inside : inside + "/";
  while (prefix.starts_with("./")) prefix.erase(0, 2);
  for (auto& [name, text] : FilesOfTar(output.text)) {
    if (name == inside) {
      files[""] = std::move(text);
    } else if (name.starts_with(prefix)) {
      files[name.substr(prefix.size())] = std::move(text);
    }
  }
  return std::shared_ptr<const FileSystem>(std::make_shared<RevisionFiles>(path, std::move(files)));
}

std::optional<std::string> RevisionFiles::Below(const std::string& path) const {
  if (path == root_ || path == root_ + "/") return "";
  std::string lead = root_.ends_with('/') ? root_ : root_ + "/";
  if (!path.starts_with(lead)) return std::nullopt;
  return path.substr(lead.size());
}

Result<std::string> RevisionFiles::Read(const std::string& path) const {
  auto below = Below(path);
  auto found = below ? files_.find(*below) : files_.end();
  if (found == files_.end()) return Error{path + ": no such file in this revision"};
  return found->second;
}

FileSystem::Kind RevisionFiles::Stat(const std::string& path) const {
  auto below = Below(path);
  if (!below) return Kind::kMissing;
  if (files_.count(*below) != 0) return Kind::kFile;
  if (below->empty()) return Kind::kDirectory;
  auto next = files_.lower_bound(*below + "/");
  bool inside = next != files_.end() && next->first.starts_with(*below + "/");
  return inside ? Kind::kDirectory : Kind::kMissing;
}

Result<std::vector<std::string>> RevisionFiles::List(const std::string& path) const {
  auto below = Below(path);
  if (!below) return Error{path + ": no such directory in this revision"};
  std::string lead = below->empty() || below->ends_with('/') ? *below : *below + "/";
  std::set<std::string> names;
  for (const auto& [name, text] : files_) {
    if (!name.starts_with(lead)) continue;
    names.insert(name.substr(lead.size(), name.find('/', lead.size()) - lead.size()));
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace meshproof
