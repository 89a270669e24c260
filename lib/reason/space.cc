// A formula holds for some request exactly if it holds for some vector of
// classes: every leaf is a union of classes of its field, no class is empty,
// and fields depend on each other only through the stated constraints. Classes
// are numbered in binary, a number beyond the last class stands for the last
// one, so that diagrams stay canonical without a condition on numbers.

#include "reason/space.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace meshproof {
namespace {

constexpr double kImpossible = std::numeric_limits<double>::infinity();

uint32_t BitsFor(size_t classes) {
  uint32_t bits = 0;
  while ((size_t{1} << bits) < classes) ++bits;
  return bits;
}

// Addresses of one family as numbers, most significant byte first.
IpAddress Next(IpAddress address, bool* wrapped) {
  size_t size = address.v6 ? 16 : 4;
  for (size_t i = size; i-- > 0;) {
    if (++address.bytes[i] != 0) return address;
  }
  *wrapped = true;
  return address;
}

IpAddress LastOf(const CidrRange& range) {
  IpAddress last = range.address;
  int size = last.v6 ? 128 : 32;
  for (int bit = range.length; bit < size; ++bit) {
    last.bytes[static_cast<size_t>(bit / 8)] |= static_cast<uint8_t>(0x80 >> (bit % 8));
  }
  return last;
}

// What AtRight found of each right in the walks at hand.
struct WalkedRight {
  uint64_t walk = 0;
  const Space* space = nullptr;
  Space::Node node = 0, rest = 0;
};
thread_local std::vector<WalkedRight> rights_walked;
thread_local uint64_t rights_walk = 0;

bool InAny(const std::vector<CidrRange>& ranges, const IpAddress& address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const CidrRange& range) { return range.Contains(address); });
}

}  // namespace

Space::Space(size_t class_limit, size_t node_limit, double seconds, ClassMemory* memory)
    : class_limit_(class_limit),
      memory_(memory),
      bdd_(std::make_unique<Bdd>(node_limit, seconds)),
      known_(1024, 0) {
  exprs_.push_back({Op::kConstant, 0, 0});
  exprs_.push_back({Op::kConstant, 1, 0});
}

Space::FieldId Space::AddField(Field field) {
  fields_.push_back(std::move(field));
  return static_cast<FieldId>(fields_.size() - 1);
}

Space::FieldId Space::TextField(const std::string& name, int order,
                                std::unique_ptr<StringDomain> domain, bool absent) {
  Field field;
  field.kind = Field::Kind::kText;
  field.name = name;
  field.order = order;
  field.domain = std::move(domain);
  field.absent = absent;
  return AddField(std::move(field));
}

Space::FieldId Space::TextSetField(const std::string& name, int order,
                                   std::unique_ptr<StringDomain> domain) {
  Field field;
  field.kind = Field::Kind::kTextSet;
  field.name = name;
  field.order = order;
  field.domain = std::move(domain);
  return AddField(std::move(field));
}

Space::FieldId Space::AddressField(const std::string& name, int order,
                                   std::vector<CidrRange> within, const std::string& group) {
  Field field;
  field.kind = Field::Kind::kAddress;
  field.name = name;
  field.order = order;
  field.within = std::move(within);
  field.group = group;
  return AddField(std::move(field));
}

Space::FieldId Space::ChoiceField(const std::string& name, int order,
                                  std::vector<std::pair<std::string, int>> values) {
  Field field;
  field.kind = Field::Kind::kChoice;
  field.name = name;
  field.order = order;
  field.values = std::move(values);
  return AddField(std::move(field));
}

Space::FieldId Space::FlagField(const std::string& name, int order) {
  Field field;
  field.name = name;
  field.order = order;
  return AddField(std::move(field));
}

std::optional<Space::FieldId> Space::Find(std::string_view name) const {
  for (FieldId id = 0; id < fields_.size(); ++id) {
    if (fields_[id].name == name) return id;
  }
  return std::nullopt;
}

void Space::AddCandidate(FieldId field, std::string text, int rank) {
  Field& own = fields_[field];
  auto [known, added] = own.candidate_ranks.try_emplace(text, rank);
  if (!added && known->second <= rank) return;
  known->second = rank;
  own.candidates.push_back({std::move(text), rank});
}

void Space::AddAddressCandidate(FieldId field, const IpAddress& address, int rank) {
  fields_[field].addresses.emplace_back(address, rank);
}

Expr Space::Intern(Op op, uint32_t a, uint32_t b) {
  const ExprNode expr{op, a, b};
  size_t at = SlotOf(expr);
  if (known_[at] != 0) return known_[at];
  const auto made = static_cast<Expr>(exprs_.size());
  exprs_.push_back(expr);
  known_[at] = made;
  if (exprs_.size() * 2 > known_.size()) {
    known_.assign(known_.size() * 2, 0);
    for (Expr each = kAlways + 1; each < exprs_.size(); ++each) known_[SlotOf(exprs_[each])] = each;
  }
  return made;
}

