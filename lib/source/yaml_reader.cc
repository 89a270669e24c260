// YAML into a tree with exact places. yaml-cpp scans and says where things begin; where they end,
// what stands between them (comments, tabs) and what kubectl refuses although yaml-cpp takes it is
// found here: keys that are no scalars, tabs in front of tokens, empty items between commas,
// content behind the end of the document, explicit tags that the value does not fit. Merge keys are
// expanded in the order that go-yaml 2 has: each overrides what stands before it.

#include "source/yaml_reader.h"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <istream>
#include <streambuf>
#include <unordered_map>

#include "source/yaml_error.h"
#include "source/yaml_text.h"

namespace meshproof {
namespace {

constexpr std::string_view kCoreTag = "tag:yaml.org,2002:";

// A document that is well-formed for yaml-cpp and refused all the same. Never leaves this file.
struct Refusal {
  uint32_t begin = 0;
  uint32_t end = 0;
  std::string message;
  std::string help;
};

class TextBuffer : public std::streambuf {
 public:
  explicit TextBuffer(std::string_view text) {
    // The stream only reads, although its interface asks for memory that could be written.
    char* begin = const_cast<char*>(text.data());
    setg(begin, begin, begin + text.size());
  }
};

// What is known of an anchor's value.
struct Anchored {
  Node node;
  uint64_t nodes = 1;  // with all that it holds, aliases counted out
  int height = 0;
  bool open = true;
};

struct Frame {
  uint32_t begin = 0;
  size_t first_child = 0;
  size_t first_merge = 0;
  YAML::anchor_t anchor = 0;
  uint64_t nodes = 1;
  int height = 0;
  bool mapping = false;
  bool flow = false;
};

std::string_view ExplicitType(std::string_view tag) {
  return tag.starts_with(kCoreTag) ? tag.substr(kCoreTag.size()) : std::string_view();
}

bool DecodeBase64(std::string_view text, std::string* out) {
  uint32_t bits = 0;
  int count = 0;
  size_t digits = 0;
  size_t padding = 0;
  for (char c : text) {
    uint32_t digit = 0;
    if (c >= 'A' && c <= 'Z') {
      digit = static_cast<uint32_t>(c - 'A');
    } else if (c >= 'a' && c <= 'z') {
      digit = static_cast<uint32_t>(c - 'a' + 26);
    } else if (c >= '0' && c <= '9') {
      digit = static_cast<uint32_t>(c - '0' + 52);
    } else if (c == '+' || c == '/') {
      digit = c == '+' ? 62 : 63;
    } else if (c == '=') {
      ++padding;
      continue;
    } else if (c == '\n' || c == '\r') {
      continue;
    } else {
      return false;
    }
    if (padding > 0) return false;
    ++digits;
    bits = (bits << 6 | digit) & 0xFFFFFF;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out->push_back(static_cast<char>(bits >> count & 0xFF));
    }
  }
  return (digits + padding) % 4 == 0 && padding <= 2;
}

}  // namespace

class YamlReader::Impl : private YAML::EventHandler {
 public:
  void Read(const std::shared_ptr<const SourceFile>& file, DocumentText where, ReadResult* result) {
    file_ = file.get();
    text_ = file->text().substr(0, where.end);
    base_ = where.begin;
    cursor_ = where.begin;
    result_ = result;
    frames_.clear();
    values_.clear();
    merges_.clear();
    anchors_.clear();
    alias_nodes_ = 0;
    flow_ = 0;
    started_ = false;
    has_root_ = false;
    duplicates_.clear();

    std::string_view stretch = text_.substr(base_);
    if (std::optional<uint32_t> directive = FindLoneDirective(text_, base_)) {
      Refuse(*directive, LineEnd(text_, *directive), "a directive without a `---` behind it", "");
      return;
    }
    if (!HasContent(stretch)) {
      ScanGap(where.end);
      return;
    }
    if (!Parse(stretch) || !has_root_) return;
    const Node* root = arena_->CopyAll(std::span<const Node>(&root_, 1)).data();
    result->documents.emplace_back(file, arena_, root);
    result->diagnostics.insert(result->diagnostics.end(), duplicates_.begin(), duplicates_.end());
  }

