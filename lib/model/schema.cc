#include "model/schema.h"

#include <algorithm>
#include <string>
#include <vector>

#include "model/fields.h"

namespace meshproof {
namespace {

using schema::Any;
using schema::Int;
using schema::Map;
using schema::Msgs;
using schema::Str;
using schema::Strs;

size_t CodePoints(std::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  }));
}

std::string OneOf(std::span<const std::string_view> values) {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " or " : ", ";
    text += values[i];
  }
  return text;
}

void CheckString(const Node& value, const FieldSchema& field, Report& report) {
  if (!value.IsString()) return report.WrongType(value, field.name, "a string");
  if (field.min_length == 0 && value.text.size() <= field.max_length) return;
  size_t length = CodePoints(value.text);
  if (length < field.min_length) {
    report.Refuse(report.SpanOf(value), Quote(field.name) + " must not be empty");
  } else if (length > field.max_length) {
    report.Refuse(report.SpanOf(value), Quote(field.name) + " is longer than " +
                                            std::to_string(field.max_length) + " characters");
  }
}

void CheckEnum(const Node& value, const FieldSchema& field, Report& report) {
  if (!value.IsString()) return report.WrongType(value, field.name, "a string");
  if (std::find(field.values.begin(), field.values.end(), value.text) != field.values.end()) return;
  std::string upper(value.text);
  std::transform(upper.begin(), upper.end(), upper.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  bool only_case = std::find(field.values.begin(), field.values.end(), upper) != field.values.end();
  report.Refuse(
      report.SpanOf(value),
      Quote(field.name) + " must be " + OneOf(field.values) + ", here stands " + Quote(value.text),
      only_case ? "write " + Quote(upper) + ": the case counts" : "");
}

void CheckInteger(const Node& value, const FieldSchema& field, Report& report) {
  auto number = IntegerOf(value);
  if (!number) return report.WrongType(value, field.name, "a whole number");
  if (*number >= field.min && *number <= field.max) return;
  report.Refuse(report.SpanOf(value),
                Quote(field.name) + " is out of range: " + std::string(value.text));
}

void CheckValue(const Node& value, const FieldSchema& field, Report& report);

void CheckMapValues(const Node& map, const FieldSchema& field, Report& report) {
  if (!map.IsMapping()) return report.WrongType(map, field.name, "a mapping");
  FieldSchema inner = field;
  inner.list = false;
  inner.type = field.type == FieldType::kStringMap    ? FieldType::kString
               : field.type == FieldType::kIntegerMap ? FieldType::kInteger
                                                      : FieldType::kMessage;
  for (const Entry& entry : map.entries()) {
    if (entry.value.IsNull()) continue;
    inner.name = entry.key.text;
    CheckValue(entry.value, inner, report);
  }
}

void CheckValue(const Node& value, const FieldSchema& field, Report& report) {
  switch (field.type) {
    case FieldType::kString:
      return CheckString(value, field, report);
    case FieldType::kBool:
      if (!value.IsBool()) report.WrongType(value, field.name, "a boolean");
      return;
    case FieldType::kInteger:
      return CheckInteger(value, field, report);
    case FieldType::kNumber:
      if (value.kind != NodeKind::kScalar ||
          (value.type != ScalarType::kInt && value.type != ScalarType::kFloat)) {
        report.WrongType(value, field.name, "a number");
      }
      return;
    case FieldType::kEnum:
      return CheckEnum(value, field, report);
    case FieldType::kMessage:
      if (!value.IsMapping()) return report.WrongType(value, field.name, "a mapping");
      return CheckMessage(value, *field.message, report);
    case FieldType::kStringMap:
    case FieldType::kIntegerMap:
    case FieldType::kMessageMap:
      return CheckMapValues(value, field, report);
    case FieldType::kAny:
      return;
  }
}

std::string_view ListOf(FieldType type) {
  if (type == FieldType::kString || type == FieldType::kEnum) return "a list of strings";
  if (type == FieldType::kInteger) return "a list of numbers";
  return "a list of mappings";
}

void CheckField(const Node& value, const FieldSchema& field, Report& report) {
  if (!field.list) return CheckValue(value, field, report);
  if (!value.IsSequence()) return report.WrongType(value, field.name, ListOf(field.type));
  if (value.items().size() > field.max_items) {
    report.Refuse(report.SpanOf(value),
                  Quote(field.name) + " has " + std::to_string(value.items().size()) +
                      " items, more than the " + std::to_string(field.max_items) + " allowed");
  }
  for (const Node& item : value.items()) {
    if (item.IsNull()) {
      report.Refuse(report.SpanOf(item), "an item of " + Quote(field.name) + " is null");
    } else {
      CheckValue(item, field, report);
    }
  }
}

void ReportUnknown(const Node& message, std::span<const FieldSchema> fields, Report& report) {
  for (const Entry& entry : message.entries()) {
    bool known = std::any_of(fields.begin(), fields.end(), [&](const FieldSchema& field) {
      return field.name == entry.key.text;
    });
    if (known) continue;
    std::vector<std::string> names;
    for (const FieldSchema& field : fields) names.emplace_back(field.name);
    report.UnknownField(entry.key, names);
  }
}

constexpr FieldSchema kOwnerFields[] = {Str("apiVersion"),
                                        Str("kind"),
                                        Str("name"),
                                        Str("uid"),
                                        schema::Bool("controller"),
                                        schema::Bool("blockOwnerDeletion")};
constexpr MessageSchema kOwner{kOwnerFields};
constexpr FieldSchema kMetadataFields[] = {Str("name"),
                                           Str("namespace"),
                                           Map("labels"),
                                           Map("annotations"),
                                           Str("generateName"),
                                           Any("creationTimestamp"),
                                           Any("deletionTimestamp"),
                                           Any("deletionGracePeriodSeconds"),
                                           Strs("finalizers"),
                                           Any("generation"),
                                           Any("managedFields"),
                                           Msgs("ownerReferences", kOwner),
                                           Str("resourceVersion"),
                                           Str("selfLink"),
                                           Str("uid"),
                                           Str("clusterName")};
constexpr MessageSchema kMetadata{kMetadataFields};

}  // namespace

