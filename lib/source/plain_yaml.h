#pragma once

#include <memory>

#include "source/reader.h"

namespace meshproof {

// Reads the plain YAML that tools print, many times faster than YamlReader and never differently:
// what it takes has the same tree, places, comments and (no) diagnostics. Keeps its buffers from
// one document to the next.
class PlainYamlReader {
 public:
  PlainYamlReader();
  ~PlainYamlReader();
  PlainYamlReader(const PlainYamlReader&) = delete;
  PlainYamlReader& operator=(const PlainYamlReader&) = delete;

  // Reads the document at `where`, as SplitStream cuts it, of valid UTF-8 without control
  // characters; adds it unless it is empty, and its comments. False, with nothing added, where it
  // holds anything that this reader does not own.
  bool Read(const std::shared_ptr<const SourceFile>& file, DocumentText where, ReadResult* result);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof
