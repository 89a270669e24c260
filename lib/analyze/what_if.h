#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "analyze/finding.h"
#include "analyze/reach.h"
#include "analyze/rule.h"

// The input with a finding's edits applied: what would be let in or refused then and is not now.
namespace meshproof {

class WhatIf {
 public:
  // Null where it cannot be told: the edits are in a text within a text, the input is large (it is
  // read once more), the edited text does not decode, or other objects come of it.
  static std::unique_ptr<WhatIf> Make(const Analysis& analysis, const std::vector<Edit>& edits);
  ~WhatIf();

  struct Change {
    bool let_in_now = false;  // and refused then; else the other way
    Example now;
  };
  // A request on which the two disagree, to a workload that the object governs now or then; one
  // that is let in now before one that is refused now.
  std::optional<Change> FindChange(const ObjectMeta& object) const;
  std::optional<Change> FindChange(const ObjectName& object) const;
  // What the edited input says to a request; nothing where it cannot be asked.
  std::optional<Outcome> Judge(const Case& question) const;

 private:
  struct Impl;
  explicit WhatIf(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Adds the change to a finding: its request as the witness, and a sentence of it to the message
// ("; now `GET / …` is let in, which `then` refuses"). `then` names what is meant.
void AttachChange(const Analysis& analysis, const WhatIf::Change& change, const std::string& then,
                  Finding* finding);
// The sentence alone, of a request that the finding shows already.
void SayChange(const Case& request, bool let_in_now, const std::string& then, Finding* finding);

}  // namespace meshproof