 private:
  bool Parse(std::string_view stretch) {
    try {
      // Blanks behind the last line break confuse yaml-cpp at the end of a block scalar.
      size_t last = stretch.find_last_not_of(" \t");
      if (last != std::string_view::npos && stretch[last] == '\n') {
        stretch = stretch.substr(0, last + 1);
      }
      TextBuffer buffer(stretch);
      std::istream stream(&buffer);
      YAML::Parser parser(stream);
      // A second document in the text of one is content that belongs to none; its start is refused.
      while (parser.HandleNextDocument(*this)) {
      }
      // yaml-cpp says nothing about directives behind the content.
      size_t directive = text_.find("\n%", cursor_);
      if (directive != std::string_view::npos) {
        auto at = static_cast<uint32_t>(directive) + 1;
        throw Refusal{at, LineEnd(text_, at), "a directive without a `---` behind it", ""};
      }
      ScanGap(static_cast<uint32_t>(text_.size()));
      return true;
    } catch (const Refusal& refusal) {
      Refuse(refusal.begin, refusal.end, refusal.message, refusal.help);
    } catch (const YAML::Exception& error) {
      uint32_t at = error.mark.is_null() ? base_ : Offset(error.mark);
      OpenCollection open;
      if (!frames_.empty()) {
        const Frame& frame = frames_.back();
        open = {true, frame.mapping, frame.flow, frame.begin, file_->LineOf(frame.begin)};
      }
      YamlError explained = ExplainYamlError(error.msg, text_, at, cursor_, open);
      Refuse(explained.at, explained.at + 1, explained.message, explained.help);
    } catch (const std::exception& error) {
      Refuse(cursor_, cursor_ + 1, fmt::format("not YAML: {}", error.what()), "");
    }
    return false;
  }

  void Refuse(uint32_t begin, uint32_t end, std::string message, std::string help) {
    if (std::optional<uint32_t> brace = FindTemplate(text_, base_)) {
      uint32_t line_end = LineEnd(text_, *brace);
      size_t close = text_.substr(0, line_end).find("}}", *brace);
      uint32_t stop = close == std::string_view::npos ? line_end : static_cast<uint32_t>(close + 2);
      result_->diagnostics.push_back(
          {Severity::kError,
           Trouble::kTemplate,
           fmt::format("an unrendered Helm template: `{}`", text_.substr(*brace, stop - *brace)),
           {file_, *brace, stop},
           "render the chart first: helm template CHART"});
      return;
    }
    uint32_t size = static_cast<uint32_t>(text_.size());
    begin = std::min(begin, size);
    result_->diagnostics.push_back({Severity::kError,
                                    Trouble::kSyntax,
                                    std::move(message),
                                    {file_, begin, std::clamp(end, begin, size)},
                                    std::move(help)});
  }

  uint32_t Offset(const YAML::Mark& mark) const {
    uint64_t at = base_ + static_cast<uint64_t>(std::max(mark.pos, 0));
    return static_cast<uint32_t>(std::min<uint64_t>(at, text_.size()));
  }

  char At(uint32_t at) const { return at < text_.size() ? text_[at] : '\0'; }

  // Collects the comments between the cursor and `to`, refuses tabs in front of tokens, and moves
  // the cursor.
  void ScanGap(uint32_t to) {
    for (uint32_t at = cursor_; at < to; ++at) {
      char c = text_[at];
      if (c == '#') {
        if (at > base_ && text_[at - 1] > ' ') continue;
        uint32_t end = LineEnd(text_, at);
        result_->comments.push_back({at, end, OnlyBefore(at, " \t")});
        at = end;
      } else if (c == '\t' && flow_ == 0) {
        at = CheckTab(at);
      }
    }
    cursor_ = std::max(cursor_, to);
  }

  // Whether nothing but `allowed` stands between the start of the line and `at`.
  bool OnlyBefore(uint32_t at, std::string_view allowed) const {
    while (at > base_ && text_[at - 1] != '\n') {
      if (allowed.find(text_[--at]) == std::string_view::npos) return false;
    }
    return true;
  }

  // YAML's blanks in front of a token of a block are spaces, also behind `-`; on lines without
  // content a tab does no harm.
  // Returns the last of the blanks around the tab.
  uint32_t CheckTab(uint32_t at) const {
    size_t found = text_.find_first_not_of(" \t", at);
    auto next = static_cast<uint32_t>(std::min(found, text_.size()));
    bool content = At(next) != '\0' && At(next) != '\n' && At(next) != '\r' && At(next) != '#';
    if (content && OnlyBefore(at, " \t-")) {
      throw Refusal{at, at + 1, "a tab in the indentation",
                    "indent with blanks; YAML takes no tabs there"};
    }
    return next - 1;
  }

