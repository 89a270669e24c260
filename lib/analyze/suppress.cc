#include "analyze/suppress.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <optional>
#include <set>
#include <tuple>

#include "analyze/raw_objects.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr std::string_view kCommentMark = "meshproof:";
constexpr std::string_view kAnnotation = "meshproof/ignore";
constexpr std::string_view kIstioctlAnnotation = "galley.istio.io/analyze-suppress";

bool IsDate(std::string_view text) {
  if (text.size() != 10 || text[4] != '-' || text[7] != '-') return false;
  auto year = ParseUnsigned(text.substr(0, 4));
  auto month = ParseUnsigned(text.substr(5, 2));
  auto day = ParseUnsigned(text.substr(8, 2));
  if (!year || !month || !day) return false;
  return std::chrono::year_month_day(std::chrono::year(static_cast<int>(*year)),
                                     std::chrono::month(static_cast<unsigned>(*month)),
                                     std::chrono::day(static_cast<unsigned>(*day)))
      .ok();
}

bool IsGroup(std::string_view written) {
  return written.size() == 4 && StartsWithIgnoreCase(written, "MP") &&
         ParseUnsigned(written.substr(2)).has_value();
}

// The lines of a file on which nothing but a comment stands.
std::set<int> CommentLines(const ParsedFile& file) {
  std::set<int> lines;
  for (const Comment& comment : file.comments) {
    if (comment.alone) lines.insert(file.file->LineOf(comment.begin));
  }
  return lines;
}

void ReadComments(const Model& model, std::vector<SuppressionSite>* sites,
                  std::vector<MalformedSuppression>* malformed) {
  for (const ParsedFile& file : model.files) {
    std::set<int> alone;  // filled for the first suppression
    for (const Comment& comment : file.comments) {
      std::string_view text = file.file->text().substr(comment.begin, comment.end - comment.begin);
      text = TrimSpace(text.substr(std::min<size_t>(1, text.size())));
      if (!text.starts_with(kCommentMark)) continue;
      SuppressionSite site;
      site.span = Span{file.file.get(), comment.begin, comment.end};
      site.line = file.file->LineOf(comment.begin);
      if (comment.alone) {
        // Several comments above a line all speak of it.
        if (alone.empty()) alone = CommentLines(file);
        while (alone.contains(site.line)) ++site.line;
      }
      std::string problem;
      if (ParseSuppression(text.substr(kCommentMark.size()), &site, &problem)) {
        sites->push_back(std::move(site));
      } else {
        malformed->push_back({site.span, {}, problem});
      }
    }
  }
}

// Every object with its metadata, whatever its kind.
template <typename Visit>
void ForEachMeta(const Model& model, Visit visit) {
  auto all = [&](const auto& objects) {
    for (const auto& object : objects) visit(object.meta);
  };
  all(model.namespaces);
  all(model.pod_workloads);
  all(model.services);
  all(model.service_accounts);
  all(model.peer_authentications);
  all(model.request_authentications);
  all(model.authorization_policies);
  all(model.gateways);
  all(model.virtual_services);
  all(model.destination_rules);
  all(model.service_entries);
  all(model.sidecars);
  all(model.workload_entries);
  all(model.workload_groups);
  all(model.envoy_filters);
  all(model.others);
  for (const auto& meta : model.extra_metas) visit(*meta);
}

// What the annotations of one object suppress. `place` carries what is covered.
void AddAnnotations(const SuppressionSite& place, std::optional<std::string_view> own,
                    std::optional<std::string_view> theirs, std::vector<SuppressionSite>* sites,
                    std::vector<MalformedSuppression>* malformed) {
  if (own) {
    SuppressionSite site = place;
    std::string problem;
    if (ParseSuppression("ignore" + std::string(*own), &site, &problem)) {
      sites->push_back(std::move(site));
    } else {
      malformed->push_back({site.span, site.object, problem});
    }
  }
  if (theirs) {
    SuppressionSite site = place;
    site.istioctl = true;
    site.reason = std::string(kIstioctlAnnotation);
    for (std::string_view code : Split(*theirs, ',')) site.rules.emplace_back(TrimSpace(code));
    sites->push_back(std::move(site));
  }
}

