#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "model/fields.h"
#include "model/mesh_config.h"
#include "model/model.h"
#include "model/report.h"

namespace meshproof {

// What one run of documents became.
struct Part {
  Model model;
  std::vector<MeshConfigMap> mesh_configs;
};

// One object on its way into a part. `report` speaks of `meta`.
struct Arrival {
  Part& part;
  const ModelOptions& options;
  Fields fields;
  ObjectMeta meta;
  Report& report;
};

inline constexpr std::string_view kSecurity = "security.istio.io";
inline constexpr std::string_view kNetworking = "networking.istio.io";

// A kind that meshproof reads.
struct KindInfo {
  std::string_view kind;
  std::string_view group;
  std::string_view versions;  // separated by blanks, the preferred one first; "" = any
  void (*add)(Arrival&);
  bool cluster_scoped = false;
};

// All kinds, sorted by name; and those of one name (a Gateway is in two groups).
std::span<const KindInfo> AllKinds();
std::span<const KindInfo> KindsNamed(std::string_view kind);

bool IsServed(const KindInfo& info, std::string_view version);
// The apiVersion to write.
std::string PreferredVersion(const KindInfo& info);

void SkipRefused(Part& part, const ObjectMeta& meta);

}  // namespace meshproof
