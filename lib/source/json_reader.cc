#include "source/json_reader.h"

#include <simdjson.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>

namespace meshproof {
namespace {

namespace ondemand = simdjson::ondemand;

bool IsJsonBlank(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

std::string_view TrimEnd(std::string_view text) {
  while (!text.empty() && IsJsonBlank(text.back())) text.remove_suffix(1);
  return text;
}

bool IsNumber(std::string_view text) {
  size_t at = 0;
  auto digits = [&] {
    size_t start = at;
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
    return at - start;
  };
  if (at < text.size() && text[at] == '-') ++at;
  size_t whole = at;
  size_t length = digits();
  if (length == 0 || (length > 1 && text[whole] == '0')) return false;
  if (at < text.size() && text[at] == '.') {
    ++at;
    if (digits() == 0) return false;
  }
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
    if (digits() == 0) return false;
  }
  return at == text.size();
}

// The string that starts at `at`, if nothing in it is escaped; data() is null where something is.
std::string_view PlainString(std::string_view text, uint32_t at) {
  const size_t begin = at + size_t{1};
  for (size_t i = begin; i < text.size() && text[i] != '\\'; ++i) {
    if (text[i] == '"') return text.substr(begin, i - begin);
  }
  return {};
}

// The position behind the string whose opening quote stands at `at`.
uint32_t StringEnd(std::string_view text, uint32_t at) {
  for (++at; at < text.size() && text[at] != '"'; ++at) {
    if (text[at] == '\\') ++at;
  }
  return std::min(at + 1, static_cast<uint32_t>(text.size()));
}

// The position behind the bracket that closes a collection whose last token ends at `at`.
uint32_t CollectionEnd(std::string_view text, uint32_t at) {
  while (at < text.size() && IsJsonBlank(text[at])) ++at;
  return std::min(at + 1, static_cast<uint32_t>(text.size()));
}

}  // namespace

UnreadKeys::UnreadKeys(std::initializer_list<std::string_view> keys) : keys_(keys) {
  for (std::string_view key : keys_) seen_ |= uint64_t{1} << SlotOf(key);
}

bool UnreadKeys::Find(std::string_view key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

class JsonReader::Impl {
 public:
  bool Read(const std::shared_ptr<const SourceFile>& file, DocumentText value, ReadResult* result,
            const UnreadKeys* unread) {
    unread_ = unread;
    text_ = file->text().substr(0, value.end);
    file_ = file.get();
    // Nobody holds what was read before: a large file of many values needs the memory of one.
    if (arena_.use_count() == 1) {
      std::atomic_thread_fence(std::memory_order_acquire);
      arena_->Reuse();
    }
    size_t length = value.end - value.begin;
    base_ = file->text().data() + value.begin;
    // simdjson reads a little behind the end; what it finds there does not matter to a collection.
    const bool room = file->text().size() - value.end >= simdjson::SIMDJSON_PADDING;
    if (!room || length == 0 || (*base_ != '{' && *base_ != '[')) {
      padded_.resize(length + simdjson::SIMDJSON_PADDING);
      std::memcpy(padded_.data(), text_.data() + value.begin, length);
      std::memset(padded_.data() + length, 0, simdjson::SIMDJSON_PADDING);
      base_ = padded_.data();
    }
    offset_ = value.begin;

    diagnostics_.clear();
    children_.clear();
    fields_.clear();
    ondemand::document parsed;
    ondemand::value root;
    Node node;
    simdjson::padded_string_view view(base_, length, length + simdjson::SIMDJSON_PADDING);
    if (parser_.iterate(view).get(parsed) != simdjson::SUCCESS) return false;
    if (parsed.get_value().get(root) != simdjson::SUCCESS) return false;
    if (!Build(root, 1, &node)) return false;
    if (node.end != value.end) return false;
    const Node* stored = arena_->CopyAll(std::span<const Node>(&node, 1)).data();
    result->documents.emplace_back(file, arena_, stored);
    result->diagnostics.insert(result->diagnostics.end(), diagnostics_.begin(), diagnostics_.end());
    return true;
  }

 private:
  uint32_t OffsetOf(const char* at) const { return offset_ + static_cast<uint32_t>(at - base_); }

  void SetString(uint32_t begin, std::string_view value, Node* node) {
    node->kind = NodeKind::kScalar;
    node->type = ScalarType::kString;
    node->style = ScalarStyle::kQuoted;
    node->begin = begin;
    std::string_view verbatim = text_.substr(begin + 1, value.size());
    const size_t quote = begin + 1 + value.size();
    const bool plain = verbatim == value && verbatim.find('\\') == std::string_view::npos &&
                       quote < text_.size() && text_[quote] == '"';
    node->end = plain ? static_cast<uint32_t>(quote) + 1 : StringEnd(text_, begin);
    node->text = verbatim == value ? verbatim : arena_->CopyText(value);
  }

  // A string without escapes: what the first pass over the text has checked is all there is to
  // check.
  static void SetPlain(uint32_t begin, std::string_view text, Node* node) {
    node->kind = NodeKind::kScalar;
    node->type = ScalarType::kString;
    node->style = ScalarStyle::kQuoted;
    node->begin = begin;
    node->end = begin + 2 + static_cast<uint32_t>(text.size());
    node->text = text;
  }

  // Moves `last` behind a value that is not looked into.
  bool Skip(ondemand::value value, uint32_t* last) {
    ondemand::json_type type;
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    std::string_view text;
    if (type == ondemand::json_type::object) {
      ondemand::object object;
      if (value.get_object().get(object) != simdjson::SUCCESS) return false;
      if (object.raw_json().get(text) != simdjson::SUCCESS) return false;
    } else if (type == ondemand::json_type::array) {
      ondemand::array array;
      if (value.get_array().get(array) != simdjson::SUCCESS) return false;
      if (array.raw_json().get(text) != simdjson::SUCCESS) return false;
    } else {
      text = value.raw_json_token();
    }
    *last = OffsetOf(text.data()) + static_cast<uint32_t>(TrimEnd(text).size());
    return true;
  }

  // False where simdjson finds an error.
  bool Build(ondemand::value value, int depth, Node* node) {
    if (depth > kMaxDepth) return false;
    ondemand::json_type type;
    if (value.type().get(type) != simdjson::SUCCESS) return false;
    std::string_view token = TrimEnd(value.raw_json_token());
    node->begin = OffsetOf(token.data());
    switch (type) {
      case ondemand::json_type::object:
        return BuildObject(value, depth, node);
      case ondemand::json_type::array:
        return BuildArray(value, depth, node);
      case ondemand::json_type::string: {
        const bool escaped =
            token.size() < 2 || token.back() != '"' || token.find('\\') != std::string_view::npos;
        if (!escaped) {
          SetPlain(node->begin, text_.substr(node->begin + 1, token.size() - 2), node);
          return true;
        }
        std::string_view text;
        if (value.get_string().get(text) != simdjson::SUCCESS) return false;
        SetString(node->begin, text, node);
        return true;
      }
      case ondemand::json_type::number:
        if (!IsNumber(token)) return false;
        node->type = ResolvePlainScalar(token);
        break;
      case ondemand::json_type::boolean:
        if (token != "true" && token != "false") return false;
        node->type = ScalarType::kBool;
        break;
      case ondemand::json_type::null:
        if (token != "null") return false;
        break;
    }
    node->end = node->begin + static_cast<uint32_t>(token.size());
    node->text = text_.substr(node->begin, token.size());
    return true;
  }

  bool BuildArray(ondemand::value value, int depth, Node* node) {
    ondemand::array array;
    if (value.get_array().get(array) != simdjson::SUCCESS) return false;
    size_t first = children_.size();
    uint32_t last = node->begin + 1;
    for (auto item : array) {
      ondemand::value element;
      Node child;
      if (item.get(element) != simdjson::SUCCESS || !Build(element, depth + 1, &child)) {
        return false;
      }
      last = child.end;
      children_.push_back(child);
    }
    node->end = CollectionEnd(text_, last);
    node->SetItems(arena_->CopyAll(std::span<const Node>(children_).subspan(first)));
    children_.resize(first);
    return true;
  }

  bool BuildObject(ondemand::value value, int depth, Node* node) {
    ondemand::object object;
    if (value.get_object().get(object) != simdjson::SUCCESS) return false;
    size_t first = fields_.size();
    uint32_t last = node->begin + 1;
    for (auto item : object) {
      ondemand::field field;
      if (std::move(item).get(field) != simdjson::SUCCESS) return false;
      Entry entry;
      uint32_t key = OffsetOf(field.key().raw()) - 1;
      std::string_view name = PlainString(text_, key);
      if (name.data() != nullptr) {
        if (unread_ != nullptr && unread_->Has(name)) {
          if (!Skip(field.value(), &last)) return false;
          continue;
        }
        SetPlain(key, name, &entry.key);
      } else {
        if (field.unescaped_key().get(name) != simdjson::SUCCESS) return false;
        SetString(key, name, &entry.key);
      }
      if (!Build(field.value(), depth + 1, &entry.value)) return false;
      last = entry.value.end;
      fields_.push_back(entry);
    }
    node->end = CollectionEnd(text_, last);
    node->SetEntries(arena_->CopyAll(std::span<const Entry>(fields_).subspan(first)));
    fields_.resize(first);
    if (unread_ == nullptr) ReportDuplicateKeys(*file_, node->entries(), &diagnostics_);
    return true;
  }

  ondemand::parser parser_;
  std::string padded_;
  const char* base_ = nullptr;
  uint32_t offset_ = 0;
  std::string_view text_;
  const SourceFile* file_ = nullptr;
  const UnreadKeys* unread_ = nullptr;
  std::shared_ptr<Document::Arena> arena_ = std::make_shared<Document::Arena>();
  std::vector<Node> children_;
  std::vector<Entry> fields_;
  std::vector<Diagnostic> diagnostics_;
};

JsonReader::JsonReader() : impl_(std::make_unique<Impl>()) {}
JsonReader::~JsonReader() = default;

bool JsonReader::Read(const std::shared_ptr<const SourceFile>& file, DocumentText value,
                      ReadResult* result, const UnreadKeys* unread) {
  return impl_->Read(file, value, result, unread);
}

}  // namespace meshproof
