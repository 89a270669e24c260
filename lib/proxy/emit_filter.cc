// The filters that ask somebody: ext_authz and jwt_authn.

#include "proxy/custom.h"
#include "proxy/emit_match.h"
#include "proxy/emit_route.h"

namespace meshproof {
namespace {

void SetPatterns(std::string_view key, const std::vector<StringMatcher>& patterns, Json* object) {
  if (patterns.empty()) return;
  Json array = Json::MakeArray();
  for (const StringMatcher& pattern : patterns) array.Append(EmitString(pattern));
  object->Set(std::string(key), Json::MakeObject({{"patterns", std::move(array)}}));
}

Json EmitGrpcService(const ExtAuthzFilter& filter) {
  Json grpc = Json::MakeObject({{"cluster_name", filter.cluster}});
  SetUnlessEmpty("authority", filter.authority, &grpc);
  Json service = Json::MakeObject({{"envoy_grpc", std::move(grpc)}});
  SetUnlessEmpty("timeout", filter.timeout, &service);
  return service;
}

Json EmitHttpService(const ExtAuthzFilter& filter) {
  Json service =
      Json::MakeObject({{"server_uri", Json::MakeObject({{"uri", filter.uri},
                                                         {"cluster", filter.cluster},
                                                         {"timeout", filter.timeout}})}});
  SetUnlessEmpty("path_prefix", filter.path_prefix, &service);
  if (!filter.headers_to_add.empty()) {
    Json headers = Json::MakeArray();
    for (const auto& [name, value] : filter.headers_to_add) {
      headers.Append(Json::MakeObject({{"key", name}, {"value", value}}));
    }
    service.Set("authorization_request",
                Json::MakeObject({{"headers_to_add", std::move(headers)}}));
  }
  Json response = Json::MakeObject();
  SetPatterns("allowed_upstream_headers", filter.allowed_upstream_headers, &response);
  SetPatterns("allowed_client_headers", filter.allowed_client_headers, &response);
  SetPatterns("allowed_client_headers_on_success", filter.allowed_client_headers_on_success,
              &response);
  if (!response.as_object().empty()) service.Set("authorization_response", std::move(response));
  return service;
}

Json EmitGate(const ExtAuthzFilter& filter) {
  MetadataPredicate gate;
  gate.filter = filter.gate_filter;
  gate.path = {filter.gate_key};
  gate.value.kind = ValueMatcher::Kind::kString;
  gate.value.string = StringMatcher::Prefix(filter.gate_prefix);
  return EmitMetadata(gate);
}

Json EmitBody(const ExtAuthzFilter::Body& body) {
  Json out = Json::MakeObject();
  if (body.max_request_bytes != 0) out.Set("max_request_bytes", body.max_request_bytes);
  if (body.allow_partial_message) out.Set("allow_partial_message", true);
  if (body.pack_as_bytes) out.Set("pack_as_bytes", true);
  return out;
}

Json EmitRequirement(const JwtRequirement& requirement) {
  Json children = Json::MakeArray();
  for (const JwtRequirement& child : requirement.children) children.Append(EmitRequirement(child));
  const auto nested = [&children](const char* key) {
    return Json::MakeObject({{key, Json::MakeObject({{"requirements", std::move(children)}})}});
  };
  switch (requirement.kind) {
    case JwtRequirement::Kind::kProvider:
      return Json::MakeObject({{"provider_name", requirement.provider}});
    case JwtRequirement::Kind::kAny:
      return nested("requires_any");
    case JwtRequirement::Kind::kAll:
      return nested("requires_all");
    case JwtRequirement::Kind::kAllowMissing:
      return Json::MakeObject({{"allow_missing", Json::MakeObject()}});
    case JwtRequirement::Kind::kAllowMissingOrFailed:
      return Json::MakeObject({{"allow_missing_or_failed", Json::MakeObject()}});
  }
  return {};
}

// A key set that istiod fetches and meshproof cannot is written as one that Envoy would fetch: the
// URI shows, and nobody takes it for known.
void SetKeys(const JwtProvider& provider, Json* out) {
  if (provider.local_jwks) {
    out->Set("local_jwks", Json::MakeObject({{"inline_string", *provider.local_jwks}}));
    return;
  }
  const bool remote = !provider.remote_jwks_uri.empty();
  Json uri = Json::MakeObject(
      {{"uri", remote ? provider.remote_jwks_uri : provider.unfetched_jwks},
       {"cluster", provider.remote_jwks_cluster.empty() ? std::string("unknown")
                                                        : provider.remote_jwks_cluster},
       {"timeout", "5s"}});
  out->Set("remote_jwks",
           Json::MakeObject({{"http_uri", std::move(uri)}, {"cache_duration", "300s"}}));
}

Json EmitProvider(const JwtProvider& provider) {
  Json out = Json::MakeObject();
  SetUnlessEmpty("issuer", provider.issuer, &out);
  SetUnlessEmpty("audiences", provider.audiences, &out);
  SetKeys(provider, &out);
  if (provider.forward) out.Set("forward", true);
  if (!provider.from_headers.empty()) {
    Json headers = Json::MakeArray();
    for (const JwtHeaderLocation& location : provider.from_headers) {
      Json header = Json::MakeObject({{"name", location.name}});
      SetUnlessEmpty("value_prefix", location.prefix, &header);
      headers.Append(std::move(header));
    }
    out.Set("from_headers", std::move(headers));
  }
  SetUnlessEmpty("from_params", provider.from_params, &out);
  SetUnlessEmpty("from_cookies", provider.from_cookies, &out);
  SetUnlessEmpty("forward_payload_header", provider.forward_payload_header, &out);
  SetUnlessEmpty("payload_in_metadata", provider.payload_in_metadata, &out);
  if (!provider.space_delimited_claims.empty()) {
    Json normalize = Json::MakeObject();
    SetUnlessEmpty("space_delimited_claims", provider.space_delimited_claims, &normalize);
    out.Set("normalize_payload_in_metadata", std::move(normalize));
  }
  if (!provider.claim_to_headers.empty()) {
    Json headers = Json::MakeArray();
    for (const auto& [header, claim] : provider.claim_to_headers) {
      headers.Append(Json::MakeObject({{"header_name", header}, {"claim_name", claim}}));
    }
    out.Set("claim_to_headers", std::move(headers));
  }
  if (provider.clear_route_cache) out.Set("clear_route_cache", true);
  return out;
}

Json EmitJwtFilter(const JwtFilter& filter) {
  Json config = Json::MakeObject();
  Json providers = Json::MakeObject();
  for (const JwtProvider& provider : filter.providers) {
    providers.Set(provider.name, EmitProvider(provider));
  }
  if (!filter.providers.empty()) config.Set("providers", std::move(providers));
  Json rules = Json::MakeArray();
  for (const JwtRuleMatch& rule : filter.rules) {
    Json out = Json::MakeObject(
        {{"match", rule.match != nullptr ? EmitRouteMatch(*rule.match)
                                         : Json::MakeObject({{"prefix", rule.prefix}})}});
    if (rule.requirement) out.Set("requires", EmitRequirement(*rule.requirement));
    rules.Append(std::move(out));
  }
  if (!filter.rules.empty()) config.Set("rules", std::move(rules));
  if (!filter.requirement_map.empty()) {
    Json named = Json::MakeObject();
    for (const auto& [name, requirement] : filter.requirement_map) {
      named.Set(name, EmitRequirement(requirement));
    }
    config.Set("requirement_map", std::move(named));
  }
  if (filter.bypass_cors_preflight) config.Set("bypass_cors_preflight", true);
  Json out =
      EmitNamed(filter.name.empty() ? "envoy.filters.http.jwt_authn" : filter.name,
                "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication", std::move(config));
  if (filter.disabled) out.Set("disabled", true);
  return out;
}

}  // namespace

Json EmitExtAuthzFilter(const ExtAuthzFilter& filter, bool network) {
  Json config = Json::MakeObject();
  if (filter.grpc) {
    config.Set("grpc_service", EmitGrpcService(filter));
  } else {
    config.Set("http_service", EmitHttpService(filter));
  }
  config.Set("transport_api_version", "V3");
  if (filter.failure_mode_allow) config.Set("failure_mode_allow", true);
  if (const std::string_view name = EnvoyStatusName(filter.status_on_error); !name.empty()) {
    config.Set("status_on_error", Json::MakeObject({{"code", name}}));
  }
  if (filter.with_request_body) {
    config.Set("with_request_body", EmitBody(*filter.with_request_body));
  }
  if (!filter.gate_filter.empty()) config.Set("filter_enabled_metadata", EmitGate(filter));
  SetPatterns("allowed_headers", filter.allowed_headers, &config);
  SetUnlessEmpty("stat_prefix", filter.stat_prefix, &config);
  const auto name = [&filter](const char* usual) {
    return filter.name.empty() ? std::string(usual) : filter.name;
  };
  Json out =
      network
          ? EmitNamed(name("envoy.filters.network.ext_authz"),
                      "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz", std::move(config))
          : EmitNamed(name("envoy.filters.http.ext_authz"),
                      "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz", std::move(config));
  if (filter.disabled) out.Set("disabled", true);
  return out;
}

Json EmitOpaqueFilter(const OpaqueFilter& filter) {
  Json out = Json::MakeObject({{"name", filter.name}});
  if (!filter.type.empty()) {
    out.Set("typed_config", Json::MakeObject({{"@type", "type.googleapis.com/" + filter.type}}));
  }
  if (filter.disabled) out.Set("disabled", true);
  return out;
}

Json EmitHttpFilter(const HttpFilter& filter) {
  if (const auto* rbac = std::get_if<RbacFilter>(&filter)) return EmitRbacFilter(*rbac, false);
  if (const auto* authz = std::get_if<ExtAuthzFilter>(&filter)) {
    return EmitExtAuthzFilter(*authz, false);
  }
  if (const auto* jwt = std::get_if<JwtFilter>(&filter)) return EmitJwtFilter(*jwt);
  return EmitOpaqueFilter(std::get<OpaqueFilter>(filter));
}

}  // namespace meshproof
