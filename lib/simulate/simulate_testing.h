#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/config.h"
#include "simulate/simulate.h"

// Small configurations and requests for the tests of this folder.
namespace meshproof::testing {

inline Address Ip(const char* text) {
  return Address{*ParseIpAddress(text)};
}
inline Address Block(const char* text) {
  return Address{*ParseCidr(text)};
}

template <typename Match>
Predicate Make(Match match) {
  Predicate predicate;
  predicate.match = std::move(match);
  return predicate;
}
inline Predicate Any() {
  return Make(AnyPredicate{});
}
inline Predicate Negate(Predicate inner) {
  NotPredicate negation;
  negation.inner.push_back(std::move(inner));
  return Make(std::move(negation));
}
inline Predicate HeaderIs(std::string name, StringMatcher matcher) {
  HeaderMatcher header;
  header.name = std::move(name);
  header.kind = HeaderMatcher::Kind::kString;
  header.string = std::move(matcher);
  return Make(HeaderPredicate{std::move(header)});
}
inline Predicate HasHeader(std::string name) {
  HeaderMatcher header;
  header.name = std::move(name);
  return Make(HeaderPredicate{std::move(header)});
}
inline Predicate PathIs(std::string path) {
  return Make(UrlPathPredicate{StringMatcher::Exact(std::move(path))});
}
inline Predicate InBlock(AddressField field, const char* block) {
  AddressPredicate address;
  address.field = field;
  address.range = *ParseCidr(block);
  return Make(std::move(address));
}
inline Predicate Claim(std::vector<std::string> path, ValueMatcher value) {
  MetadataPredicate metadata;
  metadata.filter = "envoy.filters.http.jwt_authn";
  metadata.path = std::move(path);
  metadata.path.insert(metadata.path.begin(), "payload");
  metadata.value = std::move(value);
  return Make(std::move(metadata));
}
inline ValueMatcher Text(std::string text) {
  ValueMatcher value;
  value.kind = ValueMatcher::Kind::kString;
  value.string = StringMatcher::Exact(std::move(text));
  return value;
}

inline std::shared_ptr<const RbacPolicy> Policy(std::string name, Predicate permission,
                                                Predicate principal = Any()) {
  auto policy = std::make_shared<RbacPolicy>();
  policy->name = std::move(name);
  policy->permissions.push_back(std::move(permission));
  policy->principals.push_back(std::move(principal));
  return policy;
}
inline RbacFilter Enforce(Rbac::Action action,
                          std::vector<std::shared_ptr<const RbacPolicy>> policies) {
  RbacFilter filter;
  filter.rules = Rbac{action, std::move(policies)};
  return filter;
}

inline FilterChain Chain(std::vector<NetworkFilter> filters, FilterChainMatch match = {}) {
  FilterChain chain;
  chain.name = "chain";
  chain.match = std::move(match);
  chain.filters = std::make_shared<const std::vector<NetworkFilter>>(std::move(filters));
  return chain;
}
inline FilterChain HttpChain(HttpConnectionManager manager, FilterChainMatch match = {}) {
  manager.cluster = "inbound|8080||";
  return Chain({std::make_shared<const HttpConnectionManager>(std::move(manager))},
               std::move(match));
}
inline HttpConnectionManager Manager(std::vector<HttpFilter> filters) {
  HttpConnectionManager manager;
  manager.path.normalize = true;
  manager.forward_client_cert_details = "APPEND_FORWARD";
  manager.http_filters = std::move(filters);
  return manager;
}

inline std::shared_ptr<ProxyConfig> Sidecar(std::vector<FilterChain> chains) {
  auto proxy = std::make_shared<ProxyConfig>();
  proxy->ns = "a";
  proxy->workload = "w";
  proxy->principal = "spiffe://cluster.local/ns/a/sa/w";
  proxy->trust_domain = "cluster.local";
  Listener listener;
  listener.name = "virtualInbound";
  listener.address = "0.0.0.0";
  listener.port = 15006;
  listener.original_dst = true;
  listener.tls_inspector = listener.http_inspector = true;
  listener.filter_chains = std::move(chains);
  proxy->listeners.push_back(std::move(listener));
  return proxy;
}

inline ProxyRequest Get(std::string path = "/") {
  ProxyRequest request;
  request.connection.source = Ip("10.0.0.9");
  request.connection.destination = Ip("10.0.0.5");
  request.connection.destination_port = 8080;
  request.path = std::move(path);
  request.authority = "a.example.com";
  request.now = 1700000000;
  return request;
}
inline void UseMtls(ProxyRequest* request, std::string identity) {
  request->connection.tls = WireTls::kTls;
  request->connection.sni = "outbound_.80_._.w.a.svc.cluster.local";
  request->connection.alpn = {"istio-http/1.1", "istio", "http/1.1"};
  Certificate certificate;
  certificate.uri_sans.push_back(std::move(identity));
  request->connection.certificate = std::move(certificate);
}

inline Verdict RunOn(std::shared_ptr<const ProxyConfig> proxy, const ProxyRequest& request,
                     Detail detail = Detail::kVerdict) {
  return ProxySimulator(std::move(proxy)).Run(request, detail);
}
// One plaintext HTTP chain with these filters.
inline Verdict RunFilters(std::vector<HttpFilter> filters, const ProxyRequest& request,
                          Detail detail = Detail::kVerdict) {
  return RunOn(Sidecar({HttpChain(Manager(std::move(filters)))}), request, detail);
}

// "allow 200 via_upstream -".
inline std::string Summary(const Verdict& verdict) {
  return std::string(ToString(verdict.outcome)) + " " + std::to_string(verdict.status) + " " +
         verdict.details + " " + verdict.flags;
}

}  // namespace meshproof::testing
