#include "proxy/emit_match.h"

#include "proxy/filter_names.h"

namespace meshproof {
namespace {

constexpr std::string_view kTypePrefix = "type.googleapis.com/";

}  // namespace

Json Lone(std::string key, Json value) {
  return Json::MakeObject({{std::move(key), std::move(value)}});
}

Json EmitNamed(std::string_view name, std::string_view type, Json config) {
  Json typed = Lone("@type", std::string(kTypePrefix) + std::string(type));
  if (config.is_object()) {
    for (auto& [key, value] : config.as_object()) typed.Set(key, std::move(value));
  }
  return Json::MakeObject({{"name", name}, {"typed_config", std::move(typed)}});
}

void SetUnlessEmpty(std::string_view key, const std::string& value, Json* object) {
  if (!value.empty()) object->Set(std::string(key), value);
}

void SetUnlessEmpty(std::string_view key, const std::vector<std::string>& values, Json* object) {
  if (values.empty()) return;
  Json array = Json::MakeArray();
  for (const std::string& value : values) array.Append(value);
  object->Set(std::string(key), std::move(array));
}

Json EmitString(const StringMatcher& matcher) {
  Json out = Json::MakeObject();
  switch (matcher.kind) {
    case StringMatcher::Kind::kExact:
      out.Set("exact", matcher.value);
      break;
    case StringMatcher::Kind::kPrefix:
      out.Set("prefix", matcher.value);
      break;
    case StringMatcher::Kind::kSuffix:
      out.Set("suffix", matcher.value);
      break;
    case StringMatcher::Kind::kContains:
      out.Set("contains", matcher.value);
      break;
    case StringMatcher::Kind::kRegex:
      out.Set("safe_regex", Lone("regex", matcher.value));
      break;
  }
  if (matcher.ignore_case) out.Set("ignore_case", true);
  return out;
}

Json EmitHeader(const HeaderMatcher& matcher) {
  Json out = Lone("name", matcher.name);
  switch (matcher.kind) {
    case HeaderMatcher::Kind::kString:
      out.Set("string_match", EmitString(matcher.string));
      break;
    case HeaderMatcher::Kind::kPresent:
      out.Set("present_match", matcher.present);
      break;
    case HeaderMatcher::Kind::kRange: {
      // 64-bit integers are strings in proto-JSON.
      Json range = Json::MakeObject();
      if (matcher.low != 0) range.Set("start", std::to_string(matcher.low));
      if (matcher.high != 0) range.Set("end", std::to_string(matcher.high));
      out.Set("range_match", std::move(range));
      break;
    }
  }
  if (matcher.invert) out.Set("invert_match", true);
  if (matcher.treat_missing_as_empty) out.Set("treat_missing_header_as_empty", true);
  return out;
}

namespace {

Json EmitValue(const ValueMatcher& value) {
  switch (value.kind) {
    case ValueMatcher::Kind::kNull:
      return Lone("null_match", Json::MakeObject());
    case ValueMatcher::Kind::kDoubleRange: {
      Json range = Json::MakeObject();
      if (value.low != 0) range.Set("start", value.low);
      if (value.high != 0) range.Set("end", value.high);
      return Lone("double_match", Lone("range", std::move(range)));
    }
    case ValueMatcher::Kind::kDouble:
      return Lone("double_match", Lone("exact", value.low));
    case ValueMatcher::Kind::kString:
      return Lone("string_match", EmitString(value.string));
    case ValueMatcher::Kind::kBool:
      return Lone("bool_match", value.boolean);
    case ValueMatcher::Kind::kPresent:
      return Lone("present_match", value.boolean);
    case ValueMatcher::Kind::kList:
      return Lone("list_match", Lone("one_of", EmitValue(value.children.front())));
    case ValueMatcher::Kind::kOr:
      break;
  }
  Json matchers = Json::MakeArray();
  for (const ValueMatcher& child : value.children) matchers.Append(EmitValue(child));
  return Lone("or_match", Lone("value_matchers", std::move(matchers)));
}

}  // namespace

Json EmitMetadata(const MetadataPredicate& predicate) {
  Json path = Json::MakeArray();
  for (const std::string& key : predicate.path) path.Append(Lone("key", key));
  Json out = Json::MakeObject({{"filter", predicate.filter},
                               {"path", std::move(path)},
                               {"value", EmitValue(predicate.value)}});
  if (predicate.invert) out.Set("invert", true);
  return out;
}

Json EmitCidr(std::string_view address_prefix, int length) {
  return Json::MakeObject({{"address_prefix", address_prefix}, {"prefix_len", length}});
}

namespace {

// The two spellings of the same tree.
struct Words {
  const char *all, *any, *negation, *list;
};
constexpr Words kPermission = {"and_rules", "or_rules", "not_rule", "rules"};
constexpr Words kPrincipal = {"and_ids", "or_ids", "not_id", "ids"};

class PredicateEmitter {
 public:
  explicit PredicateEmitter(const Words& words) : words_(words) {}

  Json Emit(const Predicate& predicate) const { return std::visit(*this, predicate.match); }
  Json EmitAll(const std::vector<Predicate>& predicates) const {
    Json array = Json::MakeArray();
    for (const Predicate& predicate : predicates) array.Append(Emit(predicate));
    return array;
  }

  Json operator()(const AnyPredicate&) const { return Lone("any", true); }
  Json operator()(const AndPredicate& match) const {
    return Lone(words_.all, Lone(words_.list, EmitAll(match.all)));
  }
  Json operator()(const OrPredicate& match) const {
    return Lone(words_.any, Lone(words_.list, EmitAll(match.any)));
  }
  Json operator()(const NotPredicate& match) const {
    return Lone(words_.negation, Emit(match.inner.front()));
  }
  Json operator()(const HeaderPredicate& match) const {
    return Lone("header", EmitHeader(match.header));
  }
  Json operator()(const UrlPathPredicate& match) const {
    return Lone("url_path", Lone("path", EmitString(match.path)));
  }
  Json operator()(const PathTemplatePredicate& match) const {
    return Lone("uri_template",
                EmitNamed("uri-template",
                          "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                          Lone("path_template", match.path_template)));
  }
  Json operator()(const AddressPredicate& match) const {
    return Lone(FieldName(match.field), EmitCidr(match.address_prefix, match.range.length));
  }
  Json operator()(const PortPredicate& match) const {
    if (match.end == match.begin + 1) return Lone("destination_port", match.begin);
    return Lone("destination_port_range",
                Json::MakeObject({{"start", match.begin}, {"end", match.end}}));
  }
  Json operator()(const ServerNamePredicate& match) const {
    return Lone("requested_server_name", EmitString(match.name));
  }
  Json operator()(const MetadataPredicate& match) const {
    return Lone("metadata", EmitMetadata(match));
  }
  Json operator()(const FilterStatePredicate& match) const {
    return Lone("filter_state",
                Json::MakeObject({{"key", match.key}, {"string_match", EmitString(match.value)}}));
  }
  Json operator()(const AuthenticatedPredicate& match) const {
    Json authenticated = Json::MakeObject();
    if (match.principal_name)
      authenticated.Set("principal_name", EmitString(*match.principal_name));
    return Lone("authenticated", std::move(authenticated));
  }
  Json operator()(const InputPredicate& match) const {
    return Lone("matcher", Json::MakeObject({{"name", InputName(match)},
                                             {"value_match", EmitString(match.value)}}));
  }
  // What could not be read cannot be written; only its name is known.
  Json operator()(const OpaquePredicate& match) const {
    return Lone("matcher", Lone("name", match.name));
  }

 private:
  static const char* FieldName(AddressField field) {
    switch (field) {
      case AddressField::kDestination:
        return "destination_ip";
      case AddressField::kDirectRemote:
        return "direct_remote_ip";
      case AddressField::kRemote:
        return "remote_ip";
      case AddressField::kSource:
        return "source_ip";
    }
    return "";
  }

  static std::string InputName(const InputPredicate& match) {
    switch (match.input) {
      case InputPredicate::Input::kHeader:
        return "header " + match.header;
      case InputPredicate::Input::kServerName:
        return "server name";
      case InputPredicate::Input::kUriSan:
        return "URI SAN";
      case InputPredicate::Input::kDnsSan:
        return "DNS SAN";
      case InputPredicate::Input::kSubject:
        return "subject";
    }
    return "";
  }

  const Words& words_;
};

Json EmitRbac(const Rbac& rbac) {
  Json out = Json::MakeObject();
  if (rbac.action == Rbac::Action::kDeny) out.Set("action", "DENY");
  if (rbac.action == Rbac::Action::kLog) out.Set("action", "LOG");
  if (rbac.policies.empty()) return out;
  Json policies = Json::MakeObject();
  for (const auto& policy : rbac.policies) {
    policies.Set(policy->name,
                 Json::MakeObject(
                     {{"permissions", PredicateEmitter(kPermission).EmitAll(policy->permissions)},
                      {"principals", PredicateEmitter(kPrincipal).EmitAll(policy->principals)}}));
  }
  out.Set("policies", std::move(policies));
  return out;
}

const char* ActionName(Rbac::Action action) {
  switch (action) {
    case Rbac::Action::kAllow:
      return "ALLOW";
    case Rbac::Action::kDeny:
      return "DENY";
    case Rbac::Action::kLog:
      return "LOG";
  }
  return "";
}

// A normal form: predicates as RBAC permissions, actions by name.
Json EmitMatcher(const RbacMatcher& matcher) {
  const auto outcome = [](const RbacMatcher::Outcome& given) {
    if (given.nested != nullptr) return Lone("matcher", EmitMatcher(*given.nested));
    if (!given.opaque.empty()) return Lone("action", Lone("name", given.opaque));
    return Lone("action",
                Json::MakeObject({{"name", given.name}, {"action", ActionName(given.action)}}));
  };
  Json fields = Json::MakeArray();
  for (const RbacMatcher::Field& field : matcher.fields) {
    fields.Append(
        Json::MakeObject({{"predicate", PredicateEmitter(kPermission).Emit(field.predicate)},
                          {"on_match", outcome(field.outcome)}}));
  }
  Json out = Lone("matcher_list", Lone("matchers", std::move(fields)));
  if (matcher.on_no_match) out.Set("on_no_match", outcome(*matcher.on_no_match));
  return out;
}

}  // namespace

Json EmitRbacFilter(const RbacFilter& filter, bool network) {
  Json config = Json::MakeObject();
  if (filter.rules) config.Set("rules", EmitRbac(*filter.rules));
  if (filter.shadow_rules) config.Set("shadow_rules", EmitRbac(*filter.shadow_rules));
  SetUnlessEmpty("rules_stat_prefix", filter.rules_stat_prefix, &config);
  SetUnlessEmpty("shadow_rules_stat_prefix", filter.shadow_rules_stat_prefix, &config);
  SetUnlessEmpty("stat_prefix", filter.stat_prefix, &config);
  if (filter.matcher != nullptr) config.Set("matcher", EmitMatcher(*filter.matcher));
  if (filter.shadow_matcher != nullptr) {
    config.Set("shadow_matcher", EmitMatcher(*filter.shadow_matcher));
  }
  const auto name = [&filter](std::string_view usual) {
    return filter.name.empty() ? std::string(usual) : filter.name;
  };
  Json out = network ? EmitNamed(name(kNetworkRbac),
                                 "envoy.extensions.filters.network.rbac.v3.RBAC", std::move(config))
                     : EmitNamed(name("envoy.filters.http.rbac"),
                                 "envoy.extensions.filters.http.rbac.v3.RBAC", std::move(config));
  if (filter.disabled) out.Set("disabled", true);
  return out;
}

}  // namespace meshproof
