// Where scalars of one line end. The rules are those of yaml-cpp's scanner for blocks; between
// brackets it also ends scalars at `?`, so that only characters are taken there of which no
// reader makes anything but text.

#include "source/plain_yaml_scalar.h"

#include <array>
#include <cstdint>

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

bool EndsWord(char c) {
  return c == ' ' || c == '\n' || c == '\0';
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

constexpr std::string_view kEscapes = "nrt\"\\/";
constexpr std::string_view kEscaped = "\n\r\t\"\\/";

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

const char* PlainScalarEnd(const char* at, const char** stop) {
  if (!BeginsPlain(at)) return nullptr;
  const char* p = at + 1;
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

const char* FlowScalarEnd(const char* at) {
  if (!Is(*at, kStartsPlain) && !(*at == '-' && Is(at[1], kStartsPlain))) return nullptr;
  const char* p = at + 1;
  while (Is(*p, kInFlow) || (*p == ':' && Is(p[1], kStartsPlain))) ++p;
  return TrimBlanks(at, p);
}

const char* QuotedScalarEnd(const char* at, bool* verbatim) {
  char quote = *at;
  *verbatim = true;
  for (const char* p = at + 1;;) {
    if (*p == quote) {
      if (quote == '"' || p[1] != quote) return p + 1;
      *verbatim = false;
      p += 2;
    } else if (*p == '\\' && quote == '"') {
      size_t length = EscapeLength(p);
      if (length == 0) return nullptr;
      *verbatim = false;
      p += length;
    } else if (*p == '\n' || *p == '\0') {
      return nullptr;
    } else {
      ++p;
    }
  }
}

void Unquote(std::string_view raw, std::string* value) {
  value->clear();
  char quote = raw[0];
  for (size_t i = 1; i + 1 < raw.size(); ++i) {
    if (quote == '\'' && raw[i] == '\'') {
      ++i;
      value->push_back('\'');
    } else if (quote == '"' && raw[i] == '\\') {
      ++i;
      if (raw[i] == 'u') {
        AppendUtf8(*ReadCodePoint(raw.data() + i + 1), value);
        i += 4;
      } else {
        value->push_back(kEscaped[kEscapes.find(raw[i])]);
      }
    } else {
      value->push_back(raw[i]);
    }
  }
}

ScalarType TypeOfPlain(std::string_view text) {
  return Is(text[0], kMaybeTyped) ? ResolvePlainScalar(text) : ScalarType::kString;
}

}  // namespace meshproof
