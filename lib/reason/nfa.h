#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace meshproof {

// A set of bytes.
class ByteSet {
 public:
  void Add(uint8_t byte) { words_[byte >> 6] |= uint64_t{1} << (byte & 63); }
  void AddRange(uint8_t low, uint8_t high) {
    for (int byte = low; byte <= high; ++byte) Add(static_cast<uint8_t>(byte));
  }
  void Remove(uint8_t byte) { words_[byte >> 6] &= ~(uint64_t{1} << (byte & 63)); }
  void Invert() {
    for (uint64_t& word : words_) word = ~word;
  }
  void AddAll(const ByteSet& other) {
    for (size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }
  bool Has(uint8_t byte) const { return (words_[byte >> 6] >> (byte & 63) & 1) != 0; }
  // Visit: void(uint8_t), ascending.
  template <typename Visit>
  void Each(Visit visit) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      for (uint64_t left = words_[i]; left != 0; left &= left - 1) {
        visit(static_cast<uint8_t>(i * 64 + static_cast<size_t>(std::countr_zero(left))));
      }
    }
  }
  bool Meets(const ByteSet& other) const {
    for (size_t i = 0; i < words_.size(); ++i) {
      if ((words_[i] & other.words_[i]) != 0) return true;
    }
    return false;
  }
  int CountIn(const ByteSet& other) const {
    int count = 0;
    for (size_t i = 0; i < words_.size(); ++i) count += std::popcount(words_[i] & other.words_[i]);
    return count;
  }
  friend bool operator==(const ByteSet&, const ByteSet&) = default;
  friend auto operator<=>(const ByteSet&, const ByteSet&) = default;

  static ByteSet Of(std::string_view bytes) {
    ByteSet set;
    for (char c : bytes) set.Add(static_cast<uint8_t>(c));
    return set;
  }
  static ByteSet All() {
    ByteSet set;
    set.Invert();
    return set;
  }

 private:
  std::array<uint64_t, 4> words_{};
};

// Several regular expressions as one nondeterministic automaton over bytes.
// Understood is what istiod, path templates and authors of simple patterns
// write: literals, escapes, `.` (any byte but a newline), classes, groups, `|`,
// `*`, `+`, `?`. All match the whole text, as in RE2 over Latin-1.
//
// First add patterns, then ask. Not for several threads at once.
class Nfa {
 public:
  using State = uint32_t;

  // The number of the new pattern, or nothing where the pattern holds anything
  // else.
  std::optional<uint32_t> AddPattern(std::string_view pattern, bool ignore_case = false);
  // Any bytes (newlines too) before and behind, as asked.
  uint32_t AddLiteral(std::string_view text, bool any_before, bool any_behind, bool ignore_case);

  uint32_t patterns() const { return static_cast<uint32_t>(starts_.size()); }
  bool empty() const { return starts_.empty(); }

  // Sorted sets of states, closed under empty moves.
  std::vector<State> Start() const;
  std::vector<State> Step(const std::vector<State>& from, uint8_t byte) const {
    std::vector<State> to;
    Step(from, byte, &to);
    return to;
  }
  void Step(const std::vector<State>& from, uint8_t byte, std::vector<State>* to) const;
  // Sorted numbers of the patterns that match if the text ends here.
  std::vector<uint32_t> Accepts(const std::vector<State>& states) const;
  // The distinct byte sets on moves: bytes that lie in the same ones behave
  // alike.
  std::vector<ByteSet> Alphabet() const;

 private:
  static constexpr State kNone = 0xFFFFFFFF;
  struct Node {
    bool consumes = false;
    ByteSet bytes;
    State next = kNone, other = kNone;  // `other`: a second empty move
    uint32_t accept = kNone;
  };
  // A part that is entered at `in` and goes on from `out` (an empty node
  // without a move yet).
  struct Part {
    State in = kNone, out = kNone;
  };
  class Parser;
  friend class Parser;

  State NewNode() {
    nodes_.emplace_back();
    return static_cast<State>(nodes_.size() - 1);
  }
  Part Consume(const ByteSet& bytes);
  Part Empty();
  Part Sequence(Part a, Part b);
  Part Either(Part a, Part b);
  Part Repeat(Part a, bool at_least_once);
  Part Optional(Part a);
  uint32_t Finish(Part part);
  void Close(std::vector<State>* states) const;
  const std::vector<State>& Behind(State state) const;

  std::vector<Node> nodes_;
  std::vector<State> starts_;
  // What Step found: the closed set behind each node that consumes.
  mutable std::vector<std::vector<State>> behind_;
};

}  // namespace meshproof
