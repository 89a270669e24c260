// Matchers and RBAC as Envoy's proto-JSON has them (envoy-facts sections 1.1 to 1.4), with the
// spellings of older versions beside those of today: `exact_match` for `string_match: {exact}`,
// `regex` for `safe_regex`, `source_ip`, `authenticated: {name}`.

#include <algorithm>

#include "match/path.h"
#include "proxy/read_context.h"

namespace meshproof {
namespace {

Predicate Make(decltype(Predicate::match) match) {
  Predicate predicate;
  predicate.match = std::move(match);
  return predicate;
}

Predicate Opaque(std::string name, const Node& node, ReadContext* context) {
  context->NoteOpaque("condition " + name, node);
  return Make(OpaquePredicate{std::move(name)});
}

StringMatcher Pattern(std::string_view pattern, std::string* opaque) {
  StringMatcher matcher;
  matcher.kind = StringMatcher::Kind::kRegex;
  matcher.value = std::string(pattern);
  auto regex = Regex::Compile(pattern);
  if (regex.ok()) {
    matcher.regex = regex.Take();
  } else {
    *opaque = "regular expression " + matcher.value;
  }
  return matcher;
}

}  // namespace

Regex ReadRegex(const Node* node, std::string* opaque) {
  std::string pattern =
      node != nullptr && node->IsMapping() ? TextField(node, "regex") : TextOf(node);
  auto regex = Regex::Compile(pattern);
  if (regex.ok()) return regex.Take();
  *opaque = "regular expression " + pattern;
  return {};
}

StringMatcher ReadString(const Node* node, std::string* opaque) {
  bool ignore_case = BoolField(node, "ignore_case");
  // A pattern may be empty, so it is the field's presence that counts.
  if (Field(node, "exact")) return StringMatcher::Exact(TextField(node, "exact"), ignore_case);
  if (Field(node, "prefix")) return StringMatcher::Prefix(TextField(node, "prefix"), ignore_case);
  if (Field(node, "suffix")) return StringMatcher::Suffix(TextField(node, "suffix"), ignore_case);
  if (Field(node, "contains")) {
    return StringMatcher::Contains(TextField(node, "contains"), ignore_case);
  }
  if (Field(node, "safe_regex"))
    return Pattern(TextField(Field(node, "safe_regex"), "regex"), opaque);
  if (Field(node, "regex")) return Pattern(TextField(node, "regex"), opaque);
  if (const Node* custom = Field(node, "custom")) {
    *opaque = "string matcher " + TextField(custom, "name");
    return StringMatcher::Exact("");
  }
  *opaque = "a string matcher without a pattern";
  return StringMatcher::Exact("");
}

HeaderMatcher ReadHeader(const Node* node, std::string* opaque) {
  HeaderMatcher header;
  header.name = TextField(node, "name");
  header.invert = BoolField(node, "invert_match");
  header.treat_missing_as_empty = BoolField(node, "treat_missing_header_as_empty");
  auto text = [&](StringMatcher matcher) {
    header.kind = HeaderMatcher::Kind::kString;
    header.string = std::move(matcher);
  };
  if (const Node* match = Field(node, "string_match")) {
    text(ReadString(match, opaque));
  } else if (Field(node, "exact_match")) {
    // The deprecated spelling takes an empty pattern for mere presence.
    std::string value = TextField(node, "exact_match");
    if (!value.empty()) text(StringMatcher::Exact(std::move(value)));
  } else if (Field(node, "prefix_match")) {
    text(StringMatcher::Prefix(TextField(node, "prefix_match")));
  } else if (Field(node, "suffix_match")) {
    text(StringMatcher::Suffix(TextField(node, "suffix_match")));
  } else if (Field(node, "contains_match")) {
    text(StringMatcher::Contains(TextField(node, "contains_match")));
  } else if (const Node* regex = Field(node, "safe_regex_match")) {
    text(Pattern(TextField(regex, "regex"), opaque));
  } else if (Field(node, "regex_match")) {
    text(Pattern(TextField(node, "regex_match"), opaque));
  } else if (const Node* range = Field(node, "range_match")) {
    header.kind = HeaderMatcher::Kind::kRange;
    header.low = IntField(range, "start").value_or(0);
    header.high = IntField(range, "end").value_or(0);
  } else {
    header.present = BoolField(node, "present_match", true);
  }
  return header;
}

ValueMatcher ReadValue(const Node* node, std::string* opaque) {
  ValueMatcher value;
  using Kind = ValueMatcher::Kind;
  if (Field(node, "string_match")) {
    value.kind = Kind::kString;
    value.string = ReadString(Field(node, "string_match"), opaque);
  } else if (const Node* number = Field(node, "double_match")) {
    if (const Node* range = Field(number, "range")) {
      value.kind = Kind::kDoubleRange;
      value.low = DoubleField(range, "start").value_or(0);
      value.high = DoubleField(range, "end").value_or(0);
    } else {
      value.kind = Kind::kDouble;
      value.low = DoubleField(number, "exact").value_or(0);
    }
  } else if (Field(node, "bool_match")) {
    value.kind = Kind::kBool;
    value.boolean = BoolField(node, "bool_match");
  } else if (Field(node, "present_match")) {
    value.kind = Kind::kPresent;
    value.boolean = BoolField(node, "present_match");
  } else if (const Node* list = Field(node, "list_match")) {
    value.kind = Kind::kList;
    value.children.push_back(ReadValue(Field(list, "one_of"), opaque));
  } else if (const Node* either = Field(node, "or_match")) {
    value.kind = Kind::kOr;
    for (const Node& child : ItemsField(either, "value_matchers")) {
      value.children.push_back(ReadValue(&child, opaque));
    }
  } else if (Field(node, "null_match")) {
    value.kind = Kind::kNull;
  } else {
    *opaque = "a value matcher without a pattern";
  }
  return value;
}

MetadataPredicate ReadMetadata(const Node* node, std::string* opaque) {
  MetadataPredicate metadata;
  metadata.filter = TextField(node, "filter");
  for (const Node& segment : ItemsField(node, "path")) {
    metadata.path.push_back(TextField(&segment, "key"));
  }
  metadata.value = ReadValue(Field(node, "value"), opaque);
  metadata.invert = BoolField(node, "invert");
  return metadata;
}

std::optional<CidrRange> ReadCidr(const Node* node) {
  std::string address = TextField(node, "address_prefix");
  auto ip = ParseIpAddress(address);
  if (!ip) return std::nullopt;
  uint32_t length = UintField(node, "prefix_len");
  if (length > (ip->v6 ? 128U : 32U)) return std::nullopt;
  return ParseCidr(address + "/" + std::to_string(length));
}

namespace {

std::vector<Predicate> ReadAll(std::span<const Node> nodes, ReadContext* context) {
  std::vector<Predicate> predicates;
  predicates.reserve(nodes.size());
  for (const Node& node : nodes) predicates.push_back(ReadPredicate(node, context));
  return predicates;
}

Predicate ReadAddress(AddressField field, const Node& node, ReadContext* context) {
  auto range = ReadCidr(&node);
  if (!range) return Opaque("address block", node, context);
  AddressPredicate predicate;
  predicate.field = field;
  predicate.range = *range;
  predicate.address_prefix = TextField(&node, "address_prefix");
  return Make(std::move(predicate));
}

Predicate ReadTemplate(const Node& node, ReadContext* context) {
  PathTemplatePredicate predicate;
  TypedNode typed = OpenTyped(Field(&node, "typed_config"));
  predicate.path_template = TextField(typed.value, "path_template");
  auto regex = CompilePathTemplate(predicate.path_template);
  if (!regex.ok()) return Opaque("path template " + predicate.path_template, node, context);
  predicate.regex = regex.Take();
  return Make(std::move(predicate));
}

Predicate ReadSourcedMetadata(const Node& node, ReadContext* context) {
  std::string source = TextField(&node, "metadata_source");
  if (source == "ROUTE" || source == "1") return Opaque("metadata of the route", node, context);
  std::string opaque;
  MetadataPredicate metadata = ReadMetadata(Field(&node, "metadata_matcher"), &opaque);
  if (!opaque.empty()) return Opaque(opaque, node, context);
  return Make(std::move(metadata));
}

// The fields of a permission or principal that hold one matcher.
Predicate ReadLeaf(std::string_view key, const Node& value, const Node& node,
                   ReadContext* context) {
  std::string opaque;
  Predicate predicate;
  if (IsField(key, "any")) {
    predicate = Make(AnyPredicate{});
  } else if (IsField(key, "header")) {
    predicate = Make(HeaderPredicate{ReadHeader(&value, &opaque)});
  } else if (IsField(key, "url_path")) {
    predicate = Make(UrlPathPredicate{ReadString(Field(&value, "path"), &opaque)});
  } else if (IsField(key, "uri_template")) {
    return ReadTemplate(value, context);
  } else if (IsField(key, "destination_ip")) {
    return ReadAddress(AddressField::kDestination, value, context);
  } else if (IsField(key, "source_ip")) {
    return ReadAddress(AddressField::kSource, value, context);
  } else if (IsField(key, "direct_remote_ip")) {
    return ReadAddress(AddressField::kDirectRemote, value, context);
  } else if (IsField(key, "remote_ip")) {
    return ReadAddress(AddressField::kRemote, value, context);
  } else if (IsField(key, "destination_port")) {
    uint32_t port = UintField(&node, "destination_port");
    predicate = Make(PortPredicate{port, port + 1});
  } else if (IsField(key, "destination_port_range")) {
    predicate = Make(PortPredicate{UintField(&value, "start"), UintField(&value, "end")});
  } else if (IsField(key, "requested_server_name")) {
    predicate = Make(ServerNamePredicate{ReadString(&value, &opaque)});
  } else if (IsField(key, "metadata")) {
    predicate = Make(ReadMetadata(&value, &opaque));
  } else if (IsField(key, "sourced_metadata")) {
    return ReadSourcedMetadata(value, context);
  } else if (IsField(key, "filter_state")) {
    if (Field(&value, "string_match") == nullptr) {
      return Opaque("filter state " + TextField(&value, "key"), value, context);
    }
    predicate = Make(FilterStatePredicate{TextField(&value, "key"),
                                          ReadString(Field(&value, "string_match"), &opaque)});
  } else if (IsField(key, "authenticated")) {
    AuthenticatedPredicate authenticated;
    if (const Node* name = Field(&value, "principal_name")) {
      authenticated.principal_name = ReadString(name, &opaque);
    } else if (Field(&value, "name")) {
      authenticated.principal_name = StringMatcher::Exact(TextField(&value, "name"));
    }
    predicate = Make(std::move(authenticated));
  } else if (IsField(key, "matcher") || IsField(key, "custom")) {
    TypedNode typed = OpenTyped(Field(&value, "typed_config"));
    return Opaque(typed.type.empty() ? TextField(&value, "name") : std::string(typed.type), value,
                  context);
  } else {
    return Opaque(std::string(key), value, context);
  }
  return opaque.empty() ? predicate : Opaque(opaque, value, context);
}

}  // namespace

Predicate ReadPredicate(const Node& node, ReadContext* context) {
  // Exactly one alternative is set.
  for (const auto& [key, value] : node.entries()) {
    Predicate predicate;
    if (IsField(key.text, "and_rules")) {
      predicate = Make(AndPredicate{ReadAll(ItemsField(&value, "rules"), context)});
    } else if (IsField(key.text, "and_ids")) {
      predicate = Make(AndPredicate{ReadAll(ItemsField(&value, "ids"), context)});
    } else if (IsField(key.text, "or_rules")) {
      predicate = Make(OrPredicate{ReadAll(ItemsField(&value, "rules"), context)});
    } else if (IsField(key.text, "or_ids")) {
      predicate = Make(OrPredicate{ReadAll(ItemsField(&value, "ids"), context)});
    } else if (IsField(key.text, "not_rule") || IsField(key.text, "not_id")) {
      NotPredicate negated;
      negated.inner.push_back(ReadPredicate(value, context));
      predicate = Make(std::move(negated));
    } else {
      predicate = ReadLeaf(key.text, value, node, context);
    }
    predicate.span = context->SpanOf(value);
    return predicate;
  }
  return Opaque("an empty rule", node, context);
}

namespace {

Rbac::Action ReadAction(const Node* node) {
  std::string action = TextField(node, "action");
  if (action == "DENY" || action == "1") return Rbac::Action::kDeny;
  if (action == "LOG" || action == "2") return Rbac::Action::kLog;
  return Rbac::Action::kAllow;
}

Rbac ReadRbac(const Node& node, ReadContext* context) {
  Rbac rbac;
  rbac.action = ReadAction(&node);
  const auto policies = EntriesField(&node, "policies");
  rbac.policies.reserve(policies.size());
  for (const auto& [key, value] : policies) {
    auto policy = std::make_shared<RbacPolicy>();
    policy->name = std::string(key.text);
    policy->permissions = ReadAll(ItemsField(&value, "permissions"), context);
    policy->principals = ReadAll(ItemsField(&value, "principals"), context);
    policy->has_condition = Field(&value, "condition") != nullptr ||
                            Field(&value, "checked_condition") != nullptr ||
                            Field(&value, "cel_config") != nullptr;
    if (policy->has_condition) context->NoteOpaque("CEL condition of " + policy->name, value);
    policy->origin = context->OriginOf(policy->name, key);
    rbac.policies.push_back(std::move(policy));
  }
  // Envoy keeps policies in a map: of equal names the last stands.
  std::stable_sort(rbac.policies.begin(), rbac.policies.end(),
                   [](const auto& a, const auto& b) { return a->name < b->name; });
  for (size_t i = 1; i < rbac.policies.size();) {
    bool same = rbac.policies[i - 1]->name == rbac.policies[i]->name;
    if (same) {
      rbac.policies.erase(rbac.policies.begin() + static_cast<ptrdiff_t>(i) - 1);
    } else {
      ++i;
    }
  }
  return rbac;
}

struct InputOf {
  enum class Kind { kText, kPort, kAddress, kOpaque } kind = Kind::kOpaque;
  InputPredicate::Input input = InputPredicate::Input::kHeader;
  std::string header;
  AddressField address = AddressField::kDestination;
  std::string name;
};

InputOf ReadInput(const Node* node) {
  InputOf input;
  TypedNode typed = OpenTyped(Field(node, "typed_config"));
  input.name = typed.type.empty() ? TextField(node, "name") : std::string(typed.type);
  std::string_view type = typed.type;
  type = type.substr(type.rfind('.') == std::string_view::npos ? 0 : type.rfind('.') + 1);
  auto text = [&](InputPredicate::Input which) {
    input.kind = InputOf::Kind::kText;
    input.input = which;
  };
  auto address = [&](AddressField which) {
    input.kind = InputOf::Kind::kAddress;
    input.address = which;
  };
  if (type == "HttpRequestHeaderMatchInput") {
    text(InputPredicate::Input::kHeader);
    input.header = TextField(typed.value, "header_name");
  } else if (type == "ServerNameInput") {
    text(InputPredicate::Input::kServerName);
  } else if (type == "UriSanInput") {
    text(InputPredicate::Input::kUriSan);
  } else if (type == "DnsSanInput") {
    text(InputPredicate::Input::kDnsSan);
  } else if (type == "SubjectInput") {
    text(InputPredicate::Input::kSubject);
  } else if (type == "DestinationPortInput") {
    input.kind = InputOf::Kind::kPort;
  } else if (type == "DestinationIPInput") {
    address(AddressField::kDestination);
  } else if (type == "SourceIPInput") {
    address(AddressField::kRemote);
  } else if (type == "DirectSourceIPInput") {
    address(AddressField::kDirectRemote);
  }
  return input;
}

// The predicate that an input's text matches a matcher.
Predicate MatchInput(const InputOf& input, StringMatcher matcher, const Node& node,
                     ReadContext* context) {
  bool exact = matcher.kind == StringMatcher::Kind::kExact && !matcher.ignore_case;
  if (input.kind == InputOf::Kind::kText) {
    return Make(InputPredicate{input.input, input.header, std::move(matcher)});
  }
  if (input.kind == InputOf::Kind::kAddress && exact) {
    if (auto range = ParseCidr(matcher.value)) {
      AddressPredicate predicate;
      predicate.field = input.address;
      predicate.range = *range;
      predicate.address_prefix = ToString(range->address);
      return Make(std::move(predicate));
    }
  }
  if (input.kind == InputOf::Kind::kPort && exact && !matcher.value.empty() &&
      matcher.value.size() <= 5 &&
      matcher.value.find_first_not_of("0123456789") == std::string::npos) {
    auto port = static_cast<uint32_t>(std::stoul(matcher.value));
    return Make(PortPredicate{port, port + 1});
  }
  return Opaque("matcher input " + input.name, node, context);
}

Predicate ReadMatcherPredicate(const Node& node, ReadContext* context) {
  auto list = [&](const Node* field) {
    std::vector<Predicate> predicates;
    for (const Node& child : ItemsField(field, "predicate")) {
      predicates.push_back(ReadMatcherPredicate(child, context));
    }
    return predicates;
  };
  if (const Node* single = Field(&node, "single_predicate")) {
    InputOf input = ReadInput(Field(single, "input"));
    const Node* value = Field(single, "value_match");
    if (value == nullptr) {
      TypedNode custom = OpenTyped(Field(Field(single, "custom_match"), "typed_config"));
      return Opaque(std::string(custom.type.empty() ? "custom match" : custom.type), *single,
                    context);
    }
    std::string opaque;
    StringMatcher matcher = ReadString(value, &opaque);
    if (!opaque.empty()) return Opaque(opaque, *value, context);
    return MatchInput(input, std::move(matcher), *single, context);
  }
  if (const Node* either = Field(&node, "or_matcher")) return Make(OrPredicate{list(either)});
  if (const Node* both = Field(&node, "and_matcher")) return Make(AndPredicate{list(both)});
  if (const Node* negated = Field(&node, "not_matcher")) {
    NotPredicate predicate;
    predicate.inner.push_back(ReadMatcherPredicate(*negated, context));
    return Make(std::move(predicate));
  }
  return Opaque("a matcher predicate", node, context);
}

RbacMatcher::Outcome ReadOutcome(const Node& node, ReadContext* context) {
  RbacMatcher::Outcome outcome;
  outcome.span = context->SpanOf(node);
  if (const Node* nested = Field(&node, "matcher")) {
    outcome.nested = ReadRbacMatcher(*nested, context);
    return outcome;
  }
  TypedNode action = OpenTyped(Field(Field(&node, "action"), "typed_config"));
  if (!action.type.ends_with("rbac.v3.Action")) {
    outcome.opaque = action.type.empty() ? "of a matcher" : action.type;
    context->NoteOpaque("action " + outcome.opaque, node);
    return outcome;
  }
  outcome.name = TextField(action.value, "name");
  outcome.action = ReadAction(action.value);
  return outcome;
}

void ReadMatcherTree(const Node& tree, ReadContext* context, RbacMatcher* matcher) {
  InputOf input = ReadInput(Field(&tree, "input"));
  auto add = [&](const Node& map, StringMatcher::Kind kind) {
    std::vector<const Entry*> entries;
    for (const Entry& entry : EntriesField(&map, "map")) entries.push_back(&entry);
    // Of prefixes the longest that matches is tried first.
    std::stable_sort(entries.begin(), entries.end(), [](const Entry* a, const Entry* b) {
      return a->key.text.size() > b->key.text.size();
    });
    for (const Entry* entry : entries) {
      StringMatcher text = kind == StringMatcher::Kind::kExact
                               ? StringMatcher::Exact(std::string(entry->key.text))
                               : StringMatcher::Prefix(std::string(entry->key.text));
      matcher->fields.push_back({MatchInput(input, std::move(text), entry->key, context),
                                 ReadOutcome(entry->value, context)});
    }
  };
  if (const Node* exact = Field(&tree, "exact_match_map")) {
    add(*exact, StringMatcher::Kind::kExact);
  } else if (const Node* prefix = Field(&tree, "prefix_match_map")) {
    add(*prefix, StringMatcher::Kind::kPrefix);
  } else {
    TypedNode custom = OpenTyped(Field(Field(&tree, "custom_match"), "typed_config"));
    RbacMatcher::Outcome outcome;
    outcome.opaque = custom.type.empty() ? "of a matcher tree" : custom.type;
    matcher->fields.push_back({Opaque(outcome.opaque, tree, context), outcome});
  }
}

}  // namespace

std::shared_ptr<const RbacMatcher> ReadRbacMatcher(const Node& node, ReadContext* context) {
  auto matcher = std::make_shared<RbacMatcher>();
  for (const Node& field : ItemsField(Field(&node, "matcher_list"), "matchers")) {
    const Node* predicate = Field(&field, "predicate");
    const Node* on_match = Field(&field, "on_match");
    matcher->fields.push_back({predicate != nullptr
                                   ? ReadMatcherPredicate(*predicate, context)
                                   : Opaque("a matcher without a predicate", field, context),
                               ReadOutcome(on_match != nullptr ? *on_match : field, context)});
  }
  if (const Node* tree = Field(&node, "matcher_tree"))
    ReadMatcherTree(*tree, context, matcher.get());
  if (const Node* otherwise = Field(&node, "on_no_match")) {
    matcher->on_no_match = ReadOutcome(*otherwise, context);
  }
  return matcher;
}

RbacFilter ReadRbacFilter(const Node* config, ReadContext* context) {
  RbacFilter filter;
  if (const Node* rules = Field(config, "rules")) filter.rules = ReadRbac(*rules, context);
  if (const Node* shadow = Field(config, "shadow_rules")) {
    filter.shadow_rules = ReadRbac(*shadow, context);
  }
  if (const Node* matcher = Field(config, "matcher")) {
    filter.matcher = ReadRbacMatcher(*matcher, context);
  }
  if (const Node* matcher = Field(config, "shadow_matcher")) {
    filter.shadow_matcher = ReadRbacMatcher(*matcher, context);
  }
  filter.rules_stat_prefix = TextField(config, "rules_stat_prefix");
  filter.shadow_rules_stat_prefix = TextField(config, "shadow_rules_stat_prefix");
  filter.stat_prefix = TextField(config, "stat_prefix");
  return filter;
}

}  // namespace meshproof
