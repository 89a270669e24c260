#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "match/path.h"
#include "reason/nfa.h"

namespace meshproof {

// Which texts a field can hold at all: a deterministic automaton over bytes.
class StringDomain {
 public:
  static constexpr int kDead = -1;
  virtual ~StringDomain() = default;
  virtual int Start() const = 0;
  virtual int Step(int state,
                   uint8_t byte) = 0;  // kDead: no text of the domain begins so
  virtual bool Accepts(int state) const = 0;
  // Sets of bytes that together tell apart all bytes that Step tells apart.
  virtual std::vector<ByteSet> Alphabet() const = 0;
  // Equal for equal domains, and for no others.
  virtual std::string Name() const = 0;
  // A coarser alphabet for most states: what follows one byte in such a state may also follow any
  // more pleasant byte (see PleasantOrder) of the same sets.
  virtual bool IsPlain(int) const { return false; }
  virtual std::vector<ByteSet> PlainAlphabet() const { return Alphabet(); }
};

// The texts that a pattern (of Nfa's kind) matches.
std::unique_ptr<StringDomain> PatternDomain(std::string_view pattern);
// The paths that rules can see behind a listener with these options: the image
// of its normalization, without query (envoy-facts section 5). With `query`,
// one may follow.
std::unique_ptr<StringDomain> PathDomain(const PathOptions& options, bool query);

// A language over one field.
struct StringPattern {
  enum class Kind { kExact, kPrefix, kSuffix, kContains, kRegex };
  Kind kind = Kind::kExact;
  std::string value;
  bool ignore_case = false;
  friend auto operator<=>(const StringPattern&, const StringPattern&) = default;
};

// The classes of texts that no pattern tells apart. None is empty: each has a
// text.
struct StringClasses {
  struct Class {
    std::string text;  // a member
    int rank = 0;      // how gladly a person reads it; 0 is best
    // What exact texts and prefixes see of it, and what all other patterns see of it. Classes are
    // pairs of the two, but not every pair is a class.
    uint32_t left = 0, right = 0;
  };
  std::vector<Class> classes;  // by text
  uint32_t lefts = 0, rights = 0;
  // For each pattern the classes that it matches, ascending.
  std::vector<std::vector<uint32_t>> members;
  // The same over one half: for an exact text or a prefix the lefts, else the rights.
  struct Half {
    bool left = false;
    std::vector<uint32_t> members;
  };
  std::vector<Half> halves;
  bool too_many = false;  // the budget was spent: everything else is meaningless
};

// A text that may stand for its class, if it is of the domain.
struct StringCandidate {
  std::string text;
  int rank = 0;
};

// Every pattern must be understood (see IsUnderstood). `limit` bounds classes;
// states of the product automaton are bounded by 40 times as many.
StringClasses BuildStringClasses(const std::vector<StringPattern>& patterns, StringDomain* domain,
                                 const std::vector<StringCandidate>& candidates, size_t limit);

bool IsUnderstood(const StringPattern& pattern);

// Keeps classes that several questions need, as long as there is room. Thread-safe.
class ClassMemory {
 public:
  static std::string KeyOf(const std::vector<StringPattern>& patterns, const StringDomain& domain,
                           const std::vector<StringCandidate>& candidates, size_t limit);
  std::shared_ptr<const StringClasses> Get(const std::string& key,
                                           const std::function<StringClasses()>& build);

 private:
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const StringClasses>> known_;
  size_t classes_ = 0;  // of all of them
};

}  // namespace meshproof