size_t Space::SlotOf(const ExprNode& expr) const {
  uint64_t hash = (uint64_t{expr.a} << 32 | expr.b) * 0x9E3779B97F4A7C15ULL;
  hash = (hash ^ (hash >> 29) ^ static_cast<uint64_t>(expr.op)) * 0xBF58476D1CE4E5B9ULL;
  size_t at = (hash ^ (hash >> 31)) & (known_.size() - 1);
  while (known_[at] != 0 && !(exprs_[known_[at]] == expr)) at = (at + 1) & (known_.size() - 1);
  return at;
}

Expr Space::Matches(FieldId field, const StringPattern& pattern) {
  Field& own = fields_[field];
  auto [found, added] =
      own.pattern_ids.try_emplace(pattern, static_cast<uint32_t>(own.patterns.size()));
  if (added) own.patterns.push_back(pattern);
  return Intern(Op::kPattern, field, found->second);
}

Expr Space::IsPresent(FieldId field) {
  const Field& own = fields_[field];
  if (own.kind == Field::Kind::kText && !own.absent) return kAlways;
  return Intern(Op::kPresent, field, 0);
}

Expr Space::IsIn(FieldId field, const CidrRange& range) {
  std::vector<CidrRange>& blocks = fields_[field].blocks;
  auto found = std::find(blocks.begin(), blocks.end(), range);
  auto at = static_cast<uint32_t>(found - blocks.begin());
  if (found == blocks.end()) blocks.push_back(range);
  return Intern(Op::kBlock, field, at);
}

Expr Space::IsChoice(FieldId field, size_t value) {
  return Intern(Op::kChoice, field, static_cast<uint32_t>(value));
}

Expr Space::IsSet(FieldId field) {
  return Intern(Op::kFlag, field, 0);
}

Expr Space::ShowsOneOf(FieldId field, const std::vector<std::string>& texts) {
  shown_texts_.push_back(texts);
  return Intern(Op::kShows, field, static_cast<uint32_t>(shown_texts_.size() - 1));
}

Expr Space::SameClass(FieldId a, FieldId b) {
  return Intern(Op::kSame, a, b);
}

Expr Space::And(Expr a, Expr b) {
  if (a == kNever || b == kNever) return kNever;
  if (a == kAlways || a == b) return b;
  if (b == kAlways) return a;
  return Intern(Op::kAnd, std::min(a, b), std::max(a, b));
}

Expr Space::Or(Expr a, Expr b) {
  if (a == kAlways || b == kAlways) return kAlways;
  if (a == kNever || a == b) return b;
  if (b == kNever) return a;
  return Intern(Op::kOr, std::min(a, b), std::max(a, b));
}

Expr Space::Not(Expr a) {
  if (a == kNever) return kAlways;
  if (a == kAlways) return kNever;
  if (exprs_[a].op == Op::kNot) return exprs_[a].a;
  return Intern(Op::kNot, a, 0);
}

// Balanced, so that no conversion goes deep.
Expr Space::AndAll(std::vector<Expr> all) {
  if (all.empty()) return kAlways;
  while (all.size() > 1) {
    std::vector<Expr> half;
    for (size_t i = 0; i < all.size(); i += 2) {
      half.push_back(i + 1 < all.size() ? And(all[i], all[i + 1]) : all[i]);
    }
    all = std::move(half);
  }
  return all.front();
}

Expr Space::OrAll(std::vector<Expr> any) {
  if (any.empty()) return kNever;
  while (any.size() > 1) {
    std::vector<Expr> half;
    for (size_t i = 0; i < any.size(); i += 2) {
      half.push_back(i + 1 < any.size() ? Or(any[i], any[i + 1]) : any[i]);
    }
    any = std::move(half);
  }
  return any.front();
}

