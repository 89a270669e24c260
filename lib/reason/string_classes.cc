// Splits the texts of a field into the classes that its patterns cannot tell
// apart, each with a shortest member. One breadth-first walk over the product
// of a trie (exact texts and prefixes), an Aho-Corasick automaton (suffixes), a
// subset automaton (everything else) and the field's domain; where two texts
// end in states of the same (exact node, deepest prefix, longest suffix,
// accepted patterns), every pattern says the same about both.

#include "reason/string_classes.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_map>

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
        nodes_[Index(node)].bytes.push_back(byte);
        nodes_[Index(node)].next.push_back(next);
        nodes_.emplace_back();
      }
      node = next;
    }
    return node;
  }
  int Next(int node, uint8_t byte) const {
    const Node& own = nodes_[Index(node)];
    for (size_t i = 0; i < own.bytes.size(); ++i) {
      if (own.bytes[i] == byte) return own.next[i];
    }
    return kNoNode;
  }
  const std::vector<uint8_t>& Bytes(int node) const { return nodes_[Index(node)].bytes; }
  void MarkExact(int node) { nodes_[Index(node)].exact = true; }
  void MarkPrefix(int node) { nodes_[Index(node)].prefix = true; }
  bool exact(int node) const { return nodes_[Index(node)].exact; }
  bool prefix(int node) const { return nodes_[Index(node)].prefix; }
  size_t size() const { return nodes_.size(); }
  template <typename Visit>
  void EachMove(Visit visit) const {
    for (size_t from = 0; from < nodes_.size(); ++from) {
      for (int to : nodes_[from].next) visit(static_cast<int>(from), to);
    }
  }

 protected:
  struct Node {
    std::vector<uint8_t> bytes;
    std::vector<int> next;  // behind each of the bytes
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
      for (uint8_t byte : trie_.Bytes(node)) {
        int child = trie_.Next(node, byte);
        fail_[static_cast<size_t>(child)] = node == 0 ? 0 : Step(fail_[at], byte);
        order.push_back(child);
      }
      auto fail = static_cast<size_t>(fail_[at]);
      output_[at] = trie_.exact(node) ? node : (node == 0 ? kNoNode : output_[fail]);
      if (node != 0) interesting_[at] = interesting_[fail];
      for (uint8_t byte : trie_.Bytes(node)) interesting_[at].Add(byte);
    }
    if (count > kTableLimit) return;
    table_.resize(count);
    for (int node : order) {
      for (size_t byte = 0; byte < 256; ++byte) {
        int next = trie_.Next(node, static_cast<uint8_t>(byte));
        auto at = static_cast<size_t>(node);
        table_[at][byte] = next != kNoNode ? next
                           : node == 0     ? 0
                                           : table_[static_cast<size_t>(fail_[at])][byte];
      }
    }
  }

  int Step(int node, uint8_t byte) const {
    if (!table_.empty()) return table_[static_cast<size_t>(node)][byte];
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
  static constexpr size_t kTableLimit = 2048;
  std::vector<int> fail_, output_;
  std::vector<std::array<int, 256>> table_;  // all moves, where there are few nodes
  std::vector<ByteSet> interesting_;
};

// The subset automaton, made as it is walked.
class SubsetAutomaton {
 public:
  explicit SubsetAutomaton(const Nfa& nfa) : nfa_(nfa) { Intern(nfa.Start()); }
  int Step(int set, uint8_t byte) {
    if (states_[static_cast<size_t>(set)].empty()) return set;
    int known = steps_[static_cast<size_t>(set)][byte];
    if (known != kUnknown) return known;
    int next = Intern(nfa_.Step(states_[static_cast<size_t>(set)], byte));
    steps_[static_cast<size_t>(set)][byte] = next;
    return next;
  }
  // The number of the set of patterns accepted here.
  int Accepted(int set) const { return accepted_[static_cast<size_t>(set)]; }
  const std::vector<uint32_t>& Patterns(int accepted) const {
    return patterns_[static_cast<size_t>(accepted)];
  }

 private:
  static constexpr int kUnknown = -2;
  int Intern(std::vector<Nfa::State> states) {
    auto [found, added] = ids_.try_emplace(states, static_cast<int>(states_.size()));
    if (added) {
      std::vector<uint32_t> accepted = nfa_.Accepts(states);
      auto [id, fresh] = accepted_ids_.try_emplace(accepted, static_cast<int>(patterns_.size()));
      if (fresh) patterns_.push_back(std::move(accepted));
      accepted_.push_back(id->second);
      states_.push_back(std::move(states));
      steps_.emplace_back();
      steps_.back().fill(kUnknown);
    }
    return found->second;
  }

  const Nfa& nfa_;
  std::map<std::vector<Nfa::State>, int> ids_;
  std::map<std::vector<uint32_t>, int> accepted_ids_;
  std::vector<std::vector<Nfa::State>> states_;
  std::vector<int> accepted_;
  std::vector<std::vector<uint32_t>> patterns_;
  std::vector<std::array<int, 256>> steps_;
};

