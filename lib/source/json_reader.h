#pragma once

#include "source/reader.h"

namespace meshproof {

// Reads JSON values through simdjson into the tree that the YAML reader would build for the same
// text. Keeps its buffers from one call to the next.
class JsonReader {
 public:
  JsonReader();
  ~JsonReader();
  JsonReader(const JsonReader&) = delete;
  JsonReader& operator=(const JsonReader&) = delete;

  // Reads the object or array at `value`, which SplitJson found and whose depth is bounded. Returns
  // false, and adds nothing, where it is no JSON; YAML may still take it.
  bool Read(const std::shared_ptr<const SourceFile>& file, DocumentText value, ReadResult* result);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof
