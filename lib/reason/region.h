#pragma once

#include <string>
#include <utility>
#include <vector>

#include "model/model.h"

// Sets of requests to one port of one workload, as an expression over what a
// request shows. Values have the string forms of AuthorizationPolicy and mean
// what istiod makes of them: `*` alone, a leading or a trailing star, `{*}` and
// `{**}` in paths.
namespace meshproof {

struct Region {
  enum class Kind { kAll, kAnd, kOr, kNot, kField };
  enum class Field {
    kIdentity,          // as `principals`: "cluster.local/ns/shop/sa/web"; `*` = any
                        // identity
    kNamespace,         // as `namespaces`
    kServiceAccount,    // as `serviceAccounts`, always "ns/name"
    kSourceIp,          // as `ipBlocks`: the peer's address
    kRemoteIp,          // as `remoteIpBlocks`
    kMethod,            // as `methods`
    kHost,              // as `hosts`
    kPath,              // as `paths`
    kHeader,            // as `when request.headers[name]`
    kRequestPrincipal,  // as `requestPrincipals`
    kClaim,             // as `when request.auth.claims<name>`, `name` = "[groups]",
                        // "[a][b]"
    kServerName,        // as `when connection.sni`
    kMutualTls,         // the proxy ended TLS and saw a client certificate
    kTls,               // the proxy ended TLS
    kToken,             // a valid token was verified (invalid ones never get past
                        // jwt_authn)
    kRule,              // RBAC rule `rule` of `object` matches, whatever the other rules say
    kRouted,            // the proxy's routes send it to a cluster of Service `value`; "" =
                        // to any
  };

  Kind kind = Kind::kAll;
  std::vector<Region> children;
  Field field = Field::kToken;
  std::string name, value;
  const ObjectMeta* object = nullptr;
  int rule = -1;

  static Region All() { return {}; }
  static Region And(std::vector<Region> all) {
    Region region;
    region.kind = Kind::kAnd;
    region.children = std::move(all);
    return region;
  }
  static Region Or(std::vector<Region> any) {
    Region region;
    region.kind = Kind::kOr;
    region.children = std::move(any);
    return region;
  }
  static Region Not(Region inner) {
    Region region;
    region.kind = Kind::kNot;
    region.children.push_back(std::move(inner));
    return region;
  }
  static Region None() { return Or({}); }
  static Region Is(Field field, std::string value = {}, std::string name = {}) {
    Region region;
    region.kind = Kind::kField;
    region.field = field;
    region.value = std::move(value);
    region.name = std::move(name);
    return region;
  }
  static Region AnyOf(Field field, const std::vector<std::string>& values,
                      const std::string& name = {}) {
    std::vector<Region> any;
    for (const std::string& value : values) any.push_back(Is(field, value, name));
    return Or(std::move(any));
  }
  static Region Rule(const ObjectMeta& object, int rule) {
    Region region = Is(Field::kRule);
    region.object = &object;
    region.rule = rule;
    return region;
  }
};

}  // namespace meshproof
