#pragma once

#include <memory>
#include <string>
#include <vector>

#include "source/reader.h"
#include "source/source.h"

namespace meshproof {

// A file whose documents are found but not read yet, so that those of many files can be read on
// all threads at once.
struct PreparedFile {
  std::shared_ptr<const SourceFile> file;
  std::vector<DocumentText> documents;
  bool clean = true;  // valid UTF-8 without control characters
  std::vector<Diagnostic> diagnostics;
};

PreparedFile PrepareText(std::string name, std::string text);

// Reads documents [from, to) of a prepared file.
ReadResult ReadDocuments(const PreparedFile& prepared, size_t from, size_t to);

// Reads all documents of all files.
std::vector<ParsedFile> ReadAll(std::vector<PreparedFile> prepared, unsigned threads);

}  // namespace meshproof
