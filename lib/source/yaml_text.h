#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "source/node.h"

namespace meshproof {

// Where things of YAML end. yaml-cpp says only where they begin; these functions find the rest from
// the text, knowing the value that yaml-cpp read. `at` and the answers are offsets into `text`,
// which ends where the document ends.

// The first position from `at` on that is neither blank, line break nor part of a comment.
uint32_t SkipSpace(std::string_view text, uint32_t at);

// Properties of a node (`&anchor`, `!tag`) that start at `at`.
struct Properties {
  uint32_t end = 0;   // behind the last of them; `at` where there are none
  uint32_t node = 0;  // where what they belong to starts, if anything does
};
Properties SkipProperties(std::string_view text, uint32_t at);

uint32_t PlainEnd(std::string_view text, uint32_t at, std::string_view value);
// Nothing where the closing quote is missing, which yaml-cpp does not always notice.
std::optional<uint32_t> QuotedEnd(std::string_view text, uint32_t at);
uint32_t AliasEnd(std::string_view text, uint32_t at);

// A block scalar ends with its last line that is not blank. `comment` is set to the comment of its
// header line, if there is one inside the scalar.
uint32_t BlockEnd(std::string_view text, uint32_t at, std::string_view value,
                  std::optional<Comment>* comment);

// The length of a plain null (`~`, `null` in three spellings) at `at`; 0 where there is none.
uint32_t NullLength(std::string_view text, uint32_t at);

// Bytes between the start of the line and `at`.
uint32_t ColumnOf(std::string_view text, uint32_t at);

uint32_t LineEnd(std::string_view text, uint32_t at);

// The first line of the document at `at` if it is a directive that no `---` follows.
std::optional<uint32_t> FindLoneDirective(std::string_view text, uint32_t at);

// Of several line breaks in front of the closing quote yaml-cpp keeps one, or none where the text
// is empty otherwise; how many it loses of the quoted scalar `raw`.
size_t LostBreaks(std::string_view raw, bool empty);

// The first `{{` from `at` on where YAML would start a value or key, as an unrendered Helm template
// has it; braces in quotes, comments and block scalars are data. Meant for documents that could not
// be read: it goes by lines.
std::optional<uint32_t> FindTemplate(std::string_view text, uint32_t at);

// Whether the bracket at `at` is closed.
bool IsClosed(std::string_view text, uint32_t at);

// The opening quote of the first quoted scalar from `at` on that is not closed.
std::optional<uint32_t> FindOpenQuote(std::string_view text, uint32_t at);

}  // namespace meshproof