// A sweep over the ends of all blocks, per family; stretches in the same blocks
// are one class.
void Space::BuildAddressClasses(Field* field, const std::vector<CidrRange>& blocks) {
  std::map<std::vector<bool>, uint32_t> known;
  for (bool v6 : {false, true}) {
    IpAddress zero;
    zero.v6 = v6;
    std::vector<IpAddress> starts = {zero};
    auto add_ends = [&](const CidrRange& range) {
      if (range.address.v6 != v6) return;
      starts.push_back(range.address);
      bool wrapped = false;
      IpAddress behind = Next(LastOf(range), &wrapped);
      if (!wrapped) starts.push_back(behind);
    };
    for (const CidrRange& range : blocks) add_ends(range);
    for (const CidrRange& range : field->within) add_ends(range);
    std::sort(starts.begin(), starts.end());
    starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
    for (size_t i = 0; i < starts.size(); ++i) {
      if (!field->within.empty() && !InAny(field->within, starts[i])) continue;
      std::vector<bool> signature;
      for (const CidrRange& range : blocks) signature.push_back(range.Contains(starts[i]));
      // The address behind the first one reads better, where it is in the same
      // stretch.
      bool wrapped = false;
      IpAddress second = Next(starts[i], &wrapped);
      bool single = wrapped || (i + 1 < starts.size() && second == starts[i + 1]);
      AddressClass shown{single ? starts[i] : second, v6 ? 90 : 50};
      auto [found, added] =
          known.try_emplace(signature, static_cast<uint32_t>(field->address_classes.size()));
      if (added) field->address_classes.push_back(shown);
    }
  }
  for (const auto& [address, rank] : field->addresses) {
    if (!field->within.empty() && !InAny(field->within, address)) continue;
    std::vector<bool> signature;
    for (const CidrRange& range : blocks) signature.push_back(range.Contains(address));
    auto found = known.find(signature);
    if (found == known.end()) continue;
    AddressClass& own = field->address_classes[found->second];
    if (rank < own.rank) own = {address, rank};
  }
  for (const CidrRange& range : field->blocks) {
    std::vector<uint32_t> members;
    for (uint32_t i = 0; i < field->address_classes.size(); ++i) {
      if (range.Contains(field->address_classes[i].address)) members.push_back(i);
    }
    field->block_members.push_back(std::move(members));
  }
}

std::shared_ptr<const StringClasses> Space::ClassesOf(const Field& field) const {
  auto build = [&] {
    return BuildStringClasses(field.patterns, field.domain.get(), field.candidates, class_limit_);
  };
  if (memory_ == nullptr) return std::make_shared<const StringClasses>(build());
  return memory_->Get(
      ClassMemory::KeyOf(field.patterns, *field.domain, field.candidates, class_limit_), build);
}

bool Space::Build() {
  for (Field& field : fields_) {
    switch (field.kind) {
      case Field::Kind::kText:
      case Field::Kind::kTextSet:
        field.classes = ClassesOf(field);
        if (field.classes->too_many ||
            (field.kind == Field::Kind::kTextSet && field.classes->classes.size() > 2000)) {
          exhausted_field_ = field.name;
          return false;
        }
        for (const auto& own : field.classes->classes) field.ranks.push_back(own.rank);
        if (field.absent) field.ranks.push_back(0);
        break;
      case Field::Kind::kAddress: {
        std::vector<CidrRange> blocks;
        for (const Field& other : fields_) {
          if (other.kind != Field::Kind::kAddress || other.group != field.group) continue;
          for (const CidrRange& range : other.blocks) {
            if (std::find(blocks.begin(), blocks.end(), range) == blocks.end()) {
              blocks.push_back(range);
            }
          }
        }
        BuildAddressClasses(&field, blocks);
        for (const auto& own : field.address_classes) field.ranks.push_back(own.rank);
        break;
      }
      case Field::Kind::kChoice:
        for (const auto& [text, rank] : field.values) field.ranks.push_back(rank);
        break;
      case Field::Kind::kFlag:
        field.ranks = {0, 1};
        break;
    }
    auto best = std::min_element(field.ranks.begin(), field.ranks.end());
    if (best != field.ranks.end()) field.usual = static_cast<uint32_t>(best - field.ranks.begin());
    // Where nothing asks for it, nothing is there.
    if (field.absent) field.usual = static_cast<uint32_t>(field.ranks.size() - 1);
    switch (field.kind) {
      case Field::Kind::kTextSet:
        field.bits = static_cast<uint32_t>(field.ranks.size());
        break;
      case Field::Kind::kText:
        field.by_left.resize(field.classes->lefts);
        for (uint32_t i = 0; i < field.classes->classes.size(); ++i) {
          const StringClasses::Class& own = field.classes->classes[i];
          field.by_left[own.left].emplace_back(own.right, i);
        }
        if (field.absent) {
          field.by_left.push_back({{0, static_cast<uint32_t>(field.classes->classes.size())}});
        }
        for (auto& pairs : field.by_left) std::sort(pairs.begin(), pairs.end());
        for (uint32_t i = 0; i < field.ranks.size(); ++i) field.by_rank.push_back(i);
        std::stable_sort(field.by_rank.begin(), field.by_rank.end(),
                         [&](uint32_t a, uint32_t b) { return field.ranks[a] < field.ranks[b]; });
        field.by_right.resize(std::max<size_t>(field.classes->rights, 1));
        for (uint32_t at : field.by_rank) {
          bool absent = at >= field.classes->classes.size();
          field.by_right[absent ? 0 : field.classes->classes[at].right].push_back(at);
        }
        field.right_bits = BitsFor(field.classes->rights);
        field.bits = BitsFor(field.by_left.size()) + field.right_bits;
        break;
      default:
        field.bits = BitsFor(field.ranks.size());
        break;
    }
  }
  std::vector<uint32_t> order(fields_.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return fields_[a].order < fields_[b].order; });
  for (uint32_t at : order) {
    fields_[at].first = variables_;
    variables_ += fields_[at].bits;
    field_of_variable_.resize(variables_, at);
  }
  return true;
}

