// Compares what is configured, field by field; origins and places, the author's own words and which
// PeerAuthentication made a chain are left out.

#include "proxy/same_config.h"

namespace meshproof {
namespace {

class Sameness {
 public:
  // Numbers, texts, addresses.
  template <typename T>
  static bool Same(const T& a, const T& b) {
    return a == b;
  }
  template <typename T>
  static bool Same(const std::vector<T>& a, const std::vector<T>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!Same(a[i], b[i])) return false;
    }
    return true;
  }
  template <typename T>
  static bool Same(const std::optional<T>& a, const std::optional<T>& b) {
    return a ? b && Same(*a, *b) : !b;
  }
  template <typename T>
  static bool Same(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b) {
    return a == b || (a && b && Same(*a, *b));
  }
  template <typename K, typename V>
  static bool Same(const std::map<K, V>& a, const std::map<K, V>& b) {
    if (a.size() != b.size()) return false;
    for (auto x = a.begin(), y = b.begin(); x != a.end(); ++x, ++y) {
      if (x->first != y->first || !Same(x->second, y->second)) return false;
    }
    return true;
  }
  template <typename... T>
  static bool Same(const std::variant<T...>& a, const std::variant<T...>& b) {
    if (a.index() != b.index()) return false;
    return std::visit(
        [&](const auto& one) { return Same(one, std::get<std::decay_t<decltype(one)>>(b)); }, a);
  }

  static bool Same(const Regex& a, const Regex& b) {
    return a ? b && a.pattern() == b.pattern() : !b;
  }
  static bool Same(const PathOptions& a, const PathOptions& b) {
    using T = PathOptions;
    return In(a, b, &T::normalize, &T::merge_slashes, &T::escaped_slashes);
  }
  static bool Same(const StringMatcher& a, const StringMatcher& b) {
    using T = StringMatcher;
    return In(a, b, &T::kind, &T::value, &T::ignore_case);  // the value is the regex, too
  }
  static bool Same(const ValueMatcher& a, const ValueMatcher& b) {
    using T = ValueMatcher;
    return In(a, b, &T::kind, &T::string, &T::low, &T::high, &T::boolean, &T::children);
  }
  static bool Same(const HeaderMatcher& a, const HeaderMatcher& b) {
    using T = HeaderMatcher;
    return In(a, b, &T::name, &T::kind, &T::string, &T::present, &T::low, &T::high, &T::invert,
              &T::treat_missing_as_empty);
  }

  static bool Same(const AnyPredicate&, const AnyPredicate&) { return true; }
  static bool Same(const AndPredicate& a, const AndPredicate& b) { return Same(a.all, b.all); }
  static bool Same(const OrPredicate& a, const OrPredicate& b) { return Same(a.any, b.any); }
  static bool Same(const NotPredicate& a, const NotPredicate& b) { return Same(a.inner, b.inner); }
  static bool Same(const HeaderPredicate& a, const HeaderPredicate& b) {
    return Same(a.header, b.header);
  }
  static bool Same(const UrlPathPredicate& a, const UrlPathPredicate& b) {
    return Same(a.path, b.path);
  }
  static bool Same(const PathTemplatePredicate& a, const PathTemplatePredicate& b) {
    return a.path_template == b.path_template;
  }
  static bool Same(const AddressPredicate& a, const AddressPredicate& b) {
    using T = AddressPredicate;
    return In(a, b, &T::field, &T::range, &T::address_prefix);
  }
  static bool Same(const PortPredicate& a, const PortPredicate& b) {
    return In(a, b, &PortPredicate::begin, &PortPredicate::end);
  }
  static bool Same(const ServerNamePredicate& a, const ServerNamePredicate& b) {
    return Same(a.name, b.name);
  }
  static bool Same(const MetadataPredicate& a, const MetadataPredicate& b) {
    using T = MetadataPredicate;
    return In(a, b, &T::filter, &T::path, &T::value, &T::invert);
  }
  static bool Same(const FilterStatePredicate& a, const FilterStatePredicate& b) {
    return In(a, b, &FilterStatePredicate::key, &FilterStatePredicate::value);
  }
  static bool Same(const AuthenticatedPredicate& a, const AuthenticatedPredicate& b) {
    return Same(a.principal_name, b.principal_name);
  }
  static bool Same(const InputPredicate& a, const InputPredicate& b) {
    using T = InputPredicate;
    return In(a, b, &T::input, &T::header, &T::value);
  }
  static bool Same(const OpaquePredicate& a, const OpaquePredicate& b) { return a.name == b.name; }
  static bool Same(const Predicate& a, const Predicate& b) { return Same(a.match, b.match); }

