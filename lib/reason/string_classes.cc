// Splits the texts of a field into the classes that its patterns cannot tell
// apart, each with a shortest member. One breadth-first walk over the product
// of a trie (exact texts and prefixes), an Aho-Corasick automaton (suffixes), a
// subset automaton (everything else) and the field's domain; where two texts
// end in states of the same (exact node, deepest prefix, longest suffix,
// accepted patterns), every pattern says the same about both. Inside the trie a
// node is one text; outside, all but the deepest prefix goes on by itself, so
// its moves are found once for all prefixes.

#include "reason/string_classes.h"

#include <algorithm>
#include <array>
#include <map>

#include "reason/numbers_hash.h"

namespace meshproof {
namespace {

constexpr int kNoNode = -1;

class RegexDomain : public StringDomain {
 public:
  explicit RegexDomain(std::string_view pattern) : name_("~" + std::string(pattern)) {
    valid_ = nfa_.AddPattern(pattern).has_value();
    Intern(nfa_.Start());
  }
  int Start() const override { return 0; }
  int Step(int state, uint8_t byte) override {
    int& known = steps_[static_cast<size_t>(state)][byte];
    if (known == kUnknown) {
      std::vector<Nfa::State> to = nfa_.Step(states_[static_cast<size_t>(state)], byte);
      int next = to.empty() ? kDead : Intern(std::move(to));
      steps_[static_cast<size_t>(state)][byte] = next;
      return next;
    }
    return known;
  }
  bool Accepts(int state) const override { return accepts_[static_cast<size_t>(state)]; }
  std::vector<ByteSet> Alphabet() const override { return nfa_.Alphabet(); }
  std::string Name() const override { return name_; }

 private:
  static constexpr int kUnknown = -2;
  int Intern(std::vector<Nfa::State> states) {
    auto [found, added] = ids_.try_emplace(states, static_cast<int>(states_.size()));
    if (added) {
      accepts_.push_back(!nfa_.Accepts(states).empty());
      states_.push_back(std::move(states));
      steps_.emplace_back();
      steps_.back().fill(kUnknown);
    }
    return found->second;
  }

