#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <system_error>

#include "source/source.h"

namespace meshproof {
namespace {

Error LastError() {
  return Error{std::generic_category().message(errno)};
}

Result<std::string> ReadAllOf(int descriptor) {
  // A file's own size and room to find its end, so that it is never copied and no small one of
  // many keeps a large buffer.
  constexpr size_t kStep = size_t{1} << 16;
  struct stat status{};
  const bool regular = ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode);
  std::string text(regular ? static_cast<size_t>(status.st_size) + 1 : kStep, '\0');
  size_t size = 0;
  while (true) {
    if (size == text.size()) text.resize(size + std::max(size, kStep));
    ssize_t got = ::read(descriptor, text.data() + size, text.size() - size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return LastError();
    if (got == 0) break;
    size += static_cast<size_t>(got);
  }
  text.resize(size);
  return text;
}

class Disk : public FileSystem {
 public:
  Result<std::string> Read(const std::string& path) const override {
    if (path == "-") return ReadAllOf(STDIN_FILENO);
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return LastError();
    auto text = ReadAllOf(descriptor);
    ::close(descriptor);
    return text;
  }

  Kind Stat(const std::string& path) const override {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
      // What cannot be looked at (no permission on the way, a loop of links) is there all the same.
      return errno == ENOENT || errno == ENOTDIR ? Kind::kMissing : Kind::kFile;
    }
    if (S_ISDIR(status.st_mode)) return Kind::kDirectory;
    return S_ISREG(status.st_mode) ? Kind::kFile : Kind::kOther;
  }

  Result<std::vector<std::string>> List(const std::string& path) const override {
    std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (directory == nullptr) return LastError();
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(directory.get())) {
      std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(std::move(name));
    }
    return names;
  }

  std::string Canonical(const std::string& path) const override {
    std::unique_ptr<char, void (*)(void*)> real(::realpath(path.c_str(), nullptr), std::free);
    return real == nullptr ? path : std::string(real.get());
  }
};

}  // namespace

const FileSystem& RealFileSystem() {
  static const Disk disk;
  return disk;
}

}  // namespace meshproof
