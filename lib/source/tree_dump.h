#pragma once

#include <string>

#include "source/source.h"

// Trees as text, for tests.

namespace meshproof {

// A tree in one line. Scalars are `begin-end` with a letter for the type (n b i f s), `"` for
// quoted, `|` for block style, and the value in <>.
inline std::string DumpTree(const Node& node, bool places = true) {
  std::string text = places ? std::to_string(node.begin) + "-" + std::to_string(node.end) : "";
  std::string separator;
  if (node.IsSequence()) {
    text += "[";
    for (const Node& item : node.items()) {
      text += separator + DumpTree(item, places);
      separator = ", ";
    }
    return text + "]";
  }
  if (node.IsMapping()) {
    text += "{";
    for (const Entry& entry : node.entries()) {
      text += separator + DumpTree(entry.key, places) + ": " + DumpTree(entry.value, places);
      separator = ", ";
    }
    return text + "}";
  }
  text += "nbifs"[static_cast<size_t>(node.type)];
  if (node.style == ScalarStyle::kQuoted) text += '"';
  if (node.style == ScalarStyle::kBlock) text += '|';
  return text + "<" + std::string(node.text) + ">";
}

// Documents parted by `; `.
inline std::string DumpDocuments(const ParsedFile& file, bool places = true) {
  std::string text;
  for (const Document& document : file.documents) {
    if (!text.empty()) text += "; ";
    text += DumpTree(*document.root(), places);
  }
  return text;
}

// `begin-end severity: message`, one a line.
inline std::string DumpDiagnostics(const ParsedFile& file) {
  std::string text;
  for (const Diagnostic& diagnostic : file.diagnostics) {
    if (!text.empty()) text += "\n";
    text += std::to_string(diagnostic.span.begin) + "-" + std::to_string(diagnostic.span.end) +
            " " + std::string(ToString(diagnostic.severity)) + ": " + diagnostic.message;
  }
  return text;
}

}  // namespace meshproof
