#pragma once

#include <array>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "proxy/filter_names.h"
#include "proxy/string_class.h"
#include "reason/model.h"
#include "simulate/filter_chain.h"

// How PortModel makes its expressions; nobody else includes this. One file each: translate_survey,
// _fields, _conditions, _filters, _routes, _sides, _regions.
namespace meshproof {

inline constexpr std::string_view kJwtFilter = "envoy.filters.http.jwt_authn";
inline constexpr std::string_view kHttpRbac = "envoy.filters.http.rbac";

// Without QUERY, which wants a body, and CONNECT, which has no path.
inline constexpr std::array<const char*, 33> kHttp1Methods = {
    "GET",       "POST",       "PUT",        "DELETE",   "PATCH",      "HEAD",    "OPTIONS",
    "TRACE",     "ACL",        "BIND",       "CHECKOUT", "COPY",       "LINK",    "LOCK",
    "MERGE",     "MKACTIVITY", "MKCALENDAR", "MKCOL",    "MOVE",       "MSEARCH", "NOTIFY",
    "PROPFIND",  "PROPPATCH",  "PURGE",      "REBIND",   "REPORT",     "SEARCH",  "SOURCE",
    "SUBSCRIBE", "UNBIND",     "UNLINK",     "UNLOCK",   "UNSUBSCRIBE"};

// The place of a field in the diagrams.
enum FieldOrder {
  kPathOrder,
  kMethodOrder,
  kHostOrder,
  kTransportOrder,
  kIdentityOrder,
  kIssuerOrder,
  kSubjectOrder,
  kClaimOrder,
  kHeaderOrder,
  kAddressOrder,
  kServerNameOrder,
  kFlagOrder
};

inline std::string QuotedForRegex(std::string_view text) {
  return QuoteGoRegex(text);
}

StringPattern ToPattern(const StringMatcher& matcher);

// Builds the expressions of all sides and of regions.
struct PortModel::Translator {
  using Field = Space::FieldId;

  explicit Translator(PortModel* m) : model(*m), space(m->space_) {}

  // Fields, made when they are first asked for.
  Field Transport_();
  Expr TransportIs(size_t index) { return space.IsChoice(Transport_(), index); }
  Expr SecurityIs(Transport::Security security);
  Field Identity();
  void AddCallers();
  Field Path();
  Field Method();
  Field Host();
  Field ServerName();
  Field Issuer();
  Field Subject();
  Field Claim(const std::vector<std::string>& names);
  Field HeaderField(const std::string& name);
  Field Source();
  Field Remote();
  Expr Flag(const std::string& name);
  Expr Opaque(const std::string& key, const std::string& reason);
  Expr Text(Field field, const StringPattern& pattern, int rank = 2);

  // What the conditions of one chain are evaluated in.
  struct Scope {
    bool http = true;
    bool tls = false;   // the chain ends TLS
    bool asks = false;  // and asks for a certificate
    bool remote_is_source = false;
    bool waypoint = false;
    Expr payload = kNever;  // claims of a verified token stand in the metadata
    const JwtFilter* jwt = nullptr;
    const SideModel* side = nullptr;
    const Mesh* mesh = nullptr;
    int port = 0;
  };

  Expr IdentityText(const StringMatcher& matcher);
  Expr Peer(const std::optional<StringMatcher>& name, const Scope& scope);
  Expr HostText(StringPattern pattern);
  bool FromToken(const std::string& name, const Scope& scope) const;
  Expr Header(const HeaderMatcher& matcher, const Scope& scope);
  static bool StringAlternatives(const ValueMatcher& value, std::vector<StringMatcher>* out);
  static bool ClaimAlternatives(const ValueMatcher& value, std::vector<StringMatcher>* out);
  Expr Metadata(const MetadataPredicate& predicate, const Scope& scope);
  Expr ClaimLeaf(const MetadataPredicate& predicate, const Scope& scope);
  Expr AddressIn(const AddressPredicate& predicate, const Scope& scope);
  Expr Translate(const Predicate& predicate, const Scope& scope);
  Expr PathText(const StringPattern& pattern, const StringMatcher& matcher);
  void AddTemplateSample(std::string_view text);

