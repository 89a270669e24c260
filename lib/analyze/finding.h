#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/span.h"
#include "model/model.h"
#include "simulate/case.h"
#include "simulate/verdict.h"

namespace meshproof {

struct Rule;

// How sure a finding is. kProven: its witness was replayed by the simulator. kLikely: it follows
// from the input, or an input is missing that could change it. kCannotSee: what it speaks of may
// exist outside the input (another cluster, a namespace that is not there).
enum class Certainty { kProven, kLikely, kCannotSee };
std::string_view ToString(Certainty certainty);

ObjectName NameOf(const ObjectMeta& meta);

struct Related {
  Span span;
  std::string message;
};

struct Edit {
  Span span;  // an empty span inserts
  std::string new_text;
};

// A concrete request and what the simulator says about it.
struct Witness {
  Case question;
  Verdict verdict;
};

// A witness or none, as std::optional; most findings have none, and it is larger than they are.
class WitnessSlot {
 public:
  WitnessSlot() = default;
  // NOLINTNEXTLINE(google-explicit-constructor): as std::optional
  WitnessSlot(Witness witness) : held_(std::make_unique<Witness>(std::move(witness))) {}
  // NOLINTNEXTLINE(google-explicit-constructor): as std::optional
  WitnessSlot(std::optional<Witness> witness) {
    if (witness) held_ = std::make_unique<Witness>(*std::move(witness));
  }
  WitnessSlot(const WitnessSlot& other)
      : held_(other.held_ == nullptr ? nullptr : std::make_unique<Witness>(*other.held_)) {}
  WitnessSlot(WitnessSlot&&) noexcept = default;
  WitnessSlot& operator=(WitnessSlot other) noexcept {
    held_ = std::move(other.held_);
    return *this;
  }
  ~WitnessSlot() = default;

  bool has_value() const { return held_ != nullptr; }
  explicit operator bool() const { return held_ != nullptr; }
  Witness& operator*() { return *held_; }
  const Witness& operator*() const { return *held_; }
  Witness* operator->() { return held_.get(); }
  const Witness* operator->() const { return held_.get(); }

 private:
  std::unique_ptr<Witness> held_;
};

struct Finding {
  const Rule* rule = nullptr;
  Severity severity = Severity::kWarning;
  Certainty certainty = Certainty::kLikely;
  // What, why, what to do; starts in lower case, ends without a full stop.
  std::string message;
  ObjectName object;  // empty where the finding is about a file
  Span span;          // where to point; may lack a file (a path that could not be read)
  std::string file;   // only where `span` has none
  std::vector<Related> related;
  WitnessSlot witness;
  std::string fix;  // one sentence; may be empty
  std::vector<Edit> edits;
  // Path of the field in the object ("spec.rules[0].to[0].operation.ports[1]"), for the
  // fingerprint; "" = the whole object.
  std::string field_path;
  // Tells apart findings of one rule on one field (a port, a workload); part of the fingerprint.
  std::string detail;
  // Where the finding stands for fewer codes than its rule's list, or for none.
  std::optional<std::vector<std::string>> istioctl_codes;
  std::optional<size_t> dump;  // of the rules on drift: index into Dumps::proxies
  struct Suppression {
    std::string reason;
    std::string until;  // "YYYY-MM-DD" or ""
  };
  std::optional<Suppression> suppressed;
};

}  // namespace meshproof
