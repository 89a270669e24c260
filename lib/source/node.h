#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/span.h"

namespace meshproof {

enum class NodeKind : uint8_t { kScalar, kSequence, kMapping };

// What a scalar is to Kubernetes, which reads YAML 1.1 into JSON: plain `yes` and `on` are
// booleans, `0x1F` an integer, a quoted one always a string.
enum class ScalarType : uint8_t { kNull, kBool, kInt, kFloat, kString };

enum class ScalarStyle : uint8_t { kPlain, kQuoted, kBlock };

struct Entry;

// A value of a document with its place. Lives in its document's arena; trivially destructible.
struct Node {
  NodeKind kind = NodeKind::kScalar;
  ScalarType type = ScalarType::kNull;
  ScalarStyle style = ScalarStyle::kPlain;
  // Byte offsets into the file, end exclusive. A block collection ends behind its last child, a
  // flow one behind its bracket, a block scalar with its last line of content. A value that is left
  // out is an empty range right behind its `:` or `-`; properties (`&anchor`, `!tag`) do not count.
  // An alias has its own place while what it holds keeps the anchor's.
  uint32_t begin = 0;
  uint32_t end = 0;

 private:
  // Trees are most of what a run keeps in memory: a collection's children are where its text would
  // be, and their number where it leaves no gap.
  uint32_t children_ = 0;

 public:
  // kScalar: the value, escapes resolved. Of a key Kubernetes' spelling: `yes:` is `true`, `0x10:`
  // is `16`. Of collections empty.
  std::string_view text;

  // kSequence; empty for others.
  std::span<const Node> items() const;
  // kMapping: in order; of equal keys all are kept. Empty for others.
  std::span<const Entry> entries() const;

  bool IsNull() const { return kind == NodeKind::kScalar && type == ScalarType::kNull; }
  bool IsString() const { return kind == NodeKind::kScalar && type == ScalarType::kString; }
  bool IsBool() const { return kind == NodeKind::kScalar && type == ScalarType::kBool; }
  bool IsInt() const { return kind == NodeKind::kScalar && type == ScalarType::kInt; }
  bool IsSequence() const { return kind == NodeKind::kSequence; }
  bool IsMapping() const { return kind == NodeKind::kMapping; }

  // The value of `key`; the last one where it stands twice, as Kubernetes keeps it. Null where
  // this is no mapping or has no such key.
  const Node* Find(std::string_view key) const;
  const Entry* FindEntry(std::string_view key) const;

  // Needs IsBool().
  bool AsBool() const;
  // The value of an integer in any of YAML 1.1's spellings; nothing where it is none or does not
  // fit.
  std::optional<int64_t> AsInt() const;

  // For readers: make this a collection of what lies in the arena.
  void SetItems(std::span<const Node> items);
  void SetEntries(std::span<const Entry> entries);
};
static_assert(sizeof(void*) != 8 || sizeof(Node) == 32);

struct Entry {
  Node key;
  Node value;
};

inline std::span<const Node> Node::items() const {
  if (kind != NodeKind::kSequence) return {};
  return {reinterpret_cast<const Node*>(text.data()), children_};
}

inline std::span<const Entry> Node::entries() const {
  if (kind != NodeKind::kMapping) return {};
  return {reinterpret_cast<const Entry*>(text.data()), children_};
}

inline void Node::SetItems(std::span<const Node> items) {
  kind = NodeKind::kSequence;
  // NOLINTNEXTLINE(bugprone-string-constructor): no text, the place of the children.
  text = {reinterpret_cast<const char*>(items.data()), 0};
  children_ = static_cast<uint32_t>(items.size());
}

inline void Node::SetEntries(std::span<const Entry> entries) {
  kind = NodeKind::kMapping;
  // NOLINTNEXTLINE(bugprone-string-constructor): no text, the place of the children.
  text = {reinterpret_cast<const char*>(entries.data()), 0};
  children_ = static_cast<uint32_t>(entries.size());
}

// Decides the type of a plain scalar as Kubernetes' YAML reader (go-yaml 2, YAML 1.1) does. Single
// letters `y` and `n` are booleans to it, dates are strings.
ScalarType ResolvePlainScalar(std::string_view text);

// A comment, for suppressions: the text behind `#` up to the end of the line.
struct Comment {
  uint32_t begin = 0;  // the offset of `#`
  uint32_t end = 0;
  bool alone = false;  // nothing but blanks stands before it on its line
};

// One document of a file and the memory that its nodes live in, which documents read one after the
// other share.
class Document {
 public:
  class Arena;
  // `root` is null for an empty document and else lies in the arena.
  Document(std::shared_ptr<const SourceFile> file, std::shared_ptr<const Arena> arena,
           const Node* root)
      : file_(std::move(file)), arena_(std::move(arena)), root_(root) {}

  const SourceFile& file() const { return *file_; }
  std::shared_ptr<const SourceFile> shared_file() const { return file_; }
  // Null for an empty document; ParseText leaves those out.
  const Node* root() const { return root_; }
  Span SpanOf(const Node& node) const { return {file_.get(), node.begin, node.end}; }

 private:
  std::shared_ptr<const SourceFile> file_;
  std::shared_ptr<const Arena> arena_;
  const Node* root_;
};

}  // namespace meshproof
