// Block YAML for values that are JSON. A string is written plain only where no YAML reader, 1.1 or
// 1.2, could take it for anything else; every other one in JSON's quotes, which are YAML's too.

#include "base/text.h"
#include "proxy/emit.h"

namespace meshproof {
namespace {

bool IsLetter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool IsPlainByte(char c) {
  return IsLetter(c) || (c >= '0' && c <= '9') ||
         std::string_view("_-./|+=()$^~;").find(c) != std::string_view::npos;
}

bool IsReserved(std::string_view text) {
  const std::string lower = ToLower(text);
  for (const std::string_view word :
       {"y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"}) {
    if (lower == word) return true;
  }
  return false;
}

bool IsPlain(std::string_view text) {
  if (text.empty() || IsReserved(text)) return false;
  if (!IsLetter(text.front()) && text.front() != '/') return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    // A colon ends a key only before a blank or the end.
    if (c == ':' && i + 1 < text.size() && IsPlainByte(text[i + 1])) continue;
    if (!IsPlainByte(c)) return false;
  }
  return true;
}

std::string Scalar(const Json& value) {
  if (value.is_string() && IsPlain(value.as_string())) return value.as_string();
  return WriteJson(value);
}

bool IsEmptyCollection(const Json& value) {
  return (value.is_object() && value.as_object().empty()) ||
         (value.is_array() && value.as_array().empty());
}

bool IsBlock(const Json& value) {
  return (value.is_object() || value.is_array()) && !IsEmptyCollection(value);
}

void Write(const Json& value, size_t indent, bool continues_line, std::string* out);

void WriteEntry(const std::string& key, const Json& value, size_t indent, std::string* out) {
  *out += Scalar(Json(key)) + ":";
  if (!IsBlock(value)) {
    *out += " " + Scalar(value) + "\n";
    return;
  }
  *out += "\n";
  // Sequences stand at the column of their key.
  Write(value, value.is_array() ? indent : indent + 2, false, out);
}

void Write(const Json& value, size_t indent, bool continues_line, std::string* out) {
  const std::string margin(indent, ' ');
  if (value.is_object()) {
    for (const auto& [key, child] : value.as_object()) {
      if (!continues_line) *out += margin;
      continues_line = false;
      WriteEntry(key, child, indent, out);
    }
    return;
  }
  for (const Json& child : value.as_array()) {
    if (!continues_line) *out += margin;
    continues_line = false;
    *out += "- ";
    if (IsBlock(child)) {
      Write(child, indent + 2, true, out);
    } else {
      *out += Scalar(child) + "\n";
    }
  }
}

}  // namespace

std::string WriteYaml(const Json& value) {
  if (!IsBlock(value)) return Scalar(value) + "\n";
  std::string out;
  Write(value, 0, false, &out);
  return out;
}

}  // namespace meshproof