void CheckMessage(const Node& message, const MessageSchema& schema, Report& report) {
  ReportUnknown(message, schema.fields, report);
  for (const FieldSchema& field : schema.fields) {
    const Node* value = message.Find(field.name);
    if (value != nullptr && !value->IsNull()) {
      CheckField(*value, field, report);
    } else if (field.required) {
      report.Refuse(report.SpanOf(message), Quote(field.name) + " is missing");
    }
  }
  if (schema.rule != nullptr) schema.rule(message, report);
}

void CheckResource(const Node& object, const MessageSchema& spec, Report& report) {
  const FieldSchema fields[] = {Any("apiVersion"), Any("kind"), schema::Msg("metadata", kMetadata),
                                schema::Msg("spec", spec), Any("status")};
  CheckMessage(object, MessageSchema{fields}, report);
}

void CheckSelectorRule(const Node& selector, Report& report) {
  const Node* labels = selector.Find("matchLabels");
  if (labels == nullptr) labels = selector.Find("labels");
  if (labels == nullptr || !labels->IsMapping()) return;
  for (const Entry& entry : labels->entries()) {
    if (entry.value.IsNull()) continue;
    if (entry.key.text.empty()) {
      report.Refuse(report.SpanOf(entry.key), "a label of the selector has no key");
    }
    for (const Node* part : {&entry.key, &entry.value}) {
      if (part->text.find('*') == std::string_view::npos) continue;
      report.Refuse(report.SpanOf(*part),
                    "wildcards are not supported in a selector: " + Quote(part->text),
                    "name the label as it stands on the pods");
    }
  }
}

void CheckAttachmentRule(const Node& spec, Report& report) {
  const Node* last = nullptr;
  int set = 0;
  for (const Entry& entry : spec.entries()) {
    if (entry.value.IsNull() || (entry.key.text != "selector" && entry.key.text != "targetRef" &&
                                 entry.key.text != "targetRefs")) {
      continue;
    }
    last = &entry.key;
    ++set;
  }
  if (set < 2) return;
  report.Refuse(report.SpanOf(*last),
                "only one of `selector`, `targetRef` and `targetRefs` can be set");
}

}  // namespace meshproof
