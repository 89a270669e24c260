// RBAC permissions and principals on one request. Envoy evaluates both alike; a missing value makes
// a condition false and its negation true, and a repeated header is tried value by value
// (envoy-facts sections 1.2 and 1.3). What is not known of the request (an address known as a
// range, a value that the proxy makes up, an extension that cannot be seen through) makes the
// condition unknown, and the three values combine as in Kleene's logic.

#include "simulate/predicate.h"

#include <charconv>

#include "base/text.h"
#include "match/path.h"
#include "proxy/filter_names.h"

namespace meshproof {
namespace {

constexpr std::string_view kJwtFilter = "envoy.filters.http.jwt_authn";
constexpr std::string_view kHttpRbac = "envoy.filters.http.rbac";
constexpr std::string_view kIstioAuthn = "istio_authn";

void Note(std::vector<std::string>* unknown, std::string reason) {
  if (unknown == nullptr) return;
  for (const auto& known : *unknown) {
    if (known == reason) return;
  }
  unknown->push_back(std::move(reason));
}

struct AddressView {
  const Address* address = nullptr;  // null: no IP address there
  std::string_view name;
};

AddressView AddressOf(AddressField field, const Stream& stream, FilterLevel level) {
  const Connection& connection = stream.request->connection;
  switch (field) {
    case AddressField::kDestination:
      return {&connection.destination, "the destination address"};
    case AddressField::kDirectRemote:
      return {stream.direct_peer_has_ip ? &connection.source : nullptr, "the caller's address"};
    case AddressField::kSource:
      return {&connection.source, "the caller's address"};
    case AddressField::kRemote:
      if (level == FilterLevel::kNetwork) return {&connection.source, "the caller's address"};
      return {&stream.remote, "the client's address"};
  }
  return {};
}

Truth EvaluateAddress(const AddressPredicate& predicate, const Stream& stream, FilterLevel level,
                      std::vector<std::string>* unknown) {
  AddressView view = AddressOf(predicate.field, stream, level);
  if (view.address == nullptr) return Truth::kFalse;
  if (const auto* ip = std::get_if<IpAddress>(&view.address->value)) {
    return ToTruth(predicate.range.Contains(*ip));
  }
  if (const auto* block = std::get_if<CidrRange>(&view.address->value)) {
    if (predicate.range.Contains(*block)) return Truth::kTrue;
    if (!predicate.range.Overlaps(*block)) return Truth::kFalse;
    if (unknown != nullptr) {
      Note(unknown, std::string(view.name) + " is known only as " + ToString(*view.address) +
                        ", which " + ToString(predicate.range) + " cuts");
    }
    return Truth::kUnknown;
  }
  if (unknown != nullptr) {
    Note(unknown, std::string(view.name) + " is not known (a rule asks whether it is in " +
                      ToString(predicate.range) + ")");
  }
  return Truth::kUnknown;
}

Truth EvaluateAuthenticated(const AuthenticatedPredicate& predicate, const Stream& stream) {
  if (!stream.tls) return Truth::kFalse;
  if (!predicate.principal_name) return Truth::kTrue;
  return ToTruth(AnyPeerName(stream.certificate, [&](std::string_view name) {
    return predicate.principal_name->Matches(name);
  }));
}

// The value of a pseudo header, or of `host`, which stands for `:authority`.
bool PseudoHeader(std::string_view name, const HeaderMap& headers, HeaderMap::Entry* entry) {
  entry->name = name;
  if (name == ":authority" || name == "host") {
    entry->value = headers.authority;
    return headers.has_authority;
  }
  if (name == ":path") {
    entry->value = headers.path;
    return headers.has_path;
  }
  if (name == ":method") {
    entry->value = headers.method;
    return true;
  }
  if (name == ":scheme") {
    entry->value = headers.scheme;
    return true;
  }
  return false;
}

// absl::SimpleAtoi: blanks around and a sign are accepted.
std::optional<int64_t> ParseInteger(std::string_view text) {
  text = TrimSpace(text);
  if (text.starts_with('+')) {
    text.remove_prefix(1);
    if (text.starts_with('-')) return std::nullopt;
  }
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

bool MatchesValue(const HeaderMatcher& matcher, std::string_view value) {
  if (matcher.kind == HeaderMatcher::Kind::kString) return matcher.string.Matches(value);
  auto number = ParseInteger(value);
  return number && *number >= matcher.low && *number < matcher.high;
}

constexpr std::string_view kAddressCharacters = "0123456789abcdef.:";

bool MayBeAddressPart(std::string_view text) {
  return text.find_first_not_of(kAddressCharacters) == std::string_view::npos;
}

// Divides before the characters of an address at the end.
std::pair<std::string_view, std::string_view> DivideBeforeAddress(std::string_view text) {
  size_t begin = text.find_last_not_of(kAddressCharacters) + 1;  // npos + 1 is 0
  return {text.substr(0, begin), text.substr(begin)};
}

// Whether `known` followed by an address, or by the rest of one, matches.
Truth MatchesBeforeAddress(const StringMatcher& matcher, std::string_view wanted,
                           std::string_view known) {
  const auto possible = [](bool it_is) { return it_is ? Truth::kUnknown : Truth::kFalse; };
  const auto reaches_into_address = [&] {
    auto [wanted_head, wanted_tail] = DivideBeforeAddress(wanted);
    auto [known_head, known_tail] = DivideBeforeAddress(known);
    return wanted_head.empty() ||
           (known_head.ends_with(wanted_head) && wanted_tail.starts_with(known_tail));
  };
  switch (matcher.kind) {
    case StringMatcher::Kind::kExact:
      return possible(wanted.size() > known.size() && wanted.starts_with(known) &&
                      MayBeAddressPart(wanted.substr(known.size())));
    case StringMatcher::Kind::kPrefix:
      if (known.starts_with(wanted)) return Truth::kTrue;
      return possible(wanted.starts_with(known) && MayBeAddressPart(wanted.substr(known.size())));
    case StringMatcher::Kind::kContains:
      if (known.find(wanted) != std::string_view::npos) return Truth::kTrue;
      return possible(reaches_into_address());
    case StringMatcher::Kind::kSuffix:
      return wanted.empty() ? Truth::kTrue : possible(reaches_into_address());
    case StringMatcher::Kind::kRegex:
      break;
  }
  return Truth::kUnknown;
}

// Whether a value that the proxy makes up matches: it is not empty, a request id is a UUID in lower
// case, and X-Forwarded-For ends in the peer's address.
Truth MatchesOpaque(const HeaderMatcher& matcher, const HeaderMap::Entry& entry) {
  if (matcher.kind != HeaderMatcher::Kind::kString) return Truth::kUnknown;
  const StringMatcher& string = matcher.string;
  if (string.kind == StringMatcher::Kind::kRegex) {
    return string.value == ".+" || string.value == ".*" ? Truth::kTrue : Truth::kUnknown;
  }
  std::string wanted = string.ignore_case ? ToLower(string.value) : string.value;
  if (entry.name == "x-forwarded-for" || entry.name == "x-envoy-external-address") {
    return MatchesBeforeAddress(
        string, wanted, string.ignore_case ? ToLower(entry.value) : std::string(entry.value));
  }
  if (entry.name != "x-request-id") return Truth::kUnknown;
  constexpr size_t kUuidLength = 36;
  bool possible = wanted.size() <= kUuidLength &&
                  wanted.find_first_not_of("0123456789abcdef-") == std::string::npos &&
                  (string.kind != StringMatcher::Kind::kExact || wanted.size() == kUuidLength);
  return possible ? Truth::kUnknown : Truth::kFalse;
}

struct HeaderResult {
  bool present = false;
  Truth matched = Truth::kFalse;  // some value matches
};

HeaderResult TryValues(const HeaderMatcher& matcher, std::string_view name,
                       const HeaderMap& headers) {
  HeaderResult result;
  bool value_needed = matcher.kind != HeaderMatcher::Kind::kPresent;
  if (name.starts_with(':') || name == "host") {
    HeaderMap::Entry pseudo;
    result.present = PseudoHeader(name, headers, &pseudo);
    if (result.present && value_needed)
      result.matched = ToTruth(MatchesValue(matcher, pseudo.value));
    return result;
  }
  for (const auto& entry : headers.entries()) {
    if (entry.name != name) continue;
    result.present = true;
    if (!value_needed) return result;
    Truth matched =
        entry.opaque ? MatchesOpaque(matcher, entry) : ToTruth(MatchesValue(matcher, entry.value));
    if (matched != Truth::kFalse) result.matched = matched;
    if (matched == Truth::kTrue) return result;
  }
  return result;
}

// What Istio's former filter `istio_authn` left in its metadata: the peer's principal without its
// scheme, and of a verified token its principal and claims.
bool FindIstioAuthn(const MetadataPredicate& predicate, const Stream& stream, Json* made) {
  const std::string& key = predicate.path[0];
  if (key == "source.principal" || key == "source.namespace" || key == "source.user") {
    if (stream.certificate == nullptr || stream.certificate->uri_sans.empty()) return false;
    std::string_view peer = stream.certificate->uri_sans.front();
    constexpr std::string_view kScheme = "spiffe://";
    if (peer.starts_with(kScheme)) peer.remove_prefix(kScheme.size());
    if (key == "source.namespace") {
      auto parts = Split(peer, '/');
      if (parts.size() < 3 || parts[1] != "ns") return false;
      peer = parts[2];
    }
    *made = Json(peer);
    return true;
  }
  if (!stream.jwt_payload) return false;
  auto claim = [&](std::string_view name) {
    const Json* value = stream.jwt_payload->Find(name);
    return value != nullptr && value->is_string() ? value->as_string() : std::string();
  };
  if (key == "request.auth.principal") {
    if (claim("iss").empty() || claim("sub").empty()) return false;
    *made = Json(claim("iss") + "/" + claim("sub"));
    return true;
  }
  if (key == "request.auth.presenter" && !claim("azp").empty()) {
    *made = Json(claim("azp"));
    return true;
  }
  const Json* value = nullptr;
  if (key == "request.auth.audiences") value = stream.jwt_payload->Find("aud");
  if (key == "request.auth.claims" && predicate.path.size() == 2) {
    value = stream.jwt_payload->Find(predicate.path[1]);
  }
  if (value == nullptr) return false;
  // Claims became lists of texts, single ones too; scopes were cut at their blanks.
  Json list = Json::MakeArray();
  if (value->is_string()) {
    for (std::string_view part : Split(value->as_string(), ' ')) list.Append(Json(part));
  } else if (value->is_array()) {
    list = *value;
  } else {
    return false;
  }
  *made = std::move(list);
  return true;
}

// The value at a path of the metadata of one filter; null where there is none.
const Json* FindMetadata(const MetadataPredicate& predicate, Stream& stream, FilterLevel level,
                         Json* made) {
  if (predicate.path.empty()) return nullptr;
  if (level == FilterLevel::kHttp && predicate.filter == kJwtFilter) {
    if (!stream.jwt_payload || predicate.path[0] != "payload") return nullptr;
    const Json* value = &*stream.jwt_payload;
    for (size_t i = 1; i < predicate.path.size(); ++i) {
      value = value->Find(predicate.path[i]);
      if (value == nullptr) return nullptr;
    }
    return value;
  }
  if (predicate.filter == kIstioAuthn && stream.istio_authn) {
    return FindIstioAuthn(predicate, stream, made) ? made : nullptr;
  }
  const std::pmr::vector<RbacMetadata>* rbac = nullptr;
  if (predicate.filter == kHttpRbac) rbac = &stream.http_rbac;
  if (predicate.filter == kNetworkRbac) rbac = &stream.network_rbac;
  if (rbac == nullptr || predicate.path.size() != 1) return nullptr;
  for (const auto& entry : *rbac) {
    std::string_view key = predicate.path[0];
    if (key.starts_with(entry.prefix) && key.substr(entry.prefix.size()) == entry.key) {
      *made = Json(entry.value);
      return made;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<std::string_view> PeerNames(const Certificate* certificate) {
  std::vector<std::string_view> names;
  AnyPeerName(certificate, [&](std::string_view name) {
    names.push_back(name);
    return false;
  });
  return names;
}

Truth Evaluate(const HeaderMatcher& matcher, Stream& stream, std::vector<std::string>* unknown) {
  std::string lower;
  std::string_view name = matcher.name;
  for (char c : name) {
    if (c >= 'A' && c <= 'Z') {
      lower = ToLower(name);
      name = lower;
      break;
    }
  }
  HeaderResult result = TryValues(matcher, name, stream.headers);
  if (matcher.kind == HeaderMatcher::Kind::kPresent) {
    bool present = result.present || matcher.treat_missing_as_empty;
    return ToTruth((present == matcher.present) != matcher.invert);
  }
  if (!result.present) {
    if (!matcher.treat_missing_as_empty) return Truth::kFalse;
    return ToTruth(MatchesValue(matcher, "") != matcher.invert);
  }
  if (result.matched == Truth::kUnknown && unknown != nullptr) {
    Note(unknown, "the value of header " + std::string(name) + " is made by the proxy");
  }
  return matcher.invert ? Not(result.matched) : result.matched;
}

bool Matches(const ValueMatcher& matcher, const Json& value) {
  switch (matcher.kind) {
    case ValueMatcher::Kind::kNull:
      return value.is_null();
    case ValueMatcher::Kind::kDouble:
      return value.is_number() && value.as_double() == matcher.low;
    case ValueMatcher::Kind::kDoubleRange:
      return value.is_number() && value.as_double() >= matcher.low &&
             value.as_double() < matcher.high;
    case ValueMatcher::Kind::kString:
      return value.is_string() && matcher.string.Matches(value.as_string());
    case ValueMatcher::Kind::kBool:
      return value.is_bool() && value.as_bool() == matcher.boolean;
    case ValueMatcher::Kind::kPresent:
      return matcher.boolean;  // the value is there, an explicit null too
    case ValueMatcher::Kind::kList:
      if (!value.is_array()) return false;
      for (const auto& element : value.as_array()) {
        for (const auto& one_of : matcher.children) {
          if (Matches(one_of, element)) return true;
        }
      }
      return false;
    case ValueMatcher::Kind::kOr:
      for (const auto& child : matcher.children) {
        if (Matches(child, value)) return true;
      }
      return false;
  }
  return false;
}

Truth Evaluate(const MetadataPredicate& predicate, Stream& stream, FilterLevel level,
               std::vector<std::string>* unknown) {
  Json made;
  const Json* value = FindMetadata(predicate, stream, level, &made);
  if (value == nullptr && stream.opaque_filter_seen) {
    Note(unknown, "metadata " + predicate.filter + " may be set by a filter that cannot be seen " +
                      "through");
    return Truth::kUnknown;
  }
  return ToTruth((value != nullptr && Matches(predicate.value, *value)) != predicate.invert);
}

namespace {

// Evaluates one alternative of the variant; the three connectives stop at the first child that
// settles them.
struct Evaluator {
  Stream& stream;
  FilterLevel level;
  std::vector<std::string>* unknown;

  Truth Child(const Predicate& predicate) const {
    return Evaluate(predicate, stream, level, unknown);
  }

  Truth operator()(const AnyPredicate&) const { return Truth::kTrue; }
  Truth operator()(const AndPredicate& predicate) const {
    Truth result = Truth::kTrue;
    for (const auto& child : predicate.all) {
      Truth value = Child(child);
      if (value == Truth::kFalse) return value;
      if (value == Truth::kUnknown) result = value;
    }
    return result;
  }
  Truth operator()(const OrPredicate& predicate) const {
    Truth result = Truth::kFalse;
    for (const auto& child : predicate.any) {
      Truth value = Child(child);
      if (value == Truth::kTrue) return value;
      if (value == Truth::kUnknown) result = value;
    }
    return result;
  }
  Truth operator()(const NotPredicate& predicate) const {
    return predicate.inner.empty() ? Truth::kFalse : Not(Child(predicate.inner.front()));
  }
  Truth operator()(const HeaderPredicate& predicate) const {
    if (level == FilterLevel::kNetwork) return Truth::kFalse;
    return Evaluate(predicate.header, stream, unknown);
  }
  Truth operator()(const UrlPathPredicate& predicate) const {
    if (level == FilterLevel::kNetwork || !stream.headers.has_path) return Truth::kFalse;
    return ToTruth(predicate.path.Matches(PathWithoutQuery(stream.headers.path)));
  }
  Truth operator()(const PathTemplatePredicate& predicate) const {
    if (level == FilterLevel::kNetwork || !stream.headers.has_path || !predicate.regex) {
      return Truth::kFalse;
    }
    return ToTruth(predicate.regex.FullMatch(PathWithoutQuery(stream.headers.path)));
  }
  Truth operator()(const AddressPredicate& predicate) const {
    return EvaluateAddress(predicate, stream, level, unknown);
  }
  Truth operator()(const PortPredicate& predicate) const {
    uint32_t port = stream.request->connection.destination_port;
    return ToTruth(port >= predicate.begin && port < predicate.end);
  }
  Truth operator()(const ServerNamePredicate& predicate) const {
    return ToTruth(predicate.name.Matches(stream.server_name));
  }
  Truth operator()(const MetadataPredicate& predicate) const {
    return Evaluate(predicate, stream, level, unknown);
  }
  Truth operator()(const FilterStatePredicate& predicate) const {
    if (predicate.key != kPeerPrincipal) {
      if (!stream.opaque_filter_seen) return Truth::kFalse;
      Note(unknown, "filter state " + predicate.key + " may be set by a filter that cannot be " +
                        "seen through");
      return Truth::kUnknown;
    }
    // Filter state holds the peer where a tunnel has ended, and in proxies of the time when the
    // network filter istio_authn put it there; elsewhere the object is absent.
    if (!stream.tunnel_peer.empty()) return ToTruth(predicate.value.Matches(stream.tunnel_peer));
    if (!stream.istio_authn || stream.certificate == nullptr ||
        stream.certificate->uri_sans.empty()) {
      return Truth::kFalse;
    }
    return ToTruth(predicate.value.Matches(stream.certificate->uri_sans.front()));
  }
  Truth operator()(const AuthenticatedPredicate& predicate) const {
    return EvaluateAuthenticated(predicate, stream);
  }
  // An input without a value matches nothing.
  Truth operator()(const InputPredicate& predicate) const {
    using Input = InputPredicate::Input;
    auto joined = [](const std::vector<std::string>& names) { return Join(names, ","); };
    switch (predicate.input) {
      case Input::kHeader: {
        if (level == FilterLevel::kNetwork) return Truth::kFalse;
        std::string name = ToLower(predicate.header);
        HeaderMap::Entry pseudo;
        if (name.starts_with(':') || name == "host") {
          return ToTruth(PseudoHeader(name, stream.headers, &pseudo) &&
                         predicate.value.Matches(pseudo.value));
        }
        const HeaderMap::Entry* entry = stream.headers.Find(name);
        if (entry == nullptr) return Truth::kFalse;
        if (entry->opaque) {
          Note(unknown, "the value of header " + name + " is made by the proxy");
          return Truth::kUnknown;
        }
        return ToTruth(predicate.value.Matches(stream.headers.Joined(name)));
      }
      case Input::kServerName:
        return ToTruth(!stream.server_name.empty() && predicate.value.Matches(stream.server_name));
      case Input::kUriSan:
      case Input::kDnsSan:
      case Input::kSubject:
        break;
    }
    if (stream.certificate == nullptr) return Truth::kFalse;
    const Certificate& certificate = *stream.certificate;
    std::string text = predicate.input == Input::kUriSan   ? joined(certificate.uri_sans)
                       : predicate.input == Input::kDnsSan ? joined(certificate.dns_sans)
                                                           : certificate.subject;
    return ToTruth(!text.empty() && predicate.value.Matches(text));
  }
  Truth operator()(const OpaquePredicate& predicate) const {
    Note(unknown, "condition " + predicate.name + " cannot be seen through");
    return Truth::kUnknown;
  }
};

std::string ShowMetadata(const MetadataPredicate& predicate, Stream& stream, FilterLevel level) {
  Json made;
  const Json* value = FindMetadata(predicate, stream, level, &made);
  if (value == nullptr) {
    return predicate.filter == kJwtFilter ? (stream.jwt_payload ? "(no such claim)" : "(no token)")
                                          : "(no such metadata)";
  }
  return value->is_string() ? value->as_string() : WriteJson(*value);
}

std::string ShowHeader(std::string_view written, Stream& stream) {
  std::string name = ToLower(written);
  HeaderMap::Entry pseudo;
  if (name.starts_with(':') || name == "host") {
    return PseudoHeader(name, stream.headers, &pseudo) ? std::string(pseudo.value)
                                                       : "(no such header)";
  }
  std::string shown;
  bool present = false;
  for (const auto& entry : stream.headers.entries()) {
    if (entry.name != name) continue;
    if (present) shown += ", ";
    shown += entry.opaque ? "(made by the proxy)" : std::string(entry.value);
    present = true;
  }
  return present ? shown : "(no such header)";
}

std::string ShowPeer(const Stream& stream) {
  if (!stream.tunnel_peer.empty()) return std::string(stream.tunnel_peer);
  if (!stream.tls) return "(plaintext, no identity)";
  if (stream.certificate == nullptr) return "(no client certificate)";
  std::string shown;
  for (std::string_view name : PeerNames(stream.certificate)) {
    if (name.empty()) continue;
    if (!shown.empty()) shown += ", ";
    shown += name;
  }
  return shown.empty() ? "(a certificate without names)" : shown;
}

const Predicate* FirstLeaf(const Predicate& predicate) {
  const std::vector<Predicate>* children = nullptr;
  if (const auto* both = std::get_if<AndPredicate>(&predicate.match)) children = &both->all;
  if (const auto* either = std::get_if<OrPredicate>(&predicate.match)) children = &either->any;
  if (const auto* negated = std::get_if<NotPredicate>(&predicate.match)) children = &negated->inner;
  if (children == nullptr) return &predicate;
  return children->empty() ? nullptr : FirstLeaf(children->front());
}

}  // namespace

Truth Evaluate(const Predicate& predicate, Stream& stream, FilterLevel level,
               std::vector<std::string>* unknown) {
  return std::visit(Evaluator{stream, level, unknown}, predicate.match);
}

std::string ShownTo(const Predicate& predicate, Stream& stream, FilterLevel level) {
  const Predicate* leaf = FirstLeaf(predicate);
  if (leaf == nullptr) return "";
  const auto& match = leaf->match;
  if (const auto* header = std::get_if<HeaderPredicate>(&match)) {
    return ShowHeader(header->header.name, stream);
  }
  if (std::holds_alternative<UrlPathPredicate>(match) ||
      std::holds_alternative<PathTemplatePredicate>(match)) {
    return std::string(PathWithoutQuery(stream.headers.path));
  }
  if (const auto* address = std::get_if<AddressPredicate>(&match)) {
    AddressView view = AddressOf(address->field, stream, level);
    return view.address == nullptr ? "(no address)" : ToString(*view.address);
  }
  if (std::holds_alternative<PortPredicate>(match)) {
    return std::to_string(stream.request->connection.destination_port);
  }
  if (std::holds_alternative<ServerNamePredicate>(match)) {
    return stream.server_name.empty() ? "(no SNI)" : stream.server_name;
  }
  if (const auto* metadata = std::get_if<MetadataPredicate>(&match)) {
    return ShowMetadata(*metadata, stream, level);
  }
  if (std::holds_alternative<AuthenticatedPredicate>(match) ||
      std::holds_alternative<FilterStatePredicate>(match)) {
    return ShowPeer(stream);
  }
  return "";
}

std::string WrittenValues(const Predicate& predicate) {
  if (!predicate.written.empty()) return predicate.written;
  const std::vector<Predicate>* children = nullptr;
  if (const auto* both = std::get_if<AndPredicate>(&predicate.match)) children = &both->all;
  if (const auto* either = std::get_if<OrPredicate>(&predicate.match)) children = &either->any;
  if (const auto* negated = std::get_if<NotPredicate>(&predicate.match)) children = &negated->inner;
  if (children == nullptr) return "";
  std::string values;
  for (const auto& child : *children) {
    std::string written = WrittenValues(child);
    if (written.empty()) continue;
    if (!values.empty()) values += ", ";
    values += written;
  }
  return values;
}

}  // namespace meshproof