  bool IsKey() const {
    return !frames_.empty() && frames_.back().mapping &&
           (values_.size() - frames_.back().first_child) % 2 == 0;
  }

  void Keep(YAML::anchor_t anchor, const Node& node, uint64_t nodes, int height) {
    if (anchor == 0) return;
    if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
    anchors_[anchor] = {node, nodes, height, false};
  }

  void Add(const Node& node, uint64_t nodes, int height) {
    if (frames_.empty()) {
      root_ = node;
      has_root_ = true;
      return;
    }
    Frame& frame = frames_.back();
    frame.nodes += nodes;
    frame.height = std::max(frame.height, height + 1);
    values_.push_back(node);
  }

  // Kubernetes turns keys into JSON's text: booleans and numbers in Go's spelling.
  void SpellKey(Node* key) {
    if (key->style != ScalarStyle::kPlain) return;
    if (key->type == ScalarType::kBool) {
      key->text = key->AsBool() ? "true" : "false";
    } else if (key->type == ScalarType::kInt) {
      if (std::optional<int64_t> value = key->AsInt()) {
        std::string spelled = std::to_string(*value);
        if (spelled != key->text) key->text = arena_->CopyText(spelled);
      }
    } else if (key->type == ScalarType::kFloat) {
      SpellFloat(key);
    }
  }

  void SpellFloat(Node* key) {
    std::string plain;
    for (char c : key->text) {
      if (c != '_' && !(c == '+' && plain.empty())) plain.push_back(c);
    }
    char letter = plain.empty() ? '\0' : static_cast<char>(plain.back() | 0x20);
    if (letter == 'f') {
      key->text = plain[0] == '-' ? "-.inf" : ".inf";
      return;
    }
    if (letter == 'n') {
      key->text = ".nan";
      return;
    }
    double value = 0;
    std::from_chars(plain.data(), plain.data() + plain.size(), value);
    // Go's %g of the shortest text that a float32 needs, as sigs.k8s.io/yaml asks for.
    float narrow = static_cast<float>(value);
    char shortest[64];
    auto written =
        std::to_chars(shortest, shortest + sizeof shortest, narrow, std::chars_format::scientific);
    std::string_view digits(shortest, static_cast<size_t>(written.ptr - shortest));
    size_t mark = digits.find('e');
    int exponent = mark == std::string_view::npos ? 0 : std::atoi(shortest + mark + 1);
    if (exponent >= -4 && exponent < 6) {
      written =
          std::to_chars(shortest, shortest + sizeof shortest, narrow, std::chars_format::fixed);
      digits = {shortest, static_cast<size_t>(written.ptr - shortest)};
    }
    key->text = arena_->CopyText(digits);
  }

  void AddScalar(Node* node, YAML::anchor_t anchor) {
    Keep(anchor, *node, 1, 0);
    if (IsKey()) SpellKey(node);
    Add(*node, 1, 0);
  }

  std::string_view Stored(uint32_t at, std::string_view value) {
    std::string_view verbatim = text_.substr(std::min<size_t>(at, text_.size()), value.size());
    return verbatim == value ? verbatim : arena_->CopyText(value);
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (started_) {
      uint32_t at = Offset(mark);
      throw Refusal{at, at + 1, "content behind the end of the document",
                    "check the indentation; documents are parted by a line `---`"};
    }
    started_ = true;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    uint32_t at = Offset(mark);
    Properties properties{at, at};
    if (anchor != 0) properties = SkipProperties(text_, at);
    bool key = IsKey();
    uint32_t length = NullLength(text_, properties.node);
    uint32_t place = anchor != 0 ? properties.end : EmptyPlace(at, key);
    // At a key that has no value yaml-cpp reports that one in the place of the key.
    bool behind = properties.node < cursor_;
    if (length > 0 && !key && (behind || BelongsToNext(place, properties.node))) length = 0;
    Node node;
    if (length > 0) {
      ScanGap(properties.node);
      node.begin = properties.node;
      node.end = cursor_ = properties.node + length;
      node.text = text_.substr(node.begin, length);
      if (key) throw Refusal{node.begin, node.end, "a key must not be null", "quote it"};
    } else {
      bool item = key || (!frames_.empty() && !frames_.back().mapping);
      if (item && frames_.back().flow && At(at) == ',') {
        throw Refusal{at, at + 1, "nothing stands in front of this `,`", ""};
      }
      if (key) throw Refusal{at, at + 1, "a key is missing here", "quote the text if it is none"};
      // Nothing at all is no document.
      if (frames_.empty() && anchor == 0) return;
      CheckColon(place, anchor);
      ScanGap(place);
      node.begin = node.end = place;
    }
    AddScalar(&node, anchor);
  }