Space::Block Space::LeftBlock(const Field& field) {
  if (field.kind != Field::Kind::kText) {
    return {field.first, field.bits, static_cast<uint32_t>(field.ranks.size())};
  }
  return {field.first, field.bits - field.right_bits, static_cast<uint32_t>(field.by_left.size())};
}

Space::Block Space::RightBlock(const Field& field) {
  return {field.first + field.bits - field.right_bits, field.right_bits, field.classes->rights};
}

// The union of classes.
Space::Node Space::Members(const Field& field, const std::vector<uint32_t>& classes) {
  if (classes.empty()) return Bdd::kFalse;
  if (field.kind != Field::Kind::kText) return MembersIn(LeftBlock(field), classes, 0, 0);
  Node any = Bdd::kFalse;
  for (uint32_t at : classes) {
    bool absent = at >= field.classes->classes.size();
    uint32_t left = absent ? field.classes->lefts : field.classes->classes[at].left;
    uint32_t right = absent ? 0 : field.classes->classes[at].right;
    any = bdd_->Or(any, bdd_->And(MembersIn(LeftBlock(field), {left}, 0, 0),
                                  MembersIn(RightBlock(field), {right}, 0, 0)));
  }
  return any;
}

Space::Node Space::MembersIn(const Block& block, const std::vector<uint32_t>& members, uint32_t bit,
                             uint32_t low) {
  uint32_t width = uint32_t{1} << (block.bits - bit);
  // Numbers beyond the last one are the last one.
  uint32_t first = std::min(low, block.count - 1);
  uint32_t last = std::min(low + width - 1, block.count - 1);
  auto begin = std::lower_bound(members.begin(), members.end(), first);
  auto end = std::upper_bound(begin, members.end(), last);
  auto inside = static_cast<uint32_t>(end - begin);
  if (inside == 0) return Bdd::kFalse;
  if (inside == last - first + 1) return Bdd::kTrue;
  Node zero = MembersIn(block, members, bit + 1, low);
  Node one = MembersIn(block, members, bit + 1, low + width / 2);
  return bdd_->Make(block.first + bit, zero, one);
}

// The pairs of halves that are classes.
Space::Node Space::FeasiblePairs(const Field& field) {
  std::map<std::vector<uint32_t>, Node> known;
  std::vector<Node> nodes;
  for (const auto& pairs : field.by_left) {
    std::vector<uint32_t> rights;
    for (const auto& [right, at] : pairs) rights.push_back(right);
    auto [found, added] = known.try_emplace(rights, Bdd::kFalse);
    if (added) found->second = MembersIn(RightBlock(field), rights, 0, 0);
    nodes.push_back(found->second);
  }
  // From the bottom up: a level of the tree over the left half's bits at a time.
  Block left = LeftBlock(field);
  nodes.resize(size_t{1} << left.bits, nodes.empty() ? Bdd::kFalse : nodes.back());
  for (uint32_t bit = left.bits; bit-- > 0;) {
    std::vector<Node> above;
    for (size_t i = 0; i < nodes.size(); i += 2) {
      above.push_back(bdd_->Make(left.first + bit, nodes[i], nodes[i + 1]));
    }
    nodes = std::move(above);
  }
  return nodes.front();
}

Space::Node Space::Domain() {
  if (!domain_node_) {
    Node node = DomainBeside(std::nullopt);
    if (bdd_->exhausted()) return node;
    domain_node_ = node;
  }
  return *domain_node_;
}

Space::Node Space::DomainBeside(std::optional<FieldId> field) {
  Node node = ToNode(domain_);
  for (FieldId id = 0; id < fields_.size(); ++id) {
    if (id == field || fields_[id].kind != Field::Kind::kText) continue;
    node = bdd_->And(node, FeasiblePairs(fields_[id]));
  }
  return node;
}

bool Space::AsksAbout(FieldId field, Node node) const {
  return node > Bdd::kTrue && bdd_->VariableOf(node) < fields_[field].first + fields_[field].bits;
}

Space::Node Space::AtClass(FieldId field, uint32_t at, Node node) const {
  const Field& own = fields_[field];
  const StringClasses::Class& cls = own.classes->classes[at];
  uint32_t code = cls.left << own.right_bits | cls.right;
  uint32_t end = own.first + own.bits;
  while (node > Bdd::kTrue && bdd_->VariableOf(node) < end) {
    bool value = (code >> (end - bdd_->VariableOf(node) - 1) & 1) != 0;
    node = value ? bdd_->High(node) : bdd_->Low(node);
  }
  return node;
}

