#include "analyze/schema_checks.h"

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

template <typename T>
void CheckAll(const std::vector<T>& objects, void (*check)(const T&, Report&),
              std::vector<Diagnostic>* diagnostics) {
  for (const T& object : objects) {
    size_t first = diagnostics->size();
    Report report(object.meta.file, &object.meta, diagnostics);
    check(object, report);
    for (size_t i = first; i < diagnostics->size(); ++i) {
      (*diagnostics)[i].object = {std::string(object.meta.kind), object.meta.ns,
                                  std::string(object.meta.name)};
    }
  }
}

void CheckOther(const OtherObject& object, Report& report) {
  CheckUnreadKind(object.meta, report);
}

// A literal block is parsed in place: its offsets are those of the file around it, which has the
// same name.
const SourceFile* FileOf(const ParsedFile& nested, const Model& model) {
  const ObjectMeta* config = model.mesh_config.object;
  if (config != nullptr && config->file != nullptr && config->file->name() == nested.file->name()) {
    return config->file;
  }
  for (const ParsedFile& outer : model.nested) {
    if (outer.file->name() == nested.file->name()) return outer.file.get();
  }
  return nested.file.get();
}

void CheckMeshConfig(const Model& model, std::vector<Diagnostic>* diagnostics) {
  static const ObjectMeta kNone{};
  const ObjectMeta* meta = model.mesh_config.object;
  size_t first = diagnostics->size();
  for (const ParsedFile& nested : model.nested) {
    if (nested.documents.empty() || nested.documents.front().root() == nullptr) continue;
    const Node& root = *nested.documents.front().root();
    // A file given as the mesh config may be the ConfigMap around it.
    if (!root.IsMapping() || root.Find("kind") != nullptr) continue;
    Report report(FileOf(nested, model), meta != nullptr ? meta : &kNone, diagnostics);
    CheckMeshConfigFields(root, report);
    CheckMeshConfigValues(model, report);
  }
  for (size_t i = first; meta != nullptr && i < diagnostics->size(); ++i) {
    (*diagnostics)[i].object = {std::string(meta->kind), meta->ns, std::string(meta->name)};
  }
}

}  // namespace

bool IsDnsLabel(std::string_view text) {
  if (text.empty() || text.size() > 63) return false;
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return is_alnum(text.front()) && is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_alnum(c) || c == '-'; });
}

bool IsDnsName(std::string_view text) {
  if (text.empty() || text.size() > 255) return false;
  if (text.back() == '.') text.remove_suffix(1);
  for (std::string_view label : Split(text, '.')) {
    // istiod takes capitals and underscores at the start of a label for what DNS makes of them.
    std::string lower = ToLower(label);
    if (!IsDnsLabel(lower.starts_with('_') ? std::string_view(lower).substr(1) : lower)) {
      return false;
    }
  }
  return true;
}

bool IsHostPattern(std::string_view text) {
  if (text == "*") return true;
  if (text.starts_with("*.")) text.remove_prefix(2);
  return IsDnsName(text);
}

void CheckExportTo(const TextList& export_to, Report& report) {
  for (size_t i = 0; i < export_to.values.size(); ++i) {
    const Text& value = export_to.values[i];
    bool known = value.value == "*" || value.value == "." || value.value == "~";
    if (!known && !IsDnsLabel(value.value)) {
      report.Refuse(value.span, Quote(value.value) + " in `exportTo` is no namespace",
                    "`.`, `*`, `~` and names of namespaces can stand there");
    }
    for (size_t j = 0; j < i; ++j) {
      if (export_to.values[j].value != value.value) continue;
      report.Refuse(value.span, Quote(value.value) + " stands twice in `exportTo`");
      break;
    }
  }
}

std::vector<Diagnostic> CheckSchemas(const Model& model) {
  std::vector<Diagnostic> diagnostics;
  CheckAll(model.others, CheckOther, &diagnostics);
  CheckAll(model.gateways, CheckGatewayShape, &diagnostics);
  CheckAll(model.virtual_services, CheckVirtualServiceShape, &diagnostics);
  CheckAll(model.destination_rules, CheckDestinationRuleShape, &diagnostics);
  CheckAll(model.service_entries, CheckServiceEntryShape, &diagnostics);
  CheckAll(model.sidecars, CheckSidecarShape, &diagnostics);
  CheckAll(model.envoy_filters, CheckEnvoyFilterShape, &diagnostics);
  CheckMeshConfig(model, &diagnostics);
  return diagnostics;
}

}  // namespace meshproof