  std::string name_;
  Nfa nfa_;
  bool valid_ = false;
  std::map<std::vector<Nfa::State>, int> ids_;
  std::vector<std::vector<Nfa::State>> states_;
  std::vector<bool> accepts_;
  std::vector<std::array<int, 256>> steps_;
};

int HexValue(uint8_t c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// A state is (place in the segment, place in an escape).
class NormalizedPathDomain : public StringDomain {
 public:
  NormalizedPathDomain(const PathOptions& options, bool query) : options_(options), query_(query) {
    for (int byte = 0x21; byte < 0x7f; ++byte) bytes_.Add(static_cast<uint8_t>(byte));
    bytes_.Remove('#');
    query_bytes_ = bytes_;
    bytes_.Remove('?');
    if (!options.normalize) return;
    for (char c : std::string_view("\"<>\\^`{|}")) bytes_.Remove(static_cast<uint8_t>(c));
  }

  int Start() const override { return kBegin * kEscapes; }

  int Step(int state, uint8_t byte) override {
    int place = state / kEscapes;
    int escape = state % kEscapes;
    if (place == kQuery) return query_bytes_.Has(byte) ? state : kDead;
    if (place == kBegin) return byte == '/' ? kFirst * kEscapes : kDead;
    if (byte == '?' && query_ && Accepts(state)) return kQuery * kEscapes;
    if (!bytes_.Has(byte)) return kDead;
    int next_place = Segment(place, byte);
    if (next_place == kDead) return kDead;
    int next_escape = Escape(escape, byte);
    return next_escape == kDead ? kDead : next_place * kEscapes + next_escape;
  }

  bool Accepts(int state) const override {
    int place = state / kEscapes;
    if (place == kBegin) return false;
    return !options_.normalize || (place != kDot && place != kDotDot);
  }

  std::vector<ByteSet> Alphabet() const override {
    std::vector<ByteSet> sets = {bytes_,           query_bytes_,     ByteSet::Of("/"),
                                 ByteSet::Of("."), ByteSet::Of("%"), ByteSet::Of("?")};
    for (char c : std::string_view("0123456789abcdefABCDEF")) {
      sets.push_back(ByteSet::Of(std::string_view(&c, 1)));
    }
    return sets;
  }

  std::string Name() const override {
    return std::string(query_ ? "?" : "/") + (options_.normalize ? "n" : "") +
           (options_.merge_slashes ? "m" : "") +
           std::to_string(static_cast<int>(options_.escaped_slashes));
  }

  // Outside an escape digits are like letters, and what may follow `%` may follow a letter.
  bool IsPlain(int state) const override { return state % kEscapes == 0; }
  std::vector<ByteSet> PlainAlphabet() const override {
    return {bytes_, query_bytes_, ByteSet::Of("/"), ByteSet::Of("."), ByteSet::Of("?")};
  }

 private:
  // kFirst: behind the first slash; kSlashes: the path is `//`, all that is
  // left of slashes.
  enum Place { kBegin, kFirst, kSegment, kDot, kDotDot, kInside, kSlashes, kQuery };
  static constexpr int kEscapes = 18;  // 0: none, 1: behind `%`, 2 + h: behind `%` and digit h

  int Segment(int place, uint8_t byte) const {
    if (place == kSlashes) return kDead;
    if (byte == '/') {
      bool dots = place == kDot || place == kDotDot;
      if (options_.normalize && dots) return kDead;
      if (!options_.merge_slashes) return kSegment;
      if (place == kFirst) return kSlashes;
      return place == kSegment ? kDead : kSegment;
    }
    if (byte == '.' && options_.normalize) {
      if (place == kFirst || place == kSegment) return kDot;
      if (place == kDot) return kDotDot;
    }
    return kInside;
  }

  int Escape(int escape, uint8_t byte) const {
    if (byte == '%') return 1;
    int digit = HexValue(byte);
    if (escape == 0 || digit < 0) return 0;
    if (escape == 1) return 2 + digit;
    int value = (escape - 2) * 16 + digit;
    bool unescapes = options_.escaped_slashes != EscapedSlashes::kKeepUnchanged;
    if (unescapes && (value == '/' || value == '\\')) return kDead;
    if (!options_.normalize) return 0;
    bool decoded = (value >= 'a' && value <= 'z') || (value >= 'A' && value <= 'Z') ||
                   (value >= '0' && value <= '9') || value == '-' || value == '_' || value == '~' ||
                   value == '.';
    return decoded || value == 0 ? kDead : 0;
  }

  PathOptions options_;
  bool query_;
  ByteSet bytes_, query_bytes_;
};

// Exact texts and prefixes.
class Trie {
 public:
  Trie() : nodes_(1) {}
  int Insert(std::string_view text) {
    int node = 0;
    for (char c : text) {
      auto byte = static_cast<uint8_t>(c);
      int next = Next(node, byte);
      if (next == kNoNode) {
        next = static_cast<int>(nodes_.size());
        nodes_.push_back({nodes_[Index(node)].child, kNoNode, byte, false, false});
        nodes_[Index(node)].child = next;
      }
      node = next;
    }
    return node;
  }
  int Next(int node, uint8_t byte) const {
    int child = nodes_[Index(node)].child;
    while (child != kNoNode && nodes_[Index(child)].byte != byte) {
      child = nodes_[Index(child)].sibling;
    }
    return child;
  }
  // Visit: void(uint8_t byte, int child).
  template <typename Visit>
  void EachChild(int node, Visit visit) const {
    for (int child = nodes_[Index(node)].child; child != kNoNode;) {
      visit(nodes_[Index(child)].byte, child);
      child = nodes_[Index(child)].sibling;
    }
  }
  void MarkExact(int node) { nodes_[Index(node)].exact = true; }
  void MarkPrefix(int node) { nodes_[Index(node)].prefix = true; }
  bool exact(int node) const { return nodes_[Index(node)].exact; }
  bool prefix(int node) const { return nodes_[Index(node)].prefix; }
  size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    int sibling = kNoNode, child = kNoNode;
    uint8_t byte = 0;  // that leads here
    bool exact = false, prefix = false;
  };
  static size_t Index(int node) { return static_cast<size_t>(node); }
  std::vector<Node> nodes_;
};

// Aho-Corasick over the suffixes: the state is the longest piece of a suffix
// that the text so far ends with.
class SuffixAutomaton {
 public:
  int Insert(std::string_view text) {
    int node = trie_.Insert(text);
    trie_.MarkExact(node);
    return node;
  }

  void Finish() {
    size_t count = trie_.size();
    fail_.assign(count, 0);
    output_.assign(count, kNoNode);
    interesting_.resize(count);
    std::vector<int> order = {0};
    for (size_t i = 0; i < order.size(); ++i) {
      int node = order[i];
      auto at = static_cast<size_t>(node);
      auto fail = static_cast<size_t>(fail_[at]);
      output_[at] = trie_.exact(node) ? node : (node == 0 ? kNoNode : output_[fail]);
      if (node != 0) interesting_[at] = interesting_[fail];
      trie_.EachChild(node, [&](uint8_t byte, int child) {
        fail_[static_cast<size_t>(child)] = node == 0 ? 0 : Step(fail_[at], byte);
        order.push_back(child);
        interesting_[at].Add(byte);
        bytes_.Add(byte);
      });
    }
  }

