#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "model/model.h"
#include "model/report.h"
#include "source/node.h"

namespace meshproof {

// How keys of a mapping are spelled: as they stand in the schema, or (protobuf's JSON, as istiod
// reads MeshConfig) also in snake_case.
enum class KeySpelling { kExact, kProtoJson };

// The fields of one mapping. A null or absent field reads as absent (the API server drops nulls of
// fields that are not nullable); a value of the wrong type is reported and reads as absent too.
class Fields {
 public:
  // `node` may be null: then there are no fields. `name` is the mapping's own, for messages.
  Fields(const Node* node, Report& report, std::string_view name = "object",
         KeySpelling spelling = KeySpelling::kExact);

  bool present() const { return node_ != nullptr; }
  const Node* node() const { return node_; }
  Span span() const { return node_ == nullptr ? Span{} : report_->SpanOf(*node_); }

  // Null where the field is absent or null.
  const Node* Find(std::string_view key) const;
  bool Has(std::string_view key) const { return Find(key) != nullptr; }

  Text String(std::string_view key) const;
  std::string_view View(std::string_view key) const { return String(key).value; }
  bool Bool(std::string_view key, bool otherwise = false) const;
  std::optional<int64_t> Integer(std::string_view key) const;
  // An integer of 32 bits; others are reported.
  int Int(std::string_view key) const;
  // A number or a name (Kubernetes' IntOrString), as written.
  Text IntOrString(std::string_view key) const;
  TextList Strings(std::string_view key) const;
  // A map of strings. A null value is "" in metadata and template labels (Go's decoder); the API
  // server drops it from a custom resource's maps.
  enum class Nulls { kEmpty, kDropped };
  Labels Map(std::string_view key, Nulls nulls = Nulls::kDropped) const;
  Fields Message(std::string_view key) const;

  // Calls `use(item)` for each item of a list, null ones included.
  template <typename Use>
  void ForEach(std::string_view key, Use use) const {
    const Node* list = List(key);
    if (list == nullptr) return;
    for (const Node& item : list->items()) use(item);
  }
  // Calls `use(key node, value node)` for each entry of a mapping whose value is not null.
  template <typename Use>
  void ForEachEntry(std::string_view key, Use use) const {
    const Node* map = Mapping(key);
    if (map == nullptr) return;
    for (const Entry& entry : map->entries()) {
      if (!entry.value.IsNull()) use(entry.key, entry.value);
    }
  }

  Report& report() const { return *report_; }

 private:
  const Entry* FindEntry(std::string_view key) const;
  const Node* List(std::string_view key) const;
  const Node* Mapping(std::string_view key) const;

  const Node* node_;
  Report* report_;
  KeySpelling spelling_;
};

// A string's text and place; the text "" and no place for null.
Text TextOf(const Node* node, const Report& report);

// An integer as JSON means it: 80 and 80.0.
std::optional<int64_t> IntegerOf(const Node& node);

// The span of an entry: its key and its value.
Span SpanOfEntry(const Entry& entry, const Report& report);

// The first of the spans that stands in a file.
Span FirstSpan(Span first, Span second);

}  // namespace meshproof
