// The YAML that kubectl, helm and kustomize print, in one pass over its bytes: mappings and
// sequences in blocks (sequences also at the column of their key, collections also behind `- `),
// plain and quoted scalars, also folded over lines without an empty one between, block scalars,
// collections between brackets on one line, comments, `---` and `...`. Everything else - anchors,
// aliases, tags, merge keys, `? ` keys, keys that Kubernetes spells anew or that stand twice,
// brackets over several lines, directives, tabs and carriage returns in front of
// content, a line at a column where nothing is open - makes the reader give the whole document up,
// and the general one reads it.
//
// Why that suffices: a document is taken only if each of its lines is, in the column of an open
// collection, a key with its `:`, a `- `, a comment, blank, or, deeper than the collection, a line
// that goes on with a block scalar or with the scalar on the line above. In these lines a token's
// meaning and end depend on its line alone, so that no state of YAML's other constructs can reach
// them; and nothing that is taken earns a diagnostic. The rest is proven by comparing this reader
// with the general one on generated, mutated and real documents.

#include "source/plain_yaml.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "source/plain_yaml_scalar.h"

namespace meshproof {
namespace {

// yaml-cpp takes no longer key; the general reader says so.
constexpr uint32_t kMaxKey = 1000;
// Bounds the recursion. Deeper documents are read by the general reader, which knows the limit.
constexpr int kDeepest = 100;

bool IsDash(const char* at) {
  return *at == '-' && EndsWord(at[1]);
}

bool IsMarker(const char* at, char c) {
  return at[0] == c && at[1] == c && at[2] == c && EndsWord(at[3]);
}

// Whether a number is spelled as Kubernetes spells it, and no other.
bool IsDecimal(std::string_view text) {
  constexpr size_t kFits = 18;
  if (text.size() > kFits || (text[0] == '0' && text.size() > 1)) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

bool OnlyBlanks(const char* begin, const char* end) {
  while (begin != end && (*begin == ' ' || *begin == '\t')) ++begin;
  return begin == end;
}

// What line breaks of a folded block scalar become, step by step as yaml-cpp takes them: a blank
// between two lines of text, as many breaks as there are empty lines, and all of them around lines
// that are indented further.
class BlockFolding {
 public:
  explicit BlockFolding(std::string* text) : text_(*text) {}

  // A break in front of the line `next`, of this scalar or (`inside` false) behind it. Empty lines
  // hold nothing but indentation.
  void Break(std::string_view next, bool inside) {
    const bool empty = next.empty();
    const bool deeper = !empty && (next[0] == ' ' || next[0] == '\t');
    if (breaks_ == 0 && empty) after_deeper_ = deeper_;
    if (opened_) Add(empty, deeper, inside);
    opened_ = true;
    empty_ = empty;
    deeper_ = deeper;
    any_ = any_ || !empty;
  }

 private:
  void Add(bool empty, bool deeper, bool inside) {
    if (empty) {
      ++breaks_;
    } else if (!empty_ && !deeper_ && !deeper && inside) {
      text_ += ' ';
    } else {
      text_ += '\n';
    }
    if (empty || breaks_ == 0) return;
    text_.append(breaks_ - 1, '\n');
    if (after_deeper_ || deeper || !any_) text_ += '\n';
    breaks_ = 0;
  }

  std::string& text_;
  bool opened_ = false;  // the header's break is behind us
  bool any_ = false;     // text stands before
  bool empty_ = false;   // the line before
  bool deeper_ = false;
  size_t breaks_ = 0;  // of empty lines, not written yet
  bool after_deeper_ = false;
};

// Where yaml-cpp is to stop: it is not shown blanks behind the last line break.
uint32_t ContentEnd(std::string_view text, DocumentText where) {
  uint32_t end = where.end;
  while (end > where.begin && (text[end - 1] == ' ' || text[end - 1] == '\t')) --end;
  return end > where.begin && text[end - 1] == '\n' ? end : where.end;
}

}  // namespace

class PlainYamlReader::Impl {
 public:
  bool Read(const std::shared_ptr<const SourceFile>& file, DocumentText where, ReadResult* result) {
    std::string_view text = file->text();
    file_ = file.get();
    base_ = text.data();
    at_ = base_ + where.begin;
    end_ = base_ + ContentEnd(text, where);
    // yaml-cpp looks for a byte order mark at the start of each document.
    if (at_ == end_ || static_cast<unsigned char>(*at_) >= 0x80) return false;
    if (*end_ != '\0' && end_[-1] != '\n') return false;
    comments_ = &result->comments;
    size_t comments = comments_->size();
    entries_.clear();
    items_.clear();
    depth_ = 0;
    const Node* root = nullptr;
    if (!ReadDocument(&root)) {
      comments_->resize(comments);
      return false;
    }
    if (root != nullptr) result->documents.emplace_back(file, arena_, root);
    return true;
  }