  // Where a value stands that is left out: behind its `:` or `-`.
  uint32_t EmptyPlace(uint32_t at, bool key) const {
    if (frames_.empty() || key) return at;
    const Frame& frame = frames_.back();
    uint32_t next = SkipSpace(text_, cursor_);
    if (next <= at && At(next) == (frame.mapping ? ':' : '-')) return next + 1;
    return cursor_;
  }

  // yaml-cpp takes a line that lacks its `:` for the value of a key above that has none.
  void CheckIndent(uint32_t at) const {
    if (frames_.empty() || frames_.back().flow || at - cursor_ < 2 || IsKey()) return;
    if (text_.substr(cursor_, at - cursor_).find('\n') == std::string_view::npos) return;
    if (ColumnOf(text_, at) > ColumnOf(text_, frames_.back().begin)) return;
    throw Refusal{at, LineEnd(text_, at), "expected a `:` behind this key",
                  "indent the line further if it continues what stands above"};
  }

  // In a block only a key behind `?` needs no `:`; yaml-cpp lets every last line go without.
  void CheckColon(uint32_t place, YAML::anchor_t anchor) const {
    if (frames_.empty() || anchor != 0 || frames_.back().flow || !frames_.back().mapping) return;
    if (place > 0 && text_[place - 1] == ':' && place != values_.back().end) return;
    uint32_t key = values_.back().begin;
    size_t before = text_.substr(0, key).find_last_not_of(" \t\r\n");
    if (before != std::string_view::npos && text_[before] == '?') return;
    throw Refusal{key, values_.back().end, "expected a `:` behind this key",
                  "indent the line further if it continues the value above"};
  }

  // A null that yaml-cpp reports where a plain `null` stands can be one that was left out in front
  // of a key or value `null` of a collection further out; then that one stands on a later line and
  // not deeper than this collection.
  bool BelongsToNext(uint32_t place, uint32_t at) const {
    if (frames_.empty() || frames_.back().flow || at <= place) return false;
    if (text_.substr(place, at - place).find('\n') == std::string_view::npos) return false;
    return ColumnOf(text_, at) <= ColumnOf(text_, frames_.back().begin);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    uint32_t at = Offset(mark);
    uint32_t end = AliasEnd(text_, at);
    if (anchor >= anchors_.size() || anchors_[anchor].open) {
      throw Refusal{
          at, end,
          fmt::format("alias `{}` stands inside its own anchor", text_.substr(at, end - at)), ""};
    }
    const Anchored& anchored = anchors_[anchor];
    alias_nodes_ += anchored.nodes;
    if (alias_nodes_ > kMaxAliasNodes) {
      throw Refusal{
          at, end, fmt::format("an alias bomb: aliases repeat more than {} values", kMaxAliasNodes),
          ""};
    }
    if (static_cast<int>(frames_.size()) + anchored.height > kMaxDepth) throw Deep(at);
    CheckIndent(at);
    ScanGap(at);
    cursor_ = end;
    Node node = anchored.node;
    node.begin = at;
    node.end = end;
    if (IsKey()) {
      if (node.kind != NodeKind::kScalar) throw NoScalarKey(at);
      if (node.IsNull()) throw Refusal{at, end, "a key must not be null", ""};
      SpellKey(&node);
    }
    Add(node, anchored.nodes, anchored.height);
  }

  Refusal NoScalarKey(uint32_t at) const {
    // yaml-cpp takes an unclosed bracket for a key.
    if ((At(at) == '{' || At(at) == '[') && !IsClosed(text_, at)) {
      bool mapping = At(at) == '{';
      return {at, at + 1,
              fmt::format("this {} is not closed by `{}`", mapping ? "mapping" : "list",
                          mapping ? '}' : ']'),
              ""};
    }
    return {at, at + 1, "a key must be plain text, not a mapping or a list",
            "quote the text if it is one"};
  }