  size_t size() const { return trie_.size(); }
  // All that suffixes consist of.
  const ByteSet& Bytes() const { return bytes_; }
  int Step(int node, uint8_t byte) const {
    while (true) {
      int next = trie_.Next(node, byte);
      if (next != kNoNode) return next;
      if (node == 0) return 0;
      node = fail_[static_cast<size_t>(node)];
    }
  }
  // Bytes that lead anywhere but to the start.
  const ByteSet& Interesting(int node) const { return interesting_[static_cast<size_t>(node)]; }
  // The longest suffix that a text in this state ends with.
  int Longest(int node) const { return output_[static_cast<size_t>(node)]; }
  // The next shorter one.
  int Shorter(int suffix) const {
    if (suffix == 0) return kNoNode;
    return output_[static_cast<size_t>(fail_[static_cast<size_t>(suffix)])];
  }

 private:
  Trie trie_;
  std::vector<int> fail_, output_;
  std::vector<ByteSet> interesting_;
  ByteSet bytes_;
};

// Bytes in the order in which a person likes to read them.
const std::array<uint8_t, 256>& PleasantOrder() {
  static const std::array<uint8_t, 256> order = [] {
    std::array<uint8_t, 256> bytes{};
    size_t count = 0;
    std::array<bool, 256> taken{};
    auto take = [&](int byte) {
      if (taken[static_cast<size_t>(byte)]) return;
      taken[static_cast<size_t>(byte)] = true;
      bytes[count++] = static_cast<uint8_t>(byte);
    };
    for (char c : std::string_view("xyzabcdefghijklmnopqrstuvw")) take(c);
    for (int c = '0'; c <= '9'; ++c) take(c);
    for (int c = 'A'; c <= 'Z'; ++c) take(c);
    for (char c : std::string_view("/-_.~")) take(c);
    for (int c = 0x21; c < 0x7f; ++c) take(c);
    for (int c = 0; c < 256; ++c) take(c);
    return bytes;
  }();
  return order;
}

// Bytes that lie in the same sets, numbered.
struct ByteGroups {
  std::array<uint16_t, 256> of{};  // each byte's group
  size_t count = 1;
};

ByteGroups GroupsOf(const std::vector<ByteSet>& sets) {
  ByteGroups groups;
  std::array<uint16_t, 256> sizes{}, met{}, inside{};
  sizes[0] = 256;
  std::vector<uint8_t> members;
  std::vector<uint16_t> touched;
  for (const ByteSet& set : sets) {
    members.clear();
    touched.clear();
    set.Each([&](uint8_t byte) { members.push_back(byte); });
    for (uint8_t byte : members) {
      if (met[groups.of[byte]]++ == 0) touched.push_back(groups.of[byte]);
    }
    // What lies in the set leaves its group, unless all of it does.
    for (uint16_t group : touched) {
      const bool splits = met[group] != sizes[group];
      inside[group] = splits ? static_cast<uint16_t>(groups.count++) : group;
    }
    for (uint8_t byte : members) groups.of[byte] = inside[groups.of[byte]];
    for (uint16_t group : touched) {
      if (inside[group] != group) {
        sizes[inside[group]] = met[group];
        sizes[group] = static_cast<uint16_t>(sizes[group] - met[group]);
      }
      met[group] = 0;
    }
  }
  return groups;
}

// The subset automaton, made as it is walked.
class SubsetAutomaton {
 public:
  SubsetAutomaton(const Nfa& nfa, const std::vector<ByteSet>& alphabet)
      : nfa_(nfa), groups_(GroupsOf(alphabet)), slots_(256, 0), patterns_(1) {
    Intern(nfa.Start());
  }
  int Step(int set, uint8_t byte) {
    const auto at = static_cast<size_t>(set);
    if (states_[at].empty()) return set;
    const size_t step = at * groups_.count + groups_.of[byte];
    if (steps_[step] != kUnknown) return steps_[step];
    nfa_.Step(states_[at], byte, &next_);
    const int next = Intern(next_);
    steps_[step] = next;
    return next;
  }
  // The number of the set of patterns accepted here.
  int Accepted(int set) const { return accepted_[static_cast<size_t>(set)]; }
  const std::vector<uint32_t>& Patterns(int accepted) const {
    return patterns_[static_cast<size_t>(accepted)];
  }

