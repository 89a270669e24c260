#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meshproof {

// ASCII only, as Envoy folds names and hosts.
std::string ToLower(std::string_view text);
bool EqualsIgnoreCase(std::string_view a, std::string_view b);
bool StartsWithIgnoreCase(std::string_view text, std::string_view prefix);
bool EndsWithIgnoreCase(std::string_view text, std::string_view suffix);

std::string_view TrimSpace(std::string_view text);
// Splits at every `separator`; "" gives one empty piece.
std::vector<std::string_view> Split(std::string_view text, char separator);
std::string Join(const std::vector<std::string>& pieces, std::string_view separator);

// The candidate nearest to `word` by edit distance, where it is near enough to be what was meant
// (at most a third of the word's length, at least 1); the first of equals.
std::optional<std::string> Nearest(std::string_view word,
                                   const std::vector<std::string>& candidates);

bool IsValidUtf8(std::string_view text);
// Byte offset of the first byte that is not UTF-8, or npos.
size_t FindInvalidUtf8(std::string_view text);

// A whole decimal number without sign, blanks or leading '+'; nothing where it is not one or does
// not fit.
std::optional<unsigned long> ParseUnsigned(std::string_view text);

}  // namespace meshproof
