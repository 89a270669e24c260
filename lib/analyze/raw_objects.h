#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"
#include "model/model.h"
#include "source/node.h"

// The objects of the input as they are written, decoded or not: for kinds that the model does not
// hold, for objects that admission refuses, and for places that typed fields do not keep.
namespace meshproof {

struct RawObject {
  std::string_view kind, api_version, name;
  std::string_view ns;  // as written; "" where none is given or the kind has none
  const Node* node = nullptr;
  const SourceFile* file = nullptr;
  Span span;  // the value of metadata.name, else the object's first key
};

// Every object with a `kind`, items of lists too, in the order of the input.
std::vector<RawObject> ReadRawObjects(const Model& model);

// Those of `kinds`, in the same order.
std::vector<RawObject> ObjectsOf(const std::vector<RawObject>& objects,
                                 std::initializer_list<std::string_view> kinds);

ObjectName NameOf(const RawObject& object);

// The node at a path of keys; null where there is none (or a null).
const Node* NodeAt(const Node* node, std::initializer_list<std::string_view> path);

Span SpanOf(const SourceFile* file, const Node& node);

// "spec.rules[0].from[1]": the deepest value (or the key) under `root` that holds byte `offset`;
// "" for `root` itself.
std::string FieldPathAt(const Node& root, uint32_t offset);
// The same for the deepest value (or key) that holds all of `span`: a list's item, not its first
// field.
std::string FieldPathOf(const Node& root, const Span& span);

// The same mapping, list or scalar, whatever the order of keys.
bool SameContent(const Node& a, const Node& b);

// Finds objects by a place in them. Built once; O(log n) a question.
class RawObjectIndex {
 public:
  explicit RawObjectIndex(std::vector<RawObject> objects);
  // Null where the place is in no object.
  const RawObject* At(const Span& span) const;

 private:
  std::vector<RawObject> objects_;  // by file and place
};

}  // namespace meshproof
