#include "analyze/baseline.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "analyze/driver.h"
#include "analyze/rule.h"

namespace meshproof {
namespace {

constexpr int64_t kVersion = 1;

auto SortKey(const BaselineEntry& entry) {
  return std::tie(entry.code, entry.object.kind, entry.object.ns, entry.object.name,
                  entry.fingerprint, entry.message);
}

// The text of a key; nothing where it is missing or no text.
const std::string* TextOf(const Json& object, std::string_view key) {
  const Json* value = object.Find(key);
  return value != nullptr && value->is_string() ? &value->as_string() : nullptr;
}

bool ReadObject(const Json* json, ObjectName* object) {
  if (json == nullptr || json->is_null()) return true;
  const std::string* kind = TextOf(*json, "kind");
  const std::string* ns = TextOf(*json, "namespace");
  const std::string* name = TextOf(*json, "name");
  if (kind == nullptr || ns == nullptr || name == nullptr) return false;
  *object = {*kind, *ns, *name};
  return true;
}

}  // namespace

Result<Baseline> ParseBaseline(std::string_view text) {
  auto parsed = ParseJson(text);
  if (!parsed.ok()) return Error{"it is no JSON: " + parsed.error().message};
  const Json& root = parsed.value();
  const Json* version = root.Find("version");
  const Json* findings = root.Find("findings");
  if (version == nullptr || findings == nullptr || !findings->is_array()) {
    return Error{"it is no baseline: it needs `version` and `findings`"};
  }
  if (!version->is_integer() || version->as_integer() != kVersion) {
    return Error{"its version is " + WriteJson(*version) + ", and only version " +
                 std::to_string(kVersion) + " can be read; write it anew with --write-baseline"};
  }
  Baseline baseline;
  for (const Json& finding : findings->as_array()) {
    const std::string* fingerprint = TextOf(finding, "fingerprint");
    const std::string* code = TextOf(finding, "code");
    const std::string* message = TextOf(finding, "message");
    BaselineEntry entry;
    if (fingerprint == nullptr || code == nullptr ||
        !ReadObject(finding.Find("object"), &entry.object)) {
      return Error{"entry " + std::to_string(baseline.size()) +
                   " of its findings lacks `fingerprint`, `code` or a whole `object`"};
    }
    entry.fingerprint = *fingerprint;
    entry.code = *code;
    if (message != nullptr) entry.message = *message;
    baseline.push_back(std::move(entry));
  }
  return baseline;
}

std::string WriteBaseline(Baseline baseline) {
  std::sort(baseline.begin(), baseline.end(),
            [](const BaselineEntry& a, const BaselineEntry& b) { return SortKey(a) < SortKey(b); });
  Json findings = Json::MakeArray();
  for (const BaselineEntry& entry : baseline) {
    Json out = Json::MakeObject({{"fingerprint", entry.fingerprint}, {"code", entry.code}});
    const ObjectName& object = entry.object;
    out.Set("object", object.kind.empty() ? Json()
                                          : Json::MakeObject({{"kind", object.kind},
                                                              {"namespace", object.ns},
                                                              {"name", object.name}}));
    out.Set("message", entry.message);
    findings.Append(std::move(out));
  }
  Json root = Json::MakeObject({{"version", kVersion}});
  root.Set("findings", std::move(findings));
  return WriteJson(root, 2) + "\n";
}

Baseline MakeBaseline(const std::vector<Finding>& findings) {
  Baseline baseline;
  for (const Finding& finding : findings) {
    if (finding.suppressed) continue;
    baseline.push_back({Fingerprint(finding), finding.rule->code, finding.object, finding.message});
  }
  return baseline;
}

BaselineUse HideKnown(const Baseline& baseline, std::vector<Finding>* findings) {
  std::map<std::string, std::vector<size_t>> known;  // entries not used yet, the last one first
  for (size_t i = baseline.size(); i-- > 0;) known[baseline[i].fingerprint].push_back(i);
  BaselineUse use;
  std::erase_if(*findings, [&](const Finding& finding) {
    if (finding.suppressed) return false;
    auto entries = known.find(Fingerprint(finding));
    if (entries == known.end() || entries->second.empty()) return false;
    entries->second.pop_back();
    ++use.hidden;
    return true;
  });
  std::vector<size_t> left;
  for (const auto& [fingerprint, entries] : known) {
    left.insert(left.end(), entries.begin(), entries.end());
  }
  std::sort(left.begin(), left.end());
  for (size_t i : left) use.unused.push_back(baseline[i]);
  return use;
}

}  // namespace meshproof