  static bool Same(const RbacPolicy& a, const RbacPolicy& b) {
    using T = RbacPolicy;
    return In(a, b, &T::name, &T::permissions, &T::principals, &T::has_condition);
  }
  static bool Same(const Rbac& a, const Rbac& b) {
    return In(a, b, &Rbac::action, &Rbac::policies);
  }
  static bool Same(const RbacMatcher::Outcome& a, const RbacMatcher::Outcome& b) {
    using T = RbacMatcher::Outcome;
    return In(a, b, &T::nested, &T::action, &T::name, &T::opaque);
  }
  static bool Same(const RbacMatcher::Field& a, const RbacMatcher::Field& b) {
    return In(a, b, &RbacMatcher::Field::predicate, &RbacMatcher::Field::outcome);
  }
  static bool Same(const RbacMatcher& a, const RbacMatcher& b) {
    return In(a, b, &RbacMatcher::fields, &RbacMatcher::on_no_match);
  }
  static bool Same(const RbacFilter& a, const RbacFilter& b) {
    using T = RbacFilter;
    return In(a, b, &T::rules, &T::shadow_rules, &T::rules_stat_prefix,
              &T::shadow_rules_stat_prefix, &T::stat_prefix, &T::matcher, &T::shadow_matcher,
              &T::name, &T::disabled);
  }

  static bool Same(const JwtHeaderLocation& a, const JwtHeaderLocation& b) {
    return In(a, b, &JwtHeaderLocation::name, &JwtHeaderLocation::prefix);
  }
  static bool Same(const JwtProvider& a, const JwtProvider& b) {
    using T = JwtProvider;
    return In(a, b, &T::name, &T::issuer, &T::audiences, &T::local_jwks, &T::remote_jwks_uri,
              &T::remote_jwks_cluster, &T::unfetched_jwks, &T::forward, &T::from_headers,
              &T::from_params, &T::from_cookies, &T::forward_payload_header, &T::claim_to_headers,
              &T::payload_in_metadata, &T::space_delimited_claims, &T::clear_route_cache);
  }
  static bool Same(const JwtRequirement& a, const JwtRequirement& b) {
    using T = JwtRequirement;
    return In(a, b, &T::kind, &T::provider, &T::children);
  }
  static bool Same(const JwtRuleMatch& a, const JwtRuleMatch& b) {
    using T = JwtRuleMatch;
    return In(a, b, &T::prefix, &T::requirement, &T::match);
  }
  static bool Same(const JwtFilter& a, const JwtFilter& b) {
    using T = JwtFilter;
    return In(a, b, &T::providers, &T::rules, &T::bypass_cors_preflight, &T::requirement_map,
              &T::name, &T::disabled);
  }
  static bool Same(const ExtAuthzFilter::Body& a, const ExtAuthzFilter::Body& b) {
    using T = ExtAuthzFilter::Body;
    return In(a, b, &T::max_request_bytes, &T::allow_partial_message, &T::pack_as_bytes);
  }
  static bool Same(const ExtAuthzFilter& a, const ExtAuthzFilter& b) {
    using T = ExtAuthzFilter;
    return In(a, b, &T::provider, &T::grpc, &T::cluster, &T::authority, &T::uri, &T::path_prefix,
              &T::timeout, &T::failure_mode_allow, &T::status_on_error, &T::gate_filter,
              &T::gate_key, &T::gate_prefix, &T::with_request_body, &T::allowed_headers,
              &T::headers_to_add, &T::allowed_upstream_headers, &T::allowed_client_headers,
              &T::allowed_client_headers_on_success, &T::stat_prefix, &T::name, &T::disabled,
              &T::opaque_gate);
  }
  static bool Same(const OpaqueFilter& a, const OpaqueFilter& b) {
    using T = OpaqueFilter;
    return In(a, b, &T::name, &T::effect, &T::type, &T::disabled);
  }

