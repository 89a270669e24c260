#pragma once

#include <string>
#include <string_view>

namespace meshproof {

// Colours of a terminal; every function returns its text unchanged where there is none.
struct Style {
  bool colour = false;

  std::string Bold(std::string_view text) const { return Paint("1", text); }
  std::string Dim(std::string_view text) const { return Paint("2", text); }
  std::string Good(std::string_view text) const { return Paint("1;32", text); }
  std::string Bad(std::string_view text) const { return Paint("1;31", text); }
  std::string Unsure(std::string_view text) const { return Paint("1;33", text); }

 private:
  std::string Paint(std::string_view code, std::string_view text) const {
    if (!colour) return std::string(text);
    return "\x1b[" + std::string(code) + "m" + std::string(text) + "\x1b[0m";
  }
};

}  // namespace meshproof
