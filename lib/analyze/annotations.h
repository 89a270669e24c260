#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace meshproof {

// An annotation or label of Istio's that users set.
struct KnownKey {
  enum class Status { kStable, kAlpha, kDeprecated };
  std::string_view name;
  std::string_view kinds;  // separated by blanks; "" = any
  Status status = Status::kStable;
  // It decides whether traffic meets a proxy, which one, or who may call.
  bool security = false;
  // What is wrong with a value, "" where nothing is; null: any value goes.
  std::string (*problem)(std::string_view value) = nullptr;
  std::string_view instead = {};  // kDeprecated: what to use
};

// Null where Istio knows no such key.
const KnownKey* FindAnnotation(std::string_view name);
const KnownKey* FindLabelKey(std::string_view name);

// Whether the key is in one of Istio's own domains ("sidecar.istio.io/…").
bool IsIstioKey(std::string_view name);
// Whether `kind` is among the kinds that the key may sit on.
bool MaySitOn(const KnownKey& key, std::string_view kind);
// The names of all, for suggestions.
std::vector<std::string> AnnotationNames();
std::vector<std::string> LabelNames();

}  // namespace meshproof
