#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/model.h"
#include "proxy/config.h"
#include "reason/space.h"

// Matches of routes as exact sets of requests: what one takes and an earlier one does not.
namespace meshproof {

// A request that a match takes.
struct RouteExample {
  std::string method = "GET", path = "/", authority;  // authority "": any
  std::vector<std::pair<std::string, std::string>> headers;
  std::string gateway;  // of the gateways that the matches name; "" = any
  int port = 0;         // 0 = any
};
// "GET /admin with x-user: a".
std::string ToString(const RouteExample& example);

// Paths are those that a proxy sees that does not normalize them: what any other sees is among
// them. Conditions that are not understood are free truth values, so that "takes everything of" is
// right wherever it is said.
class RouteSpace {
 public:
  using Node = Space::Node;

  RouteSpace();

  // The requests of one match of a VirtualService of namespace `ns` bound to `gateways` ("mesh",
  // "ns/name").
  Expr Add(const HttpMatch& match, std::string_view ns, const std::vector<std::string>& gateways);
  Expr Add(const RouteMatch& match);

  // After all matches were added. False: too many classes, nothing else may be asked.
  bool Build() { return space_.Build(); }
  Node ToNode(Expr expr) { return space_.bdd().And(space_.ToNode(expr), space_.Domain()); }
  Bdd& bdd() { return space_.bdd(); }
  // Whether some condition was not understood.
  bool opaque() const { return opaque_; }
  RouteExample Pick(Node node);  // not of kFalse

 private:
  Space::FieldId Field(const std::string& name, int order, std::string_view domain, bool absent);
  Expr TextIs(Space::FieldId field, const StringMatcher& matcher);
  Expr Exact(Space::FieldId field, std::string_view value);
  Expr Header(const HeaderMatcher& matcher);
  Expr Path(const RouteMatch& match);
  Expr Opaque(const std::string& what);

  Space space_;
  Space::FieldId path_;
  std::map<std::string, Space::FieldId> fields_;
  bool opaque_ = false;
};

// The gateways of a VirtualService as "mesh" or "ns/name".
std::vector<std::string> GatewaysOf(const VirtualService& service);

}  // namespace meshproof
