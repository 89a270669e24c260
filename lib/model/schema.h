#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "model/report.h"
#include "source/node.h"

// The structural schemas of Istio's custom resource definitions, as far as the API server checks
// them before any webhook: names, types, enums, lengths and rules (istio-semantics section 8, "CRD
// extras" and "Typos").
namespace meshproof {

struct FieldSchema;

struct MessageSchema {
  std::span<const FieldSchema> fields;
  // The schema's own rules (x-kubernetes-validations) over one such message.
  void (*rule)(const Node& message, Report& report) = nullptr;
};

enum class FieldType {
  kString,
  kBool,
  kInteger,
  kNumber,
  kEnum,
  kMessage,
  kStringMap,
  kIntegerMap,
  kMessageMap,
  kAny  // not looked into: its content decides nothing that meshproof computes
};

struct FieldSchema {
  std::string_view name;
  FieldType type = FieldType::kAny;
  bool list = false;
  bool required = false;
  const MessageSchema* message = nullptr;
  std::span<const std::string_view> values = {};  // kEnum
  size_t min_length = 0;                          // of each string
  size_t max_length = std::numeric_limits<size_t>::max();
  size_t max_items = std::numeric_limits<size_t>::max();
  int64_t min = 0;  // kInteger; unsigned 32 bits unless said
  int64_t max = std::numeric_limits<uint32_t>::max();

  // For the tables.
  constexpr FieldSchema Required() const {
    FieldSchema copy = *this;
    copy.required = true;
    return copy;
  }
  constexpr FieldSchema Length(size_t least,
                               size_t most = std::numeric_limits<size_t>::max()) const {
    FieldSchema copy = *this;
    copy.min_length = least;
    copy.max_length = most;
    return copy;
  }
  constexpr FieldSchema Items(size_t most) const {
    FieldSchema copy = *this;
    copy.max_items = most;
    return copy;
  }
};

namespace schema {

constexpr FieldSchema Str(std::string_view name) {
  return {.name = name, .type = FieldType::kString};
}
constexpr FieldSchema Strs(std::string_view name) {
  return {.name = name, .type = FieldType::kString, .list = true};
}
constexpr FieldSchema Bool(std::string_view name) {
  return {.name = name, .type = FieldType::kBool};
}
constexpr FieldSchema Int(std::string_view name) {
  return {.name = name, .type = FieldType::kInteger};
}
constexpr FieldSchema Ints(std::string_view name) {
  return {.name = name, .type = FieldType::kInteger, .list = true};
}
constexpr FieldSchema Signed(std::string_view name) {
  return {.name = name,
          .type = FieldType::kInteger,
          .min = std::numeric_limits<int32_t>::min(),
          .max = std::numeric_limits<int32_t>::max()};
}
constexpr FieldSchema Number(std::string_view name) {
  return {.name = name, .type = FieldType::kNumber};
}
constexpr FieldSchema Enum(std::string_view name, std::span<const std::string_view> values) {
  return {.name = name, .type = FieldType::kEnum, .values = values};
}
constexpr FieldSchema Msg(std::string_view name, const MessageSchema& message) {
  return {.name = name, .type = FieldType::kMessage, .message = &message};
}
constexpr FieldSchema Msgs(std::string_view name, const MessageSchema& message) {
  return {.name = name, .type = FieldType::kMessage, .list = true, .message = &message};
}
constexpr FieldSchema Map(std::string_view name) {
  return {.name = name, .type = FieldType::kStringMap};
}
constexpr FieldSchema IntMap(std::string_view name) {
  return {.name = name, .type = FieldType::kIntegerMap};
}
constexpr FieldSchema MsgMap(std::string_view name, const MessageSchema& message) {
  return {.name = name, .type = FieldType::kMessageMap, .message = &message};
}
constexpr FieldSchema Any(std::string_view name) {
  return {.name = name};
}

}  // namespace schema

// Checks a message that is a mapping; what is wrong goes to `report`. Costs (fields of the schema)
// x (entries), once.
void CheckMessage(const Node& message, const MessageSchema& schema, Report& report);

// Checks apiVersion, kind, metadata and `spec` of a custom resource.
void CheckResource(const Node& object, const MessageSchema& spec, Report& report);

// Rules that several kinds share.
void CheckSelectorRule(const Node& selector, Report& report);
// "Only one of targetRefs or selector can be set", of a spec.
void CheckAttachmentRule(const Node& spec, Report& report);

// type.v1beta1 WorkloadSelector (matchLabels) and PolicyTargetReference.
extern const MessageSchema kSelectorSchema;
extern const MessageSchema kTargetRefSchema;

// The `spec` of each kind.
extern const MessageSchema kPeerAuthenticationSchema;
extern const MessageSchema kRequestAuthenticationSchema;
extern const MessageSchema kAuthorizationPolicySchema;
extern const MessageSchema kGatewaySchema;
extern const MessageSchema kVirtualServiceSchema;
extern const MessageSchema kDestinationRuleSchema;
extern const MessageSchema kServiceEntrySchema;
extern const MessageSchema kSidecarSchema;
extern const MessageSchema kWorkloadEntrySchema;
extern const MessageSchema kWorkloadGroupSchema;
extern const MessageSchema kEnvoyFilterSchema;

}  // namespace meshproof
