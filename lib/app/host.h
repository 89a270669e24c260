#pragma once

#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <string_view>

#include "base/result.h"
#include "source/source.h"

namespace meshproof {

// What the process lives in; tests bring their own.
struct Host {
  const FileSystem& files;
  std::ostream& out;      // results
  std::ostream& err;      // everything else
  std::string directory;  // the working directory, absolute
  bool colour = false;    // `out` is a terminal and NO_COLOR is not set
  // Replaces a file. Only for what the user names on the command line.
  std::function<Result<bool>(const std::string& path, const std::string& text)> write = {};
  // Takes what a command needs no more, where the process ends before it would be taken apart.
  std::function<void(std::shared_ptr<const void> kept)> keep = {};
};

// What would be taken apart at the end of a command and takes long to.
template <typename T>
void Keep(const Host& host, std::shared_ptr<T> kept) {
  if (host.keep) host.keep(std::move(kept));
}

// The machine's own.
Host RealHost();

// Exit statuses (PRODUCT.md, *Commands and their contracts*).
enum class Exit { kOk = 0, kRefused = 1, kUnusable = 2, kUndetermined = 3 };

// Of several the order is 2, 3, 1, 0.
Exit Worse(Exit a, Exit b);

// "meshproof: MESSAGE" on `err`; the status of a run that cannot be done.
Exit Fail(const Host& host, const Error& error);

}  // namespace meshproof
