// A key that stands twice in one mapping: Kubernetes' reader keeps the last value. An object that
// stands twice: applied in the order of the input, the last one stays.
#include <map>
#include <string>

#include "analyze/diagnostic_places.h"
#include "analyze/names.h"
#include "analyze/rule.h"

namespace meshproof::defined_twice {
namespace {

void ReportKey(const Diagnostic& diagnostic, const DiagnosticPlace& place, Reporter& reporter) {
  const Node* mapping =
      place.root == nullptr ? nullptr : MappingOfKey(*place.root, diagnostic.span.begin);
  const Entry* second = nullptr;
  const Entry* first = nullptr;
  if (mapping != nullptr) {
    for (const Entry& entry : mapping->entries()) {
      if (entry.key.begin == diagnostic.span.begin) second = &entry;
    }
    for (const Entry& entry : mapping->entries()) {
      if (second != nullptr && &entry < second && entry.key.text == second->key.text) {
        first = &entry;
      }
    }
  }
  std::string message = diagnostic.message;
  if (first != nullptr && SameContent(first->value, second->value)) {
    message += ", and both say the same; remove one of them";
  } else {
    message += ", so what stands above is lost without a word; remove or join them";
  }
  Finding& finding = reporter.Report(place.object, diagnostic.span, std::move(message));
  finding.field_path = place.path;
  finding.detail = "key";
  finding.fix = "Keep one of the two keys, or put what both hold under one.";
  if (first != nullptr) {
    finding.related.push_back(
        {SpanOf(diagnostic.span.file, first->key), "the first one, whose value does not count"});
  }
}

// The parts of two objects that an author writes.
bool SaysTheSame(const Node& a, const Node& b) {
  const auto same = [&](std::initializer_list<std::string_view> path) {
    const Node* left = NodeAt(&a, path);
    const Node* right = NodeAt(&b, path);
    return left == right || (left != nullptr && right != nullptr && SameContent(*left, *right));
  };
  return same({"apiVersion"}) && same({"spec"}) && same({"data"}) && same({"stringData"}) &&
         same({"metadata", "labels"}) && same({"metadata", "annotations"});
}

using Copies = std::map<std::string, std::vector<const RawObject*>>;

std::string KeyOf(std::string_view group, std::string_view kind, std::string_view name) {
  return std::string(group) + "/" + std::string(kind) + "/" + std::string(name);
}

// The object before `second` that it replaces.
const RawObject* FirstOf(const RawObject& second, const std::vector<const RawObject*>& copies) {
  const RawObject* first = nullptr;
  for (const RawObject* copy : copies) {
    if (copy->node == second.node) break;
    if (copy->ns == second.ns || copy->ns.empty() || second.ns.empty()) first = copy;
  }
  return first;
}

void ReportObject(const Diagnostic& diagnostic, const DiagnosticPlace& place, const Copies& copies,
                  Reporter& reporter) {
  const RawObject* first = nullptr;
  const RawObject* second = nullptr;
  if (place.root != nullptr) {
    const Node* version = place.root->Find("apiVersion");
    auto found =
        copies.find(KeyOf(version == nullptr ? std::string_view() : GroupOfVersion(version->text),
                          place.object.kind, place.object.name));
    if (found != copies.end()) {
      for (const RawObject* copy : found->second) {
        if (copy->node == place.root) second = copy;
      }
      if (second != nullptr) first = FirstOf(*second, found->second);
    }
  }
  if (first != nullptr && SaysTheSame(*first->node, *second->node)) return;
  Finding& finding = reporter.Report(
      place.object, diagnostic.span,
      diagnostic.message +
          ", and they differ: the order in which they are applied decides what holds; keep one, or "
          "give the other its own name");
  finding.detail = "object";
  finding.fix = "Keep one of the two objects, or rename one.";
  if (first != nullptr) {
    finding.related.push_back({first->span, "the one that is replaced"});
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  DiagnosticPlaces places(analysis.model, analysis.objects);
  Copies copies;
  for (const Diagnostic& diagnostic : analysis.model.diagnostics) {
    if (diagnostic.trouble == Trouble::kDuplicateKey) {
      ReportKey(diagnostic, places.Of(diagnostic), reporter);
    } else if (diagnostic.trouble == Trouble::kDuplicateObject) {
      if (copies.empty()) {
        for (const RawObject& object : analysis.objects) {
          copies[KeyOf(GroupOfVersion(object.api_version), object.kind, object.name)].push_back(
              &object);
        }
      }
      ReportObject(diagnostic, places.Of(diagnostic), copies, reporter);
    }
  }
}

}  // namespace meshproof::defined_twice