 private:
  static constexpr int kNoLine = -1;

  uint32_t Offset(const char* at) const { return static_cast<uint32_t>(at - base_); }

  // `*stored` stays null where there is no content.
  bool ReadDocument(const Node** stored) {
    if (!NextLine()) return false;
    if (column_ == 0 && IsMarker(at_, '-')) {
      at_ += 3;
      if (!EndLine()) return false;
    }
    if (column_ == kNoLine) return true;
    Node root;
    if (!ReadBlock(&root) || column_ != kNoLine) return false;
    *stored = arena_->CopyAll(std::span<const Node>(&root, 1)).data();
    return true;
  }

  // From the start of a line to the next content: `column_` is its column, kNoLine where there is
  // none.
  bool NextLine() {
    while (at_ != end_) {
      const char* line = at_;
      while (*at_ == ' ') ++at_;
      if (*at_ == '\n') {
        ++at_;
      } else if (*at_ == '#') {
        if (!TakeComment(true)) return false;
      } else if (at_ == end_) {
        break;
      } else if (at_ == line && IsMarker(at_, '.')) {
        at_ += 3;
        column_ = kNoLine;
        return EndMarker();
      } else {
        column_ = static_cast<int>(at_ - line);
        return true;
      }
    }
    column_ = kNoLine;
    return true;
  }

  // Behind `...`, which is the last line.
  bool EndMarker() {
    while (*at_ == ' ') ++at_;
    if (*at_ == '\n') ++at_;
    return at_ == end_;
  }

  bool TakeComment(bool alone) {
    const void* found = std::memchr(at_, '\n', static_cast<size_t>(end_ - at_));
    const char* line_end = found == nullptr ? end_ : static_cast<const char*>(found);
    if (line_end[-1] == '\r') return false;
    comments_->push_back({Offset(at_), Offset(line_end), alone});
    at_ = found == nullptr ? end_ : line_end + 1;
    return true;
  }

  // Past what may follow a value on its line, and on to the next content.
  bool EndLine() {
    const char* behind = at_;
    while (*at_ == ' ') ++at_;
    if (*at_ == '\n') {
      ++at_;
    } else if (*at_ == '#') {
      if (at_ == behind || !TakeComment(false)) return false;
    } else if (at_ != end_) {
      return false;
    }
    return NextLine();
  }

  bool AtLineEnd() const { return *at_ == '\n' || *at_ == '#' || at_ == end_; }

  // A collection whose first line starts here.
  bool ReadBlock(Node* node) {
    if (IsDash(at_)) return ReadSequence(column_, node);
    Node key;
    return ReadScalar(kOneLine, &key) && IsKeyEnd() && ReadMapping(column_, key, node);
  }

  bool ReadSequence(int column, Node* node) {
    if (++depth_ > kDeepest) return false;
    size_t first = items_.size();
    node->begin = Offset(at_);
    do {
      Node item;
      if (!ReadItem(column, &item)) return false;
      items_.push_back(item);
    } while (column_ == column && IsDash(at_));
    // A line further right belongs to nothing. One at this column may be the next key of the
    // mapping that holds this sequence; any other mapping finds it too far right.
    if (column_ > column) return false;
    node->end = items_.back().end;
    TakeItems(first, node);
    --depth_;
    return true;
  }

  void TakeItems(size_t first, Node* node) {
    node->SetItems(arena_->CopyAll(std::span<const Node>(items_).subspan(first)));
    items_.resize(first);
  }

