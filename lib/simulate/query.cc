#include "simulate/query.h"

#include <algorithm>

namespace meshproof {
namespace {

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Percent escapes only; `+` stays, and an escape that is none stays as it is.
std::string PercentDecode(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
        HexValue(text[i + 2]) >= 0) {
      decoded += static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

}  // namespace

QueryParams ParseQuery(std::string_view path, PercentDecoding decoding) {
  QueryParams params;
  size_t start = path.find('?');
  if (start == std::string_view::npos) return params;
  auto text = [&](std::string_view piece) {
    return decoding == PercentDecoding::kYes ? PercentDecode(piece) : std::string(piece);
  };
  std::string_view query = path.substr(start + 1);
  // A query that ends in `&`, or is empty, has no empty parameter at its end.
  while (!query.empty()) {
    size_t end = std::min(query.find('&'), query.size());
    std::string_view param = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    size_t equal = param.find('=');
    if (equal == std::string_view::npos) {
      params[text(param)].emplace_back();
    } else {
      params[text(param.substr(0, equal))].push_back(text(param.substr(equal + 1)));
    }
  }
  return params;
}

std::string ReplaceQuery(std::string_view path, const QueryParams& params) {
  std::string result(path.substr(0, path.find('?')));
  char separator = '?';
  for (const auto& [name, values] : params) {
    for (const auto& value : values) {
      result += separator;
      result.append(name).append("=").append(value);
      separator = '&';
    }
  }
  return result;
}

}  // namespace meshproof