// The text of the annotation; the object where its place is not known.
Span PlaceOfAnnotation(const SourceFile* file, const Node* object, std::string_view key,
                       const Span& otherwise) {
  const Node* annotations = NodeAt(object, {"metadata", "annotations"});
  const Node* value = annotations == nullptr ? nullptr : annotations->Find(key);
  return file == nullptr || value == nullptr ? otherwise : SpanOf(file, *value);
}

std::optional<std::string_view> ScalarAt(const Node* node, std::string_view key) {
  const Node* value = node->Find(key);
  if (value == nullptr || value->kind != NodeKind::kScalar) return std::nullopt;
  return value->text;
}

std::optional<std::string_view> AnnotationOf(const ObjectMeta& meta, std::string_view key) {
  const std::string* value = FindLabel(meta.annotations, key);
  if (value == nullptr) return std::nullopt;
  return *value;
}

// Most meshes suppress nothing, and their objects need not be looked through. What stands between
// the words may be escaped (`\/`).
bool MayHaveAnnotations(const Model& model) {
  return std::any_of(model.files.begin(), model.files.end(), [](const ParsedFile& file) {
    std::string_view text = file.file->text();
    return text.find("analyze-suppress") != std::string_view::npos ||
           text.find("meshproof") != std::string_view::npos;
  });
}

void ReadAnnotations(const Model& model, std::vector<SuppressionSite>* sites,
                     std::vector<MalformedSuppression>* malformed) {
  if (!MayHaveAnnotations(model)) return;
  std::set<const Node*> decoded;
  ForEachMeta(model, [&](const ObjectMeta& meta) {
    decoded.insert(meta.node);
    if (meta.annotations.empty()) return;
    SuppressionSite place;
    place.span = PlaceOfAnnotation(meta.file, meta.node, kAnnotation, meta.span);
    place.object = NameOf(meta);
    AddAnnotations(place, AnnotationOf(meta, kAnnotation), AnnotationOf(meta, kIstioctlAnnotation),
                   sites, malformed);
  });
  // Objects that admission refuses have findings too.
  for (const RawObject& object : ReadRawObjects(model)) {
    if (decoded.contains(object.node)) continue;
    const Node* annotations = NodeAt(object.node, {"metadata", "annotations"});
    if (annotations == nullptr || !annotations->IsMapping()) continue;
    SuppressionSite place;
    place.span = PlaceOfAnnotation(object.file, object.node, kAnnotation, object.span);
    place.object = NameOf(object);
    place.body = SpanOf(object.file, *object.node);
    AddAnnotations(place, ScalarAt(annotations, kAnnotation),
                   ScalarAt(annotations, kIstioctlAnnotation), sites, malformed);
  }
}

// Which sites speak of the place of a finding.
class SiteIndex {
 public:
  explicit SiteIndex(const std::vector<SuppressionSite>& sites) : sites_(sites) {
    for (size_t i = 0; i < sites.size(); ++i) {
      const SuppressionSite& site = sites[i];
      if (site.line != 0) {
        by_line_[{site.span.file, site.line}].push_back(i);
      } else {
        by_object_[KeyOf(site.object)].push_back(i);
        if (site.body) bodies_.push_back(i);
      }
    }
  }

  std::vector<size_t> At(const Finding& finding) const {
    std::vector<size_t> found;
    const SourceFile* file = finding.span.file;
    if (file != nullptr && !by_line_.empty()) {
      auto at = by_line_.find({file, file->LineOf(finding.span.begin)});
      if (at != by_line_.end()) found = at->second;
    }
    if (auto at = by_object_.find(KeyOf(finding.object)); at != by_object_.end()) {
      found.insert(found.end(), at->second.begin(), at->second.end());
    }
    for (size_t i : bodies_) {
      const Span& body = sites_[i].body;
      if (file == body.file && finding.span.begin >= body.begin && finding.span.begin < body.end) {
        found.push_back(i);
      }
    }
    std::sort(found.begin(), found.end());
    found.erase(std::unique(found.begin(), found.end()), found.end());
    return found;
  }

 private:
  using Key = std::tuple<std::string, std::string, std::string>;
  static Key KeyOf(const ObjectName& object) { return {object.kind, object.ns, object.name}; }

  const std::vector<SuppressionSite>& sites_;
  std::map<std::pair<const SourceFile*, int>, std::vector<size_t>> by_line_;
  std::map<Key, std::vector<size_t>> by_object_;
  std::vector<size_t> bodies_;
};