  // What stands behind the `-` in `column`, and the lines below it.
  bool ReadItem(int column, Node* item) {
    const char* dash = at_++;
    while (*at_ == ' ') ++at_;
    if (AtLineEnd()) {
      if (!EndLine()) return false;
      if (column_ > column) return ReadBlock(item);
      item->begin = item->end = Offset(dash + 1);
      return true;
    }
    int inner = column + static_cast<int>(at_ - dash);
    if (IsDash(at_)) return ReadSequence(inner, item);
    if (*at_ == '|' || *at_ == '>') return ReadBlockScalar(column, item);
    if (*at_ == '[' || *at_ == '{') return ReadBrackets(item) && EndLine();
    if (!ReadScalar(column, item)) return false;
    if (*at_ != ':') return EndScalar(column, item);
    // A key stands on one line.
    if (std::memchr(base_ + item->begin, '\n', item->end - item->begin) != nullptr) return false;
    Node key = *item;
    *item = Node();
    return IsKeyEnd() && ReadMapping(inner, key, item);
  }

  // Whether a key ends here; goes behind its `:`.
  bool IsKeyEnd() {
    if (*at_ != ':') return false;
    ++at_;
    return EndsWord(*at_);
  }

  // A mapping in `column`, from behind the `:` of its first key on.
  bool ReadMapping(int column, Node key, Node* node) {
    if (++depth_ > kDeepest) return false;
    size_t first = entries_.size();
    node->begin = key.begin;
    while (true) {
      if (!IsPlainKey(key)) return false;
      Node value;
      if (!ReadValue(column, &value)) return false;
      entries_.push_back({key, value});
      if (column_ != column) break;
      key = Node();
      if (!ReadScalar(kOneLine, &key) || !IsKeyEnd()) return false;
    }
    if (column_ > column) return false;
    node->end = entries_.back().value.end;
    --depth_;
    return TakeEntries(first, node);
  }

  // Whether the key is nothing that Kubernetes spells differently or YAML merges.
  static bool IsPlainKey(const Node& key) {
    if (key.end - key.begin > kMaxKey) return false;
    if (key.type == ScalarType::kInt) return IsDecimal(key.text);
    return key.type == ScalarType::kString &&
           (key.style == ScalarStyle::kQuoted || key.text != "<<");
  }

  bool TakeEntries(size_t first, Node* node) {
    std::span<const Entry> entries = std::span<const Entry>(entries_).subspan(first);
    duplicates_.clear();
    ReportDuplicateKeys(*file_, entries, &duplicates_);
    if (!duplicates_.empty()) return false;
    node->SetEntries(arena_->CopyAll(entries));
    entries_.resize(first);
    return true;
  }

  // The value behind a `:` of a mapping in `column`, on its line or below it.
  bool ReadValue(int column, Node* value) {
    const char* colon_end = at_;
    while (*at_ == ' ') ++at_;
    if (AtLineEnd()) {
      if (!EndLine()) return false;
      if (column_ > column) return ReadBlock(value);
      if (column_ == column && IsDash(at_)) return ReadSequence(column, value);
      value->begin = value->end = Offset(colon_end);
      return true;
    }
    if (*at_ == '|' || *at_ == '>') return ReadBlockScalar(column, value);
    if (*at_ == '[' || *at_ == '{') return ReadBrackets(value) && EndLine();
    return ReadScalar(column, value) && EndScalar(column, value);
  }

  // A quoted scalar of a collection in `column`, or the first line of a plain one; stops at what
  // follows it.
  bool ReadScalar(int column, Node* node) {
    if (*at_ == '"' || *at_ == '\'') return ReadQuoted(column, node);
    const char* stop = nullptr;
    const char* end = PlainScalarEnd(at_, &stop);
    if (end == nullptr || (*stop == ':' && stop != end)) return false;
    SetPlain(end, node);
    return true;
  }

  void SetPlain(const char* end, Node* node) {
    node->begin = Offset(at_);
    node->end = Offset(end);
    node->text = {at_, static_cast<size_t>(end - at_)};
    node->type = TypeOfPlain(node->text);
    at_ = end;
  }

