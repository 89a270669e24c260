#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/json.h"
#include "source/node.h"

namespace meshproof {

// Reads a mapping of meshproof's own formats (policy tests, settings) strictly: a key that nobody
// asked for and a value of another type are errors at their place. Meshes are not read with this;
// Kubernetes' rules for them are in `model`.
class FieldReader {
 public:
  // `what` names the mapping in messages: "a test", "`from`". Where `node` is no mapping that is
  // an error, and every field is absent.
  FieldReader(const Document& document, const Node& node, std::string what,
              std::vector<Diagnostic>* errors);

  // The value of a key, or null; an explicit null counts as absent.
  const Node* Take(std::string_view key);
  std::optional<std::string> TakeText(std::string_view key);  // any scalar, by its text
  std::optional<bool> TakeBool(std::string_view key);
  // An integer in [low, high].
  std::optional<int64_t> TakeInt(std::string_view key, int64_t low, int64_t high);
  // One of `names`; its index.
  std::optional<size_t> TakeChoice(std::string_view key, const std::vector<std::string>& names);
  std::optional<size_t> Choose(const Node& value, std::string_view key,
                               const std::vector<std::string>& names);
  // A list of scalars, or one scalar.
  std::vector<std::string> TakeTexts(std::string_view key);
  void Ignore(std::string_view key) { Take(key); }

  // Reports the keys that were not taken, with the nearest one that could have been.
  void Finish();

  void Report(const Node& node, std::string message);
  const Document& document() const { return document_; }
  const Node& node() const { return node_; }

 private:
  const Document& document_;
  const Node& node_;
  std::string what_;
  std::vector<Diagnostic>* errors_;
  std::vector<std::string> known_;
};

// The value as JSON: Kubernetes' types, the last of equal keys.
Json ToJson(const Node& node);

// Seconds since the epoch of an RFC 3339 time ("2026-03-01T12:00:00Z", offsets, a fraction that is
// cut off); nothing where it is none.
std::optional<int64_t> ParseTime(std::string_view text);

}  // namespace meshproof
