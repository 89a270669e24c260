#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "source/node.h"

// Fields of proto-JSON as Envoy (snake_case) and istioctl (camelCase) write them. All functions
// take a null node, or one of another kind, as an absent field.
namespace meshproof {

// Whether `key` is `snake` in either spelling.
bool IsField(std::string_view key, std::string_view snake);
const Node* Field(const Node* node, std::string_view snake);
const Node* Field(const Node* node, std::string_view outer, std::string_view inner);

// A scalar's text; "" where there is none or it is null.
std::string TextField(const Node* node, std::string_view snake);
std::string TextOf(const Node* node);
// A boolean, also one in a wrapper; strings `true` and `false` count.
bool BoolField(const Node* node, std::string_view snake, bool by_default = false);
// Numbers, also written as strings (64-bit integers are). Nothing where it is none.
std::optional<int64_t> IntField(const Node* node, std::string_view snake);
std::optional<double> DoubleField(const Node* node, std::string_view snake);
uint32_t UintField(const Node* node, std::string_view snake, uint32_t by_default = 0);
std::vector<std::string> TextsField(const Node* node, std::string_view snake);
// The elements of a list; empty where it is none.
std::span<const Node> ItemsField(const Node* node, std::string_view snake);
std::span<const Entry> EntriesField(const Node* node, std::string_view snake);

// An Any with its type's name (without "type.googleapis.com/"); TypedStruct and Struct are opened.
// `value` is null where there is no message.
struct TypedNode {
  std::string_view type;  // lives as long as the node
  const Node* value = nullptr;
};
TypedNode OpenTyped(const Node* any);

// The decoded bytes of standard base64; nothing where it is none.
std::optional<std::string> DecodeBytes(std::string_view text);

}  // namespace meshproof
