#include "source/reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace meshproof {
namespace {

void Report(const SourceFile& file, const Node& first, const Node& second,
            std::vector<Diagnostic>* diagnostics) {
  diagnostics->push_back({Severity::kWarning,
                          Trouble::kDuplicateKey,
                          fmt::format("key `{}` stands on line {} already; the last one counts",
                                      second.text, file.LineOf(first.begin)),
                          {&file, second.begin, second.end},
                          "keep one of them"});
}

// Few keys of a mapping have the same length and last letter, so that little is compared.
bool SameKey(const Node& a, const Node& b) {
  if (a.text.size() != b.text.size()) return false;
  return a.text.empty() || (a.text.back() == b.text.back() && a.text == b.text);
}

}  // namespace

void ReportDuplicateKeys(const SourceFile& file, std::span<const Entry> entries,
                         std::vector<Diagnostic>* diagnostics) {
  constexpr size_t kFew = 12;
  if (entries.size() <= kFew) {
    for (size_t i = 1; i < entries.size(); ++i) {
      for (size_t j = 0; j < i; ++j) {
        if (SameKey(entries[i].key, entries[j].key)) {
          Report(file, entries[j].key, entries[i].key, diagnostics);
          break;
        }
      }
    }
    return;
  }
  std::vector<const Node*> keys;
  keys.reserve(entries.size());
  for (const Entry& entry : entries) keys.push_back(&entry.key);
  std::sort(keys.begin(), keys.end(), [](const Node* a, const Node* b) {
    return a->text != b->text ? a->text < b->text : a->begin < b->begin;
  });
  for (size_t i = 1, first = 0; i < keys.size(); ++i) {
    if (keys[i]->text != keys[first]->text) {
      first = i;
    } else {
      Report(file, *keys[first], *keys[i], diagnostics);
    }
  }
}

Diagnostic TooDeep(const SourceFile& file, uint32_t at) {
  return {Severity::kError,
          Trouble::kSyntax,
          fmt::format("the document is nested too deeply: more than {} levels", kMaxDepth),
          {&file, at, at + 1},
          ""};
}

}  // namespace meshproof
