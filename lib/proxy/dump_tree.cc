// Dumps that were read into a tree: whether it is one, and what stands in it.

#include <algorithm>

#include "proxy/dump.h"
#include "proxy/dump_fields.h"
#include "proxy/dump_pieces.h"

namespace meshproof {
namespace {

// Walks a tree.
class TreeWalker {
 public:
  explicit TreeWalker(Collector* out) : out_(*out) {}

  void Walk(const Node& root) {
    if (root.IsSequence()) {
      for (const Node& item : root.items()) WalkElement(item);
    } else if (root.IsMapping()) {
      WalkElement(root);
    }
  }

 private:
  // A dump, a section of one, a list of dumps, or a message.
  void WalkElement(const Node& node) {
    if (!node.IsMapping()) return;
    if (const Node* configs = Field(&node, "configs");
        configs != nullptr && configs->IsSequence()) {
      out_.Begin();
      out_.whole = true;
      for (const Node& section : configs->items()) WalkSection(section);
      return;
    }
    if (const Node* items = Field(&node, "items"); items != nullptr && items->IsSequence()) {
      for (const Node& item : items->items()) WalkElement(item);
      return;
    }
    WalkSection(node);
  }

  void WalkSection(const Node& node) {
    if (!node.IsMapping()) return;
    bool lists = false;
    Keys keys;
    std::string version;
    std::string type = TextOf(node.Find("@type"));
    if (Section section = SectionOfType(type); section != Section::kNone) {
      out_.Current().sections.push_back(section);
      lists = true;
    }
    for (const auto& [key, value] : node.entries()) {
      keys.See(key.text);
      if (IsField(key.text, "version_info")) version = TextOf(&value);
      auto kind = ListKind(key.text);
      if (!kind || !value.IsSequence()) continue;
      lists = true;
      if (Section section = SectionOf(*kind); section != Section::kNone) {
        out_.Current().sections.push_back(section);
        if (section == Section::kListeners) out_.Current().listeners_version = version;
        if (section == Section::kClusters) out_.Current().clusters_version = version;
      }
      for (const Node& item : value.items()) out_.Add({*kind, &item, 0, 0});
    }
    if (!lists) out_.Add({keys.Guess(type), &node, 0, 0});
  }

  Collector& out_;
};

}  // namespace

void WalkTree(const Node& root, Collector* out) {
  TreeWalker(out).Walk(root);
}

bool LooksLikeDump(const Node& root) {
  if (root.IsMapping()) {
    if (root.Find("kind") != nullptr && root.Find("apiVersion") != nullptr) {
      const Node* items = root.Find("items");
      bool list = items != nullptr && items->IsSequence() && !items->items().empty();
      return list && items->items().front().IsMapping() &&
             items->items().front().Find("kind") == nullptr &&
             LooksLikeDump(items->items().front());
    }
    if (const Node* configs = root.Find("configs"); configs != nullptr && configs->IsSequence()) {
      return std::any_of(configs->items().begin(), configs->items().end(), [](const Node& item) {
        return item.IsMapping() && item.Find("@type") != nullptr;
      });
    }
    if (root.Find("workloads") && root.Find("services")) return true;
    if (const Node* bootstrap = Field(&root, "bootstrap")) return bootstrap->IsMapping();
    return std::any_of(root.entries().begin(), root.entries().end(), [](const Entry& entry) {
      return ListKind(entry.key.text).has_value() && entry.value.IsSequence();
    });
  }
  if (!root.IsSequence() || root.items().empty() || !root.items().front().IsMapping()) return false;
  const Node& first = root.items().front();
  if (first.Find("kind") != nullptr || first.Find("apiVersion") != nullptr) return false;
  if (Field(&first, "configs")) return LooksLikeDump(first);
  Keys keys;
  for (const Entry& entry : first.entries()) keys.See(entry.key.text);
  return keys.Guess(TextOf(first.Find("@type"))) != PieceKind::kOther;
}

bool LooksLikeDumpText(std::string_view text) {
  constexpr size_t kEnough = 4096;
  text = text.substr(0, kEnough);
  size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '{') return false;
  size_t configs = text.find("\"configs\"");
  return configs != std::string_view::npos &&
         text.find("\"@type\"", configs) != std::string_view::npos &&
         text.find("envoy.admin.") != std::string_view::npos;
}

}  // namespace meshproof
