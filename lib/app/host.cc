#include "app/host.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <system_error>

namespace meshproof {
namespace {

Result<bool> WriteFile(const std::string& path, const std::string& text) {
  errno = 0;
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (file) return true;
  std::string why = errno != 0 ? ": " + std::string(std::strerror(errno)) : "";
  return Error{path + " cannot be written" + why};
}

}  // namespace

Host RealHost() {
  std::error_code ignored;
  const char* no_colour = std::getenv("NO_COLOR");
  bool colour = isatty(STDOUT_FILENO) != 0 && (no_colour == nullptr || *no_colour == '\0');
  return {RealFileSystem(), std::cout, std::cerr, std::filesystem::current_path(ignored).string(),
          colour,           WriteFile};
}

Exit Worse(Exit a, Exit b) {
  auto rank = [](Exit exit) {
    switch (exit) {
      case Exit::kOk:
        return 0;
      case Exit::kRefused:
        return 1;
      case Exit::kUndetermined:
        return 2;
      case Exit::kUnusable:
        return 3;
    }
    return 3;
  };
  return rank(a) >= rank(b) ? a : b;
}

Exit Fail(const Host& host, const Error& error) {
  host.err << "meshproof: " << error.message << "\n";
  return Exit::kUnusable;
}

}  // namespace meshproof
