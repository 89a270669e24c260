#include "simulate/enforcement.h"

#include <doctest/doctest.h>

#include <map>

namespace meshproof::enforcement_test {
namespace {

// The facts of the documentation, written down by hand: ways A to I as the table has them.
TEST_CASE("enforcement: where each kind of policy is enforced") {
  const EnforcementTable table = BuildEnforcementTable();
  REQUIRE(table.ways.size() == 9);
  std::map<std::string, std::string> got;
  for (const auto& row : table.rows) {
    std::string cells;
    for (const std::string& at : row.at) cells += (cells.empty() ? "" : " ") + at.substr(0, 4);
    got[row.policy + " / " + row.attachment] = cells;
  }
  // A: ambient to a Service with waypoint. B: ambient to the pod. C: sidecar, D: gateway, E:
  // gateway that uses the waypoint, F: no mesh, to that Service. G, H, I: ambient, sidecar, no mesh
  // to a pod with a sidecar.
  const std::map<std::string, std::string> facts = {
      {"AuthorizationPolicy, TCP attributes / selector",
       "ztun ztun ztun ztun ztun ztun side side side"},
      {"AuthorizationPolicy, TCP attributes / namespace",
       "ztun ztun ztun ztun ztun ztun side side side"},
      {"AuthorizationPolicy, TCP attributes / root namespace",
       "ztun ztun ztun ztun ztun ztun side side side"},
      {"AuthorizationPolicy, TCP attributes / targetRef Service", "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, TCP attributes / targetRef waypoint Gateway",
       "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, TCP attributes / targetRef GatewayClass, in root",
       "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, HTTP attributes / selector", "- - - - - - side side side"},
      {"AuthorizationPolicy, HTTP attributes / namespace", "- - - - - - side side side"},
      {"AuthorizationPolicy, HTTP attributes / root namespace", "- - - - - - side side side"},
      {"AuthorizationPolicy, HTTP attributes / targetRef Service", "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, HTTP attributes / targetRef waypoint Gateway",
       "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, HTTP attributes / targetRef GatewayClass, in root",
       "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, action CUSTOM / selector", "- - - - - - side side side"},
      {"AuthorizationPolicy, action CUSTOM / namespace", "- - - - - - side side side"},
      {"AuthorizationPolicy, action CUSTOM / root namespace", "- - - - - - side side side"},
      {"AuthorizationPolicy, action CUSTOM / targetRef Service", "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, action CUSTOM / targetRef waypoint Gateway",
       "wayp - - - wayp - - - -"},
      {"AuthorizationPolicy, action CUSTOM / targetRef GatewayClass, in root",
       "wayp - - - wayp - - - -"},
      {"RequestAuthentication / selector", "- - - - - - side side side"},
      {"RequestAuthentication / namespace", "- - - - - - side side side"},
      {"RequestAuthentication / root namespace", "- - - - - - side side side"},
      {"RequestAuthentication / targetRef Service", "wayp - - - wayp - - - -"},
      {"RequestAuthentication / targetRef waypoint Gateway", "wayp - - - wayp - - - -"},
      {"RequestAuthentication / targetRef GatewayClass, in root", "wayp - - - wayp - - - -"},
      {"PeerAuthentication STRICT / selector", "- - - - - ztun - - side"},
      {"PeerAuthentication STRICT / namespace", "- - - - - ztun - - side"},
      {"PeerAuthentication STRICT / root namespace", "- - - - - ztun - - side"},
  };
  CHECK(got.size() == facts.size());
  for (const auto& [row, cells] : facts) {
    CAPTURE(row);
    CHECK(got[row] == cells);
  }
}

TEST_CASE("enforcement: the text fits a terminal") {
  const std::string text = ToText(BuildEnforcementTable());
  size_t begin = 0;
  for (size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', begin)) {
    CHECK(end - begin <= 80);
    begin = end + 1;
  }
  CHECK(begin == text.size());
}

}  // namespace
}  // namespace meshproof::enforcement_test
