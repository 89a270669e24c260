#pragma once

#include "source/reader.h"

namespace meshproof {

// Reads YAML through yaml-cpp's events. Keeps its buffers from one document to the next.
class YamlReader {
 public:
  YamlReader();
  ~YamlReader();
  YamlReader(const YamlReader&) = delete;
  YamlReader& operator=(const YamlReader&) = delete;

  // Reads the one document that `where` holds. Adds it unless it is empty, or else the diagnostic
  // that says why it cannot be read; adds the comments that were met.
  void Read(const std::shared_ptr<const SourceFile>& file, DocumentText where, ReadResult* result);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof
