#include "proxy/emit_match.h"

namespace meshproof {
namespace {

constexpr std::string_view kTypePrefix = "type.googleapis.com/";

Json Object(std::string key, Json value) {
  return Json::MakeObject({{std::move(key), std::move(value)}});
}

}  // namespace

Json EmitNamed(std::string_view name, std::string_view type, Json config) {
  Json typed = Object("@type", std::string(kTypePrefix) + std::string(type));
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
      out.Set("safe_regex", Object("regex", matcher.value));
      break;
  }
  if (matcher.ignore_case) out.Set("ignore_case", true);
  return out;
}

Json EmitHeader(const HeaderMatcher& matcher) {
  Json out = Object("name", matcher.name);
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
      return Object("null_match", Json::MakeObject());
    case ValueMatcher::Kind::kDoubleRange: {
      Json range = Json::MakeObject();
      if (value.low != 0) range.Set("start", value.low);
      if (value.high != 0) range.Set("end", value.high);
      return Object("double_match", Object("range", std::move(range)));
    }
    case ValueMatcher::Kind::kDouble:
      return Object("double_match", Object("exact", value.low));
    case ValueMatcher::Kind::kString:
      return Object("string_match", EmitString(value.string));
    case ValueMatcher::Kind::kBool:
      return Object("bool_match", value.boolean);
    case ValueMatcher::Kind::kPresent:
      return Object("present_match", value.boolean);
    case ValueMatcher::Kind::kList:
      return Object("list_match", Object("one_of", EmitValue(value.children.front())));
    case ValueMatcher::Kind::kOr:
      break;
  }
  Json matchers = Json::MakeArray();
  for (const ValueMatcher& child : value.children) matchers.Append(EmitValue(child));
  return Object("or_match", Object("value_matchers", std::move(matchers)));
}

}  // namespace

Json EmitMetadata(const MetadataPredicate& predicate) {
  Json path = Json::MakeArray();
  for (const std::string& key : predicate.path) path.Append(Object("key", key));
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

  Json operator()(const AnyPredicate&) const { return Object("any", true); }
  Json operator()(const AndPredicate& match) const {
    return Object(words_.all, Object(words_.list, EmitAll(match.all)));
  }
  Json operator()(const OrPredicate& match) const {
    return Object(words_.any, Object(words_.list, EmitAll(match.any)));
  }
  Json operator()(const NotPredicate& match) const {
    return Object(words_.negation, Emit(match.inner.front()));
  }
  Json operator()(const HeaderPredicate& match) const {
    return Object("header", EmitHeader(match.header));
  }
  Json operator()(const UrlPathPredicate& match) const {
    return Object("url_path", Object("path", EmitString(match.path)));
  }
  Json operator()(const PathTemplatePredicate& match) const {
    return Object("uri_template",
                  EmitNamed("uri-template",
                            "envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig",
                            Object("path_template", match.path_template)));
  }
  Json operator()(const AddressPredicate& match) const {
    return Object(FieldName(match.field), EmitCidr(match.address_prefix, match.range.length));
  }
  Json operator()(const PortPredicate& match) const {
    if (match.end == match.begin + 1) return Object("destination_port", match.begin);
    return Object("destination_port_range",
                  Json::MakeObject({{"start", match.begin}, {"end", match.end}}));
  }
  Json operator()(const ServerNamePredicate& match) const {
    return Object("requested_server_name", EmitString(match.name));
  }
  Json operator()(const MetadataPredicate& match) const {
    return Object("metadata", EmitMetadata(match));
  }
  Json operator()(const FilterStatePredicate& match) const {
    return Object("filter_state", Json::MakeObject({{"key", match.key},
                                                    {"string_match", EmitString(match.value)}}));
  }
  Json operator()(const AuthenticatedPredicate& match) const {
    Json authenticated = Json::MakeObject();
    if (match.principal_name)
      authenticated.Set("principal_name", EmitString(*match.principal_name));
    return Object("authenticated", std::move(authenticated));
  }
  Json operator()(const InputPredicate& match) const {
    return Object("matcher", Json::MakeObject({{"name", InputName(match)},
                                               {"value_match", EmitString(match.value)}}));
  }
  // What could not be read cannot be written; only its name is known.
  Json operator()(const OpaquePredicate& match) const {
    return Object("matcher", Object("name", match.name));
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
    if (given.nested != nullptr) return Object("matcher", EmitMatcher(*given.nested));
    if (!given.opaque.empty()) return Object("action", Object("name", given.opaque));
    return Object("action",
                  Json::MakeObject({{"name", given.name}, {"action", ActionName(given.action)}}));
  };
  Json fields = Json::MakeArray();
  for (const RbacMatcher::Field& field : matcher.fields) {
    fields.Append(
        Json::MakeObject({{"predicate", PredicateEmitter(kPermission).Emit(field.predicate)},
                          {"on_match", outcome(field.outcome)}}));
  }
  Json out = Object("matcher_list", Object("matchers", std::move(fields)));
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
  const auto name = [&filter](const char* usual) {
    return filter.name.empty() ? std::string(usual) : filter.name;
  };
  Json out = network ? EmitNamed(name("envoy.filters.network.rbac"),
                                 "envoy.extensions.filters.network.rbac.v3.RBAC", std::move(config))
                     : EmitNamed(name("envoy.filters.http.rbac"),
                                 "envoy.extensions.filters.http.rbac.v3.RBAC", std::move(config));
  if (filter.disabled) out.Set("disabled", true);
  return out;
}

}  // namespace meshproof
