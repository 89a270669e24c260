#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "match/ip.h"
#include "reason/bdd.h"
#include "reason/string_classes.h"

namespace meshproof {

// An expression over the fields of a Space; equal ones are the same number.
using Expr = uint32_t;
constexpr Expr kNever = 0;
constexpr Expr kAlways = 1;

// The requests that a question is about: fields, what may be asked of each,
// and, once built, their classes as variables of one diagram kernel. Used in
// two phases: expressions are made first (which collects the patterns of each
// field), then Build, then diagrams. Not for several threads at once.
class Space {
 public:
  using FieldId = uint32_t;
  using Node = Bdd::Node;

  // Without `memory` classes are not shared with other spaces.
  Space(size_t class_limit, size_t node_limit, double seconds, ClassMemory* memory = nullptr);

  // Fields. `order` decides the place in the diagrams (smaller is nearer to the
  // top), `name` finds the field again. A text field holds one text or, where
  // `absent`, none; a set of texts holds any number of them; a choice one of
  // the `values` (with how gladly each is shown, 0 best); a flag is true or
  // false.
  FieldId TextField(const std::string& name, int order, std::unique_ptr<StringDomain> domain,
                    bool absent);
  FieldId TextSetField(const std::string& name, int order, std::unique_ptr<StringDomain> domain);
  // Any address, or one of `within` where that is not empty. Fields of one
  // `group` get the same classes.
  FieldId AddressField(const std::string& name, int order, std::vector<CidrRange> within,
                       const std::string& group);
  FieldId ChoiceField(const std::string& name, int order,
                      std::vector<std::pair<std::string, int>> values);
  FieldId FlagField(const std::string& name, int order);
  std::optional<FieldId> Find(std::string_view name) const;
  const std::string& name(FieldId field) const { return fields_[field].name; }
  size_t fields() const { return fields_.size(); }

  // Those that Matches was asked for.
  const std::vector<StringPattern>& PatternsOf(FieldId field) const {
    return fields_[field].patterns;
  }
  void AddCandidate(FieldId field, std::string text, int rank);
  void AddAddressCandidate(FieldId field, const IpAddress& address, int rank);

  // Leaves. Of a set: some text of it.
  Expr Matches(FieldId field,
               const StringPattern& pattern);  // must be understood
  Expr IsPresent(FieldId field);
  Expr IsIn(FieldId field, const CidrRange& range);
  Expr IsChoice(FieldId field, size_t value);
  Expr IsSet(FieldId field);  // a flag
  // The classes whose shown text is (not) among `texts`; sound only where the
  // candidates make a class show such a text whenever it holds one.
  Expr ShowsOneOf(FieldId field, const std::vector<std::string>& texts);
  // The two address fields hold addresses of one class.
  Expr SameClass(FieldId a, FieldId b);

  Expr And(Expr a, Expr b);
  Expr Or(Expr a, Expr b);
  Expr Not(Expr a);
  Expr AndAll(std::vector<Expr> all);
  Expr OrAll(std::vector<Expr> any);
  // What every request satisfies.
  void Constrain(Expr expr) { domain_ = And(domain_, expr); }

  // Classes and variables. False: the class budget was spent on the field in
  // `exhausted_field`.
  bool Build();
  const std::string& exhausted_field() const { return exhausted_field_; }

  Node ToNode(Expr expr);
  Node Domain();
  // The domain without what is feasible for `field` itself, whose classes are looked at one by
  // one; nothing: all of it.
  Node DomainBeside(std::optional<FieldId> field);
  // For sets that are looked at one class after the other of a text field without "no text" whose
  // variables stand on top of all diagrams: a set within one class; and all classes in which it is
  // not empty, each once, in no order, until `visit` says that it has seen enough.
  Node AtClass(FieldId field, uint32_t at, Node node) const;
  using VisitClass = std::function<bool(uint32_t, Node)>;
  bool EachClass(FieldId field, Node node, const VisitClass& visit) const;
  bool AsksAbout(FieldId field, Node node) const;
  int RankOf(FieldId field, uint32_t at) const { return fields_[field].ranks[at]; }
  Bdd& bdd() { return *bdd_; }
  // The variables of fields of which `choose` says yes, for quantification.
  template <typename Choose>
  std::vector<bool> VariablesOf(Choose choose) const {
    std::vector<bool> chosen(variables_, false);
    for (const Field& field : fields_) {
      if (!choose(field.name)) continue;
      for (uint32_t bit = 0; bit < field.bits; ++bit) chosen[field.first + bit] = true;
    }
    return chosen;
  }