 private:
  static constexpr int kUnknown = -2;
  int Intern(const std::vector<Nfa::State>& states) {
    size_t at = SlotOf(states);
    if (slots_[at] != 0) return static_cast<int>(slots_[at]) - 1;
    accepted_.push_back(AcceptedBy(states));
    states_.push_back(states);
    steps_.resize(states_.size() * groups_.count, kUnknown);
    slots_[at] = static_cast<uint32_t>(states_.size());
    if (states_.size() * 2 > slots_.size()) {
      slots_.assign(slots_.size() * 2, 0);
      for (uint32_t i = 0; i < states_.size(); ++i) slots_[SlotOf(states_[i])] = i + 1;
    }
    return static_cast<int>(states_.size()) - 1;
  }
  size_t SlotOf(const std::vector<Nfa::State>& states) const {
    size_t at = NumbersHash()(states) & (slots_.size() - 1);
    while (slots_[at] != 0 && states_[slots_[at] - 1] != states)
      at = (at + 1) & (slots_.size() - 1);
    return at;
  }
  int AcceptedBy(const std::vector<Nfa::State>& states) {
    std::vector<uint32_t> accepted = nfa_.Accepts(states);
    if (accepted.empty()) return 0;
    auto [id, added] = accepted_ids_.try_emplace(accepted, static_cast<int>(patterns_.size()));
    if (added) patterns_.push_back(std::move(accepted));
    return id->second;
  }

  const Nfa& nfa_;
  ByteGroups groups_;
  std::vector<std::vector<Nfa::State>> states_;
  std::vector<uint32_t> slots_;  // open addressing: the number of a state and one, or 0
  std::vector<int> steps_;       // by state and group
  std::vector<int> accepted_;
  std::map<std::vector<uint32_t>, int> accepted_ids_;
  std::vector<std::vector<uint32_t>> patterns_;  // the first: none
  std::vector<Nfa::State> next_;
};

size_t Hash(std::initializer_list<int> numbers) {
  uint64_t hash = 0x9E3779B97F4A7C15ULL;
  for (int number : numbers) {
    hash = (hash ^ static_cast<uint32_t>(number)) * 0xBF58476D1CE4E5B9ULL;
    hash ^= hash >> 29;
  }
  return static_cast<size_t>(hash);
}

// What a text so far says about how it may go on and about all patterns but exact texts and
// prefixes. Numbered as they are met.
class RightAutomaton {
 public:
  using State = uint32_t;
  static constexpr State kDead = 0xFFFFFFFF;

  RightAutomaton(const Nfa& nfa, const SuffixAutomaton& suffixes, StringDomain* domain)
      : RightAutomaton(nfa, nfa.Alphabet(), suffixes, domain) {}

  State Start() const { return 0; }
  State Step(State from, uint8_t byte) {
    if (from >= kTabled) return Find(from, byte);
    const size_t at = from * alike_.count + alike_.of[byte];
    if (at >= steps_.size()) {
      steps_.resize(std::max(at + 1, 2 * steps_.size()), kUnknown);
    } else if (steps_[at] != kUnknown) {
      return steps_[at];
    }
    const State to = Find(from, byte);
    steps_[at] = to;
    return to;
  }
  bool Accepts(State state) const { return states_[state].accepts; }
  // The same for states in which all patterns say the same of a text that ends there.
  uint32_t VerdictOf(State state) const { return states_[state].verdict; }
  struct Verdict {
    int suffix = kNoNode, accepted = 0;
  };
  const Verdict& VerdictAt(uint32_t number) const { return verdicts_[number]; }
  const std::vector<uint32_t>& Patterns(const Verdict& verdict) const {
    return subsets_.Patterns(verdict.accepted);
  }
  size_t verdicts() const { return verdicts_.size(); }
  size_t size() const { return states_.size(); }

  // One byte for all that lead alike from here, pleasant ones first; each of `named` as well.
  template <typename Visit>
  void EachByte(State state, const ByteSet& named, Visit visit) const {
    const auto& groups = domain_.IsPlain(states_[state].parts.domain) ? plain_groups_ : groups_;
    for (const Group& group : groups) {
      if (!named.Meets(group.set)) {
        visit(group.bytes.front());
        continue;
      }
      int left = named.CountIn(group.set);
      bool other = false;
      for (uint8_t byte : group.bytes) {
        if (left == 0 && other) break;
        if (named.Has(byte)) {
          --left;
          visit(byte);
        } else if (!other) {
          other = true;
          visit(byte);
        }
      }
    }
  }
  const ByteSet& Interesting(State state) const {
    return suffixes_.Interesting(states_[state].parts.suffix);
  }
  // Where one byte leads, each state once.
  struct Move {
    uint8_t byte = 0;
    State to = 0;
  };
  const std::vector<Move>& MovesFrom(State state) {
    if (!states_[state].expanded) {
      std::vector<Move> moves;
      EachByte(state, Interesting(state), [&](uint8_t byte) {
        State to = Step(state, byte);
        bool known = to == kDead || std::any_of(moves.begin(), moves.end(),
                                                [&](const Move& move) { return move.to == to; });
        if (!known) moves.push_back({byte, to});
      });
      states_[state].moves = std::move(moves);
      states_[state].expanded = true;
    }
    return states_[state].moves;
  }

