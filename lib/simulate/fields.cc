#include "simulate/fields.h"

#include <algorithm>
#include <cstdlib>

#include "base/text.h"

namespace meshproof {
namespace {

std::string Quoted(std::string_view text) {
  return "`" + std::string(text) + "`";
}

std::string Choices(const std::vector<std::string>& names) {
  std::vector<std::string> quoted;
  for (const auto& name : names) quoted.push_back(Quoted(name));
  return Join(quoted, ", ");
}

// Days from 1970-01-01 of a date of the proleptic Gregorian calendar; years from March on, so that
// the leap day is the last one.
int64_t DaysFromEpoch(int64_t year, int64_t month, int64_t day) {
  if (month <= 2) --year;
  int64_t era = year / 400;
  int64_t year_of_era = year - era * 400;
  int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
  int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
  return era * 146097 + day_of_era - 719468;
}

int DaysInMonth(int64_t year, int64_t month) {
  constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// Takes `digits` decimal digits off the front.
std::optional<int64_t> TakeNumber(std::string_view* text, size_t digits) {
  if (text->size() < digits) return std::nullopt;
  auto value = ParseUnsigned(text->substr(0, digits));
  if (!value) return std::nullopt;
  text->remove_prefix(digits);
  return static_cast<int64_t>(*value);
}

bool TakeChar(std::string_view* text, std::string_view any_of) {
  if (text->empty() || any_of.find(text->front()) == std::string_view::npos) return false;
  text->remove_prefix(1);
  return true;
}

}  // namespace

FieldReader::FieldReader(const Document& document, const Node& node, std::string what,
                         std::vector<Diagnostic>* errors)
    : document_(document), node_(node), what_(std::move(what)), errors_(errors) {
  if (!node.IsMapping()) Report(node, what_ + " must be a mapping");
}

const Node* FieldReader::Take(std::string_view key) {
  known_.emplace_back(key);
  const Node* value = node_.Find(key);
  return value == nullptr || value->IsNull() ? nullptr : value;
}

std::optional<std::string> FieldReader::TakeText(std::string_view key) {
  const Node* value = Take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind != NodeKind::kScalar) {
    Report(*value, Quoted(key) + " must be a text");
    return std::nullopt;
  }
  return std::string(value->text);
}

std::optional<bool> FieldReader::TakeBool(std::string_view key) {
  const Node* value = Take(key);
  if (value == nullptr) return std::nullopt;
  if (!value->IsBool()) {
    Report(*value, Quoted(key) + " must be true or false");
    return std::nullopt;
  }
  return value->AsBool();
}

std::optional<int64_t> FieldReader::TakeInt(std::string_view key, int64_t low, int64_t high) {
  const Node* value = Take(key);
  if (value == nullptr) return std::nullopt;
  auto number = value->IsInt() ? value->AsInt() : std::nullopt;
  if (!number || *number < low || *number > high) {
    Report(*value, Quoted(key) + " must be a number from " + std::to_string(low) + " to " +
                       std::to_string(high));
    return std::nullopt;
  }
  return number;
}

std::optional<size_t> FieldReader::TakeChoice(std::string_view key,
                                              const std::vector<std::string>& names) {
  const Node* value = Take(key);
  if (value == nullptr) return std::nullopt;
  return Choose(*value, key, names);
}

std::optional<size_t> FieldReader::Choose(const Node& value, std::string_view key,
                                          const std::vector<std::string>& names) {
  if (value.kind == NodeKind::kScalar) {
    auto found = std::find(names.begin(), names.end(), value.text);
    if (found != names.end()) return static_cast<size_t>(found - names.begin());
  }
  std::string message = Quoted(key) + " must be one of " + Choices(names);
  if (value.kind == NodeKind::kScalar) message += ", not " + Quoted(value.text);
  Report(value, std::move(message));
  return std::nullopt;
}

std::vector<std::string> FieldReader::TakeTexts(std::string_view key) {
  std::vector<std::string> texts;
  const Node* value = Take(key);
  if (value == nullptr) return texts;
  if (value->kind == NodeKind::kScalar) {
    texts.emplace_back(value->text);
  } else if (value->IsSequence()) {
    for (const Node& item : value->items()) {
      if (item.kind == NodeKind::kScalar && !item.IsNull()) {
        texts.emplace_back(item.text);
      } else {
        Report(item, Quoted(key) + " must be a list of texts");
      }
    }
  } else {
    Report(*value, Quoted(key) + " must be a text or a list of texts");
  }
  return texts;
}

void FieldReader::Finish() {
  for (const Entry& entry : node_.entries()) {
    if (std::find(known_.begin(), known_.end(), entry.key.text) != known_.end()) continue;
    std::string message = "unknown key " + Quoted(entry.key.text) + " in " + what_;
    if (auto near = Nearest(entry.key.text, known_)) {
      message += "; did you mean " + Quoted(*near) + "?";
    }
    Report(entry.key, std::move(message));
  }
}

void FieldReader::Report(const Node& node, std::string message) {
  Diagnostic diagnostic;
  diagnostic.severity = Severity::kError;
  diagnostic.trouble = Trouble::kWrongType;
  diagnostic.message = std::move(message);
  diagnostic.span = document_.SpanOf(node);
  errors_->push_back(std::move(diagnostic));
}

Json ToJson(const Node& node) {
  switch (node.kind) {
    case NodeKind::kSequence: {
      Json list = Json::MakeArray();
      for (const Node& item : node.items()) list.Append(ToJson(item));
      return list;
    }
    case NodeKind::kMapping: {
      Json object = Json::MakeObject();
      for (const Entry& entry : node.entries()) {
        if (object.Find(entry.key.text) != nullptr) continue;
        object.Set(std::string(entry.key.text), ToJson(*node.Find(entry.key.text)));
      }
      return object;
    }
    case NodeKind::kScalar:
      break;
  }
  switch (node.type) {
    case ScalarType::kNull:
      return nullptr;
    case ScalarType::kBool:
      return node.AsBool();
    case ScalarType::kInt:
      if (auto value = node.AsInt()) return *value;
      [[fallthrough]];
    case ScalarType::kFloat: {
      std::string text(node.text);
      char* end = nullptr;
      double value = std::strtod(text.c_str(), &end);
      if (end == text.c_str() + text.size()) return value;
      return text;
    }
    case ScalarType::kString:
      return node.text;
  }
  return nullptr;
}

std::optional<int64_t> ParseTime(std::string_view text) {
  auto year = TakeNumber(&text, 4);
  if (!year || !TakeChar(&text, "-")) return std::nullopt;
  auto month = TakeNumber(&text, 2);
  if (!month || *month < 1 || *month > 12 || !TakeChar(&text, "-")) return std::nullopt;
  auto day = TakeNumber(&text, 2);
  if (!day || *day < 1 || *day > DaysInMonth(*year, *month)) return std::nullopt;
  if (!TakeChar(&text, "Tt ")) return std::nullopt;
  auto hour = TakeNumber(&text, 2);
  if (!hour || *hour > 23 || !TakeChar(&text, ":")) return std::nullopt;
  auto minute = TakeNumber(&text, 2);
  if (!minute || *minute > 59 || !TakeChar(&text, ":")) return std::nullopt;
  auto second = TakeNumber(&text, 2);
  if (!second || *second > 60) return std::nullopt;
  if (TakeChar(&text, ".")) {
    size_t digits = text.find_first_not_of("0123456789");
    if (digits == 0 || digits == std::string_view::npos) return std::nullopt;
    text.remove_prefix(digits);
  }
  int64_t offset = 0;
  if (!TakeChar(&text, "Zz")) {
    if (text.empty()) return std::nullopt;
    int64_t sign = text.front() == '-' ? -1 : 1;
    if (!TakeChar(&text, "+-")) return std::nullopt;
    auto hours = TakeNumber(&text, 2);
    if (!hours || *hours > 23 || !TakeChar(&text, ":")) return std::nullopt;
    auto minutes = TakeNumber(&text, 2);
    if (!minutes || *minutes > 59) return std::nullopt;
    offset = sign * (*hours * 3600 + *minutes * 60);
  }
  if (!text.empty()) return std::nullopt;
  return DaysFromEpoch(*year, *month, *day) * 86400 + *hour * 3600 + *minute * 60 + *second -
         offset;
}

}  // namespace meshproof