// Whether a site at the place of a finding names its rule.
bool Names(const SuppressionSite& site, const Finding& finding) {
  if (!site.istioctl) {
    return std::any_of(site.rules.begin(), site.rules.end(), [&](const std::string& written) {
      return NamesRule(written, *finding.rule);
    });
  }
  const auto& codes = finding.istioctl_codes ? *finding.istioctl_codes : finding.rule->istioctl;
  return std::any_of(site.rules.begin(), site.rules.end(), [&](const std::string& written) {
    return written == "*" || std::find(codes.begin(), codes.end(), written) != codes.end();
  });
}

}  // namespace

bool ParseSuppression(std::string_view text, SuppressionSite* site, std::string* problem) {
  constexpr std::string_view kIgnore = "ignore";
  text = TrimSpace(text);
  if (!text.starts_with(kIgnore)) {
    *problem = "a suppression reads `meshproof: ignore[rule] reason`";
    return false;
  }
  text = TrimSpace(text.substr(kIgnore.size()));
  size_t close = text.find(']');
  if (!text.starts_with('[') || close == std::string_view::npos) {
    *problem = "a suppression names its rules in brackets: `ignore[rule] reason`";
    return false;
  }
  if (TrimSpace(text.substr(1, close - 1)).empty()) {
    *problem = "a suppression names its rules in the brackets: `ignore[rule] reason`";
    return false;
  }
  for (std::string_view rule : Split(text.substr(1, close - 1), ',')) {
    rule = TrimSpace(rule);
    if (std::string unknown = UnknownRule(rule); !unknown.empty()) {
      *problem = unknown;
      return false;
    }
    site->rules.emplace_back(rule);
  }
  std::string reason;
  for (std::string_view word : Split(TrimSpace(text.substr(close + 1)), ' ')) {
    if (word == "#") break;  // the next comment
    if (word.starts_with("until=")) {
      site->until = word.substr(6);
      if (!IsDate(site->until)) {
        *problem = "`" + std::string(word) + "` is no date; write until=YYYY-MM-DD";
        return false;
      }
    } else if (!word.empty()) {
      reason += (reason.empty() ? "" : " ") + std::string(word);
    }
  }
  site->reason = reason;
  if (reason.empty()) {
    *problem = "a suppression needs a reason behind the bracket";
    return false;
  }
  return true;
}

std::vector<SuppressionSite> FindSuppressions(const Model& model,
                                              std::vector<MalformedSuppression>* malformed) {
  std::vector<SuppressionSite> sites;
  ReadComments(model, &sites, malformed);
  ReadAnnotations(model, &sites, malformed);
  return sites;
}

void ApplySuppressions(std::string_view today, std::vector<SuppressionSite>* sites,
                       std::vector<Finding>* findings) {
  if (sites->empty()) return;
  SiteIndex index(*sites);
  for (Finding& finding : *findings) {
    for (size_t i : index.At(finding)) {
      SuppressionSite& site = (*sites)[i];
      bool expired = !site.until.empty() && site.until < today;
      if (expired || !Names(site, finding)) continue;
      site.used = true;
      if (!finding.suppressed) {
        finding.suppressed = Finding::Suppression{site.reason, site.until};
      }
    }
  }
}

std::string UnknownRule(std::string_view written) {
  std::vector<std::string> known;
  for (const Rule& rule : AllRules()) {
    if (NamesRule(written, rule)) return "";
    known.push_back(rule.code);
    known.emplace_back(rule.slug);
    known.push_back(rule.code.substr(0, 4));
  }
  std::string text = "no rule \"" + std::string(written) + "\"";
  if (auto near = Nearest(written, known)) text += "; did you mean \"" + *near + "\"?";
  return text;
}

bool NamesRule(std::string_view written, const Rule& rule) {
  return EqualsIgnoreCase(written, rule.code) || EqualsIgnoreCase(written, rule.slug) ||
         (IsGroup(written) && StartsWithIgnoreCase(rule.code, written));
}

std::string DateOf(int64_t seconds_since_epoch) {
  std::time_t time = static_cast<std::time_t>(seconds_since_epoch);
  std::tm parts{};
  gmtime_r(&time, &parts);
  char buffer[16];
  std::strftime(buffer, sizeof buffer, "%Y-%m-%d", &parts);
  return buffer;
}

}  // namespace meshproof
