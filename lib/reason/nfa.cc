// Thompson's construction. A pattern that is not understood is refused whole;
// RE2 would be right about it and this would guess.

#include "reason/nfa.h"

#include <algorithm>

namespace meshproof {
namespace {

bool IsUpper(uint8_t byte) {
  return byte >= 'A' && byte <= 'Z';
}
bool IsLower(uint8_t byte) {
  return byte >= 'a' && byte <= 'z';
}

ByteSet Folded(uint8_t byte, bool ignore_case) {
  ByteSet set;
  set.Add(byte);
  if (ignore_case && IsUpper(byte)) set.Add(static_cast<uint8_t>(byte + 32));
  if (ignore_case && IsLower(byte)) set.Add(static_cast<uint8_t>(byte - 32));
  return set;
}

}  // namespace

Nfa::Part Nfa::Consume(const ByteSet& bytes) {
  State in = NewNode();
  State out = NewNode();
  nodes_[in].consumes = true;
  nodes_[in].bytes = bytes;
  nodes_[in].next = out;
  return {in, out};
}

Nfa::Part Nfa::Empty() {
  State node = NewNode();
  return {node, node};
}

Nfa::Part Nfa::Sequence(Part a, Part b) {
  nodes_[a.out].next = b.in;
  return {a.in, b.out};
}

Nfa::Part Nfa::Either(Part a, Part b) {
  State in = NewNode();
  State out = NewNode();
  nodes_[in].next = a.in;
  nodes_[in].other = b.in;
  nodes_[a.out].next = out;
  nodes_[b.out].next = out;
  return {in, out};
}

Nfa::Part Nfa::Repeat(Part a, bool at_least_once) {
  State loop = NewNode();
  State out = NewNode();
  nodes_[loop].next = a.in;
  nodes_[loop].other = out;
  nodes_[a.out].next = loop;
  return {at_least_once ? a.in : loop, out};
}

Nfa::Part Nfa::Optional(Part a) {
  return Either(a, Empty());
}

uint32_t Nfa::Finish(Part part) {
  auto number = static_cast<uint32_t>(starts_.size());
  nodes_[part.out].accept = number;
  starts_.push_back(part.in);
  return number;
}

// Recursive descent. Every refusal leaves nodes behind that nothing leads to.
class Nfa::Parser {
 public:
  Parser(Nfa* nfa, std::string_view text, bool ignore_case)
      : nfa_(*nfa), text_(text), ignore_case_(ignore_case) {}

  std::optional<Part> Parse() {
    std::optional<Part> part = Alternatives(0);
    if (!part || at_ != text_.size()) return std::nullopt;
    return part;
  }

 private:
  static constexpr int kMaxDepth = 50;

  bool AtEnd() const { return at_ >= text_.size(); }
  char Peek() const { return text_[at_]; }

  std::optional<Part> Alternatives(int depth) {
    if (depth > kMaxDepth) return std::nullopt;
    std::optional<Part> left = Concatenation(depth);
    while (left && !AtEnd() && Peek() == '|') {
      ++at_;
      std::optional<Part> right = Concatenation(depth);
      if (!right) return std::nullopt;
      left = nfa_.Either(*left, *right);
    }
    return left;
  }

  std::optional<Part> Concatenation(int depth) {
    Part whole = nfa_.Empty();
    while (!AtEnd() && Peek() != '|' && Peek() != ')') {
      std::optional<Part> one = Repeated(depth);
      if (!one) return std::nullopt;
      whole = nfa_.Sequence(whole, *one);
    }
    return whole;
  }

  std::optional<Part> Repeated(int depth) {
    std::optional<Part> atom = Atom(depth);
    if (!atom || AtEnd()) return atom;
    switch (Peek()) {
      case '*':
        atom = nfa_.Repeat(*atom, false);
        break;
      case '+':
        atom = nfa_.Repeat(*atom, true);
        break;
      case '?':
        atom = nfa_.Optional(*atom);
        break;
      default:
        return atom;
    }
    ++at_;
    // Lazy forms match the same texts; a second repetition is refused by RE2.
    if (!AtEnd() && Peek() == '?') ++at_;
    if (!AtEnd() && (Peek() == '*' || Peek() == '+' || Peek() == '?')) return std::nullopt;
    return atom;
  }