  // The lines below that go on with a plain scalar, and what follows any scalar.
  bool EndScalar(int column, Node* node) {
    if (node->style == ScalarStyle::kPlain) {
      const char* line = PlainContinued(column);
      if (line != nullptr && !FoldPlain(line, column, node)) return false;
    }
    return EndLine();
  }

  // Where a plain scalar goes on of which a line ends here.
  const char* PlainContinued(int column) const {
    const char* p = at_;
    while (*p == ' ') ++p;
    const char* line = NextLineOf(p, column);
    return line != nullptr && *line != '#' ? line : nullptr;
  }

  bool FoldPlain(const char* line, int column, Node* node) {
    scratch_ = node->text;
    for (; line != nullptr; line = PlainContinued(column)) {
      const char* stop = nullptr;
      const char* end = PlainLineEnd(line, &stop);
      if (end == nullptr || *stop == ':') return false;
      scratch_ += ' ';
      scratch_.append(line, end);
      at_ = end;
    }
    node->end = Offset(at_);
    node->text = arena_->CopyText(scratch_);
    node->type = TypeOfPlain(node->text);
    return true;
  }

  bool ReadQuoted(int column, Node* node) {
    const QuotedScalar scalar = ScanQuotedScalar(at_, column);
    const char* end = scalar.end;
    if (end == nullptr) return false;
    node->type = ScalarType::kString;
    node->style = ScalarStyle::kQuoted;
    node->begin = Offset(at_);
    node->end = Offset(end);
    if (scalar.verbatim) {
      node->text = {at_ + 1, static_cast<size_t>(end - at_ - 2)};
    } else {
      Unquote({at_, static_cast<size_t>(end - at_)}, &scratch_);
      node->text = arena_->CopyText(scratch_);
    }
    at_ = end;
    return true;
  }

  // `|` or `>` of a collection in `column`, and its lines.
  bool ReadBlockScalar(int column, Node* node) {
    node->type = ScalarType::kString;
    node->style = ScalarStyle::kBlock;
    node->begin = Offset(at_);
    const bool folded = *at_++ == '>';
    char chomp = '\0';
    int deeper = 0;  // than the collection, where the header says so
    for (int i = 0; i < 2; ++i) {
      if (chomp == '\0' && (*at_ == '-' || *at_ == '+')) {
        chomp = *at_++;
      } else if (deeper == 0 && *at_ >= '1' && *at_ <= '9') {
        deeper = *at_++ - '0';
      }
    }
    if (!EndHeader()) return false;
    const int indent = deeper == 0 ? BlockIndent() : column + deeper;
    if (indent <= column || !ReadBlockLines(indent, folded, &node->end)) return false;
    Chomp(chomp);
    node->text = arena_->CopyText(scratch_);
    return NextLine() && column_ <= column;
  }

  bool EndHeader() {
    const char* behind = at_;
    while (*at_ == ' ') ++at_;
    if (*at_ == '#') return at_ != behind && TakeComment(false);
    return *at_++ == '\n';
  }

  // The column of a block scalar's first line that is not empty; kNoLine where it has none or one
  // whose column is in doubt.
  int BlockIndent() const {
    const char* line = at_;
    while (line != end_ && *line == '\n') ++line;
    if (line == end_) return kNoLine;
    const char* p = line;
    while (*p == ' ') ++p;
    if (*p == '\0' || *p == '\n' || *p == '\t' || *p == '\r') return kNoLine;
    return static_cast<int>(p - line);
  }

  // Takes the lines of a block scalar; `*content_end` is the end of the last that is not blank.
  // False where all are.
  bool ReadBlockLines(int indent, bool folded, uint32_t* content_end) {
    scratch_.clear();
    BlockFolding folding(&scratch_);
    bool ends_open = false;
    *content_end = 0;
    while (at_ != end_) {
      const char* p = at_;
      while (p - at_ < indent && *p == ' ') ++p;
      if (p - at_ < indent) {
        if (*p == '\t' || *p == '\r') return false;
        if (*p != '\n') break;
      }
      const void* found = std::memchr(p, '\n', static_cast<size_t>(end_ - p));
      const char* line_end = found == nullptr ? end_ : static_cast<const char*>(found);
      if (line_end[-1] == '\r') return false;
      if (folded) folding.Break({p, static_cast<size_t>(line_end - p)}, true);
      scratch_.append(p, line_end);
      if (!OnlyBlanks(p, line_end)) *content_end = Offset(line_end);
      ends_open = found == nullptr;
      if (!ends_open && !folded) scratch_.push_back('\n');
      at_ = ends_open ? end_ : line_end + 1;
    }
    if (folded && !ends_open) folding.Break("-", false);
    return *content_end != 0;
  }

