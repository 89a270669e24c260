#include "model/fields.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>

namespace meshproof {
namespace {

// `camel` written in snake_case is `key`: failOpen, fail_open.
bool IsSnakeOf(std::string_view key, std::string_view camel) {
  size_t at = 0;
  const auto take = [&](char c) {
    bool same = at < key.size() && key[at] == c;
    ++at;
    return same;
  };
  for (char c : camel) {
    bool upper = c >= 'A' && c <= 'Z';
    if (upper && !take('_')) return false;
    if (!take(upper ? static_cast<char>(c - 'A' + 'a') : c)) return false;
  }
  return at == key.size();
}

}  // namespace

Text TextOf(const Node* node, const Report& report) {
  if (node == nullptr || node->IsNull()) return {};
  return {node->text, report.SpanOf(*node)};
}

std::optional<int64_t> IntegerOf(const Node& node) {
  if (node.IsInt()) return node.AsInt();
  if (node.kind != NodeKind::kScalar || node.type != ScalarType::kFloat) return std::nullopt;
  std::string text(node.text);
  double value = std::strtod(text.c_str(), nullptr);
  if (!std::isfinite(value) || value != std::floor(value) || std::fabs(value) > 9e15) {
    return std::nullopt;
  }
  return static_cast<int64_t>(value);
}

Span SpanOfEntry(const Entry& entry, const Report& report) {
  return {report.file(), entry.key.begin, std::max(entry.key.end, entry.value.end)};
}

Span FirstSpan(Span first, Span second) {
  return first ? first : second;
}

Fields::Fields(const Node* node, Report& report, std::string_view name, KeySpelling spelling)
    : node_(node), report_(&report), spelling_(spelling) {
  if (node_ == nullptr || node_->IsMapping()) return;
  if (!node_->IsNull()) report_->IgnoredType(*node_, name, "a mapping");
  node_ = nullptr;
}

const Entry* Fields::FindEntry(std::string_view key) const {
  if (node_ == nullptr) return nullptr;
  const Entry* entry = node_->FindEntry(key);
  if (entry == nullptr && spelling_ == KeySpelling::kProtoJson) {
    for (const Entry& candidate : node_->entries()) {
      if (IsSnakeOf(candidate.key.text, key)) entry = &candidate;
    }
  }
  return entry == nullptr || entry->value.IsNull() ? nullptr : entry;
}

const Node* Fields::Find(std::string_view key) const {
  const Entry* entry = FindEntry(key);
  return entry == nullptr ? nullptr : &entry->value;
}

Text Fields::String(std::string_view key) const {
  const Node* node = Find(key);
  if (node == nullptr) return {};
  if (!node->IsString()) {
    report_->IgnoredType(*node, key, "a string");
    return {};
  }
  return TextOf(node, *report_);
}

bool Fields::Bool(std::string_view key, bool otherwise) const {
  const Node* node = Find(key);
  if (node == nullptr) return otherwise;
  if (!node->IsBool()) {
    report_->IgnoredType(*node, key, "a boolean");
    return otherwise;
  }
  return node->AsBool();
}

std::optional<int64_t> Fields::Integer(std::string_view key) const {
  const Node* node = Find(key);
  if (node == nullptr) return std::nullopt;
  auto value = IntegerOf(*node);
  // Protobuf's JSON also takes a number in quotes.
  if (!value && spelling_ == KeySpelling::kProtoJson && node->IsString()) {
    Node unquoted = *node;
    unquoted.type = ResolvePlainScalar(node->text);
    value = IntegerOf(unquoted);
  }
  if (!value) report_->IgnoredType(*node, key, "a whole number");
  return value;
}

int Fields::Int(std::string_view key) const {
  auto value = Integer(key);
  if (!value) return 0;
  if (*value < std::numeric_limits<int>::min() || *value > std::numeric_limits<int>::max()) {
    report_->IgnoredType(*Find(key), key, "a number of 32 bits");
    return 0;
  }
  return static_cast<int>(*value);
}

Text Fields::IntOrString(std::string_view key) const {
  const Node* node = Find(key);
  if (node == nullptr) return {};
  if (!node->IsString() && !node->IsInt()) {
    report_->IgnoredType(*node, key, "a number or a name");
    return {};
  }
  return TextOf(node, *report_);
}

const Node* Fields::List(std::string_view key) const {
  const Node* node = Find(key);
  if (node == nullptr || node->IsSequence()) return node;
  report_->IgnoredType(*node, key, "a list");
  return nullptr;
}

const Node* Fields::Mapping(std::string_view key) const {
  const Node* node = Find(key);
  if (node == nullptr || node->IsMapping()) return node;
  report_->IgnoredType(*node, key, "a mapping");
  return nullptr;
}

TextList Fields::Strings(std::string_view key) const {
  TextList list;
  const Entry* entry = FindEntry(key);
  if (entry == nullptr) return list;
  if (!entry->value.IsSequence()) {
    report_->IgnoredType(entry->value, key, "a list of strings");
    return list;
  }
  list.present = true;
  list.span = SpanOfEntry(*entry, *report_);
  list.values.reserve(entry->value.items().size());
  for (const Node& item : entry->value.items()) {
    if (item.IsString()) {
      list.values.push_back(TextOf(&item, *report_));
    } else if (!item.IsNull()) {
      report_->IgnoredType(item, key, "a string");
    }
  }
  return list;
}

Labels Fields::Map(std::string_view key, Nulls nulls) const {
  Labels labels;
  const Node* map = Mapping(key);
  if (map == nullptr) return labels;
  labels.reserve(map->entries().size());
  for (const Entry& entry : map->entries()) {
    if (entry.value.IsNull()) {
      if (nulls == Nulls::kEmpty) labels.emplace_back(entry.key.text, "");
    } else if (entry.value.IsString()) {
      labels.emplace_back(entry.key.text, entry.value.text);
    } else {
      report_->IgnoredType(entry.value, entry.key.text, "a string");
    }
  }
  return labels;
}

Fields Fields::Message(std::string_view key) const {
  return Fields(Find(key), *report_, key, spelling_);
}

}  // namespace meshproof
