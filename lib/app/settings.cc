#include "app/settings.h"

#include <algorithm>

#include "analyze/suppress.h"
#include "base/text.h"
#include "simulate/fields.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

constexpr char kName[] = ".meshproof.yaml";
const std::vector<std::string> kRuleSeverities = {"error", "warning", "info", "off"};
const std::vector<std::string> kFailOn = {"error", "warning", "info", "never"};
const std::vector<std::string> kAnswers = {"allow", "deny"};

std::vector<std::string> Components(std::string_view directory) {
  std::vector<std::string> parts;
  for (std::string_view part : Split(directory, '/')) {
    if (!part.empty()) parts.emplace_back(part);
  }
  return parts;
}

// `*` and `?` within one component.
bool MatchesComponent(std::string_view pattern, std::string_view name) {
  if (pattern.empty()) return name.empty();
  if (pattern[0] == '*') {
    for (size_t i = 0; i <= name.size(); ++i) {
      if (MatchesComponent(pattern.substr(1), name.substr(i))) return true;
    }
    return false;
  }
  return !name.empty() && (pattern[0] == '?' || pattern[0] == name[0]) &&
         MatchesComponent(pattern.substr(1), name.substr(1));
}

class SettingsDecoder {
 public:
  SettingsDecoder(const Document& document, std::vector<std::string> below,
                  std::vector<Diagnostic>* errors, Settings* out)
      : document_(document), below_(std::move(below)), errors_(errors), out_(out) {}

  void Decode(const Node& root) {
    FieldReader fields(document_, root, "the settings", errors_);
    for (const auto& path : fields.TakeTexts("paths")) out_->paths.push_back(Rebase(path));
    for (const auto& glob : fields.TakeTexts("ignore")) {
      for (auto& rebased : RebaseGlob(glob, below_)) out_->ignore.push_back(std::move(rebased));
    }
    for (auto& [glob, ns] : TakePairs(&fields, "namespaces")) {
      for (auto& rebased : RebaseGlob(glob, below_)) {
        out_->namespaces.emplace_back(std::move(rebased), ns);
      }
    }
    DecodeRules(&fields);
    if (auto index = fields.TakeChoice("fail_on", kFailOn)) out_->fail_on = kFailOn[*index];
    if (auto baseline = fields.TakeText("baseline")) out_->baseline = Rebase(*baseline);
    DecodeMesh(&fields);
    if (const Node* istiod = fields.Take("istiod")) {
      FieldReader inner(document_, *istiod, "`istiod`", errors_);
      out_->istiod_env = TakePairs(&inner, "env");
      inner.Finish();
    }
    DecodeAuthorizers(&fields);
    if (const Node* budget = fields.Take("budget")) {
      FieldReader inner(document_, *budget, "`budget`", errors_);
      out_->budget.nodes = inner.TakeInt("nodes", 1, int64_t{1} << 40);
      out_->budget.seconds = inner.TakeInt("seconds", 1, int64_t{1} << 30);
      inner.Finish();
    }
    fields.Finish();
  }

 private:
  std::string Rebase(std::string_view path) const {
    return ResolvePath(document_.file().name(), path);
  }

  std::vector<std::pair<std::string, std::string>> TakePairs(FieldReader* fields,
                                                             std::string_view key) {
    std::vector<std::pair<std::string, std::string>> pairs;
    const Node* node = fields->Take(key);
    if (node == nullptr) return pairs;
    if (!node->IsMapping()) {
      fields->Report(*node, "`" + std::string(key) + "` must be a mapping");
      return pairs;
    }
    for (const Entry& entry : node->entries()) {
      if (entry.value.kind != NodeKind::kScalar) {
        fields->Report(entry.value, "`" + std::string(entry.key.text) + "` must be a text");
      } else {
        pairs.emplace_back(entry.key.text, entry.value.text);
      }
    }
    return pairs;
  }

  void DecodeRules(FieldReader* fields) {
    const Node* node = fields->Take("rules");
    if (node == nullptr) return;
    if (!node->IsMapping()) {
      fields->Report(*node, "`rules` must be a mapping of rules to severities");
      return;
    }
    for (const Entry& entry : node->entries()) {
      if (std::string unknown = UnknownRule(entry.key.text); !unknown.empty()) {
        fields->Report(entry.key, unknown + " (`meshproof rules` lists them)");
      }
      // `off` is a boolean to YAML 1.1; its text is what was meant.
      if (auto index = fields->Choose(entry.value, entry.key.text, kRuleSeverities)) {
        out_->rules[std::string(entry.key.text)] = kRuleSeverities[*index];
      }
    }
  }

