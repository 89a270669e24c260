#include "proxy/dump_fields.h"

#include <charconv>
#include <cstdlib>

namespace meshproof {
namespace {

bool IsScalar(const Node* node) {
  return node != nullptr && node->kind == NodeKind::kScalar && !node->IsNull();
}

std::string_view ViewOf(const Node* node) {
  return IsScalar(node) ? node->text : std::string_view();
}

std::string_view TypeName(std::string_view url) {
  size_t slash = url.rfind('/');
  return slash == std::string_view::npos ? url : url.substr(slash + 1);
}

}  // namespace

bool IsField(std::string_view key, std::string_view snake) {
  size_t at = 0;
  for (size_t i = 0; i < snake.size(); ++i, ++at) {
    if (at >= key.size()) return false;
    if (snake[i] == '_' && key[at] != '_') {
      ++i;
      char upper = i < snake.size() && snake[i] >= 'a' && snake[i] <= 'z'
                       ? static_cast<char>(snake[i] - 'a' + 'A')
                       : (i < snake.size() ? snake[i] : '\0');
      if (key[at] != upper) return false;
    } else if (key[at] != snake[i]) {
      return false;
    }
  }
  return at == key.size();
}

const Node* Field(const Node* node, std::string_view snake) {
  if (node == nullptr || !node->IsMapping()) return nullptr;
  for (const Entry& entry : node->entries()) {
    const std::string_view key = entry.key.text;
    // camelCase is never longer; most keys differ in length or by their first letter.
    if (key.size() > snake.size() || key.empty() || key.front() != snake.front()) continue;
    const bool same = key.size() == snake.size() ? key == snake : IsField(key, snake);
    if (same) return entry.value.IsNull() ? nullptr : &entry.value;
  }
  return nullptr;
}

const Node* Field(const Node* node, std::string_view outer, std::string_view inner) {
  return Field(Field(node, outer), inner);
}

std::string TextOf(const Node* node) {
  return IsScalar(node) ? std::string(node->text) : std::string();
}

std::string TextField(const Node* node, std::string_view snake) {
  return TextOf(Field(node, snake));
}

bool BoolField(const Node* node, std::string_view snake, bool by_default) {
  const Node* field = Field(node, snake);
  if (field != nullptr && field->IsMapping()) field = Field(field, "value");
  if (!IsScalar(field)) return by_default;
  if (field->text == "true") return true;
  return field->text == "false" ? false : by_default;
}

std::optional<int64_t> IntField(const Node* node, std::string_view snake) {
  const Node* field = Field(node, snake);
  if (field != nullptr && field->IsMapping()) field = Field(field, "value");
  if (!IsScalar(field)) return std::nullopt;
  int64_t number = 0;
  const char* end = field->text.data() + field->text.size();
  auto [stop, error] = std::from_chars(field->text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

std::optional<double> DoubleField(const Node* node, std::string_view snake) {
  const Node* field = Field(node, snake);
  if (!IsScalar(field)) return std::nullopt;
  double number = 0;
  const char* end = field->text.data() + field->text.size();
  auto [stop, error] = std::from_chars(field->text.data(), end, number);
  if (error != std::errc() || stop != end) return std::nullopt;
  return number;
}

uint32_t UintField(const Node* node, std::string_view snake, uint32_t by_default) {
  auto number = IntField(node, snake);
  if (!number || *number < 0 || *number > UINT32_MAX) return by_default;
  return static_cast<uint32_t>(*number);
}

std::span<const Node> ItemsField(const Node* node, std::string_view snake) {
  const Node* field = Field(node, snake);
  return field != nullptr && field->IsSequence() ? field->items() : std::span<const Node>();
}

std::span<const Entry> EntriesField(const Node* node, std::string_view snake) {
  const Node* field = Field(node, snake);
  return field != nullptr && field->IsMapping() ? field->entries() : std::span<const Entry>();
}

std::vector<std::string> TextsField(const Node* node, std::string_view snake) {
  std::vector<std::string> texts;
  const auto items = ItemsField(node, snake);
  texts.reserve(items.size());
  for (const Node& item : items) texts.push_back(TextOf(&item));
  return texts;
}

TypedNode OpenTyped(const Node* any) {
  TypedNode typed;
  if (any == nullptr || !any->IsMapping()) return typed;
  const Node* type = any->Find("@type");
  typed.type = TypeName(ViewOf(type));
  typed.value = any;
  // A struct may hold another one.
  for (int depth = 0; depth < 8; ++depth) {
    if (typed.type == "udpa.type.v1.TypedStruct" || typed.type == "xds.type.v3.TypedStruct") {
      typed.type = TypeName(ViewOf(Field(typed.value, "type_url")));
      typed.value = Field(typed.value, "value");
    } else if (typed.type == "google.protobuf.Struct") {
      const Node* inner = Field(typed.value, "value");
      const Node* inner_type = inner == nullptr ? nullptr : inner->Find("@type");
      if (inner_type == nullptr) return typed;
      typed.type = TypeName(ViewOf(inner_type));
      typed.value = inner;
    } else {
      break;
    }
  }
  return typed;
}

std::optional<std::string> DecodeBytes(std::string_view text) {
  std::string out;
  out.reserve(text.size() * 3 / 4);
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    int value = -1;
    if (c >= 'A' && c <= 'Z') value = c - 'A';
    if (c >= 'a' && c <= 'z') value = c - 'a' + 26;
    if (c >= '0' && c <= '9') value = c - '0' + 52;
    if (c == '+' || c == '-') value = 62;
    if (c == '/' || c == '_') value = 63;
    if (c == '=' || c == '\n' || c == '\r') continue;
    if (value < 0) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    if (++count % 4 == 0) {
      out += static_cast<char>((bits >> 16) & 0xFF);
      out += static_cast<char>((bits >> 8) & 0xFF);
      out += static_cast<char>(bits & 0xFF);
      bits = 0;
    }
  }
  switch (count % 4) {
    case 1:
      return std::nullopt;
    case 2:
      out += static_cast<char>((bits >> 4) & 0xFF);
      break;
    case 3:
      out += static_cast<char>((bits >> 10) & 0xFF);
      out += static_cast<char>((bits >> 2) & 0xFF);
      break;
    default:
      break;
  }
  return out;
}

}  // namespace meshproof