 private:
  struct Parts {
    int suffix = 0, set = 0, domain = 0;
    friend bool operator==(const Parts&, const Parts&) = default;
  };
  struct Known {
    Parts parts;
    bool accepts = false, expanded = false;
    uint32_t verdict = 0;
    std::vector<Move> moves;
  };

  struct Group {
    std::vector<uint8_t> bytes;
    ByteSet set;
  };
  static constexpr State kUnknown = 0xFFFFFFFE;
  static constexpr State kTabled = 65536;

  RightAutomaton(const Nfa& nfa, const std::vector<ByteSet>& alphabet,
                 const SuffixAutomaton& suffixes, StringDomain* domain)
      : suffixes_(suffixes),
        subsets_(nfa, alphabet),
        domain_(*domain),
        groups_(GroupBytes(Joined(alphabet, domain_.Alphabet()))),
        plain_groups_(GroupBytes(Joined(alphabet, domain_.PlainAlphabet()))),
        slots_(1024, 0) {
    std::vector<ByteSet> sets = Joined(alphabet, domain_.Alphabet());
    suffixes.Bytes().Each([&](uint8_t byte) {
      sets.emplace_back();
      sets.back().Add(byte);
    });
    alike_ = GroupsOf(sets);
    Intern({0, 0, domain_.Start()});
  }

  static std::vector<ByteSet> Joined(std::vector<ByteSet> sets, const std::vector<ByteSet>& more) {
    sets.insert(sets.end(), more.begin(), more.end());
    return sets;
  }

  State Find(State from, uint8_t byte) {
    const Parts parts = states_[from].parts;
    int to = domain_.Step(parts.domain, byte);
    if (to == StringDomain::kDead) return kDead;
    return Intern({suffixes_.Step(parts.suffix, byte), subsets_.Step(parts.set, byte), to});
  }

  // Bytes that neither the subset automaton nor the domain tells apart, pleasant ones first.
  static std::vector<Group> GroupBytes(const std::vector<ByteSet>& alphabet) {
    const std::array<uint16_t, 256> group = GroupsOf(alphabet).of;
    std::array<int, 256> place{};
    place.fill(-1);
    std::vector<Group> groups;
    for (uint8_t byte : PleasantOrder()) {
      int& own = place[group[byte]];
      if (own < 0) {
        own = static_cast<int>(groups.size());
        groups.emplace_back();
      }
      groups[static_cast<size_t>(own)].bytes.push_back(byte);
      groups[static_cast<size_t>(own)].set.Add(byte);
    }
    return groups;
  }

  State Intern(const Parts& parts) {
    size_t at = SlotOf(parts);
    if (slots_[at] != 0) return slots_[at] - 1;
    Known known;
    known.parts = parts;
    known.accepts = domain_.Accepts(parts.domain);
    int suffix = suffixes_.Longest(parts.suffix);
    int accepted = subsets_.Accepted(parts.set);
    auto [found, added] =
        verdict_ids_.try_emplace({suffix, accepted}, static_cast<uint32_t>(verdicts_.size()));
    if (added) verdicts_.push_back({suffix, accepted});
    known.verdict = found->second;
    states_.push_back(std::move(known));
    slots_[at] = static_cast<uint32_t>(states_.size());
    if (states_.size() * 2 > slots_.size()) {
      slots_.assign(slots_.size() * 2, 0);
      for (State state = 0; state < states_.size(); ++state) {
        slots_[SlotOf(states_[state].parts)] = state + 1;
      }
    }
    return static_cast<State>(states_.size() - 1);
  }
  size_t SlotOf(const Parts& parts) const {
    size_t at = Hash({parts.suffix, parts.set, parts.domain}) & (slots_.size() - 1);
    while (slots_[at] != 0 && states_[slots_[at] - 1].parts != parts) {
      at = (at + 1) & (slots_.size() - 1);
    }
    return at;
  }

