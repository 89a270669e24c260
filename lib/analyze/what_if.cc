// The edited text goes the whole way once more, reading, decoding, snapshot, proxies, and the two
// worlds are compared request by request by the reasoner (reason/reason.h, Compare). So what a
// finding says of its own fix is what the fix does.

#include "analyze/what_if.h"

#include <algorithm>
#include <set>
#include <utility>

#include "source/source.h"

namespace meshproof {
namespace {

constexpr size_t kMostText = 400'000;   // bytes of input
constexpr size_t kMostWorkloads = 200;  // in the mesh
constexpr size_t kMostCompared = 6;     // ports of workloads

// The edits of one file, from the last to the first; nothing where they overlap.
std::optional<std::string> Applied(const SourceFile& file, std::vector<Edit> edits) {
  std::sort(edits.begin(), edits.end(),
            [](const Edit& a, const Edit& b) { return a.span.begin > b.span.begin; });
  std::string text(file.text());
  size_t last = text.size();
  for (const Edit& edit : edits) {
    if (edit.span.end > last || edit.span.begin > edit.span.end) return std::nullopt;
    text.replace(edit.span.begin, edit.span.end - edit.span.begin, edit.new_text);
    last = edit.span.begin;
  }
  return text;
}

// What stands in the way of objects: an edit that makes admission refuse one more mends nothing.
size_t Refusals(const Model& model) {
  return static_cast<size_t>(std::count_if(model.diagnostics.begin(), model.diagnostics.end(),
                                           [](const Diagnostic& diagnostic) {
                                             return diagnostic.severity == Severity::kError &&
                                                    diagnostic.trouble != Trouble::kUnknownField;
                                           }));
}

bool Knows(const Mesh& mesh, const Workload& workload, const ObjectName& object) {
  const auto is = [&](const ObjectMeta& meta) {
    return meta.name == object.name && meta.ns == object.ns;
  };
  PolicySet set = mesh.PoliciesFor(workload);
  if (object.kind == "AuthorizationPolicy") {
    for (const auto* list : {&set.custom, &set.deny, &set.allow}) {
      if (std::any_of(list->begin(), list->end(), [&](const auto* p) { return is(p->meta); })) {
        return true;
      }
    }
    return false;
  }
  if (object.kind == "RequestAuthentication") {
    return std::any_of(set.request_authentications.begin(), set.request_authentications.end(),
                       [&](const auto* p) { return is(p->meta); });
  }
  return object.ns == workload.ns || object.ns == mesh.config().root_namespace;
}

}  // namespace

struct WhatIf::Impl {
  const Analysis& analysis;
  std::shared_ptr<const Mesh> mesh;
  std::unique_ptr<World> world;
  std::unique_ptr<Reasoner> reasoner;
};

WhatIf::WhatIf(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
WhatIf::~WhatIf() = default;

std::unique_ptr<WhatIf> WhatIf::Make(const Analysis& analysis, const std::vector<Edit>& edits) {
  const Model& model = analysis.model;
  if (edits.empty() || analysis.dumps != nullptr) return nullptr;
  if (analysis.mesh.workloads().empty() || analysis.mesh.workloads().size() > kMostWorkloads) {
    return nullptr;
  }
  size_t bytes = 0;
  for (const ParsedFile& file : model.files) bytes += file.file->text().size();
  if (bytes > kMostText) return nullptr;
  Load load;
  size_t applied = 0;
  for (const ParsedFile& file : model.files) {
    std::vector<Edit> here;
    for (const Edit& edit : edits) {
      if (edit.span.file == file.file.get()) here.push_back(edit);
    }
    applied += here.size();
    auto text = Applied(*file.file, std::move(here));
    if (!text) return nullptr;
    load.files.push_back(ParseText(file.file->name(), *std::move(text)));
  }
  if (applied != edits.size()) return nullptr;
  ModelOptions options;
  options.root_namespace = model.mesh_config.root_namespace;
  options.trust_domain = model.mesh_config.trust_domain;
  options.threads = 1;
  std::shared_ptr<const Model> changed = DecodeModel(std::move(load), options);
  bool same = changed->objects == model.objects &&
              changed->diagnostics.size() <= model.diagnostics.size() &&
              Refusals(*changed) <= Refusals(model) &&
              changed->mesh_config.path_normalization == model.mesh_config.path_normalization &&
              changed->mesh_config.providers.size() == model.mesh_config.providers.size() &&
              changed->mesh_config.trust_domain_aliases == model.mesh_config.trust_domain_aliases;
  if (!same) return nullptr;
  auto impl = std::make_unique<Impl>(Impl{analysis, nullptr, nullptr, nullptr});
  impl->mesh = Mesh::Build(changed, analysis.mesh.options());
  impl->world = std::make_unique<World>(impl->mesh);
  impl->reasoner = std::make_unique<Reasoner>(*impl->world, Budget{20'000, 1'000'000, 2});
  return std::unique_ptr<WhatIf>(new WhatIf(std::move(impl)));
}

std::optional<WhatIf::Change> WhatIf::FindChange(const ObjectMeta& object) const {
  return FindChange(NameOf(object));
}

std::optional<WhatIf::Change> WhatIf::FindChange(const ObjectName& object) const {
  const Mesh& before = impl_->analysis.mesh;
  const Reasoner& reasoner = impl_->analysis.reach->reasoner();
  std::optional<Change> shut;
  size_t compared = 0;
  for (const Workload& workload : before.workloads()) {
    if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kGateway) continue;
    const Workload* twin = impl_->mesh->FindWorkload(workload.ns, workload.name);
    if (twin == nullptr || twin->mode != workload.mode) continue;
    if (!Knows(before, workload, object) && !Knows(*impl_->mesh, *twin, object)) continue;
    for (int port : reasoner.Ports(workload)) {
      if (++compared > kMostCompared) return shut;
      Comparison comparison =
          Reasoner::Compare(reasoner, workload, *impl_->reasoner, *twin, port, 1);
      if (!comparison.newly_refused.empty()) {
        return Change{true, std::move(comparison.newly_refused.front().old_example)};
      }
      if (!shut && !comparison.newly_allowed.empty()) {
        shut = Change{false, std::move(comparison.newly_allowed.front().old_example)};
      }
    }
  }
  return shut;
}

std::optional<Outcome> WhatIf::Judge(const Case& question) const {
  auto verdict = impl_->world->Run(question, World::Addresses::kAssume, Detail::kVerdict);
  if (!verdict.ok()) return std::nullopt;
  return verdict.value().outcome;
}

void AttachChange(const Analysis& analysis, const WhatIf::Change& change, const std::string& then,
                  Finding* finding) {
  if (AttachExample(analysis, change.now, finding)) {
    SayChange(change.now.request, change.let_in_now, then, finding);
  }
}

void SayChange(const Case& request, bool let_in_now, const std::string& then, Finding* finding) {
  finding->message += "; now " + InWords(request) +
                      (let_in_now ? " is let in, and would be refused with "
                                  : " is refused, and would be let in with ") +
                      then;
}

}  // namespace meshproof