Space::Node Space::AtRight(const Field& field, Node node, uint32_t right) const {
  // One diagram is asked for the same rights behind many lefts.
  if (right >= rights_walked.size()) rights_walked.resize(right + 1);
  WalkedRight& known = rights_walked[right];
  if (known.walk == rights_walk && known.space == this && known.node == node) return known.rest;
  Node rest = node;
  uint32_t end = field.first + field.bits;
  while (rest > Bdd::kTrue && bdd_->VariableOf(rest) < end) {
    bool value = (right >> (end - bdd_->VariableOf(rest) - 1) & 1) != 0;
    rest = value ? bdd_->High(rest) : bdd_->Low(rest);
  }
  known = {rights_walk, this, node, rest};
  return rest;
}

bool Space::EachClass(FieldId field, Node node, const VisitClass& visit) const {
  ++rights_walk;
  return EachLeft(fields_[field], node, 0, 0, visit);
}

bool Space::EachLeft(const Field& field, Node node, uint32_t bit, uint32_t code,
                     const VisitClass& visit) const {
  if (node == Bdd::kFalse) return false;
  Block left = LeftBlock(field);
  // Numbers beyond the last one are the last one, which was seen.
  if (code >= left.count) return false;
  bool inside = node > Bdd::kTrue && bdd_->VariableOf(node) < left.first + left.bits;
  if (inside) {
    bool tested = bdd_->VariableOf(node) == left.first + bit;
    uint32_t half = uint32_t{1} << (left.bits - bit - 1);
    return EachLeft(field, tested ? bdd_->Low(node) : node, bit + 1, code, visit) ||
           EachLeft(field, tested ? bdd_->High(node) : node, bit + 1, code + half, visit);
  }
  uint32_t last = std::min(code + (uint32_t{1} << (left.bits - bit)) - 1, left.count - 1);
  bool asks_right = node > Bdd::kTrue && bdd_->VariableOf(node) < field.first + field.bits;
  if (asks_right && last - code >= field.classes->rights) {
    return EachRight(field, node, 0, 0, {code, last}, visit);
  }
  for (uint32_t at = code; at <= last; ++at) {
    for (const auto& [right, cls] : field.by_left[at]) {
      Node rest = asks_right ? AtRight(field, node, right) : node;
      if (rest != Bdd::kFalse && visit(cls, rest)) return true;
    }
  }
  return false;
}

bool Space::EachRight(const Field& field, Node node, uint32_t bit, uint32_t code,
                      std::pair<uint32_t, uint32_t> lefts, const VisitClass& visit) const {
  if (node == Bdd::kFalse) return false;
  Block right = RightBlock(field);
  if (code >= right.count) return false;
  bool inside = node > Bdd::kTrue && bdd_->VariableOf(node) < right.first + right.bits;
  if (inside) {
    bool tested = bdd_->VariableOf(node) == right.first + bit;
    uint32_t half = uint32_t{1} << (right.bits - bit - 1);
    return EachRight(field, tested ? bdd_->Low(node) : node, bit + 1, code, lefts, visit) ||
           EachRight(field, tested ? bdd_->High(node) : node, bit + 1, code + half, lefts, visit);
  }
  uint32_t last = std::min(code + (uint32_t{1} << (right.bits - bit)) - 1, right.count - 1);
  for (uint32_t at = code; at <= last; ++at) {
    for (uint32_t cls : field.by_right[at]) {
      uint32_t left = field.classes->classes[cls].left;
      if (left >= lefts.first && left <= lefts.second && visit(cls, node)) return true;
    }
  }
  return false;
}

Space::Node Space::Leaf(const ExprNode& expr) {
  const Field& field = fields_[expr.a];
  bool set = field.kind == Field::Kind::kTextSet;
  auto any_of = [&](const std::vector<uint32_t>& classes) {
    if (!set) return Members(field, classes);
    Node any = Bdd::kFalse;
    for (auto at = classes.rbegin(); at != classes.rend(); ++at) {
      any = bdd_->Or(any, bdd_->Variable(field.first + *at));
    }
    return any;
  };
  switch (expr.op) {
    case Op::kPattern: {
      if (set) return any_of(field.classes->members[expr.b]);
      const StringClasses::Half& half = field.classes->halves[expr.b];
      if (half.members.empty()) return Bdd::kFalse;
      Node node = MembersIn(half.left ? LeftBlock(field) : RightBlock(field), half.members, 0, 0);
      // "No text" has a right half only for form's sake.
      if (half.left || !field.absent) return node;
      return bdd_->Diff(node, MembersIn(LeftBlock(field), {field.classes->lefts}, 0, 0));
    }
    case Op::kPresent: {
      if (!set) {
        return bdd_->Not(MembersIn(LeftBlock(field), {field.classes->lefts}, 0, 0));
      }
      std::vector<uint32_t> all(field.classes->classes.size());
      for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
      return any_of(all);
    }
    case Op::kBlock:
      return Members(field, field.block_members[expr.b]);
    case Op::kChoice:
      return Members(field, {expr.b});
    case Op::kFlag:
      return bdd_->Variable(field.first);
    case Op::kShows: {
      const std::vector<std::string>& texts = shown_texts_[expr.b];
      std::vector<uint32_t> classes;
      for (uint32_t i = 0; i < field.classes->classes.size(); ++i) {
        const std::string& text = field.classes->classes[i].text;
        if (std::find(texts.begin(), texts.end(), text) != texts.end()) classes.push_back(i);
      }
      return any_of(classes);
    }
    case Op::kSame:
      return SameClassNode(field, fields_[expr.b]);
    default:
      break;
  }
  return Bdd::kFalse;
}