  const SuffixAutomaton& suffixes_;
  SubsetAutomaton subsets_;
  StringDomain& domain_;
  std::vector<Group> groups_, plain_groups_;
  std::vector<Known> states_;
  ByteGroups alike_;             // what neither automaton nor the domain tells apart
  std::vector<State> steps_;     // by state and group, of the first kTabled states
  std::vector<uint32_t> slots_;  // open addressing: the number of a state and one, or 0
  std::map<std::pair<int, int>, uint32_t> verdict_ids_;
  std::vector<Verdict> verdicts_;
};

// A text so far: inside the trie every node is one text.
struct State {
  int node = 0;  // of the trie, kNoNode once outside
  int prefix = kNoNode;
  RightAutomaton::State right = 0;
};

struct Key {
  int exact = kNoNode, prefix = kNoNode;
  uint32_t verdict = 0;
};

class Builder {
 public:
  Builder(const std::vector<StringPattern>& patterns, StringDomain* domain, size_t limit)
      : limit_(limit) {
    for (const StringPattern& pattern : patterns) Add(pattern);
    suffixes_.Finish();
    rights_ = std::make_unique<RightAutomaton>(nfa_, suffixes_, domain);
    exact_class_.assign(trie_.size(), 0);
    below_.resize(trie_.size() + 1);
  }

  StringClasses Build(const std::vector<StringCandidate>& candidates) {
    StringClasses out;
    if (!Walk(&out)) {
      out = {};
      out.too_many = true;
      return out;
    }
    for (const StringCandidate& candidate : candidates) Offer(candidate, &out);
    Sort(&out);
    FillMembers(&out);
    Split(&out);
    return out;
  }

 private:
  // Where a pattern's verdict is read off.
  struct Place {
    enum class In { kExact, kPrefix, kSuffix, kSubset } in = In::kExact;
    int at = 0;
  };
  // The texts outside the trie behind one prefix.
  struct Below {
    std::vector<bool> seen;         // by right state
    std::vector<uint32_t> classes;  // by verdict: the class and one, or 0
  };

  void Add(const StringPattern& pattern) {
    using Kind = StringPattern::Kind;
    Place place;
    if (pattern.kind == Kind::kRegex) {
      place = {Place::In::kSubset, static_cast<int>(*nfa_.AddPattern(pattern.value))};
    } else if (pattern.ignore_case || pattern.kind == Kind::kContains) {
      bool before = pattern.kind == Kind::kSuffix || pattern.kind == Kind::kContains;
      bool behind = pattern.kind == Kind::kPrefix || pattern.kind == Kind::kContains;
      place = {Place::In::kSubset, static_cast<int>(nfa_.AddLiteral(pattern.value, before, behind,
                                                                    pattern.ignore_case))};
    } else if (pattern.kind == Kind::kSuffix) {
      place = {Place::In::kSuffix, suffixes_.Insert(pattern.value)};
    } else {
      bool exact = pattern.kind == Kind::kExact;
      place = {exact ? Place::In::kExact : Place::In::kPrefix, trie_.Insert(pattern.value)};
      if (exact) {
        trie_.MarkExact(place.at);
      } else {
        trie_.MarkPrefix(place.at);
      }
    }
    places_.push_back(place);
  }

  State First() const {
    State state;
    if (trie_.prefix(0)) state.prefix = 0;
    return state;
  }

  bool Advance(uint8_t byte, State* state) {
    state->right = rights_->Step(state->right, byte);
    if (state->right == RightAutomaton::kDead) return false;
    if (state->node != kNoNode) state->node = trie_.Next(state->node, byte);
    if (state->node != kNoNode && trie_.prefix(state->node)) state->prefix = state->node;
    return true;
  }

  Below& BelowOf(int prefix) { return below_[static_cast<size_t>(prefix) + 1]; }
  // Where the number of the class and one of a text that ends here is kept.
  uint32_t& ClassOf(const State& state) {
    if (state.node != kNoNode && trie_.exact(state.node)) {
      return exact_class_[static_cast<size_t>(state.node)];
    }
    std::vector<uint32_t>& classes = BelowOf(state.prefix).classes;
    uint32_t verdict = rights_->VerdictOf(state.right);
    if (verdict >= classes.size()) classes.resize(rights_->verdicts(), 0);
    return classes[verdict];
  }
  // True: nobody has been outside the trie here before.
  bool Enter(int prefix, RightAutomaton::State right) {
    std::vector<bool>& seen = BelowOf(prefix).seen;
    if (right >= seen.size()) seen.resize(std::max(rights_->size(), 2 * seen.size()), false);
    if (seen[right]) return false;
    seen[right] = true;
    return true;
  }

  // Some 200 MB.
  static constexpr size_t kMaxVisits = 8'000'000;