  static bool Same(const FilterOverride& a, const FilterOverride& b) {
    using T = FilterOverride;
    return In(a, b, &T::filter, &T::kind, &T::rbac, &T::requirement, &T::type);
  }
  static bool Same(const RouteMatch::QueryParameter& a, const RouteMatch::QueryParameter& b) {
    return In(a, b, &RouteMatch::QueryParameter::name, &RouteMatch::QueryParameter::value);
  }
  static bool Same(const RouteMatch& a, const RouteMatch& b) {
    using T = RouteMatch;
    return In(a, b, &T::path_kind, &T::path, &T::regex, &T::case_sensitive, &T::headers,
              &T::query_parameters, &T::dynamic_metadata);
  }
  static bool Same(const WeightedCluster& a, const WeightedCluster& b) {
    return In(a, b, &WeightedCluster::cluster, &WeightedCluster::weight);
  }
  static bool Same(const Route& a, const Route& b) {
    using T = Route;
    return In(a, b, &T::name, &T::match, &T::action, &T::missing_cluster_status, &T::clusters,
              &T::status, &T::https_redirect, &T::redirect_host, &T::redirect_path,
              &T::redirect_scheme, &T::redirect_port, &T::redirect_prefix, &T::has_redirect_prefix,
              &T::prefix_rewrite, &T::host_rewrite, &T::regex_rewrite, &T::regex_substitution,
              &T::request_headers_remove, &T::request_headers_set, &T::request_headers_add,
              &T::overrides, &T::opaque);
  }
  static bool Same(const VirtualHost& a, const VirtualHost& b) {
    using T = VirtualHost;
    return In(a, b, &T::name, &T::domains, &T::require_tls, &T::routes, &T::overrides, &T::opaque);
  }
  static bool Same(const RouteConfiguration& a, const RouteConfiguration& b) {
    using T = RouteConfiguration;
    return In(a, b, &T::name, &T::virtual_hosts, &T::ignore_port_in_host_matching,
              &T::validate_clusters, &T::overrides, &T::ignore_path_parameters);
  }
  static bool Same(const HttpConnectionManager& a, const HttpConnectionManager& b) {
    using T = HttpConnectionManager;
    return In(a, b, &T::path, &T::use_remote_address, &T::xff_num_trusted_hops,
              &T::forward_client_cert_details, &T::set_client_cert, &T::accept_http_10,
              &T::stat_prefix, &T::upgrade_types, &T::http_filters, &T::rds, &T::routes,
              &T::cluster, &T::strip_port, &T::strip_trailing_host_dot, &T::underscores,
              &T::opaque);
  }
  static bool Same(const TcpProxy& a, const TcpProxy& b) {
    return In(a, b, &TcpProxy::cluster, &TcpProxy::weighted_clusters);
  }

  static bool Same(const TlsContext& a, const TlsContext& b) {
    using T = TlsContext;
    return In(a, b, &T::require_client_certificate, &T::alpn, &T::subject_alt_names,
              &T::min_version, &T::certificate_secret, &T::ca_secret, &T::opaque);
  }
  static bool Same(const FilterChainMatch& a, const FilterChainMatch& b) {
    using T = FilterChainMatch;
    return In(a, b, &T::destination_port, &T::prefix_ranges, &T::server_names,
              &T::transport_protocol, &T::application_protocols, &T::direct_source_prefix_ranges,
              &T::source_prefix_ranges, &T::source_type, &T::source_ports);
  }
  static bool Same(const FilterChain& a, const FilterChain& b) {
    using T = FilterChain;
    return In(a, b, &T::name, &T::match, &T::tls, &T::filters, &T::opaque_transport);
  }
  static bool Same(const Listener& a, const Listener& b) {
    using T = Listener;
    return !a.waypoint && !b.waypoint &&
           In(a, b, &T::name, &T::address, &T::port, &T::original_dst, &T::tls_inspector,
              &T::http_inspector, &T::tls_inspector_disabled, &T::http_inspector_disabled,
              &T::tls_inspector_only, &T::filter_chains, &T::default_filter_chain, &T::direction,
              &T::opaque, &T::other_filters);
  }
  static bool Same(const LoadFailure& a, const LoadFailure& b) {
    return In(a, b, &LoadFailure::listener, &LoadFailure::reason);
  }
  static bool Same(const ProxyConfig& a, const ProxyConfig& b) {
    using T = ProxyConfig;
    return In(a, b, &T::ns, &T::workload, &T::mode, &T::principal, &T::trust_domain, &T::listeners,
              &T::routes, &T::clusters, &T::load_failures, &T::from_dump, &T::clusters_known);
  }

 private:
  // The same in all these fields.
  template <typename T, typename... Fields>
  static bool In(const T& a, const T& b, Fields T::*... fields) {
    return (Same(a.*fields, b.*fields) && ...);
  }
};

}  // namespace

bool SameConfig(const ProxyConfig& a, const ProxyConfig& b) {
  return Sameness::Same(a, b);
}

}  // namespace meshproof