  Refusal Deep(uint32_t at) const {
    Diagnostic deep = TooDeep(*file_, at);
    return {at, at + 1, deep.message, deep.help};
  }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    uint32_t at = Offset(mark);
    uint32_t properties_end = at;
    if (At(at) == '&' || At(at) == '!') {
      Properties properties = SkipProperties(text_, at);
      properties_end = properties.end;
      at = properties.node;
    }
    char first = At(at);
    bool quoted = first == '"' || first == '\'';
    bool block = first == '|' || first == '>';
    Node node;
    // A tag without a value; what follows belongs to something else.
    if (value.empty() && !block && (!quoted || At(at + 1) != first)) at = properties_end;
    CheckIndent(at);
    ScanGap(at);
    node.begin = at;
    if (tag == "?") {
      node.end = PlainEnd(text_, at, value);
      node.type = ResolvePlainScalar(value);
      node.text = Stored(at, value);
      if (value == "<<" && anchor == 0 && IsKey()) merges_.push_back(values_.size());
    } else {
      if (at == properties_end && value.empty() && properties_end != Offset(mark)) {
        node.end = at;
      } else if (quoted) {
        node.style = ScalarStyle::kQuoted;
        std::optional<uint32_t> end = QuotedEnd(text_, at);
        if (!end) throw Refusal{at, at + 1, "the quoted text that starts here is not closed", ""};
        node.end = *end;
        size_t lost = LostBreaks(text_.substr(at, *end - at), value.empty());
        node.text =
            lost == 0 ? Stored(at + 1, value) : arena_->CopyText(value + std::string(lost, '\n'));
      } else if (block) {
        node.style = ScalarStyle::kBlock;
        std::optional<Comment> comment;
        node.end = BlockEnd(text_, at, value, &comment);
        node.text = arena_->CopyText(value);
        if (comment) result_->comments.push_back(*comment);
      } else {
        node.end = PlainEnd(text_, at, value);
        node.text = Stored(at, value);
      }
      node.type = ScalarType::kString;
      if (tag != "!") ApplyTag(tag, &node);
    }
    cursor_ = std::max(cursor_, node.end);
    AddScalar(&node, anchor);
  }

  // What go-yaml 2 makes of an explicit tag: a type that the value must have, whatever its style.
  void ApplyTag(const std::string& tag, Node* node) {
    std::string_view type = ExplicitType(tag);
    ScalarType found = ResolvePlainScalar(node->text);
    bool fits = true;
    if (type == "int") {
      fits = found == ScalarType::kInt;
      node->type = ScalarType::kInt;
    } else if (type == "float") {
      fits = found == ScalarType::kInt || found == ScalarType::kFloat;
      node->type = ScalarType::kFloat;
    } else if (type == "bool") {
      fits = found == ScalarType::kBool;
      node->type = ScalarType::kBool;
    } else if (type == "null") {
      fits = found == ScalarType::kNull;
      node->type = ScalarType::kNull;
    } else if (type == "binary") {
      std::string decoded;
      fits = DecodeBase64(node->text, &decoded);
      node->text = arena_->CopyText(decoded);
    }
    if (!fits) {
      throw Refusal{node->begin, node->end, fmt::format("this is no {}, as its tag says", type),
                    "leave out the tag"};
    }
    if (node->IsNull() && IsKey()) {
      throw Refusal{node->begin, node->end, "a key must not be null", "quote it"};
    }
  }

  void Open(const YAML::Mark& mark, YAML::anchor_t anchor, bool mapping,
            YAML::EmitterStyle::value style) {
    uint32_t at = Offset(mark);
    // Without an anchor or tag of its own, properties at the place are those of its first key.
    bool flow = style == YAML::EmitterStyle::Flow;
    bool bracket = At(at) == '[' || At(at) == '{';
    if (IsKey()) throw NoScalarKey(at);
    if (static_cast<int>(frames_.size()) >= kMaxDepth) throw Deep(at);
    if (flow) CheckIndent(at);
    ScanGap(at);
    if (flow && bracket) {
      ++flow_;
      cursor_ = at + 1;
    }
    if (anchor != 0) {
      if (anchors_.size() <= anchor) anchors_.resize(anchor + 1);
    }
    frames_.push_back({at, values_.size(), merges_.size(), anchor, 1, 0, mapping, flow});
  }

  // Where a collection with properties starts.
  YAML::Mark Start(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) const {
    if (anchor == 0 && tag == "?") return mark;
    YAML::Mark start = mark;
    start.pos = static_cast<int>(SkipProperties(text_, Offset(mark)).node - base_);
    return start;
  }

  // Finds the end of the innermost collection and takes it off.
  Frame Close(Node* node) {
    Frame frame = frames_.back();
    node->begin = frame.begin;
    char close = frame.mapping ? '}' : ']';
    char open = frame.mapping ? '{' : '[';
    if (frame.flow && At(frame.begin) == open) {
      uint32_t at = SkipSpace(text_, cursor_);
      while (at < text_.size() && At(at) == ',') at = SkipSpace(text_, at + 1);
      ScanGap(at);
      if (At(at) == close) cursor_ = at + 1;
      --flow_;
      node->end = cursor_;
    } else {
      node->end = values_.size() == frame.first_child ? frame.begin : values_.back().end;
      node->end = std::max(node->end, node->begin);
    }
    frames_.pop_back();
    return frame;
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    Open(Start(mark, tag, anchor), anchor, false, style);
  }

  void OnSequenceEnd() override {
    Node node;
    Frame frame = Close(&node);
    node.SetItems(arena_->CopyAll(std::span<const Node>(values_).subspan(frame.first_child)));
    values_.resize(frame.first_child);
    Keep(frame.anchor, node, frame.nodes, frame.height);
    Add(node, frame.nodes, frame.height);
  }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    Open(Start(mark, tag, anchor), anchor, true, style);
  }

  void OnMapEnd() override {
    Node node;
    Frame frame = Close(&node);
    entries_.clear();
    for (size_t i = frame.first_child; i + 1 < values_.size(); i += 2) {
      entries_.push_back({values_[i], values_[i + 1]});
    }
    if (merges_.size() > frame.first_merge) {
      Merge(frame);
    } else {
      ReportDuplicateKeys(*file_, entries_, &duplicates_);
    }
    node.SetEntries(arena_->CopyAll(std::span<const Entry>(entries_)));
    values_.resize(frame.first_child);
    merges_.resize(frame.first_merge);
    Keep(frame.anchor, node, frame.nodes, frame.height);
    Add(node, frame.nodes, frame.height);
  }

  // Puts what the merge keys bring in where they stand and keeps the last of equal keys.
  void Merge(const Frame& frame) {
    std::vector<Entry> own;
    std::vector<Entry> all;
    size_t merge = frame.first_merge;
    for (size_t i = 0; i < entries_.size(); ++i) {
      if (merge < merges_.size() && merges_[merge] == frame.first_child + 2 * i) {
        ++merge;
        AppendMerged(entries_[i].value, true, &all);
      } else {
        own.push_back(entries_[i]);
        all.push_back(entries_[i]);
      }
    }
    ReportDuplicateKeys(*file_, own, &duplicates_);
    std::unordered_map<std::string_view, size_t> last;
    for (size_t i = 0; i < all.size(); ++i) last[all[i].key.text] = i;
    entries_.clear();
    for (size_t i = 0; i < all.size(); ++i) {
      if (last[all[i].key.text] == i) entries_.push_back(all[i]);
    }
  }

  void AppendMerged(const Node& value, bool lists, std::vector<Entry>* all) const {
    if (value.IsMapping()) {
      all->insert(all->end(), value.entries().begin(), value.entries().end());
      return;
    }
    if (!lists || !value.IsSequence()) {
      throw Refusal{value.begin, value.end, "`<<` takes a mapping or a list of mappings", ""};
    }
    // The earlier ones of a list win.
    for (size_t i = value.items().size(); i > 0; --i)
      AppendMerged(value.items()[i - 1], false, all);
  }

  const SourceFile* file_ = nullptr;
  std::string_view text_;  // of the file, up to the end of the document
  uint32_t base_ = 0;
  uint32_t cursor_ = 0;  // everything in front of it has been looked at
  ReadResult* result_ = nullptr;
  std::shared_ptr<Document::Arena> arena_ = std::make_shared<Document::Arena>();
  std::vector<Frame> frames_;
  std::vector<Node> values_;       // children of the open collections; keys and values in turn
  std::vector<size_t> merges_;     // where in `values_` merge keys stand
  std::vector<Entry> entries_;     // scratch
  std::vector<Anchored> anchors_;  // by yaml-cpp's number
  std::vector<Diagnostic> duplicates_;
  uint64_t alias_nodes_ = 0;
  int flow_ = 0;
  bool started_ = false;
  bool has_root_ = false;
  Node root_;
};

YamlReader::YamlReader() : impl_(std::make_unique<Impl>()) {}
YamlReader::~YamlReader() = default;

void YamlReader::Read(const std::shared_ptr<const SourceFile>& file, DocumentText where,
                      ReadResult* result) {
  impl_->Read(file, where, result);
}

}  // namespace meshproof