  std::optional<Part> Atom(int depth) {
    char c = text_[at_++];
    switch (c) {
      case '(': {
        if (!AtEnd() && Peek() == '?') {
          if (text_.substr(at_, 2) != "?:") return std::nullopt;
          at_ += 2;
        }
        std::optional<Part> inner = Alternatives(depth + 1);
        if (!inner || AtEnd() || Peek() != ')') return std::nullopt;
        ++at_;
        return inner;
      }
      case '[': {
        std::optional<ByteSet> set = Class();
        if (!set) return std::nullopt;
        return nfa_.Consume(*set);
      }
      case '.': {
        ByteSet set = ByteSet::All();
        set.Remove('\n');
        return nfa_.Consume(set);
      }
      case '\\': {
        std::optional<ByteSet> set = Escape();
        if (!set) return std::nullopt;
        return nfa_.Consume(*set);
      }
      case '*':
      case '+':
      case '?':
      case '{':
      case '^':
      case '$':
      case ')':
        return std::nullopt;
      default:
        return nfa_.Consume(Folded(static_cast<uint8_t>(c), ignore_case_));
    }
  }

  static int Hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  }

  // Behind a backslash: punctuation, `\d`, `\w`, `\s` and `\xHH`.
  std::optional<ByteSet> Escape() {
    if (AtEnd()) return std::nullopt;
    char c = text_[at_++];
    ByteSet set;
    switch (c) {
      case 'd':
        set.AddRange('0', '9');
        return set;
      case 'w':
        set.AddRange('0', '9');
        set.AddRange('a', 'z');
        set.AddRange('A', 'Z');
        set.Add('_');
        return set;
      case 's':
        return ByteSet::Of("\t\n\f\r ");
      case 'x': {
        if (at_ + 2 > text_.size()) return std::nullopt;
        int high = Hex(text_[at_]);
        int low = Hex(text_[at_ + 1]);
        if (high < 0 || low < 0) return std::nullopt;
        at_ += 2;
        return Folded(static_cast<uint8_t>(high * 16 + low), ignore_case_);
      }
      default:
        break;
    }
    auto byte = static_cast<uint8_t>(c);
    bool punctuation = byte > 0x20 && byte < 0x7f && !IsUpper(byte) && !IsLower(byte) &&
                       !(byte >= '0' && byte <= '9');
    if (!punctuation) return std::nullopt;
    set.Add(byte);
    return set;
  }

  std::optional<ByteSet> Class() {
    bool negated = !AtEnd() && Peek() == '^';
    if (negated) ++at_;
    ByteSet set;
    bool first = true;
    while (true) {
      if (AtEnd()) return std::nullopt;
      char c = text_[at_++];
      if (c == ']' && !first) break;
      first = false;
      if (c == '[' && !AtEnd() && Peek() == ':') return std::nullopt;
      ByteSet one = ByteSet::Of(std::string_view(&c, 1));
      bool single = true;
      if (c == '\\') {
        size_t before = at_;
        std::optional<ByteSet> escaped = Escape();
        if (!escaped) return std::nullopt;
        one = *escaped;
        single = text_[before] != 'd' && text_[before] != 'w' && text_[before] != 's';
        for (int byte = 0; single && byte < 256; ++byte) {
          if (one.Has(static_cast<uint8_t>(byte))) c = static_cast<char>(byte);
        }
      }
      if (single && at_ + 1 < text_.size() && Peek() == '-' && text_[at_ + 1] != ']') {
        ++at_;
        char high = text_[at_++];
        if (high == '\\') {
          std::optional<ByteSet> escaped = Escape();
          if (!escaped) return std::nullopt;
          for (int byte = 0; byte < 256; ++byte) {
            if (escaped->Has(static_cast<uint8_t>(byte))) high = static_cast<char>(byte);
          }
        }
        if (static_cast<uint8_t>(high) < static_cast<uint8_t>(c)) return std::nullopt;
        set.AddRange(static_cast<uint8_t>(c), static_cast<uint8_t>(high));
        continue;
      }
      set.AddAll(one);
    }
    if (ignore_case_) {
      for (int byte = 'a'; byte <= 'z'; ++byte) {
        auto lower = static_cast<uint8_t>(byte);
        auto upper = static_cast<uint8_t>(byte - 32);
        if (set.Has(lower)) set.Add(upper);
        if (set.Has(upper)) set.Add(lower);
      }
    }
    if (negated) set.Invert();
    return set;
  }

