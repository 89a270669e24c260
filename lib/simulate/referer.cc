#include "simulate/referer.h"

#include "base/ascii.h"
#include "base/text.h"

namespace meshproof {
namespace {

// RFC 3986: what a query may hold, but for ':' and '/', which are looked at apart.
bool IsUriCharacter(char c) {
  return IsAsciiAlphanumeric(c) ||
         std::string_view("-._~%!$&'()*+,;=@?").find(c) != std::string_view::npos;
}

bool IsHost(std::string_view host) {
  if (host.starts_with('[')) {
    if (!host.ends_with(']') || host.size() < 3) return false;
    for (char c : host.substr(1, host.size() - 2)) {
      bool hex = IsAsciiDigit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
      if (!hex && c != ':' && c != '.') return false;
    }
    return true;
  }
  if (host.empty()) return false;
  for (char c : host) {
    if (!IsAsciiAlphanumeric(c) && c != '.' && c != '-') return false;
  }
  return true;
}

bool IsPort(std::string_view port) {
  auto number = ParseUnsigned(port);
  return number && *number <= 65535;
}

// "scheme://host[:port][/path][?query]".
bool IsPlainUrl(std::string_view value) {
  size_t colon = value.find("://");
  if (colon == std::string_view::npos || colon == 0) return false;
  for (char c : value.substr(0, colon)) {
    if (!IsAsciiLetter(c)) return false;
  }
  std::string_view rest = value.substr(colon + 3);
  size_t end = rest.find_first_of("/?#");
  std::string_view authority = rest.substr(0, end);
  size_t port = authority.rfind(':');
  if (port != std::string_view::npos && authority.find(']', port) == std::string_view::npos) {
    if (!IsPort(authority.substr(port + 1))) return false;
    authority = authority.substr(0, port);
  }
  if (!IsHost(authority)) return false;
  if (end == std::string_view::npos) return true;
  for (char c : rest.substr(end)) {
    if (c == '#' || c <= 0x20 || c == 0x7F) return false;  // `char` is signed: high bytes too
  }
  return true;
}

}  // namespace

bool IsKeptReferer(std::string_view value) {
  if (IsPlainUrl(value)) return true;
  bool seen_slash = false;
  for (char c : value) {
    if (c == '/') {
      seen_slash = true;
    } else if (c == ':') {
      if (!seen_slash) return false;  // the first segment of a relative reference has none
    } else if (!IsUriCharacter(c)) {
      return false;
    }
  }
  return true;
}

}  // namespace meshproof
