#include "source/tree_dump.h"

#include <fmt/format.h>

namespace meshproof {

std::string DumpTree(const Node& node, bool places) {
  std::string text = places ? fmt::format("{}-{}", node.begin, node.end) : "";
  std::string_view separator;
  if (node.IsSequence()) {
    text += "[";
    for (const Node& item : node.items) {
      text += separator;
      text += DumpTree(item, places);
      separator = ", ";
    }
    return text + "]";
  }
  if (node.IsMapping()) {
    text += "{";
    for (const Entry& entry : node.entries) {
      text += separator;
      text += DumpTree(entry.key, places) + ": " + DumpTree(entry.value, places);
      separator = ", ";
    }
    return text + "}";
  }
  text += "nbifs"[static_cast<size_t>(node.type)];
  if (node.style == ScalarStyle::kQuoted) text += '"';
  if (node.style == ScalarStyle::kBlock) text += '|';
  return text + "<" + std::string(node.text) + ">";
}

std::string DumpDocuments(const ParsedFile& file, bool places) {
  std::string text;
  for (const Document& document : file.documents) {
    if (!text.empty()) text += "; ";
    text += DumpTree(*document.root(), places);
  }
  return text;
}

std::string DumpDiagnostics(const ParsedFile& file) {
  std::string text;
  for (const Diagnostic& diagnostic : file.diagnostics) {
    if (!text.empty()) text += "\n";
    text += fmt::format("{}-{} {}: {}", diagnostic.span.begin, diagnostic.span.end,
                        ToString(diagnostic.severity), diagnostic.message);
  }
  return text;
}

}  // namespace meshproof