struct State {
  int node = 0;  // of the trie, kNoNode once outside
  int prefix = kNoNode;
  int suffix = 0;
  int set = 0;
  int domain = 0;
  friend bool operator==(const State&, const State&) = default;
};

struct Key {
  int exact = kNoNode, prefix = kNoNode, suffix = kNoNode, accepted = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

size_t Hash(std::initializer_list<int> numbers) {
  uint64_t hash = 0x9E3779B97F4A7C15ULL;
  for (int number : numbers) {
    hash = (hash ^ static_cast<uint32_t>(number)) * 0xBF58476D1CE4E5B9ULL;
    hash ^= hash >> 29;
  }
  return static_cast<size_t>(hash);
}
struct StateHash {
  size_t operator()(const State& s) const {
    return Hash({s.node, s.prefix, s.suffix, s.set, s.domain});
  }
};
struct KeyHash {
  size_t operator()(const Key& k) const { return Hash({k.exact, k.prefix, k.suffix, k.accepted}); }
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

class Builder {
 public:
  Builder(const std::vector<StringPattern>& patterns, StringDomain* domain, size_t limit)
      : domain_(*domain), limit_(limit) {
    for (const StringPattern& pattern : patterns) Add(pattern);
    suffixes_.Finish();
    subsets_ = std::make_unique<SubsetAutomaton>(nfa_);
    groups_ = GroupBytes(domain_.Alphabet());
    plain_groups_ = GroupBytes(domain_.PlainAlphabet());
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

  // Bytes that neither the subset automaton nor the domain tells apart,
  // pleasant ones first.
  std::vector<std::vector<uint8_t>> GroupBytes(const std::vector<ByteSet>& of_domain) const {
    std::vector<ByteSet> alphabet = nfa_.Alphabet();
    alphabet.insert(alphabet.end(), of_domain.begin(), of_domain.end());
    std::vector<std::vector<uint8_t>> groups;
    std::map<std::vector<bool>, size_t> known;
    for (uint8_t byte : PleasantOrder()) {
      std::vector<bool> signature;
      signature.reserve(alphabet.size());
      for (const ByteSet& set : alphabet) signature.push_back(set.Has(byte));
      auto [found, added] = known.try_emplace(std::move(signature), groups.size());
      if (added) groups.emplace_back();
      groups[found->second].push_back(byte);
    }
    return groups;
  }

  State First() const {
    State state;
    state.domain = domain_.Start();
    if (trie_.prefix(0)) state.prefix = 0;
    return state;
  }

  bool Advance(uint8_t byte, State* state) {
    state->domain = domain_.Step(state->domain, byte);
    if (state->domain == StringDomain::kDead) return false;
    if (state->node != kNoNode) state->node = trie_.Next(state->node, byte);
    if (state->node != kNoNode && trie_.prefix(state->node)) state->prefix = state->node;
    state->suffix = suffixes_.Step(state->suffix, byte);
    state->set = subsets_->Step(state->set, byte);
    return true;
  }

  Key KeyOf(const State& state) const {
    Key key;
    if (state.node != kNoNode && trie_.exact(state.node)) key.exact = state.node;
    key.prefix = state.prefix;
    key.suffix = suffixes_.Longest(state.suffix);
    key.accepted = subsets_->Accepted(state.set);
    return key;
  }

  bool Walk(StringClasses* out) {
    struct Visit {
      State state;
      uint32_t parent;
      uint8_t byte;
    };
    std::vector<Visit> visits = {{First(), 0, 0}};
    // Open addressing: the number of a visit and one, 0 where there is none.
    std::vector<uint32_t> seen(1024, 0);
    auto slot_of = [&](const State& state) {
      size_t at = StateHash()(state) & (seen.size() - 1);
      while (seen[at] != 0 && visits[seen[at] - 1].state != state) {
        at = (at + 1) & (seen.size() - 1);
      }
      return at;
    };
    seen[slot_of(visits[0].state)] = 1;
    for (uint32_t i = 0; i < visits.size(); ++i) {
      State state = visits[i].state;
      if (domain_.Accepts(state.domain)) {
        Key key = KeyOf(state);
        if (ids_.try_emplace(key, static_cast<uint32_t>(keys_.size())).second) {
          keys_.push_back(key);
          std::string text;
          for (uint32_t at = i; at != 0; at = visits[at].parent) {
            text.push_back(static_cast<char>(visits[at].byte));
          }
          std::reverse(text.begin(), text.end());
          out->classes.push_back({std::move(text), 100, 0, 0});
          if (keys_.size() > limit_) return false;
        }
      }
      auto follow = [&](uint8_t byte) {
        State next = state;
        if (!Advance(byte, &next)) return;
        size_t slot = slot_of(next);
        if (seen[slot] != 0) return;
        visits.push_back({next, i, byte});
        seen[slot] = static_cast<uint32_t>(visits.size());
        if (visits.size() * 2 < seen.size()) return;
        seen.assign(seen.size() * 2, 0);
        for (uint32_t at = 0; at < visits.size(); ++at) seen[slot_of(visits[at].state)] = at + 1;
      };
      ByteSet named = suffixes_.Interesting(state.suffix);
      if (state.node != kNoNode) {
        for (uint8_t byte : trie_.Bytes(state.node)) named.Add(byte);
      }
      for (const auto& group : domain_.IsPlain(state.domain) ? plain_groups_ : groups_) {
        bool other = false;
        for (uint8_t byte : group) {
          if (named.Has(byte)) {
            follow(byte);
          } else if (!other) {
            other = true;
            follow(byte);
          }
        }
      }
      if (visits.size() > limit_ * 40) return false;
    }
    return true;
  }

  void Offer(const StringCandidate& candidate, StringClasses* out) {
    State state = First();
    for (char c : candidate.text) {
      if (!Advance(static_cast<uint8_t>(c), &state)) return;
    }
    if (!domain_.Accepts(state.domain)) return;
    auto found = ids_.find(KeyOf(state));
    if (found == ids_.end()) return;
    StringClasses::Class& own = out->classes[found->second];
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

  void FillMembers(StringClasses* out) {
    std::vector<int> prefix_above = PrefixesAbove();
    std::unordered_map<int, std::vector<uint32_t>> by_exact, by_prefix, by_suffix;
    std::vector<std::vector<uint32_t>> by_pattern(nfa_.patterns());
    for (uint32_t i = 0; i < keys_.size(); ++i) {
      const Key& key = keys_[i];
      if (key.exact != kNoNode) by_exact[key.exact].push_back(i);
      for (int at = key.prefix; at != kNoNode; at = prefix_above[static_cast<size_t>(at)]) {
        by_prefix[at].push_back(i);
      }
      for (int at = key.suffix; at != kNoNode; at = suffixes_.Shorter(at)) {
        by_suffix[at].push_back(i);
      }
      for (uint32_t pattern : subsets_->Patterns(key.accepted)) by_pattern[pattern].push_back(i);
    }
    for (const Place& place : places_) {
      switch (place.in) {
        case Place::In::kExact:
          out->members.push_back(by_exact[place.at]);
          break;
        case Place::In::kPrefix:
          out->members.push_back(by_prefix[place.at]);
          break;
        case Place::In::kSuffix:
          out->members.push_back(by_suffix[place.at]);
          break;
        case Place::In::kSubset:
          out->members.push_back(by_pattern[static_cast<size_t>(place.at)]);
          break;
      }
    }
  }

  // Numbers the halves in the order of their first texts, so that prefixes stay together.
  void Split(StringClasses* out) {
    std::map<std::pair<int, int>, uint32_t> lefts, rights;
    for (size_t i = 0; i < keys_.size(); ++i) {
      const Key& key = keys_[i];
      StringClasses::Class& own = out->classes[i];
      own.left = lefts.try_emplace({key.exact, key.prefix}, static_cast<uint32_t>(lefts.size()))
                     .first->second;
      own.right =
          rights.try_emplace({key.suffix, key.accepted}, static_cast<uint32_t>(rights.size()))
              .first->second;
    }
    out->lefts = static_cast<uint32_t>(lefts.size());
    out->rights = static_cast<uint32_t>(rights.size());
    for (size_t i = 0; i < places_.size(); ++i) {
      StringClasses::Half half;
      half.left = places_[i].in == Place::In::kExact || places_[i].in == Place::In::kPrefix;
      for (uint32_t at : out->members[i]) {
        half.members.push_back(half.left ? out->classes[at].left : out->classes[at].right);
      }
      std::sort(half.members.begin(), half.members.end());
      half.members.erase(std::unique(half.members.begin(), half.members.end()), half.members.end());
      out->halves.push_back(std::move(half));
    }
  }

  // For each node of the trie the nearest marked prefix above it.
  std::vector<int> PrefixesAbove() const {
    std::vector<int> parent(trie_.size(), kNoNode);
    trie_.EachMove([&](int from, int to) { parent[static_cast<size_t>(to)] = from; });
    std::vector<int> above(trie_.size(), kNoNode);
    // Nodes are numbered after their parents.
    for (size_t node = 1; node < above.size(); ++node) {
      int up = parent[node];
      above[node] = trie_.prefix(up) ? up : above[static_cast<size_t>(up)];
    }
    return above;
  }

  StringDomain& domain_;
  size_t limit_;
  Trie trie_;
  SuffixAutomaton suffixes_;
  Nfa nfa_;
  std::unique_ptr<SubsetAutomaton> subsets_;
  std::vector<Place> places_;
  std::vector<std::vector<uint8_t>> groups_, plain_groups_;
  std::unordered_map<Key, uint32_t, KeyHash> ids_;
  std::vector<Key> keys_;
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
