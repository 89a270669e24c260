#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "model/model.h"
#include "source/source.h"

// For tests alone.
namespace meshproof {

inline std::shared_ptr<const Model> ModelOf(std::vector<std::pair<std::string, std::string>> files,
                                            const ModelOptions& options = {}) {
  Load load;
  for (auto& [name, text] : files) load.files.push_back(ParseText(name, std::move(text)));
  return DecodeModel(std::move(load), options);
}

inline std::shared_ptr<const Model> ModelOf(std::string text, const ModelOptions& options = {}) {
  return ModelOf({{"test.yaml", std::move(text)}}, options);
}

// "line:column", "-" for a span without a file.
inline std::string PlaceOf(const Span& span) {
  if (!span) return "-";
  Location location = Locate(span);
  return std::to_string(location.line) + ":" + std::to_string(location.column);
}

// The text that a span covers.
inline std::string TextAt(const Span& span) {
  if (!span) return "-";
  return std::string(span.file->text().substr(span.begin, span.end - span.begin));
}

// Takes the mark `@@` out of a text; where it stood becomes "line:column", "" where there is none.
inline std::string TakeMark(std::string* text) {
  size_t at = text->find("@@");
  if (at == std::string::npos) return {};
  text->erase(at, 2);
  size_t line = 1;
  size_t column = 1;
  for (size_t i = 0; i < at; ++i) {
    bool end = (*text)[i] == '\n';
    line += end ? 1 : 0;
    column = end ? 1 : column + 1;
  }
  return std::to_string(line) + ":" + std::to_string(column);
}

inline std::string AllDiagnostics(const Model& model) {
  std::string text;
  for (const Diagnostic& diagnostic : model.diagnostics) text += ToString(diagnostic) + "\n";
  return text;
}

}  // namespace meshproof
