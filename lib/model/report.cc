#include "model/report.h"

#include "base/text.h"

namespace meshproof {
namespace {

std::string TypeHelp(const Node& value, std::string_view wanted) {
  if (value.kind != NodeKind::kScalar || value.text.size() > 60) return {};
  if (wanted == "a string" && !value.IsString()) {
    return "quote it: \"" + std::string(value.text) + "\"";
  }
  if (wanted.substr(0, 6) == "a list")
    return "write it as a list: [" + std::string(value.text) + "]";
  if (value.IsString() && (wanted == "a whole number" || wanted == "a boolean")) {
    return "write it without quotes";
  }
  return {};
}

}  // namespace

std::string Quote(std::string_view text) {
  constexpr size_t kLongest = 80;
  std::string quoted = "`";
  if (text.size() <= kLongest) {
    quoted += text;
  } else {
    size_t cut = kLongest;
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xC0U) == 0x80U) --cut;
    quoted += text.substr(0, cut);
    quoted += "…";
  }
  return quoted + "`";
}

std::string Describe(const Node& value) {
  if (value.IsSequence()) return "a list";
  if (value.IsMapping()) return "a mapping";
  switch (value.type) {
    case ScalarType::kNull:
      return "null";
    case ScalarType::kBool:
      return "the boolean " + Quote(value.text);
    case ScalarType::kInt:
    case ScalarType::kFloat:
      return "the number " + Quote(value.text);
    case ScalarType::kString:
      return "the string " + Quote(value.text);
  }
  return "a value";
}

std::string Report::Subject() const {
  std::string subject(meta_->kind);
  if (!meta_->name.empty()) {
    subject += ' ';
    if (!meta_->ns.empty()) subject += meta_->ns + "/";
    subject += meta_->name;
  }
  return subject;
}

void Report::Add(Severity severity, Trouble trouble, Span span, std::string message,
                 std::string help) {
  diagnostics_->push_back({severity, trouble, std::move(message), span, std::move(help)});
}

void Report::UnknownField(const Node& key, const std::vector<std::string>& known) {
  std::string help;
  if (auto nearest = Nearest(key.text.substr(0, 200), known)) {
    help = "did you mean " + Quote(*nearest) + "?";
  } else {
    // A suffix left off or added is far by edit distance and still near to what was meant.
    for (const std::string& name : known) {
      if (key.text.size() < 3 || !StartsWithIgnoreCase(name, key.text)) continue;
      help = "did you mean " + Quote(name) + "?";
      break;
    }
  }
  Add(Severity::kWarning, Trouble::kUnknownField, SpanOf(key),
      "unknown field " + Quote(key.text) + " is dropped by the API server", std::move(help));
}

void Report::WrongType(const Node& value, std::string_view field, std::string_view wanted) {
  refused_ = true;
  impossible_ = true;
  Add(Severity::kError, Trouble::kWrongType, SpanOf(value),
      Subject() + " is refused: " + Quote(field) + " must be " + std::string(wanted) +
          ", here stands " + Describe(value),
      TypeHelp(value, wanted));
}

void Report::IgnoredType(const Node& value, std::string_view field, std::string_view wanted) {
  Add(Severity::kError, Trouble::kWrongType, SpanOf(value),
      Quote(field) + " must be " + std::string(wanted) + ", here stands " + Describe(value) +
          "; the field is ignored",
      TypeHelp(value, wanted));
}

void Report::Refuse(Span span, std::string_view reason, std::string help) {
  refused_ = true;
  Add(Severity::kError, Trouble::kRefused, span, Subject() + " is refused: " + std::string(reason),
      std::move(help));
}

void Report::Warn(Span span, std::string_view reason, std::string help) {
  Add(Severity::kWarning, Trouble::kAdmissionWarning, span, std::string(reason), std::move(help));
}

}  // namespace meshproof
