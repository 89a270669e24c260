// Regions that a question names, in the terms of the rules.

#include <algorithm>

#include "match/path.h"
#include "proxy/rbac.h"
#include "proxy/trust_domain.h"
#include "reason/translator.h"

namespace meshproof {

Expr PortModel::Translator::RegionExpr(const Region& region) {
  switch (region.kind) {
    case Region::Kind::kAll:
      return kAlways;
    case Region::Kind::kAnd:
    case Region::Kind::kOr: {
      std::vector<Expr> parts;
      for (const Region& child : region.children) parts.push_back(RegionExpr(child));
      return region.kind == Region::Kind::kAnd ? space.AndAll(std::move(parts))
                                               : space.OrAll(std::move(parts));
    }
    case Region::Kind::kNot:
      return space.Not(RegionExpr(region.children.front()));
    case Region::Kind::kField:
      return RegionField(region);
  }
  return kNever;
}

// Scope of what a request shows, whatever a chain makes of it.
PortModel::Translator::Scope PortModel::Translator::Shown() {
  Scope scope;
  scope.tls = scope.asks = true;
  scope.remote_is_source = model.edge_ && model.trusted_hops_ == 0;
  scope.payload = has_jwt ? space.IsPresent(Issuer()) : kNever;
  scope.side = &model.sides_.front();
  scope.mesh = &model.asked_.front().world->mesh();
  scope.port = model.asked_.front().port;
  return scope;
}

// Bytes have no method, path or token.
bool PortModel::Translator::IsOfHttp(Region::Field field) {
  switch (field) {
    case Region::Field::kMethod:
    case Region::Field::kHost:
    case Region::Field::kPath:
    case Region::Field::kHeader:
    case Region::Field::kRequestPrincipal:
    case Region::Field::kClaim:
    case Region::Field::kToken:
      return true;
    default:
      return false;
  }
}

Expr PortModel::Translator::Bytes() {
  std::vector<Expr> any;
  for (size_t i = 0; i < kTransports; ++i) {
    if (TransportAt(i).speech == Transport::Speech::kBytes) any.push_back(TransportIs(i));
  }
  return space.OrAll(std::move(any));
}

Expr PortModel::Translator::RegionField(const Region& region) {
  Expr shown = ShownField(region);
  return IsOfHttp(region.field) ? space.And(shown, space.Not(Bytes())) : shown;
}

Expr PortModel::Translator::ShownField(const Region& region) {
  using Asked = Region::Field;
  const std::string& value = region.value;
  Scope scope = Shown();
  auto address = [&](AddressField field) {
    AddressPredicate predicate;
    predicate.field = field;
    auto range = ParseCidr(value);
    if (!range) return kNever;
    predicate.range = *range;
    return AddressIn(predicate, scope);
  };
  switch (region.field) {
    case Asked::kIdentity: {
      std::vector<Expr> any;
      for (const std::string& each :
           ExpandPrincipal(value, TrustDomainBundle(scope.mesh->config()))) {
        any.push_back(IdentityText(MatchPrincipal(each)));
      }
      return space.OrAll(std::move(any));
    }
    case Asked::kNamespace:
      return IdentityText(MatchNamespace(value));
    case Asked::kServiceAccount:
      return IdentityText(MatchServiceAccount(value, ""));
    case Asked::kSourceIp:
      return address(AddressField::kDirectRemote);
    case Asked::kRemoteIp:
      return address(AddressField::kRemote);
    case Asked::kMethod:
      return Header(MatchHeader(":method", value, false), scope);
    case Asked::kHost:
      return Header(MatchHeader(":authority", value, true), scope);
    case Asked::kPath: {
      if (std::optional<std::string> text = PathTemplateOf(value)) {
        auto regex = CompilePathTemplate(*text);
        if (!regex.ok()) return kNever;
        AddTemplateSample(*text);
        return Text(Path(), {StringPattern::Kind::kRegex, regex.value().pattern(), false});
      }
      StringMatcher matcher = MatchString(value);
      return PathText(ToPattern(matcher), matcher);
    }
    case Asked::kHeader:
      return Header(MatchHeader(region.name, value, false), scope);
    case Asked::kRequestPrincipal: {
      if (!has_jwt) return kNever;
      auto [iss, sub] = MatchRequestPrincipal(value);
      return space.And(Text(Issuer(), ToPattern(iss)), Text(Subject(), ToPattern(sub)));
    }
    case Asked::kClaim: {
      if (!has_jwt) return kNever;
      MetadataPredicate predicate;
      predicate.filter = std::string(kJwtFilter);
      predicate.path = {"payload"};
      auto names = NamesInNestedBrackets(region.name);
      if (!names) return kNever;
      predicate.path.insert(predicate.path.end(), names->begin(), names->end());
      predicate.value = MatchClaim({MatchString(value)});
      return Metadata(predicate, scope);
    }
    case Asked::kServerName:
      return Text(ServerName(), ToPattern(MatchString(value)));
    case Asked::kMutualTls:
      return SecurityIs(Transport::Security::kCertificate);
    case Asked::kTls:
      return space.Not(SecurityIs(Transport::Security::kPlaintext));
    case Asked::kToken:
      return has_jwt ? space.IsPresent(Issuer()) : kNever;
    case Asked::kRule:
      return RuleMatches(region);
    case Asked::kRouted:
      return RoutedTo(value);
  }
  return kNever;
}

Expr PortModel::Translator::RuleMatches(const Region& region) {
  std::vector<Expr> any;
  for (const ChainModel& chain : model.sides_.front().chains) {
    for (const RuleInChain& rule : chain.rules) {
      if (rule.policy->origin.object != region.object || rule.policy->origin.rule != region.rule) {
        continue;
      }
      any.push_back(space.And(chain.arrives, rule.match));
    }
  }
  return space.OrAll(std::move(any));
}

Expr PortModel::Translator::RoutedTo(const std::string& host_name) {
  std::vector<Expr> any;
  const SideModel& side = model.sides_.front();
  for (const ChainModel& chain : side.chains) {
    bool sidecar = side.proxy == nullptr || side.proxy->mode != ProxyMode::kGateway;
    if (sidecar && host_name.empty()) any.push_back(chain.arrives);
    for (const RouteInChain& route : chain.routes) {
      if (route.route->action != Route::Action::kCluster) continue;
      bool leads =
          std::any_of(route.route->clusters.begin(), route.route->clusters.end(),
                      [&](const WeightedCluster& cluster) {
                        return host_name.empty() || cluster.cluster.ends_with("|" + host_name);
                      });
      if (leads) any.push_back(space.And(chain.arrives, route.match));
    }
  }
  return space.OrAll(std::move(any));
}

}  // namespace meshproof
