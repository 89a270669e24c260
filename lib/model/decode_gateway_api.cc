// gateway.networking.k8s.io. The API server fills in defaults that the input does not show: a
// listener takes routes of its own namespace, a match without a path is the prefix "/", a backend
// weighs 1, a redirect answers 302.

#include "model/decode.h"

namespace meshproof {
namespace {

AllowedRoutes DecodeAllowedRoutes(const Fields& listener) {
  AllowedRoutes routes;
  Fields namespaces = listener.Message("allowedRoutes").Message("namespaces");
  std::string_view from = namespaces.View("from");
  if (from == "All") routes.from = AllowedRoutes::From::kAll;
  if (from == "None") routes.from = AllowedRoutes::From::kNone;
  if (from == "Selector") routes.from = AllowedRoutes::From::kSelector;
  Fields selector = namespaces.Message("selector");
  routes.selector = selector.Map("matchLabels");
  selector.ForEach("matchExpressions", [&](const Node&) { routes.opaque = true; });
  return routes;
}

K8sListener DecodeListener(const Fields& fields) {
  K8sListener listener;
  listener.name = fields.String("name");
  listener.hostname = fields.String("hostname");
  listener.port = fields.Int("port");
  listener.protocol = fields.String("protocol");
  Fields tls = fields.Message("tls");
  listener.has_tls = tls.present();
  listener.passthrough = tls.View("mode") == "Passthrough";
  tls.ForEach("certificateRefs", [&](const Node& item) {
    Fields ref(&item, fields.report(), "certificateRefs");
    if (ref.present()) {
      listener.certificates.push_back({ref.String("name"), ref.String("namespace")});
    }
  });
  listener.client_validation = tls.Message("frontendValidation").present();
  listener.allowed_routes = DecodeAllowedRoutes(fields);
  listener.span = fields.span();
  return listener;
}

K8sParentRef DecodeParentRef(const Fields& fields) {
  K8sParentRef ref;
  ref.group = fields.String("group");
  ref.kind = fields.String("kind");
  ref.name = fields.String("name");
  ref.ns = fields.String("namespace");
  ref.section = fields.String("sectionName");
  ref.port = fields.Int("port");
  ref.span = fields.span();
  return ref;
}

K8sBackendRef DecodeBackendRef(const Fields& fields) {
  K8sBackendRef ref;
  ref.group = fields.String("group");
  ref.kind = fields.String("kind");
  ref.name = fields.String("name");
  ref.ns = fields.String("namespace");
  ref.port = fields.Int("port");
  ref.weight = fields.Has("weight") ? fields.Int("weight") : 1;
  ref.span = fields.span();
  return ref;
}

std::vector<K8sRouteMatch::Value> DecodeValues(const Fields& fields, std::string_view key) {
  std::vector<K8sRouteMatch::Value> values;
  fields.ForEach(key, [&](const Node& item) {
    Fields value(&item, fields.report(), key);
    if (!value.present()) return;
    values.push_back(
        {value.String("name"), value.String("value"), value.View("type") == "RegularExpression"});
  });
  return values;
}

K8sRouteMatch DecodeMatch(const Fields& fields, K8sRoute::Kind kind) {
  K8sRouteMatch match;
  match.headers = DecodeValues(fields, "headers");
  match.span = fields.span();
  if (kind == K8sRoute::Kind::kGrpc) {
    Fields method = fields.Message("method");
    match.grpc_service = method.String("service");
    match.grpc_method = method.String("method");
    match.grpc_regex = method.View("type") == "RegularExpression";
    return match;
  }
  Fields path = fields.Message("path");
  match.path = path.String("value");
  if (path.View("type") == "Exact") match.path_kind = K8sRouteMatch::Path::kExact;
  if (path.View("type") == "RegularExpression") match.path_kind = K8sRouteMatch::Path::kRegex;
  match.query = DecodeValues(fields, "queryParams");
  match.method = fields.String("method");
  return match;
}

void DecodeHeaderChanges(const Fields& fields, K8sRouteFilter* filter) {
  const auto decode = [&fields](const char* key, auto* list) {
    fields.ForEach(key, [&](const Node& item) {
      Fields header(&item, fields.report(), "header");
      if (header.present()) list->emplace_back(header.String("name"), header.String("value"));
    });
  };
  decode("set", &filter->set);
  decode("add", &filter->add);
  filter->remove = fields.Strings("remove");
}

void DecodePathChange(const Fields& fields, K8sRouteFilter* filter) {
  Fields path = fields.Message("path");
  filter->replaces_path = path.View("type") == "ReplaceFullPath";
  filter->replaces_prefix = path.View("type") == "ReplacePrefixMatch";
  filter->path = path.String(filter->replaces_path ? "replaceFullPath" : "replacePrefixMatch");
}

K8sRouteFilter DecodeFilter(const Fields& fields) {
  K8sRouteFilter filter;
  std::string_view type = fields.View("type");
  if (type == "RequestHeaderModifier") {
    filter.kind = K8sRouteFilter::Kind::kHeaders;
    DecodeHeaderChanges(fields.Message("requestHeaderModifier"), &filter);
  } else if (type == "RequestRedirect") {
    filter.kind = K8sRouteFilter::Kind::kRedirect;
    Fields redirect = fields.Message("requestRedirect");
    filter.scheme = redirect.String("scheme");
    filter.hostname = redirect.String("hostname");
    filter.port = redirect.Int("port");
    if (redirect.Has("statusCode")) filter.status = redirect.Int("statusCode");
    DecodePathChange(redirect, &filter);
  } else if (type == "URLRewrite") {
    filter.kind = K8sRouteFilter::Kind::kRewrite;
    Fields rewrite = fields.Message("urlRewrite");
    filter.hostname = rewrite.String("hostname");
    DecodePathChange(rewrite, &filter);
  }
  return filter;
}

K8sRouteRule DecodeRule(const Fields& fields, K8sRoute::Kind kind) {
  K8sRouteRule rule;
  rule.name = fields.String("name");
  fields.ForEach("matches", [&](const Node& item) {
    Fields match(&item, fields.report(), "matches");
    if (match.present()) rule.matches.push_back(DecodeMatch(match, kind));
  });
  fields.ForEach("filters", [&](const Node& item) {
    Fields filter(&item, fields.report(), "filters");
    if (filter.present()) rule.filters.push_back(DecodeFilter(filter));
  });
  fields.ForEach("backendRefs", [&](const Node& item) {
    Fields backend(&item, fields.report(), "backendRefs");
    if (backend.present()) rule.backends.push_back(DecodeBackendRef(backend));
  });
  rule.span = fields.span();
  return rule;
}

K8sRoute::Kind RouteKind(std::string_view kind) {
  if (kind == "GRPCRoute") return K8sRoute::Kind::kGrpc;
  if (kind == "TLSRoute") return K8sRoute::Kind::kTls;
  if (kind == "TCPRoute") return K8sRoute::Kind::kTcp;
  return K8sRoute::Kind::kHttp;
}

std::vector<ReferenceGrant::Peer> DecodeGrantPeers(const Fields& spec, std::string_view key) {
  std::vector<ReferenceGrant::Peer> peers;
  spec.ForEach(key, [&](const Node& item) {
    Fields peer(&item, spec.report(), key);
    if (!peer.present()) return;
    peers.push_back(
        {peer.String("group"), peer.String("kind"), peer.String("namespace"), peer.String("name")});
  });
  return peers;
}

}  // namespace

K8sGateway DecodeK8sGateway(const Fields& object, ObjectMeta meta) {
  K8sGateway gateway;
  gateway.meta = std::move(meta);
  Fields spec = object.Message("spec");
  gateway.class_name = spec.String("gatewayClassName");
  spec.ForEach("listeners", [&](const Node& item) {
    Fields listener(&item, object.report(), "listeners");
    if (listener.present()) gateway.listeners.push_back(DecodeListener(listener));
  });
  spec.ForEach("addresses", [&](const Node& item) {
    Fields address(&item, object.report(), "addresses");
    if (address.View("type") == "Hostname") gateway.addresses.push_back(address.String("value"));
  });
  Fields status = object.Message("status");
  gateway.has_status = status.present();
  status.ForEach("addresses", [&](const Node&) { gateway.has_status_address = true; });
  return gateway;
}

GatewayClass DecodeGatewayClass(const Fields& object, ObjectMeta meta) {
  GatewayClass gateway_class;
  gateway_class.meta = std::move(meta);
  gateway_class.controller = object.Message("spec").String("controllerName");
  return gateway_class;
}

K8sRoute DecodeK8sRoute(const Fields& object, ObjectMeta meta) {
  K8sRoute route;
  route.meta = std::move(meta);
  route.kind = RouteKind(route.meta.kind);
  Fields spec = object.Message("spec");
  spec.ForEach("parentRefs", [&](const Node& item) {
    Fields parent(&item, object.report(), "parentRefs");
    if (parent.present()) route.parents.push_back(DecodeParentRef(parent));
  });
  route.hostnames = spec.Strings("hostnames");
  spec.ForEach("rules", [&](const Node& item) {
    Fields rule(&item, object.report(), "rules");
    if (rule.present()) route.rules.push_back(DecodeRule(rule, route.kind));
  });
  return route;
}

ReferenceGrant DecodeReferenceGrant(const Fields& object, ObjectMeta meta) {
  ReferenceGrant grant;
  grant.meta = std::move(meta);
  Fields spec = object.Message("spec");
  grant.from = DecodeGrantPeers(spec, "from");
  grant.to = DecodeGrantPeers(spec, "to");
  return grant;
}

BackendTlsPolicy DecodeBackendTlsPolicy(const Fields& object, ObjectMeta meta) {
  BackendTlsPolicy policy;
  policy.meta = std::move(meta);
  Fields spec = object.Message("spec");
  policy.target_refs = DecodeTargetRefs(spec);
  policy.hostname = spec.Message("validation").String("hostname");
  return policy;
}

}  // namespace meshproof
