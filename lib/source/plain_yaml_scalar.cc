// Where scalars end. The rules are those of yaml-cpp's scanner for blocks; between
// brackets it also ends scalars at `?`, so that only characters are taken there of which no
// reader makes anything but text.

#include "source/plain_yaml_scalar.h"

#include <array>
#include <cstdint>
#include <optional>

namespace meshproof {
namespace {

enum CharacterClass : uint8_t {
  kStopsPlain = 1,   // may end a plain scalar, or is not taken
  kStartsPlain = 2,  // begins one, whatever follows
  kInFlow = 4,       // is text within a plain scalar between brackets
  kMaybeTyped = 8,   // a plain scalar that starts with it may be more than a string
};

constexpr std::array<uint8_t, 256> MakeClasses() {
  std::array<uint8_t, 256> classes{};
  auto add = [&classes](std::string_view characters, uint8_t bit) {
    for (char c : characters) classes[static_cast<uint8_t>(c)] |= bit;
  };
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr std::string_view kDigits = "0123456789";
  for (size_t c = 0; c < 0x20; ++c) classes[c] = kStopsPlain;
  add("\x7F:#", kStopsPlain);
  for (std::string_view characters : {kLetters, kDigits, std::string_view("_/.$()+;<=^\\~")}) {
    add(characters, kStartsPlain | kInFlow);
  }
  for (size_t c = 0x80; c < 0x100; ++c) classes[c] = kStartsPlain | kInFlow;
  add(" -*@&!|>%", kInFlow);
  add(kDigits, kMaybeTyped);
  add("+-.yYtToOnNfF~", kMaybeTyped);
  return classes;
}

constexpr std::array<uint8_t, 256> kClasses = MakeClasses();

bool Is(char c, uint8_t classes) {
  return (kClasses[static_cast<uint8_t>(c)] & classes) != 0;
}

// `-` and `:` begin a plain scalar where no blank follows.
bool BeginsPlain(const char* at) {
  if (Is(*at, kStartsPlain)) return true;
  return (*at == '-' || *at == ':') && at[1] > ' ';
}

const char* TrimBlanks(const char* begin, const char* end) {
  while (end > begin && end[-1] == ' ') --end;
  return end;
}

int HexDigit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  char letter = static_cast<char>(c | 0x20);
  return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

constexpr std::string_view kEscapes = "nrt\"\\/ ";
constexpr std::string_view kEscaped = "\n\r\t\"\\/ ";

// The character that four hexadecimal digits at `at` stand for; nothing for halves of pairs, which
// readers treat differently.
std::optional<uint32_t> ReadCodePoint(const char* at) {
  uint32_t code = 0;
  for (int i = 0; i < 4; ++i) {
    int digit = HexDigit(at[i]);
    if (digit < 0) return std::nullopt;
    code = code << 4 | static_cast<uint32_t>(digit);
  }
  if (code == 0 || (code >= 0xD800 && code <= 0xDFFF)) return std::nullopt;
  return code;
}

void AppendUtf8(uint32_t code, std::string* text) {
  if (code < 0x80) {
    text->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text->push_back(static_cast<char>(0xC0 | code >> 6));
    text->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  } else {
    text->push_back(static_cast<char>(0xE0 | code >> 12));
    text->push_back(static_cast<char>(0x80 | (code >> 6 & 0x3F)));
    text->push_back(static_cast<char>(0x80 | (code & 0x3F)));
  }
}

// The length of the escape whose backslash stands at `at`; 0 where it is not taken.
size_t EscapeLength(const char* at) {
  if (at[1] == 'u') return ReadCodePoint(at + 2) ? 6 : 0;
  return at[1] != '\0' && kEscapes.find(at[1]) != std::string_view::npos ? 2 : 0;
}

}  // namespace

const char* NextLineOf(const char* line_end, int column) {
  if (*line_end != '\n' || line_end[-1] == '\r') return nullptr;
  const char* line = line_end + 1;
  const char* p = line;
  while (*p == ' ') ++p;
  bool blank = static_cast<unsigned char>(*p) <= ' ';
  return p - line > column && !blank ? p : nullptr;
}

const char* PlainLineEnd(const char* at, const char** stop) {
  const char* p = at;
  while (true) {
    while (!Is(*p, kStopsPlain)) ++p;
    if (*p == ':') {
      if (EndsWord(p[1])) break;
    } else if (*p == '#') {
      if (p[-1] == ' ') break;
    } else if (*p == '\n' || *p == '\0') {
      break;
    } else {
      return nullptr;
    }
    ++p;
  }
  *stop = p;
  return TrimBlanks(at, p);
}

const char* PlainScalarEnd(const char* at, const char** stop) {
  return BeginsPlain(at) ? PlainLineEnd(at, stop) : nullptr;
}

const char* FlowScalarEnd(const char* at) {
  if (!Is(*at, kStartsPlain) && !(*at == '-' && Is(at[1], kStartsPlain))) return nullptr;
  const char* p = at + 1;
  while (Is(*p, kInFlow) || (*p == ':' && Is(p[1], kStartsPlain))) ++p;
  return TrimBlanks(at, p);
}

QuotedScalar ScanQuotedScalar(const char* at, int column) {
  char quote = *at;
  QuotedScalar scalar;
  for (const char* p = at + 1;;) {
    bool escape = *p == '\\' && quote == '"';
    if (*p == quote) {
      scalar.end = p + 1;
      if (quote == '"' || p[1] != quote) return scalar;
      scalar.verbatim = false;
      p += 2;
    } else if (*p == '\n' || (escape && p[1] == '\n')) {
      p = NextLineOf(escape ? p + 1 : p, column);
      // Breaks in front of the closing quote are lost or not, as readers please.
      if (p == nullptr || *p == quote) return {};
      scalar.verbatim = false;
    } else if (escape) {
      size_t length = EscapeLength(p);
      if (length == 0) return {};
      scalar.verbatim = false;
      p += length;
    } else if (*p == '\0') {
      return {};
    } else {
      ++p;
    }
  }
}

void Unquote(std::string_view raw, std::string* value) {
  value->clear();
  char quote = raw[0];
  size_t kept = 0;  // of `value`, whatever blanks stand at its end
  for (size_t i = 1; i + 1 < raw.size(); ++i) {
    char c = raw[i];
    if (c == '\n') {
      while (value->size() > kept && (value->back() == ' ' || value->back() == '\t')) {
        value->pop_back();
      }
      value->push_back(' ');
      while (raw[i + 1] == ' ') ++i;
      continue;
    }
    if (c != (quote == '"' ? '\\' : quote)) {
      value->push_back(c);
      continue;
    }
    c = raw[++i];
    if (c == '\n') {
      while (raw[i + 1] == ' ') ++i;
    } else if (c == '\'') {
      value->push_back(c);
    } else if (c == 'u') {
      AppendUtf8(*ReadCodePoint(raw.data() + i + 1), value);
      i += 4;
    } else {
      value->push_back(kEscaped[kEscapes.find(c)]);
    }
    kept = value->size();
  }
}

ScalarType TypeOfPlain(std::string_view text) {
  return Is(text[0], kMaybeTyped) ? ResolvePlainScalar(text) : ScalarType::kString;
}

}  // namespace meshproof