  bool Walk(StringClasses* out) {
    struct Visit {
      State state;
      uint32_t parent;
      uint8_t byte;
    };
    std::vector<Visit> visits = {{First(), 0, 0}};
    for (uint32_t i = 0; i < visits.size(); ++i) {
      const State state = visits[i].state;
      if (rights_->Accepts(state.right)) {
        uint32_t& known = ClassOf(state);
        if (known == 0) {
          bool exact = state.node != kNoNode && trie_.exact(state.node);
          keys_.push_back(
              {exact ? state.node : kNoNode, state.prefix, rights_->VerdictOf(state.right)});
          known = static_cast<uint32_t>(keys_.size());
          std::string text;
          for (uint32_t at = i; at != 0; at = visits[at].parent) {
            text.push_back(static_cast<char>(visits[at].byte));
          }
          std::reverse(text.begin(), text.end());
          out->classes.push_back({std::move(text), 100, 0, 0});
          if (keys_.size() > limit_) return false;
        }
      }
      if (state.node == kNoNode) {
        for (const RightAutomaton::Move& move : rights_->MovesFrom(state.right)) {
          if (!Enter(state.prefix, move.to)) continue;
          visits.push_back({{kNoNode, state.prefix, move.to}, i, move.byte});
        }
      } else {
        ByteSet named = rights_->Interesting(state.right);
        trie_.EachChild(state.node, [&](uint8_t byte, int) { named.Add(byte); });
        rights_->EachByte(state.right, named, [&](uint8_t byte) {
          State next = state;
          if (!Advance(byte, &next)) return;
          if (next.node == kNoNode && !Enter(next.prefix, next.right)) return;
          visits.push_back({next, i, byte});
        });
      }
      if (visits.size() > std::min(limit_ * 40, kMaxVisits)) return false;
    }
    return true;
  }

  void Offer(const StringCandidate& candidate, StringClasses* out) {
    State state = First();
    for (char c : candidate.text) {
      if (!Advance(static_cast<uint8_t>(c), &state)) return;
    }
    if (!rights_->Accepts(state.right)) return;
    uint32_t known = ClassOf(state);
    if (known == 0) return;
    StringClasses::Class& own = out->classes[known - 1];
    if (candidate.rank < own.rank) own = {candidate.text, candidate.rank, 0, 0};
  }

  // Neighbours in the order of texts share prefixes, which keeps decision
  // diagrams small.
  void Sort(StringClasses* out) {
    std::vector<uint32_t> order(out->classes.size());
    for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return out->classes[a].text < out->classes[b].text; });
    std::vector<StringClasses::Class> classes;
    std::vector<Key> keys;
    for (uint32_t at : order) {
      classes.push_back(std::move(out->classes[at]));
      keys.push_back(keys_[at]);
    }
    out->classes = std::move(classes);
    keys_ = std::move(keys);
  }

  // What each pattern says of keys: `visit(pattern, key)` for those that it matches, in the order
  // of the keys for each pattern.
  template <typename Visit>
  void EachMatch(const std::vector<Key>& keys, Visit visit) const {
    std::vector<std::vector<uint32_t>> exact(trie_.size()), prefix(trie_.size()),
        suffix(suffixes_.size()), pattern(nfa_.patterns());
    for (uint32_t i = 0; i < places_.size(); ++i) {
      auto at = static_cast<size_t>(places_[i].at);
      switch (places_[i].in) {
        case Place::In::kExact:
          exact[at].push_back(i);
          break;
        case Place::In::kPrefix:
          prefix[at].push_back(i);
          break;
        case Place::In::kSuffix:
          suffix[at].push_back(i);
          break;
        case Place::In::kSubset:
          pattern[at].push_back(i);
          break;
      }
    }
    const std::vector<int> prefix_above = PrefixesAbove();
    for (uint32_t i = 0; i < keys.size(); ++i) {
      auto say = [&](const std::vector<uint32_t>& places) {
        for (uint32_t place : places) visit(place, i);
      };
      const Key& key = keys[i];
      const RightAutomaton::Verdict& verdict = rights_->VerdictAt(key.verdict);
      if (key.exact != kNoNode) say(exact[static_cast<size_t>(key.exact)]);
      for (int at = key.prefix; at != kNoNode; at = prefix_above[static_cast<size_t>(at)]) {
        say(prefix[static_cast<size_t>(at)]);
      }
      for (int at = verdict.suffix; at != kNoNode; at = suffixes_.Shorter(at)) {
        say(suffix[static_cast<size_t>(at)]);
      }
      for (uint32_t at : rights_->Patterns(verdict)) say(pattern[at]);
    }
  }

  void FillMembers(StringClasses* out) {
    out->members.resize(places_.size());
    EachMatch(keys_, [&](uint32_t place, uint32_t at) { out->members[place].push_back(at); });
  }

