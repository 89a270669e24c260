#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace meshproof {

// A place in a file as people and tools read it: lines and columns 1-based, columns counted in
// code points, the end exclusive.
struct Location {
  std::string file;
  int line = 0;
  int column = 0;
  int end_line = 0;
  int end_column = 0;
};

bool operator==(const Location& a, const Location& b);
bool operator<(const Location& a, const Location& b);

// "file:line:column".
std::string ToString(const Location& location);

// One input file, immutable after construction; spans point into it. Thread-safe.
class SourceFile {
 public:
  SourceFile(std::string name, std::string text);
  SourceFile(const SourceFile&) = delete;
  SourceFile& operator=(const SourceFile&) = delete;

  const std::string& name() const { return name_; }
  std::string_view text() const { return text_; }

  // The line (1-based) that holds byte `offset`; offsets past the end count as the last line.
  int LineOf(uint32_t offset) const;
  // The text of line `line` (1-based) without its line break; empty when there is no such line.
  std::string_view Line(int line) const;
  // Byte offset at which line `line` (1-based) starts.
  uint32_t LineStart(int line) const;
  int LineCount() const;

 private:
  const std::vector<uint32_t>& Starts() const;

  std::string name_;
  std::string text_;
  mutable std::once_flag once_;
  mutable std::vector<uint32_t> starts_;
};

// A byte range of a file, end exclusive. `file` is null where nothing in the input stands behind
// the thing (a default, a synthetic rule).
struct Span {
  const SourceFile* file = nullptr;
  uint32_t begin = 0;
  uint32_t end = 0;

  explicit operator bool() const { return file != nullptr; }
};

// The place of a span that has a file.
Location Locate(const Span& span);

}  // namespace meshproof