  // One request of a diagram that is not kFalse, as pleasant to read as can be
  // had.
  class Point {
   public:
    // The class of a field; sets have none.
    uint32_t Class(FieldId field) const { return codes_[field]; }
    bool Has(FieldId field, uint32_t element) const { return sets_[field][element]; }

   private:
    friend class Space;
    std::vector<uint32_t> codes_;
    std::vector<std::vector<bool>> sets_;
  };
  Point Pick(Node node);
  // How little pleasant the point that Pick chooses is.
  double CostOf(Node node);
  void Move(Point* point, FieldId field, uint32_t at) const { point->codes_[field] = at; }
  // The fields that a point needs to stay inside `node`: every other one may
  // hold anything.
  std::vector<FieldId> Essential(Node node, const Point& point);
  // The same of fields other than `fixed`, with what lies outside given; `cube` gets all points
  // that share those fields.
  std::vector<FieldId> EssentialBeside(std::optional<FieldId> fixed, Node outside,
                                       const Point& point, Node* cube);

  // What a class of a field stands for.
  size_t ClassCount(FieldId field) const;
  std::optional<std::string> TextOf(FieldId field, const Point& point) const;  // nothing: absent
  std::vector<std::string> TextsOf(FieldId field,
                                   const Point& point) const;  // of a set
  IpAddress AddressOf(FieldId field, const Point& point) const;
  size_t ChoiceOf(FieldId field, const Point& point) const { return point.Class(field); }
  bool FlagOf(FieldId field, const Point& point) const { return point.Class(field) != 0; }

  // For tests: every point of a small space. The number of combinations, 0
  // where there are more than `limit`; and the point of a number below it.
  size_t CountPoints(size_t limit) const;
  Point PointAt(size_t number) const;
  bool Holds(Node node, const Point& point) const;
  // How an expression is made, so that a second engine can make its own diagram of it.
  struct Shape {
    enum class Kind { kConstant, kAnd, kOr, kNot, kLeaf };
    Kind kind = Kind::kLeaf;
    Expr a = kNever, b = kNever;  // kAnd, kOr; `a` alone: kNot, and kConstant its value
  };
  Shape ShapeOf(Expr expr) const;

 private:
  struct PatternHash {
    size_t operator()(const StringPattern& pattern) const {
      return std::hash<std::string>()(pattern.value) * 31 + static_cast<size_t>(pattern.kind) * 2 +
             (pattern.ignore_case ? 1 : 0);
    }
  };
  struct AddressClass {
    IpAddress address;
    int rank = 100;
  };
  struct Field {
    enum class Kind { kText, kTextSet, kAddress, kChoice, kFlag };
    Kind kind = Kind::kFlag;
    std::string name;
    int order = 0;
    bool absent = false;  // kText: the last class is "no text"
    std::unique_ptr<StringDomain> domain;
    std::vector<StringPattern> patterns;
    std::unordered_map<StringPattern, uint32_t, PatternHash> pattern_ids;
    std::vector<StringCandidate> candidates;
    std::unordered_map<std::string, int> candidate_ranks;  // the best one of each text
    std::shared_ptr<const StringClasses> classes;
    std::vector<CidrRange> within, blocks;
    std::string group;
    std::vector<std::pair<IpAddress, int>> addresses;
    std::vector<AddressClass> address_classes;
    std::vector<std::vector<uint32_t>> block_members;
    std::vector<std::pair<std::string, int>> values;
    uint32_t first = 0, bits = 0;
    std::vector<int> ranks;  // by class
    uint32_t usual = 0;      // the class where nothing is asked
    // A text's number is that of its left half, then that of its right one; "no text" is a left
    // half of its own, with right 0.
    uint32_t right_bits = 0;
    std::vector<std::vector<std::pair<uint32_t, uint32_t>>> by_left;  // (right, class), ascending
    std::vector<std::vector<uint32_t>> by_right;  // classes, the most pleasant first
    std::vector<uint32_t> by_rank;                // all of them
  };
  enum class Op : uint8_t {
    kConstant,
    kAnd,
    kOr,
    kNot,
    kPattern,
    kPresent,
    kBlock,
    kChoice,
    kFlag,
    kShows,
    kSame
  };
  struct ExprNode {
    Op op = Op::kConstant;
    uint32_t a = 0, b = 0;
    friend bool operator==(const ExprNode&, const ExprNode&) = default;
  };

