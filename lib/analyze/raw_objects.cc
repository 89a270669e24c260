#include "analyze/raw_objects.h"

#include <algorithm>
#include <functional>
#include <iterator>

#include "base/parallel.h"

namespace meshproof {
namespace {

std::string_view ScalarText(const Node* node) {
  return node != nullptr && node->kind == NodeKind::kScalar ? node->text : std::string_view();
}

class ObjectCollector {
 public:
  explicit ObjectCollector(std::vector<RawObject>* objects) : objects_(*objects) {}

  void Visit(const Node& node, const SourceFile* file, int depth) {
    constexpr int kDeepest = 8;
    if (!node.IsMapping() || depth > kDeepest) return;
    std::string_view kind = ScalarText(node.Find("kind"));
    if (kind.empty()) return;
    const Node* items = kind.ends_with("List") ? node.Find("items") : nullptr;
    if (items != nullptr && items->IsSequence()) {
      for (const Node& item : items->items()) Visit(item, file, depth + 1);
      return;
    }
    RawObject object;
    object.kind = kind;
    object.api_version = ScalarText(node.Find("apiVersion"));
    const Node* name = NodeAt(&node, {"metadata", "name"});
    object.name = ScalarText(name);
    object.ns = ScalarText(NodeAt(&node, {"metadata", "namespace"}));
    object.node = &node;
    object.file = file;
    object.span = SpanOf(file, name != nullptr ? *name : node.entries().front().key);
    objects_.push_back(object);
  }

 private:
  std::vector<RawObject>& objects_;
};

// Whether the value or its key holds the offset; `end` counts, for values that are left out.
bool Holds(const Entry& entry, uint32_t offset) {
  return offset >= entry.key.begin && offset <= std::max(entry.value.end, entry.key.end);
}

void AppendPath(const Node& node, uint32_t offset, std::string* path) {
  if (node.IsMapping()) {
    for (const Entry& entry : node.entries()) {
      if (!Holds(entry, offset)) continue;
      if (!path->empty()) *path += '.';
      *path += entry.key.text;
      if (offset >= entry.value.begin) AppendPath(entry.value, offset, path);
      return;
    }
    return;
  }
  for (size_t i = 0; i < node.items().size(); ++i) {
    if (offset < node.items()[i].begin || offset > node.items()[i].end) continue;
    *path += "[" + std::to_string(i) + "]";
    AppendPath(node.items()[i], offset, path);
    return;
  }
}

void AppendPath(const Node& node, uint32_t begin, uint32_t end, std::string* path) {
  if (node.begin == begin && node.end == end) return;
  for (const Entry& entry : node.entries()) {
    if (!Holds(entry, begin) || end > std::max(entry.key.end, entry.value.end)) continue;
    if (!path->empty()) *path += '.';
    *path += entry.key.text;
    if (begin >= entry.value.begin) AppendPath(entry.value, begin, end, path);
    return;
  }
  for (size_t i = 0; i < node.items().size(); ++i) {
    if (begin < node.items()[i].begin || end > node.items()[i].end) continue;
    *path += "[" + std::to_string(i) + "]";
    AppendPath(node.items()[i], begin, end, path);
    return;
  }
}

}  // namespace

const Node* NodeAt(const Node* node, std::initializer_list<std::string_view> path) {
  for (std::string_view key : path) {
    if (node == nullptr) return nullptr;
    node = node->Find(key);
  }
  return node == nullptr || node->IsNull() ? nullptr : node;
}

Span SpanOf(const SourceFile* file, const Node& node) {
  return {file, node.begin, node.end};
}

ObjectName NameOf(const RawObject& object) {
  return {std::string(object.kind), std::string(object.ns), std::string(object.name)};
}

std::vector<RawObject> ObjectsOf(const std::vector<RawObject>& objects,
                                 std::initializer_list<std::string_view> kinds) {
  std::vector<RawObject> chosen;
  std::copy_if(objects.begin(), objects.end(), std::back_inserter(chosen),
               [&](const RawObject& object) {
                 return std::find(kinds.begin(), kinds.end(), object.kind) != kinds.end();
               });
  return chosen;
}

std::vector<RawObject> ReadRawObjects(const Model& model) {
  std::vector<const Document*> documents;
  for (const ParsedFile& file : model.files) {
    for (const Document& document : file.documents) {
      if (document.root() != nullptr) documents.push_back(&document);
    }
  }
  constexpr size_t kRun = 512;  // documents; fewer are not worth a thread
  std::vector<std::vector<RawObject>> parts((documents.size() + kRun - 1) / kRun);
  ParallelFor(parts.size(), [&](size_t part) {
    parts[part].reserve(kRun);
    ObjectCollector collector(&parts[part]);
    for (size_t i = part * kRun; i < std::min(documents.size(), (part + 1) * kRun); ++i) {
      collector.Visit(*documents[i]->root(), &documents[i]->file(), 0);
    }
  });
  std::vector<RawObject> objects;
  objects.reserve(documents.size());
  for (const auto& part : parts) objects.insert(objects.end(), part.begin(), part.end());
  return objects;
}

std::string FieldPathAt(const Node& root, uint32_t offset) {
  std::string path;
  AppendPath(root, offset, &path);
  return path;
}

std::string FieldPathOf(const Node& root, const Span& span) {
  std::string path;
  AppendPath(root, span.begin, span.end, &path);
  return path;
}

bool SameContent(const Node& a, const Node& b) {
  if (a.kind != b.kind) return false;
  if (a.kind == NodeKind::kScalar) return a.type == b.type && a.text == b.text;
  if (a.IsSequence()) {
    return a.items().size() == b.items().size() &&
           std::equal(a.items().begin(), a.items().end(), b.items().begin(), SameContent);
  }
  if (a.entries().size() != b.entries().size()) return false;
  return std::all_of(a.entries().begin(), a.entries().end(), [&](const Entry& entry) {
    const Node* other = b.Find(entry.key.text);
    return other != nullptr && SameContent(entry.value, *other);
  });
}

RawObjectIndex::RawObjectIndex(std::vector<RawObject> objects) : objects_(std::move(objects)) {
  auto before = [](const RawObject& a, const RawObject& b) {
    if (a.file != b.file) return std::less<>()(a.file, b.file);
    return a.node->begin < b.node->begin;
  };
  if (std::is_sorted(objects_.begin(), objects_.end(), before)) return;
  std::stable_sort(objects_.begin(), objects_.end(), before);
}

const RawObject* RawObjectIndex::At(const Span& span) const {
  auto next = std::upper_bound(objects_.begin(), objects_.end(), span,
                               [](const Span& place, const RawObject& object) {
                                 if (place.file != object.file) {
                                   return std::less<>()(place.file, object.file);
                                 }
                                 return place.begin < object.node->begin;
                               });
  if (next == objects_.begin()) return nullptr;
  const RawObject& object = *std::prev(next);
  return object.file == span.file && span.begin <= object.node->end ? &object : nullptr;
}

}  // namespace meshproof