  // Routes of a gateway; `found` gets the requests that any takes.
  Expr DomainMatches(std::string_view written, bool ignore_port);
  Expr RouteMatches(const RouteMatch& match, const Scope& scope);
  Expr Query(const RouteMatch::QueryParameter& parameter);
  void Routes(const RouteConfiguration& routes, const Scope& scope, ChainModel* chain, Expr* found);

  // Filters in their order.
  RuleInChain TranslateRule(const std::shared_ptr<const RbacPolicy>& policy, Rbac::Action action,
                            bool custom, const Scope& scope);

  // What RBAC filters have left in their metadata: possible ids with when they
  // stand there.
  struct ShadowIds {
    std::vector<std::pair<std::string, Expr>> ids;
  };

  void RunShadow(const RbacFilter& filter, const Scope& scope, ChainModel* chain, ShadowIds* ids);
  void Enforce(const RbacFilter& filter, const Scope& scope, ChainModel* chain);
  void AskAuthorizer(const ExtAuthzFilter& filter, Expr route_found, const ShadowIds& http,
                     const ShadowIds& network, ChainModel* chain);
  Expr Accepted(const JwtFilter& jwt);
  static bool NeedsToken(const JwtRequirement& requirement);
  void CheckToken(const JwtFilter& jwt, Scope* scope, ChainModel* chain, SideModel* side);
  void RunHttp(const HttpConnectionManager& manager, Scope scope, ChainModel* chain,
               SideModel* side);
  void BlurWhatDumpsHave(const HttpConnectionManager& manager, ChainModel* chain);
  void RunNetwork(Scope scope, ChainModel* chain, SideModel* side);

  // Connections.
  static bool Asks(const FilterChain& chain);
  Expr Arrives(const ChainModel& chain, const Transport& at);
  static const Listener* ChooseListener(const ProxyConfig& proxy, int port);
  static ConnectionFacts FactsOf(const Listener& listener, const Transport& at, bool gateway,
                                 int port, std::vector<std::string>* alpn, std::string server_name);

  // Server names in the order in which the index looks them up: exact, longest
  // wildcard, none.
  struct NameCase {
    std::string name;  // one that is looked up so
    Expr when = kAlways;
  };

  std::vector<NameCase> NameCases(const Listener& listener, int port);
  void BuildSide(const PortModel::Side& asked, SideModel* side);
  Scope ScopeOf(const PortModel::Side& asked, SideModel* side) const;
  void BuildZtunnelSide(const PortModel::Side& asked, SideModel* side);
  Expr TidyFor(const PortModel::Side& asked);
  void BuildWaypointSide(const PortModel::Side& asked, const Waypoint& waypoint, SideModel* side);
  static void FindWaypointChains(const ProxyConfig& proxy, const Door& door,
                                 const FilterChain** http, const FilterChain** tcp);
  void CheckRoutesStay(const Door& door, const FilterChain& config, ChainModel* chain);
  void BuildListener(const PortModel::Side& asked, const Listener& listener, SideModel* side);
  bool Possible(const Transport& at, bool gateway) const;

  // Before the sides: what the fields have to tell apart.
  void Survey();
  void SurveyWaypoint(const PortModel::Side& asked, bool* first);
  void SurveyManager(const HttpConnectionManager& manager, const ProxyConfig& proxy, bool* first);
  void SurveyPredicate(const Predicate& predicate);
  // Behind the sides: what holds of every request.
  void AddConstraints();
  void AddNesting(const std::string& field, const std::vector<std::string>& names);

  // Regions.
  Expr RegionExpr(const Region& region);
  Scope Shown();
  static bool IsOfHttp(Region::Field field);
  Expr Bytes();
  Expr RegionField(const Region& region);
  Expr ShownField(const Region& region);
  Expr RuleMatches(const Region& region);
  Expr RoutedTo(const std::string& host_name);

  PortModel& model;
  Space& space;
  std::optional<Field> transport, identity, path, method, host, server_name, issuer, subject,
      source, remote, destination;
  bool foreign_identities = false, gateway_asks = false, host_case_matters = false;
  bool has_jwt = false, any_issuer = false, path_options_differ = false, any_gateway_ = false;
  std::set<std::string> issuers;
  std::unordered_map<std::string, bool> understood_regexes;
};

}  // namespace meshproof
