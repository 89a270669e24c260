#pragma once

#include <string>

#include "base/check.h"
#include "source/reader.h"
#include "source/source.h"

namespace meshproof {

inline void CheckNode(const Node& node, size_t size, int depth) {
  MESHPROOF_CHECK(depth <= kMaxDepth + 1);
  MESHPROOF_CHECK(node.begin <= node.end);
  MESHPROOF_CHECK(node.end <= size);
  if (node.kind != NodeKind::kSequence) MESHPROOF_CHECK(node.items().empty());
  if (node.kind != NodeKind::kMapping) MESHPROOF_CHECK(node.entries().empty());
  if (node.IsBool()) (void)node.AsBool();
  if (node.IsInt()) (void)node.AsInt();
  for (const Node& item : node.items()) CheckNode(item, size, depth + 1);
  for (const Entry& entry : node.entries()) {
    MESHPROOF_CHECK(entry.key.kind == NodeKind::kScalar && !entry.key.IsNull());
    MESHPROOF_CHECK(node.Find(entry.key.text) != nullptr);
    CheckNode(entry.key, size, depth + 1);
    CheckNode(entry.value, size, depth + 1);
  }
}

// Reads `text` and ends the process where a promise of the tree is broken: places inside the file
// and in order, collections and scalars what they say they are.
inline void CheckReading(const std::string& text) {
  ParsedFile file = ParseText("fuzz", text);
  MESHPROOF_CHECK(file.file->text().size() == text.size());
  for (const Document& document : file.documents) {
    MESHPROOF_CHECK(document.root() != nullptr);
    CheckNode(*document.root(), text.size(), 1);
  }
  for (const Diagnostic& diagnostic : file.diagnostics) {
    MESHPROOF_CHECK(diagnostic.span.file == file.file.get());
    MESHPROOF_CHECK(diagnostic.span.begin <= diagnostic.span.end);
    MESHPROOF_CHECK(diagnostic.span.end <= text.size());
    (void)ToString(diagnostic);
  }
  uint32_t last = 0;
  for (const Comment& comment : file.comments) {
    MESHPROOF_CHECK(last <= comment.begin && comment.begin < comment.end);
    MESHPROOF_CHECK(comment.end <= text.size() && file.file->text()[comment.begin] == '#');
    last = comment.end;
  }
}

}  // namespace meshproof
