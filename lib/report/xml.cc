#include "report/xml.h"

#include "base/text.h"

namespace meshproof {

std::string XmlText(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    size_t valid = FindInvalidUtf8(text);
    for (char c : text.substr(0, valid)) {
      if (c == '&') {
        out += "&amp;";
      } else if (c == '<') {
        out += "&lt;";
      } else if (c == '>') {
        out += "&gt;";
      } else if (c == '"') {
        out += "&quot;";
      } else if (c == '\n') {
        out += "&#10;";
      } else if (static_cast<unsigned char>(c) < 0x20 && c != '\t') {
        out += "\xEF\xBF\xBD";
      } else {
        out += c;
      }
    }
    if (valid == std::string_view::npos) break;
    out += "\xEF\xBF\xBD";
    text.remove_prefix(valid + 1);
  }
  return out;
}

std::string XmlAttribute(std::string_view name, std::string_view value) {
  return " " + std::string(name) + "=\"" + XmlText(value) + "\"";
}

}  // namespace meshproof