Space::Node Space::SameClassNode(const Field& a, const Field& b) {
  Node same = Bdd::kFalse;
  for (uint32_t i = 0; i < a.address_classes.size(); ++i) {
    for (uint32_t j = 0; j < b.address_classes.size(); ++j) {
      if (a.address_classes[i].address != b.address_classes[j].address) continue;
      same = bdd_->Or(same, bdd_->And(Members(a, {i}), Members(b, {j})));
    }
  }
  return same;
}

Space::Shape Space::ShapeOf(Expr expr) const {
  const ExprNode& node = exprs_[expr];
  switch (node.op) {
    case Op::kConstant:
      return {Shape::Kind::kConstant, node.a, kNever};
    case Op::kAnd:
      return {Shape::Kind::kAnd, node.a, node.b};
    case Op::kOr:
      return {Shape::Kind::kOr, node.a, node.b};
    case Op::kNot:
      return {Shape::Kind::kNot, node.a, kNever};
    default:
      return {};
  }
}

Space::Node Space::ToNode(Expr expr) {
  if (nodes_.size() < exprs_.size()) nodes_.resize(exprs_.size());
  if (nodes_[expr]) return *nodes_[expr];
  ExprNode own = exprs_[expr];
  Node node = Bdd::kFalse;
  switch (own.op) {
    case Op::kConstant:
      node = own.a;
      break;
    case Op::kAnd: {
      std::vector<Expr> left_out;
      node = AndOf(expr, Bdd::kTrue, &left_out);
      for (Expr one : left_out) node = Without(node, one);
      break;
    }
    case Op::kOr:
      node = ToNode(own.a);
      if (node != Bdd::kTrue) node = bdd_->Or(node, ToNode(own.b));
      break;
    case Op::kNot:
      node = bdd_->Not(ToNode(own.a));
      break;
    default:
      node = Leaf(own);
      break;
  }
  if (!bdd_->exhausted()) nodes_[expr] = node;
  return node;
}

// Of what has to hold together, "none of these" comes last: what all of a list of rules say at once
// is a large diagram, what a narrow set shares with each of them is not.
Space::Node Space::AndOf(Expr expr, Node node, std::vector<Expr>* left_out) {
  const ExprNode own = exprs_[expr];
  if (node == Bdd::kFalse) return node;
  if (own.op == Op::kAnd && !nodes_[expr]) {
    return AndOf(own.b, AndOf(own.a, node, left_out), left_out);
  }
  if (own.op == Op::kNot && !nodes_[expr] && exprs_[own.a].op == Op::kOr) {
    left_out->push_back(own.a);
    return node;
  }
  return bdd_->And(node, ToNode(expr));
}

Space::Node Space::Without(Node node, Expr any) {
  if (node == Bdd::kFalse) return node;
  const ExprNode own = exprs_[any];
  if (own.op != Op::kOr || nodes_[any]) return bdd_->Diff(node, ToNode(any));
  return Without(Without(node, own.a), own.b);
}

// The cheapest way down from a node: the cost of a class is its rank, fields
// that are not asked cost nothing.
double Space::CostOf(Node node) {
  if (node == Bdd::kFalse) return kImpossible;
  if (node == Bdd::kTrue) return 0;
  return BestChoice(node).cost;
}

Space::Choice Space::BestChoice(Node node) {
  auto known = choices_.find(node);
  if (known != choices_.end()) return known->second;
  const Field& field = fields_[FieldOfVariable(bdd_->VariableOf(node))];
  Choice best;
  best.cost = kImpossible;
  if (field.kind == Field::Kind::kTextSet) {
    uint32_t element = bdd_->VariableOf(node) - field.first;
    double without = CostOf(bdd_->Low(node));
    double with = CostOf(bdd_->High(node)) + 10 + field.ranks[element];
    best =
        without <= with ? Choice{without, 0, bdd_->Low(node)} : Choice{with, 1, bdd_->High(node)};
  } else {
    if (field.kind == Field::Kind::kText) {
      ExploreText(field, node, 0, 0, &best);
    } else {
      Explore(field, node, 0, 0, &best);
    }
  }
  choices_[node] = best;
  return best;
}

