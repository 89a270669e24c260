// Finds the pieces of a dump in its text. Every byte is looked at once, and only brackets, quotes
// and the keys of the outer objects count: the pieces themselves are read later, one at a time, so
// that memory stays near the size of the text.

#include <algorithm>
#include <cstring>

#include "proxy/dump_fields.h"
#include "proxy/dump_pieces.h"

namespace meshproof {
namespace {

// Walks a JSON text without a tree. Stops at the first place that is no JSON.
class TextWalker {
 public:
  TextWalker(std::string_view text, Collector* out) : text_(text), out_(*out) {}

  // The byte at which the text goes wrong; npos: it does not, as far as it was looked at.
  size_t error() const { return error_; }
  const char* message() const { return message_; }

  void Walk() {
    Blanks();
    while (error_ == std::string_view::npos && at_ < text_.size()) {
      if (Peek() == '[') {
        List([&] { Element(); });
      } else if (Peek() == '{') {
        Element();
      } else {
        return Fail("neither an object nor a list starts here");
      }
      Blanks();
    }
  }

 private:
  void Fail(const char* message) {
    if (error_ != std::string_view::npos) return;
    error_ = std::min(at_, text_.size());
    message_ = message;
  }
  bool Ok() const { return error_ == std::string_view::npos; }
  char Peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void Blanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\t' || text_[at_] == '\r')) {
      ++at_;
    }
  }

  // Past the string that starts here; its raw text.
  std::string_view String() {
    if (Peek() != '"') {
      Fail("a string is missing here");
      return {};
    }
    size_t begin = ++at_;
    while (true) {
      const void* quote =
          at_ < text_.size() ? std::memchr(text_.data() + at_, '"', text_.size() - at_) : nullptr;
      if (quote == nullptr) {
        at_ = text_.size();
        Fail("the text ends in the middle of a string");
        return {};
      }
      size_t end = static_cast<size_t>(static_cast<const char*>(quote) - text_.data());
      size_t slashes = 0;
      while (end > begin + slashes && text_[end - 1 - slashes] == '\\') ++slashes;
      at_ = end + 1;
      if (slashes % 2 == 0) return text_.substr(begin, end - begin);
    }
  }

  void Skip() {
    char first = Peek();
    if (first == '"') {
      String();
      return;
    }
    if (first != '{' && first != '[') {
      while (at_ < text_.size() && std::strchr(",]} \n\r\t", text_[at_]) == nullptr) ++at_;
      return;
    }
    int depth = 0;
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '"') {
        String();
        if (!Ok()) return;
        continue;
      }
      ++at_;
      if (c == '{' || c == '[') ++depth;
      if ((c == '}' || c == ']') && --depth == 0) return;
    }
    Fail("the text ends in the middle of a value");
  }

  // Calls `each` at every element; it moves past the element.
  template <typename Function>
  void List(Function each) {
    ++at_;
    Blanks();
    if (Peek() == ']') {
      ++at_;
      return;
    }
    while (Ok()) {
      if (at_ >= text_.size()) return Fail("the text ends in the middle of a list");
      size_t before = at_;
      each();
      if (!Ok()) return;
      if (at_ == before) return Fail("a value is missing here");
      Blanks();
      char next = Peek();
      if (next == ']') {
        ++at_;
        return;
      }
      if (at_ >= text_.size()) return Fail("the text ends in the middle of a list");
      if (next != ',') return Fail("`,` or `]` is missing here");
      ++at_;
      Blanks();
    }
  }

  // Calls `each` with every key, standing at its value; it moves past the value.
  template <typename Function>
  void Object(Function each) {
    ++at_;
    Blanks();
    if (Peek() == '}') {
      ++at_;
      return;
    }
    while (Ok()) {
      std::string_view key = String();
      Blanks();
      if (Ok() && Peek() != ':') Fail("`:` is missing here");
      if (!Ok()) return;
      ++at_;
      Blanks();
      size_t before = at_;
      each(key);
      if (!Ok()) return;
      if (at_ == before) return Fail("a value is missing here");
      Blanks();
      char next = Peek();
      if (next == '}') {
        ++at_;
        return;
      }
      if (at_ >= text_.size()) return Fail("the text ends in the middle of an object");
      if (next != ',') return Fail("`,` or `}` is missing here");
      ++at_;
      Blanks();
    }
  }

  void AddPiece(PieceKind kind) {
    size_t begin = at_;
    Skip();
    if (!Ok()) return;
    out_.Add({kind, nullptr, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_)});
  }

  void Element() {
    if (Peek() != '{') {
      Skip();
      return;
    }
    ReadObject(true);
  }

  // An object that may be a dump (at the top), a section of one or a message.
  void ReadObject(bool top) {
    size_t begin = at_;
    bool lists = false, container = false;
    Keys keys;
    std::string_view version, type;
    Object([&](std::string_view key) {
      keys.See(key);
      if (top && key == "configs" && Peek() == '[') {
        container = true;
        out_.Begin();
        out_.whole = true;
        List([&] {
          if (Peek() == '{') {
            ReadObject(false);
          } else {
            Skip();
          }
        });
        return;
      }
      if (top && key == "items" && Peek() == '[') {
        container = true;
        List([&] { Element(); });
        return;
      }
      if (auto kind = ListKind(key); kind && Peek() == '[') {
        lists = true;
        NoteSection(SectionOf(*kind), version);
        List([&] { AddPiece(*kind); });
        return;
      }
      bool is_type = key == "@type", is_version = IsField(key, "version_info");
      if ((is_type || is_version) && Peek() == '"') {
        (is_type ? type : version) = String();
        return;
      }
      Skip();
    });
    if (!Ok() || container) return;
    if (auto section = SectionOfType(type); section != Section::kNone) {
      NoteSection(section, version);
      lists = true;
    }
    if (!lists) {
      out_.Add(
          {keys.Guess(type), nullptr, static_cast<uint32_t>(begin), static_cast<uint32_t>(at_)});
    }
  }

  void NoteSection(Section section, std::string_view version) {
    if (section == Section::kNone) return;
    Parts& parts = out_.Current();
    parts.sections.push_back(section);
    if (version.empty()) return;
    if (section == Section::kListeners) parts.listeners_version = std::string(version);
    if (section == Section::kClusters) parts.clusters_version = std::string(version);
  }

  std::string_view text_;
  Collector& out_;
  size_t at_ = 0;
  size_t error_ = std::string_view::npos;
  const char* message_ = "";
};

}  // namespace

TextError WalkText(std::string_view text, Collector* out) {
  TextWalker walker(text, out);
  walker.Walk();
  return {walker.error(), walker.message()};
}

}  // namespace meshproof
