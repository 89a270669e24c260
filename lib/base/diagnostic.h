#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"

namespace meshproof {

enum class Severity { kInfo, kWarning, kError };

std::string_view ToString(Severity severity);

// What kind of trouble with the input a diagnostic speaks of; later a rule's page explains each.
enum class Trouble {
  kUnreadable,        // the file or stream could not be read
  kSyntax,            // a document is not YAML or JSON; nothing of it is used
  kDuplicateKey,      // a mapping names a key twice; the last one counts, as for Kubernetes
  kTemplate,          // an unrendered Helm template
  kUnknownField,      // the API does not know the field; the API server prunes or refuses it
  kWrongType,         // the field has another type than the API's
  kRefused,           // admission refuses the object: it is left out
  kAdmissionWarning,  // admission warns
  kDuplicateObject,   // the same object twice; the last one counts
  kUnsupported,       // a version or construct that is read past
};

// Kind, namespace ("" if cluster-scoped) and name of an object; all empty where there is none.
struct ObjectName {
  std::string kind = {};
  std::string ns = {};
  std::string name = {};
  friend bool operator==(const ObjectName&, const ObjectName&) = default;
};

// Something wrong with the user's input, with its place. Messages start in lower case and end
// without a full stop.
struct Diagnostic {
  Severity severity = Severity::kError;
  Trouble trouble = Trouble::kSyntax;
  std::string message;
  Span span;
  std::string help;        // what to do instead; may be empty
  ObjectName object = {};  // the object that it stands in, where it is one
};

// "file:line:column: severity: message", and the help on a line of its own.
std::string ToString(const Diagnostic& diagnostic);

// Orders by file, place and message, and drops exact repetitions.
void SortDiagnostics(std::vector<Diagnostic>* diagnostics);

}  // namespace meshproof