  // Line breaks at the end of a block scalar: `+` keeps them, `-` takes them away, else one stays.
  void Chomp(char chomp) {
    if (chomp == '+') return;
    size_t last = scratch_.find_last_not_of('\n');
    size_t keep = last + 1 + (chomp == '-' ? 0 : 1);
    if (keep < scratch_.size()) scratch_.resize(keep);
  }

  bool ReadBrackets(Node* node) {
    if (++depth_ > kDeepest) return false;
    node->begin = Offset(at_);
    bool read = *at_ == '[' ? ReadFlowSequence(node) : ReadFlowMapping(node);
    node->end = Offset(at_);
    --depth_;
    return read;
  }

  void SkipBlanks() {
    while (*at_ == ' ') ++at_;
  }

  // Behind a value between brackets: past the `,`; `*more` says whether `close` is still to come.
  bool EndFlowValue(char close, bool* more) {
    SkipBlanks();
    if (*at_ == ',') {
      ++at_;
      SkipBlanks();
    } else if (*at_ != close) {
      return false;
    }
    *more = *at_ != close;
    return true;
  }

  bool ReadFlowSequence(Node* node) {
    size_t first = items_.size();
    ++at_;
    SkipBlanks();
    for (bool more = *at_ != ']'; more;) {
      Node item;
      if (!ReadFlowValue(&item) || !EndFlowValue(']', &more)) return false;
      items_.push_back(item);
    }
    ++at_;
    TakeItems(first, node);
    return true;
  }

  bool ReadFlowMapping(Node* node) {
    size_t first = entries_.size();
    ++at_;
    SkipBlanks();
    for (bool more = *at_ != '}'; more;) {
      Entry entry;
      if (!ReadFlowKey(&entry.key) || !ReadFlowValue(&entry.value) || !EndFlowValue('}', &more)) {
        return false;
      }
      entries_.push_back(entry);
    }
    ++at_;
    return TakeEntries(first, node);
  }

  // A key between braces with its `:`, which needs no blank behind quotes.
  bool ReadFlowKey(Node* key) {
    if (!ReadFlowScalar(key) || !IsPlainKey(*key) || *at_ != ':') return false;
    ++at_;
    if (key->style == ScalarStyle::kPlain && *at_ != ' ') return false;
    SkipBlanks();
    return true;
  }

  bool ReadFlowValue(Node* value) {
    return *at_ == '[' || *at_ == '{' ? ReadBrackets(value) : ReadFlowScalar(value);
  }

  bool ReadFlowScalar(Node* node) {
    if (*at_ == '"' || *at_ == '\'') return ReadQuoted(kOneLine, node);
    const char* end = FlowScalarEnd(at_);
    if (end == nullptr) return false;
    SetPlain(end, node);
    return true;
  }

  const SourceFile* file_ = nullptr;
  const char* base_ = nullptr;
  const char* at_ = nullptr;
  const char* end_ = nullptr;  // behind the last line; NUL or the byte behind a line break
  int column_ = kNoLine;       // of `at_` where a line's content starts
  int depth_ = 0;
  std::shared_ptr<Document::Arena> arena_ = std::make_shared<Document::Arena>();
  std::vector<Comment>* comments_ = nullptr;
  std::vector<Node> items_;     // of the open sequences
  std::vector<Entry> entries_;  // of the open mappings
  std::vector<Diagnostic> duplicates_;
  std::string scratch_;
};

PlainYamlReader::PlainYamlReader() : impl_(std::make_unique<Impl>()) {}
PlainYamlReader::~PlainYamlReader() = default;

bool PlainYamlReader::Read(const std::shared_ptr<const SourceFile>& file, DocumentText where,
                           ReadResult* result) {
  return impl_->Read(file, where, result);
}

}  // namespace meshproof
