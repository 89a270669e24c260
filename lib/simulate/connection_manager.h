#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "simulate/jwt_authn.h"
#include "simulate/router.h"
#include "simulate/stream.h"

namespace meshproof {

// One HTTP connection manager made ready: its jwt_authn filters and route table.
class ConnectionManager {
 public:
  // `routes`: the tables of the proxy's route configurations by name.
  ConnectionManager(const HttpConnectionManager& config,
                    const std::map<std::string, std::unique_ptr<RouteTable>, std::less<>>& routes,
                    KeySets* key_sets, TokenCache* tokens);

  // Why Envoy would refuse a listener with this manager; "" = it loads.
  std::string load_failure() const;

  // Judges the request of `stream` from the codec to the router; `negotiated` is the protocol that
  // TLS agreed on ("" = none). Fills the stream's verdict.
  void Run(std::string_view negotiated, Stream* stream) const;

 private:
  bool Decode(std::string_view negotiated, Stream* stream) const;
  bool Admit(Stream* stream) const;
  bool NormalizeRequestPath(Stream* stream) const;
  void ReadRemoteAddress(Stream* stream) const;
  void MutateHeaders(Stream* stream) const;
  void MutateClientCertificate(Stream* stream) const;
  RouteChoice ChooseRoute(Stream* stream) const;
  bool UpgradeAllowed(const Stream& stream) const;
  bool ShapeHeaders(Stream* stream) const;
  const FilterOverride* OverrideOf(const HttpFilter& filter, const RouteChoice& route) const;
  bool RunFilters(RouteChoice* route, Stream* stream) const;

  const HttpConnectionManager& config_;
  std::unique_ptr<RouteTable> own_routes_;
  const RouteTable* routes_ = nullptr;                  // null: the default route, or none known
  std::vector<std::unique_ptr<JwtAuthenticator>> jwt_;  // by filter index, null for others
};

}  // namespace meshproof
