#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "simulate/predicate.h"
#include "simulate/stream.h"

namespace meshproof {

// What Envoy's route table says of a request.
struct RouteChoice {
  enum class Kind { kNone, kTlsRedirect, kRoute, kDefault };
  Kind kind = Kind::kNone;
  const VirtualHost* host = nullptr;
  const Route* route = nullptr;  // kRoute
  std::string unknown;           // a condition that is not known decides
  bool found() const { return kind != Kind::kNone; }
};

// One route configuration with its virtual hosts indexed (envoy-facts section 5).
class RouteTable {
 public:
  explicit RouteTable(const RouteConfiguration& routes);

  const RouteConfiguration& routes() const { return routes_; }
  RouteChoice Find(Stream* stream) const;
  // Exact, longest `*suffix`, longest `prefix*`, `*`; null: none.
  const VirtualHost* FindHost(std::string_view authority) const;

 private:
  struct Wildcard {
    std::string text;
    const VirtualHost* host = nullptr;
  };

  const RouteConfiguration& routes_;
  std::unordered_map<std::string, const VirtualHost*> exact_;
  std::vector<Wildcard> suffixes_, prefixes_;  // longest first
  const VirtualHost* default_ = nullptr;
};

// Whether a route's condition holds; reasons for kUnknown go into `unknown`.
Truth MatchesRoute(const RouteMatch& match, Stream* stream, std::vector<std::string>* unknown);

// The router filter: the answer of a route, or what it forwards. `choice` is of the route table, or
// kDefault for the one route of an inbound chain to `cluster`.
void RunRouter(const RouteChoice& choice, const std::string& cluster, Stream* stream);

// Host without its port, as virtual host lookup strips it.
std::string_view StripPort(std::string_view authority);

}  // namespace meshproof
