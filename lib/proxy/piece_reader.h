#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "proxy/dump_pieces.h"
#include "source/source.h"

namespace meshproof {

// A piece of a text as a tree; none where it is no JSON.
struct PieceTree {
  const Piece* piece = nullptr;
  std::optional<Document> tree;
};

// Reads pieces of a text into trees, in order and in batches, so that no more of them is in memory
// than two batches: one is being used while the next is read on a thread of its own.
class PieceReader {
 public:
  // `pieces` outlive the reader and lie in the text.
  PieceReader(std::shared_ptr<const SourceFile> file, std::vector<const Piece*> pieces);
  ~PieceReader();

  // The next batch, empty behind the last one. Fields that nothing asks for are left out. Trees
  // live until the next call but one, those of documents that are kept as long as these.
  std::vector<PieceTree>& Next();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace meshproof