  FieldId AddField(Field field);
  std::shared_ptr<const StringClasses> ClassesOf(const Field& field) const;
  Expr Intern(Op op, uint32_t a, uint32_t b);
  size_t SlotOf(const ExprNode& expr) const;
  void BuildAddressClasses(Field* field, const std::vector<CidrRange>& blocks);
  Node Members(const Field& field, const std::vector<uint32_t>& classes);
  Node Literal(FieldId field, const Point& point);
  // A block of variables of one number, one of `members` (ascending) of 0 … count - 1.
  struct Block {
    uint32_t first = 0, bits = 0, count = 0;
  };
  static Block LeftBlock(const Field& field);
  static Block RightBlock(const Field& field);
  Node FeasiblePairs(const Field& field);
  Node MembersIn(const Block& block, const std::vector<uint32_t>& members, uint32_t bit,
                 uint32_t low);
  Node AndOf(Expr expr, Node node, std::vector<Expr>* left_out);
  Node Without(Node node, Expr any);
  Node Leaf(const ExprNode& expr);
  Node SameClassNode(const Field& a, const Field& b);
  uint32_t FieldOfVariable(uint32_t variable) const { return field_of_variable_[variable]; }

  struct Choice {
    double cost = 0;
    uint32_t code = 0;
    Node next = 0;
  };
  // A walk over the diagram of one text field: ranges of lefts, then rights.
  bool EachLeft(const Field& field, Node node, uint32_t bit, uint32_t code,
                const VisitClass& visit) const;
  bool EachRight(const Field& field, Node node, uint32_t bit, uint32_t code,
                 std::pair<uint32_t, uint32_t> lefts, const VisitClass& visit) const;
  Node AtRight(const Field& field, Node node, uint32_t right) const;
  Choice BestChoice(Node node);
  void Explore(const Field& field, Node node, uint32_t bit, uint32_t code, Choice* best);
  void ExploreText(const Field& field, Node node, uint32_t bit, uint32_t code, Choice* best);
  void ExploreRight(const Field& field, Node node, uint32_t bit, uint32_t code,
                    std::pair<uint32_t, uint32_t> lefts, Choice* best);

  size_t class_limit_;
  ClassMemory* memory_;
  std::unique_ptr<Bdd> bdd_;
  std::vector<Field> fields_;
  std::vector<uint32_t> field_of_variable_;
  uint32_t variables_ = 0;
  std::vector<ExprNode> exprs_;
  std::vector<Expr> known_;  // open addressing, 0 = free: the constants are not in it
  std::vector<std::vector<std::string>> shown_texts_;
  std::vector<std::optional<Node>> nodes_;  // by expression
  Expr domain_ = kAlways;
  std::optional<Node> domain_node_;
  std::string exhausted_field_;
  std::unordered_map<Node, Choice> choices_;
};

}  // namespace meshproof