void Space::Explore(const Field& field, Node node, uint32_t bit, uint32_t code, Choice* best) {
  if (node == Bdd::kFalse) return;
  bool inside = node > Bdd::kTrue && bdd_->VariableOf(node) < field.first + field.bits;
  if (inside && bit < field.bits) {
    bool tested = bdd_->VariableOf(node) == field.first + bit;
    uint32_t half = uint32_t{1} << (field.bits - bit - 1);
    Explore(field, tested ? bdd_->Low(node) : node, bit + 1, code, best);
    Explore(field, tested ? bdd_->High(node) : node, bit + 1, code + half, best);
    return;
  }
  double below = CostOf(node);
  if (below >= best->cost) return;
  uint32_t width = uint32_t{1} << (field.bits - bit);
  auto count = static_cast<uint32_t>(field.ranks.size());
  uint32_t last = std::min(code + width - 1, count - 1);
  for (uint32_t at = std::min(code, count - 1); at <= last; ++at) {
    double cost = below + field.ranks[at];
    if (cost < best->cost) *best = {cost, at, node};
  }
}

// The left half's bits; as soon as none of them is tested any more the lefts are a range.
void Space::ExploreText(const Field& field, Node node, uint32_t bit, uint32_t code, Choice* best) {
  if (node == Bdd::kFalse) return;
  Block left = LeftBlock(field);
  bool inside = node > Bdd::kTrue && bdd_->VariableOf(node) < left.first + left.bits;
  if (inside && bit < left.bits) {
    bool tested = bdd_->VariableOf(node) == left.first + bit;
    uint32_t half = uint32_t{1} << (left.bits - bit - 1);
    ExploreText(field, tested ? bdd_->Low(node) : node, bit + 1, code, best);
    ExploreText(field, tested ? bdd_->High(node) : node, bit + 1, code + half, best);
    return;
  }
  uint32_t width = uint32_t{1} << (left.bits - bit);
  uint32_t low = std::min(code, left.count - 1);
  uint32_t high = std::min(code + width - 1, left.count - 1);
  ExploreRight(field, node, 0, 0, {low, high}, best);
}

void Space::ExploreRight(const Field& field, Node node, uint32_t bit, uint32_t code,
                         std::pair<uint32_t, uint32_t> lefts, Choice* best) {
  if (node == Bdd::kFalse) return;
  Block right = RightBlock(field);
  auto left_of = [&](uint32_t at) {
    return at < field.classes->classes.size() ? field.classes->classes[at].left
                                              : field.classes->lefts;
  };
  // The first of `classes`, which are in the order of their ranks, that lies in the range.
  auto offer = [&](const std::vector<uint32_t>& classes, double below) {
    for (uint32_t at : classes) {
      double cost = below + field.ranks[at];
      if (cost >= best->cost) return;
      if (left_of(at) < lefts.first || left_of(at) > lefts.second) continue;
      *best = {cost, at, node};
      return;
    }
  };
  bool inside = node > Bdd::kTrue && bdd_->VariableOf(node) < right.first + right.bits;
  if (inside && bit < right.bits) {
    bool tested = bdd_->VariableOf(node) == right.first + bit;
    uint32_t half = uint32_t{1} << (right.bits - bit - 1);
    ExploreRight(field, tested ? bdd_->Low(node) : node, bit + 1, code, lefts, best);
    ExploreRight(field, tested ? bdd_->High(node) : node, bit + 1, code + half, lefts, best);
    return;
  }
  double below = CostOf(node);
  if (below >= best->cost) return;
  if (bit == 0) {
    offer(field.by_rank, below);
    return;
  }
  uint32_t width = uint32_t{1} << (right.bits - bit);
  uint32_t last = std::min(code + width - 1, right.count - 1);
  for (uint32_t at = std::min(code, right.count - 1); at <= last; ++at) {
    offer(field.by_right[at], below);
  }
}

Space::Point Space::Pick(Node node) {
  MESHPROOF_CHECK(node != Bdd::kFalse);
  Point point;
  point.codes_.assign(fields_.size(), 0);
  point.sets_.resize(fields_.size());
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Field& field = fields_[i];
    if (field.kind == Field::Kind::kTextSet) {
      point.sets_[i].assign(field.ranks.size(), false);
      continue;
    }
    point.codes_[i] = field.usual;
  }
  while (node > Bdd::kTrue) {
    uint32_t at = FieldOfVariable(bdd_->VariableOf(node));
    Choice choice = BestChoice(node);
    if (fields_[at].kind == Field::Kind::kTextSet) {
      point.sets_[at][bdd_->VariableOf(node) - fields_[at].first] = choice.code != 0;
    } else {
      point.codes_[at] = choice.code;
    }
    node = choice.next;
  }
  return point;
}

