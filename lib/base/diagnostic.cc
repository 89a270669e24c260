#include "base/diagnostic.h"

#include <algorithm>
#include <string_view>
#include <tuple>

namespace meshproof {
namespace {

auto Key(const Diagnostic& d) {
  return std::make_tuple(
      d.span.file != nullptr ? std::string_view(d.span.file->name()) : std::string_view(),
      d.span.begin, d.span.end, d.trouble, std::string_view(d.message));
}

}  // namespace

std::string_view ToString(Severity severity) {
  switch (severity) {
    case Severity::kInfo:
      return "info";
    case Severity::kWarning:
      return "warning";
    case Severity::kError:
      return "error";
  }
  return "error";
}

std::string ToString(const Diagnostic& diagnostic) {
  std::string text;
  if (diagnostic.span) text = ToString(Locate(diagnostic.span)) + ": ";
  text += ToString(diagnostic.severity);
  text += ": " + diagnostic.message;
  if (!diagnostic.help.empty()) text += "\n    help: " + diagnostic.help;
  return text;
}

void SortDiagnostics(std::vector<Diagnostic>* diagnostics) {
  std::stable_sort(diagnostics->begin(), diagnostics->end(),
                   [](const Diagnostic& a, const Diagnostic& b) { return Key(a) < Key(b); });
  diagnostics->erase(
      std::unique(diagnostics->begin(), diagnostics->end(),
                  [](const Diagnostic& a, const Diagnostic& b) { return Key(a) == Key(b); }),
      diagnostics->end());
}

}  // namespace meshproof
