#pragma once

#include <mutex>
#include <optional>

#include "analyze/ambient_view.h"
#include "analyze/names.h"
#include "analyze/rule.h"

namespace meshproof {

// What several rules look at, made when the first of them asks. Thread-safe; needs the analysis for
// as long as it lives.
class SharedViews {
 public:
  explicit SharedViews(const Analysis& analysis) : analysis_(analysis) {}

  const AmbientView& Ambient() const {
    std::call_once(ambient_once_, [this] { ambient_.emplace(analysis_); });
    return *ambient_;
  }
  const KnownNames& Names() const {
    std::call_once(names_once_, [this] { names_.emplace(analysis_); });
    return *names_;
  }

 private:
  const Analysis& analysis_;
  mutable std::once_flag ambient_once_, names_once_;
  mutable std::optional<AmbientView> ambient_;
  mutable std::optional<KnownNames> names_;
};

}  // namespace meshproof