  void DecodeMesh(FieldReader* fields) {
    const Node* node = fields->Take("mesh");
    if (node == nullptr) return;
    FieldReader mesh(document_, *node, "`mesh`", errors_);
    out_->mesh.root_namespace = mesh.TakeText("root_namespace");
    out_->mesh.trust_domain = mesh.TakeText("trust_domain");
    const Node* version = mesh.Take("istio_version");
    out_->mesh.istio_version = mesh.TakeText("istio_version");
    if (out_->mesh.istio_version && !IsIstioVersion(*out_->mesh.istio_version)) {
      mesh.Report(*version, "`istio_version` must be a release such as 1.27");
    }
    if (auto file = mesh.TakeText("mesh_config")) out_->mesh.mesh_config = Rebase(*file);
    out_->mesh.pod_cidrs = TakeRanges(&mesh, "pod_cidrs");
    out_->mesh.service_cidrs = TakeRanges(&mesh, "service_cidrs");
    mesh.Finish();
  }

  static std::vector<CidrRange> TakeRanges(FieldReader* fields, std::string_view key) {
    std::vector<CidrRange> ranges;
    const Node* node = fields->Take(key);
    for (const auto& text : fields->TakeTexts(key)) {
      if (auto range = ParseCidr(text)) {
        ranges.push_back(*range);
      } else {
        fields->Report(*node, "`" + std::string(key) + "` must be address blocks such as " +
                                  "10.244.0.0/16, not `" + text + "`");
      }
    }
    return ranges;
  }

  void DecodeAuthorizers(FieldReader* fields) {
    const Node* node = fields->Take("ext_authz");
    if (node == nullptr) return;
    if (!node->IsMapping()) {
      fields->Report(*node, "`ext_authz` must be a mapping of providers to allow or deny");
      return;
    }
    for (const Entry& entry : node->entries()) {
      if (auto index = fields->Choose(entry.value, entry.key.text, kAnswers)) {
        out_->ext_authz[std::string(entry.key.text)] = static_cast<ExtAuthzAnswer>(*index);
      }
    }
  }

  const Document& document_;
  std::vector<std::string> below_;
  std::vector<Diagnostic>* errors_;
  Settings* out_;
};

void AddRebased(const std::vector<std::string>& parts, size_t part,
                const std::vector<std::string>& below, size_t level,
                std::vector<std::string>* out) {
  if (level == below.size()) {
    std::vector<std::string> rest(parts.begin() + static_cast<std::ptrdiff_t>(part), parts.end());
    if (!rest.empty()) out->push_back(Join(rest, "/"));
    return;
  }
  if (part == parts.size()) {  // the glob names a directory above: everything here is in it
    out->push_back("**");
    return;
  }
  if (parts[part] == "**") {
    AddRebased(parts, part + 1, below, level, out);
    AddRebased(parts, part, below, level + 1, out);
  } else if (MatchesComponent(parts[part], below[level])) {
    AddRebased(parts, part + 1, below, level + 1, out);
  }
}

}  // namespace

std::vector<std::string> RebaseGlob(std::string_view glob, const std::vector<std::string>& below) {
  if (glob.starts_with("./")) glob.remove_prefix(2);
  if (below.empty() || glob.starts_with('/')) return {std::string(glob)};
  std::string up;
  for (size_t i = 0; i < below.size(); ++i) up += "../";
  std::vector<std::string> out = {up + std::string(glob)};
  AddRebased(Components(glob), 0, below, 0, &out);
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

bool IsIstioVersion(std::string_view text) {
  auto parts = Split(text, '.');
  return (parts.size() == 2 || parts.size() == 3) && parts[0] == "1" &&
         std::all_of(parts.begin(), parts.end(),
                     [](std::string_view part) { return ParseUnsigned(part).has_value(); });
}

Result<Settings> LoadSettings(const Host& host, const std::optional<std::string>& file) {
  std::string path;
  std::vector<std::string> below;
  if (file) {
    path = *file;
  } else {
    std::vector<std::string> parts = Components(host.directory);
    std::string up;
    for (size_t i = 0; i <= parts.size() && path.empty(); ++i, up += "../") {
      if (host.files.Stat(up + kName) != FileSystem::Kind::kFile) continue;
      path = up + kName;
      below.assign(parts.end() - static_cast<std::ptrdiff_t>(i), parts.end());
    }
    if (path.empty()) return Settings{};
  }
  auto text = host.files.Read(path);
  if (!text.ok()) return Error{"the settings cannot be read: " + text.error().message};
  ParsedFile parsed = ParseText(path, text.Take());
  Settings settings;
  settings.file = path;
  std::vector<Diagnostic> errors;
  for (const auto& diagnostic : parsed.diagnostics) {
    if (diagnostic.severity == Severity::kError || diagnostic.trouble == Trouble::kDuplicateKey) {
      errors.push_back(diagnostic);
    }
  }
  size_t documents = 0;
  for (const auto& document : parsed.documents) {
    if (document.root() == nullptr || document.root()->IsNull()) continue;
    if (++documents > 1) return Error{path + ": the settings are one document, not several"};
    SettingsDecoder(document, below, &errors, &settings).Decode(*document.root());
  }
  if (errors.empty()) return settings;
  SortDiagnostics(&errors);
  std::string message = "the settings cannot be used";
  for (const auto& error : errors) message += "\n" + ToString(error);
  return Error{message};
}

}  // namespace meshproof
