#pragma once

#include <string>
#include <vector>

#include "analyze/raw_objects.h"
#include "analyze/rule.h"

// The sidecar injector's webhooks where they are in the input: then they, and not Istio's usual
// labels, decide which pods get a proxy.
namespace meshproof {

struct Injector {
  RawObject configuration;
  std::string name;
  const Node* namespace_selector = nullptr;
  const Node* object_selector = nullptr;
  const Node* service = nullptr;  // clientConfig.service; null where it calls a URL
  const Node* node = nullptr;
};

// Webhooks for pods of the configurations that are Istio's injector.
std::vector<Injector> ReadInjectors(const Analysis& analysis);

// A Kubernetes label selector as written; an absent or empty one matches everything.
bool MatchesSelector(const Node* selector, const Labels& labels);

bool Calls(const Injector& injector, const Labels& namespace_labels, const Labels& pod_labels);

// Labels that some pod may carry and that two webhooks both match, as text for people; "" where
// there are none.
std::string Overlap(const Injector& a, const Injector& b);

}  // namespace meshproof
