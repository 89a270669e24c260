#include "analyze/injectors.h"

#include <algorithm>
#include <set>

namespace meshproof {
namespace {

bool Holds(const Node& list, std::string_view value) {
  return std::any_of(list.items().begin(), list.items().end(),
                     [&](const Node& item) { return item.text == value; });
}

bool MatchesExpression(const Node& expression, const Labels& labels) {
  const Node* key = expression.Find("key");
  const Node* op = expression.Find("operator");
  const Node* values = expression.Find("values");
  if (key == nullptr || op == nullptr) return false;
  const std::string* value = FindLabel(labels, key->text);
  bool among = value != nullptr && values != nullptr && Holds(*values, *value);
  if (op->text == "In") return among;
  if (op->text == "NotIn") return !among;
  if (op->text == "Exists") return value != nullptr;
  return op->text == "DoesNotExist" && value == nullptr;
}

void CollectRevisions(const Node* selector, std::set<std::string>* revisions) {
  const Node* exact = NodeAt(selector, {"matchLabels", "istio.io/rev"});
  if (exact != nullptr) revisions->emplace(exact->text);
  const Node* expressions = NodeAt(selector, {"matchExpressions"});
  if (expressions == nullptr) return;
  for (const Node& expression : expressions->items()) {
    const Node* key = expression.Find("key");
    const Node* values = expression.Find("values");
    if (key == nullptr || key->text != "istio.io/rev" || values == nullptr) continue;
    for (const Node& value : values->items()) revisions->emplace(value.text);
  }
}

struct Choice {
  Labels labels;
  std::string text;
};

// Every combination of the switch's values (absent too) with the revisions (none too).
std::vector<Choice> Choices(std::string_view key, const std::vector<std::string>& values,
                            const std::set<std::string>& revisions) {
  std::vector<Choice> choices;
  std::vector<std::string> all_values = values;
  all_values.insert(all_values.begin(), "");
  std::vector<std::string> all_revisions(revisions.begin(), revisions.end());
  all_revisions.insert(all_revisions.begin(), "");
  for (const std::string& revision : all_revisions) {
    for (const std::string& value : all_values) {
      Choice choice;
      if (!value.empty()) {
        choice.labels.emplace_back(key, value);
        choice.text += std::string(key) + "=" + value;
      }
      if (!revision.empty()) {
        choice.labels.emplace_back("istio.io/rev", revision);
        choice.text += (choice.text.empty() ? "" : ",") + std::string("istio.io/rev=") + revision;
      }
      if (choice.text.empty()) choice.text = "no label";
      choices.push_back(std::move(choice));
    }
  }
  return choices;
}

}  // namespace

std::vector<Injector> ReadInjectors(const Analysis& analysis) {
  std::vector<Injector> injectors;
  for (const RawObject& object : ObjectsOf(analysis.objects, {"MutatingWebhookConfiguration"})) {
    const Node* app = NodeAt(object.node, {"metadata", "labels", "app"});
    bool known = object.name.find("sidecar-injector") != std::string_view::npos ||
                 object.name.starts_with("istio-revision-tag") ||
                 (app != nullptr && app->text == "sidecar-injector");
    const Node* webhooks = NodeAt(object.node, {"webhooks"});
    if (!known || webhooks == nullptr || !webhooks->IsSequence()) continue;
    for (const Node& webhook : webhooks->items()) {
      const Node* name = NodeAt(&webhook, {"name"});
      injectors.push_back({object, name == nullptr ? "" : std::string(name->text),
                           NodeAt(&webhook, {"namespaceSelector"}),
                           NodeAt(&webhook, {"objectSelector"}),
                           NodeAt(&webhook, {"clientConfig", "service"}), &webhook});
    }
  }
  return injectors;
}

bool MatchesSelector(const Node* selector, const Labels& labels) {
  if (const Node* exact = NodeAt(selector, {"matchLabels"})) {
    for (const Entry& entry : exact->entries()) {
      const std::string* value = FindLabel(labels, entry.key.text);
      if (value == nullptr || *value != entry.value.text) return false;
    }
  }
  const Node* expressions = NodeAt(selector, {"matchExpressions"});
  return expressions == nullptr ||
         std::all_of(expressions->items().begin(), expressions->items().end(),
                     [&](const Node& item) { return MatchesExpression(item, labels); });
}

bool Calls(const Injector& injector, const Labels& namespace_labels, const Labels& pod_labels) {
  return MatchesSelector(injector.namespace_selector, namespace_labels) &&
         MatchesSelector(injector.object_selector, pod_labels);
}

std::string Overlap(const Injector& a, const Injector& b) {
  std::set<std::string> revisions;
  for (const Injector* injector : {&a, &b}) {
    CollectRevisions(injector->namespace_selector, &revisions);
    CollectRevisions(injector->object_selector, &revisions);
  }
  for (const Choice& ns : Choices("istio-injection", {"enabled", "disabled"}, revisions)) {
    for (const Choice& pod : Choices("sidecar.istio.io/inject", {"true", "false"}, revisions)) {
      if (Calls(a, ns.labels, pod.labels) && Calls(b, ns.labels, pod.labels)) {
        return "a pod with " + pod.text + " in a namespace with " + ns.text;
      }
    }
  }
  return "";
}

}  // namespace meshproof