  Nfa& nfa_;
  std::string_view text_;
  bool ignore_case_;
  size_t at_ = 0;
};

std::optional<uint32_t> Nfa::AddPattern(std::string_view pattern, bool ignore_case) {
  std::optional<Part> part = Parser(this, pattern, ignore_case).Parse();
  if (!part) return std::nullopt;
  return Finish(*part);
}

uint32_t Nfa::AddLiteral(std::string_view text, bool any_before, bool any_behind,
                         bool ignore_case) {
  Part whole = any_before ? Repeat(Consume(ByteSet::All()), false) : Empty();
  for (char c : text) {
    whole = Sequence(whole, Consume(Folded(static_cast<uint8_t>(c), ignore_case)));
  }
  if (any_behind) whole = Sequence(whole, Repeat(Consume(ByteSet::All()), false));
  return Finish(whole);
}

// Keeps just the nodes that consume or accept.
void Nfa::Close(std::vector<State>* states) const {
  std::vector<State> todo = std::move(*states);
  std::vector<State> seen;
  std::vector<State> kept;
  std::vector<bool> known(nodes_.size(), false);
  while (!todo.empty()) {
    State state = todo.back();
    todo.pop_back();
    if (state == kNone || known[state]) continue;
    known[state] = true;
    const Node& node = nodes_[state];
    if (node.consumes || node.accept != kNone) kept.push_back(state);
    if (node.consumes) continue;
    todo.push_back(node.next);
    todo.push_back(node.other);
  }
  std::sort(kept.begin(), kept.end());
  *states = std::move(kept);
}

std::vector<Nfa::State> Nfa::Start() const {
  std::vector<State> states = starts_;
  Close(&states);
  return states;
}

const std::vector<Nfa::State>& Nfa::Behind(State state) const {
  if (behind_.size() != nodes_.size()) behind_.assign(nodes_.size(), {});
  std::vector<State>& known = behind_[state];
  if (known.empty()) {
    const State next = nodes_[state].next;
    known = {next};
    if (next == kNone || !nodes_[next].consumes) Close(&known);
  }
  return known;
}

void Nfa::Step(const std::vector<State>& from, uint8_t byte, std::vector<State>* to) const {
  to->clear();
  bool several = false;
  for (State state : from) {
    const Node& node = nodes_[state];
    if (!node.consumes || !node.bytes.Has(byte)) continue;
    const std::vector<State>& behind = Behind(state);
    several = several || !to->empty();
    to->insert(to->end(), behind.begin(), behind.end());
  }
  if (!several) return;
  std::sort(to->begin(), to->end());
  to->erase(std::unique(to->begin(), to->end()), to->end());
}

std::vector<uint32_t> Nfa::Accepts(const std::vector<State>& states) const {
  std::vector<uint32_t> accepted;
  for (State state : states) {
    if (nodes_[state].accept != kNone) accepted.push_back(nodes_[state].accept);
  }
  std::sort(accepted.begin(), accepted.end());
  return accepted;
}

std::vector<ByteSet> Nfa::Alphabet() const {
  std::vector<ByteSet> sets;
  for (const Node& node : nodes_) {
    if (node.consumes) sets.push_back(node.bytes);
  }
  std::sort(sets.begin(), sets.end());
  sets.erase(std::unique(sets.begin(), sets.end()), sets.end());
  return sets;
}

}  // namespace meshproof