  // Numbers the halves in the order of their first texts, so that prefixes stay together.
  void Split(StringClasses* out) {
    std::vector<uint32_t> left_of(2 * trie_.size() + 1, 0), right_of(rights_->verdicts(), 0);
    // The first key of each half.
    std::vector<Key> lefts, rights;
    auto number = [](uint32_t* known, const Key& key, std::vector<Key>* halves) {
      if (*known == 0) {
        halves->push_back(key);
        *known = static_cast<uint32_t>(halves->size());
      }
      return *known - 1;
    };
    for (size_t i = 0; i < keys_.size(); ++i) {
      const Key& key = keys_[i];
      StringClasses::Class& own = out->classes[i];
      // An exact text has one prefix.
      size_t left = key.exact != kNoNode ? trie_.size() + 1 + static_cast<size_t>(key.exact)
                                         : static_cast<size_t>(key.prefix) + 1;
      own.left = number(&left_of[left], key, &lefts);
      own.right = number(&right_of[key.verdict], key, &rights);
    }
    out->lefts = static_cast<uint32_t>(lefts.size());
    out->rights = static_cast<uint32_t>(rights.size());
    out->halves.resize(places_.size());
    for (size_t i = 0; i < places_.size(); ++i) {
      out->halves[i].left =
          places_[i].in == Place::In::kExact || places_[i].in == Place::In::kPrefix;
    }
    auto fill = [&](const std::vector<Key>& keys, bool left) {
      EachMatch(keys, [&](uint32_t place, uint32_t at) {
        if (out->halves[place].left == left) out->halves[place].members.push_back(at);
      });
    };
    fill(lefts, true);
    fill(rights, false);
  }

  // For each node of the trie the nearest marked prefix above it.
  std::vector<int> PrefixesAbove() const {
    std::vector<int> parent(trie_.size(), kNoNode);
    for (int node = 0; node < static_cast<int>(trie_.size()); ++node) {
      trie_.EachChild(node, [&](uint8_t, int to) { parent[static_cast<size_t>(to)] = node; });
    }
    std::vector<int> above(trie_.size(), kNoNode);
    // Nodes are numbered after their parents.
    for (size_t node = 1; node < above.size(); ++node) {
      int up = parent[node];
      above[node] = trie_.prefix(up) ? up : above[static_cast<size_t>(up)];
    }
    return above;
  }

  size_t limit_;
  Trie trie_;
  SuffixAutomaton suffixes_;
  Nfa nfa_;
  std::unique_ptr<RightAutomaton> rights_;
  std::vector<Place> places_;
  std::vector<uint32_t> exact_class_;  // by node of the trie: the class and one, or 0
  std::vector<Below> below_;           // by node of the prefix and one; the first: behind none
  std::vector<Key> keys_;              // by class
};

}  // namespace

std::unique_ptr<StringDomain> PatternDomain(std::string_view pattern) {
  return std::make_unique<RegexDomain>(pattern);
}

std::unique_ptr<StringDomain> PathDomain(const PathOptions& options, bool query) {
  return std::make_unique<NormalizedPathDomain>(options, query);
}

StringClasses BuildStringClasses(const std::vector<StringPattern>& patterns, StringDomain* domain,
                                 const std::vector<StringCandidate>& candidates, size_t limit) {
  return Builder(patterns, domain, limit).Build(candidates);
}

std::string ClassMemory::KeyOf(const std::vector<StringPattern>& patterns,
                               const StringDomain& domain,
                               const std::vector<StringCandidate>& candidates, size_t limit) {
  std::string key;
  auto add = [&](std::string_view text, int number) {
    key += std::to_string(text.size());
    key += ':';
    key += text;
    key += std::to_string(number);
    key += ',';
  };
  add(domain.Name(), 0);
  add(std::to_string(limit), 0);
  for (const StringPattern& pattern : patterns) {
    add(pattern.value, static_cast<int>(pattern.kind) * 2 + (pattern.ignore_case ? 1 : 0));
  }
  key += '|';
  for (const StringCandidate& candidate : candidates) add(candidate.text, candidate.rank);
  return key;
}

std::shared_ptr<const StringClasses> ClassMemory::Get(const std::string& key,
                                                      const std::function<StringClasses()>& build) {
  constexpr size_t kRoom = 200'000;
  {
    std::lock_guard lock(mutex_);
    auto known = known_.find(key);
    if (known != known_.end()) return known->second;
  }
  auto made = std::make_shared<const StringClasses>(build());
  std::lock_guard lock(mutex_);
  classes_ += made->classes.size() + 1;
  if (classes_ > kRoom) {
    known_.clear();
    classes_ = made->classes.size() + 1;
  }
  known_.emplace(key, made);
  return made;
}

bool IsUnderstood(const StringPattern& pattern) {
  if (pattern.kind != StringPattern::Kind::kRegex) return true;
  Nfa nfa;
  return nfa.AddPattern(pattern.value).has_value();
}

}  // namespace meshproof
