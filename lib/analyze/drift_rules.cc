#include "analyze/drift_rules.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/dump.h"
#include "proxy/emit_match.h"

namespace meshproof {
namespace {

// What stands alone in an AND or OR.
const Json* OnlyChild(const Json& value) {
  if (value.as_object().size() != 1) return nullptr;
  for (const char* list : {"rules", "ids"}) {
    for (const char* kind : {"and_", "or_"}) {
      const Json* members = value.Find(std::string(kind) + list);
      if (members == nullptr || !members->is_object()) continue;
      const Json* items = members->Find(list);
      bool single = items != nullptr && items->is_array() && items->as_array().size() == 1;
      if (single) return &items->as_array().front();
    }
  }
  return nullptr;
}

}  // namespace

Policies PoliciesOf(const ChainView& view) {
  Policies policies;
  for (const auto& filter : view.filters) {
    if (filter.rbac == nullptr) continue;
    auto add = [&](const std::optional<Rbac>& rules, bool shadow) {
      if (!rules) return;
      for (const auto& policy : rules->policies) {
        policies[policy->name] = {policy.get(), rules->action, shadow};
      }
    };
    add(filter.rbac->shadow_rules, true);
    add(filter.rbac->rules, false);
  }
  return policies;
}

std::string ObjectOf(const std::string& key) {
  auto parsed = ParsePolicyKey(key);
  return parsed ? std::string(parsed->ns) + "/" + std::string(parsed->name) : key;
}

Json Canonical(const Json& value) {
  if (value.is_array()) {
    std::vector<std::pair<std::string, Json>> items;
    for (const Json& item : value.as_array()) {
      Json canonical = Canonical(item);
      items.emplace_back(WriteJson(canonical), std::move(canonical));
    }
    std::sort(items.begin(), items.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
    Json out = Json::MakeArray();
    for (auto& item : items) out.Append(std::move(item.second));
    return out;
  }
  if (!value.is_object()) return value;
  if (const Json* only = OnlyChild(value)) return Canonical(*only);
  Json::Object fields;
  for (const auto& [key, child] : value.as_object()) fields.emplace_back(key, Canonical(child));
  std::sort(fields.begin(), fields.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return Json(std::move(fields));
}

std::string CanonicalText(const RbacPolicy& policy) {
  RbacFilter filter;
  filter.rules.emplace();
  RbacPolicy plain = policy;
  plain.name = "p";
  filter.rules->policies.push_back(std::make_shared<const RbacPolicy>(std::move(plain)));
  return WriteJson(Canonical(EmitRbacFilter(filter, false)));
}

}  // namespace meshproof
