#include "base/json.h"

#include <simdjson.h>

#include <cmath>
#include <cstdio>

#include "base/text.h"

namespace meshproof {
namespace {

void WriteEscaped(std::string_view text, std::string* out) {
  out->push_back('"');
  for (char c : text) {
    switch (c) {
      case '"':
        *out += "\\\"";
        break;
      case '\\':
        *out += "\\\\";
        break;
      case '\n':
        *out += "\\n";
        break;
      case '\t':
        *out += "\\t";
        break;
      case '\r':
        *out += "\\r";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
          char buffer[8];
          std::snprintf(buffer, sizeof buffer, "\\u%04x", static_cast<unsigned char>(c));
          *out += buffer;
        } else {
          out->push_back(c);
        }
    }
  }
  out->push_back('"');
}

void WriteString(std::string_view text, std::string* out) {
  if (IsValidUtf8(text)) {
    WriteEscaped(text, out);
    return;
  }
  std::string repaired;
  while (!text.empty()) {
    size_t bad = FindInvalidUtf8(text);
    repaired += text.substr(0, bad);
    if (bad == std::string_view::npos) break;
    repaired += "\xEF\xBF\xBD";
    text.remove_prefix(bad + 1);
  }
  WriteEscaped(repaired, out);
}

void WriteDouble(double value, std::string* out) {
  if (!std::isfinite(value)) {
    *out += "null";
    return;
  }
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.17g", value);
  double back = 0;
  for (int precision = 1; precision < 17; ++precision) {
    char shorter[32];
    std::snprintf(shorter, sizeof shorter, "%.*g", precision, value);
    std::sscanf(shorter, "%lf", &back);
    if (back == value) {
      *out += shorter;
      return;
    }
  }
  *out += buffer;
}

void Write(const Json& value, int indent, int depth, std::string* out) {
  auto newline = [&](int level) {
    if (indent <= 0) return;
    out->push_back('\n');
    out->append(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
  };
  if (value.is_null()) {
    *out += "null";
  } else if (value.is_bool()) {
    *out += value.as_bool() ? "true" : "false";
  } else if (value.is_integer()) {
    *out += std::to_string(value.as_integer());
  } else if (value.is_number()) {
    WriteDouble(value.as_double(), out);
  } else if (value.is_string()) {
    WriteString(value.as_string(), out);
  } else if (value.is_array()) {
    const auto& items = value.as_array();
    out->push_back('[');
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out->push_back(',');
      newline(depth + 1);
      Write(items[i], indent, depth + 1, out);
    }
    if (!items.empty()) newline(depth);
    out->push_back(']');
  } else {
    const auto& fields = value.as_object();
    out->push_back('{');
    for (size_t i = 0; i < fields.size(); ++i) {
      if (i > 0) out->push_back(',');
      newline(depth + 1);
      WriteString(fields[i].first, out);
      *out += indent > 0 ? ": " : ":";
      Write(fields[i].second, indent, depth + 1, out);
    }
    if (!fields.empty()) newline(depth);
    out->push_back('}');
  }
}

// Sets `*duplicate` where an object names a key twice.
Json Convert(simdjson::dom::element element, std::string* duplicate) {
  using simdjson::dom::element_type;
  switch (element.type()) {
    case element_type::ARRAY: {
      Json::Array items;
      for (simdjson::dom::element item : simdjson::dom::array(element)) {
        items.push_back(Convert(item, duplicate));
      }
      return items;
    }
    case element_type::OBJECT: {
      Json object = Json::MakeObject();
      for (auto field : simdjson::dom::object(element)) {
        Json value = Convert(field.value, duplicate);
        Json* before = const_cast<Json*>(object.Find(field.key));
        if (before != nullptr) {
          *duplicate = std::string(field.key);
          *before = std::move(value);
        } else {
          object.Set(std::string(field.key), std::move(value));
        }
      }
      return object;
    }
    case element_type::INT64:
      return int64_t(element);
    case element_type::UINT64:
      return static_cast<double>(uint64_t(element));
    case element_type::DOUBLE:
      return double(element);
    case element_type::STRING:
      return std::string_view(element);
    case element_type::BOOL:
      return bool(element);
    case element_type::NULL_VALUE:
      return nullptr;
  }
  return nullptr;
}

}  // namespace

double Json::as_double() const {
  return is_integer() ? static_cast<double>(as_integer()) : std::get<double>(value_);
}

const Json* Json::Find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const auto& [name, value] : as_object()) {
    if (name == key) return &value;
  }
  return nullptr;
}

Json& Json::Set(std::string key, Json value) {
  if (is_null()) value_ = Object();
  as_object().emplace_back(std::move(key), std::move(value));
  return *this;
}

Json& Json::Append(Json value) {
  if (is_null()) value_ = Array();
  as_array().push_back(std::move(value));
  return *this;
}

std::string WriteJson(const Json& value, int indent) {
  std::string out;
  Write(value, indent, 0, &out);
  return out;
}

Result<Json> ParseJson(std::string_view text, DuplicateKeys duplicates) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  // simdjson answers an empty text and one of blanks differently; both are no JSON.
  if (TrimSpace(text).empty()) return Error{"the text is empty"};
  simdjson::padded_string padded(text);
  auto failure = parser.parse(padded).get(root);
  if (failure != simdjson::SUCCESS) return Error{simdjson::error_message(failure)};
  std::string duplicate;
  Json value = Convert(root, &duplicate);
  if (duplicates == DuplicateKeys::kRefuse && !duplicate.empty()) {
    return Error{"the key \"" + duplicate + "\" stands twice in an object"};
  }
  return value;
}

}  // namespace meshproof