Space::Node Space::Literal(FieldId field, const Point& point) {
  const Field& own = fields_[field];
  if (own.kind != Field::Kind::kTextSet) {
    return own.ranks.empty() ? Bdd::kTrue : Members(own, {point.Class(field)});
  }
  Node all = Bdd::kTrue;
  for (uint32_t i = own.bits; i-- > 0;) {
    Node has = bdd_->Variable(own.first + i);
    all = bdd_->And(all, point.Has(field, i) ? has : bdd_->Not(has));
  }
  return all;
}

std::vector<Space::FieldId> Space::Essential(Node node, const Point& point) {
  Node cube = Bdd::kTrue;
  return EssentialBeside(std::nullopt, bdd_->Not(node), point, &cube);
}

std::vector<Space::FieldId> Space::EssentialBeside(std::optional<FieldId> fixed, Node outside,
                                                   const Point& point, Node* cube) {
  std::vector<FieldId> kept;
  for (FieldId field = 0; field < fields_.size(); ++field) {
    if (fields_[field].bits != 0 && field != fixed) kept.push_back(field);
  }
  // Plain things are worth keeping longest, so they are tried last.
  std::stable_sort(kept.begin(), kept.end(),
                   [&](FieldId a, FieldId b) { return fields_[a].order > fields_[b].order; });
  std::vector<Node> literals;
  for (FieldId field : kept) literals.push_back(Literal(field, point));
  for (size_t drop = 0; drop < kept.size();) {
    Node left = outside;
    for (size_t i = 0; i < kept.size() && left != Bdd::kFalse; ++i) {
      if (i != drop) left = bdd_->And(left, literals[i]);
    }
    if (left == Bdd::kFalse && !bdd_->exhausted()) {
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(drop));
      literals.erase(literals.begin() + static_cast<std::ptrdiff_t>(drop));
    } else {
      ++drop;
    }
  }
  *cube = Bdd::kTrue;
  for (Node literal : literals) *cube = bdd_->And(*cube, literal);
  std::sort(kept.begin(), kept.end(),
            [&](FieldId a, FieldId b) { return fields_[a].order < fields_[b].order; });
  return kept;
}

size_t Space::ClassCount(FieldId field) const {
  return fields_[field].ranks.size();
}

std::optional<std::string> Space::TextOf(FieldId field, const Point& point) const {
  const Field& own = fields_[field];
  uint32_t at = point.Class(field);
  if (at >= own.classes->classes.size()) return std::nullopt;
  return own.classes->classes[at].text;
}

std::vector<std::string> Space::TextsOf(FieldId field, const Point& point) const {
  std::vector<std::string> texts;
  const Field& own = fields_[field];
  for (uint32_t i = 0; i < own.classes->classes.size(); ++i) {
    if (point.Has(field, i)) texts.push_back(own.classes->classes[i].text);
  }
  return texts;
}

IpAddress Space::AddressOf(FieldId field, const Point& point) const {
  return fields_[field].address_classes[point.Class(field)].address;
}

size_t Space::CountPoints(size_t limit) const {
  size_t count = 1;
  for (const Field& field : fields_) {
    size_t own = field.ranks.size();
    if (field.kind == Field::Kind::kTextSet) own = size_t{1} << std::min<size_t>(own, 40);
    if (own == 0) return 0;
    count *= own;
    if (count > limit) return 0;
  }
  return count;
}

Space::Point Space::PointAt(size_t number) const {
  Point point;
  point.codes_.assign(fields_.size(), 0);
  point.sets_.resize(fields_.size());
  for (size_t i = 0; i < fields_.size(); ++i) {
    const Field& field = fields_[i];
    size_t own = field.ranks.size();
    if (field.kind == Field::Kind::kTextSet) {
      for (size_t bit = 0; bit < own; ++bit, number /= 2) point.sets_[i].push_back(number % 2 != 0);
    } else {
      point.codes_[i] = static_cast<uint32_t>(number % own);
      number /= own;
    }
  }
  return point;
}

bool Space::Holds(Node node, const Point& point) const {
  while (node > Bdd::kTrue) {
    uint32_t variable = bdd_->VariableOf(node);
    uint32_t at = FieldOfVariable(variable);
    const Field& field = fields_[at];
    uint32_t bit = variable - field.first;
    uint32_t code = point.codes_[at];
    if (field.kind == Field::Kind::kText) {
      bool absent = code >= field.classes->classes.size();
      uint32_t left = absent ? field.classes->lefts : field.classes->classes[code].left;
      uint32_t right = absent ? 0 : field.classes->classes[code].right;
      code = left << field.right_bits | right;
    }
    bool value = field.kind == Field::Kind::kTextSet ? point.sets_[at][bit]
                                                     : (code >> (field.bits - bit - 1) & 1) != 0;
    node = value ? bdd_->High(node) : bdd_->Low(node);
  }
  return node == Bdd::kTrue;
}

}  // namespace meshproof
