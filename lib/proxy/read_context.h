#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/dump.h"
#include "proxy/dump_fields.h"

// What the readers of a dump's parts share.
namespace meshproof {

class ReadContext {
 public:
  explicit ReadContext(std::shared_ptr<const Mesh> mesh);

  // The proxy and file that the next nodes belong to.
  ProxyDump* proxy = nullptr;
  const SourceFile* file = nullptr;
  const Workload* workload = nullptr;    // of the mesh, where it is known
  const MeshService* service = nullptr;  // of a waypoint's chain that is being read
  std::string where;                     // "listener virtualInbound"
  // Filters that are discovered: their configuration by name.
  std::map<std::string, const Node*> discovered;

  Span SpanOf(const Node& node) const { return {file, node.begin, node.end}; }
  // Names a part that cannot be seen through.
  void NoteOpaque(std::string what, const Node& node);
  // A policy's object: the manifest's, else one made of the key.
  Origin OriginOf(const std::string& key, const Node& node);
  // A provider's object: the manifests' RequestAuthentication with its issuer.
  Origin ProviderOrigin(const JwtProvider& provider, const Node& node) const;
  EffectiveMode ModeFor(uint32_t port) const;
  const Workload* FindWorkload(std::string_view ns, std::string_view name) const;
  // The mesh's Service of a host; null where there is none, or no mesh.
  const MeshService* FindService(std::string_view host) const;

 private:
  std::shared_ptr<const Mesh> mesh_;
  std::map<std::pair<std::string, std::string>, const AuthorizationPolicy*> policies_;
};

// Matchers (read_match.cc). A part that cannot be read becomes opaque.
StringMatcher ReadString(const Node* node, std::string* opaque);
HeaderMatcher ReadHeader(const Node* node, std::string* opaque);
ValueMatcher ReadValue(const Node* node, std::string* opaque);
MetadataPredicate ReadMetadata(const Node* node, std::string* opaque);
std::optional<CidrRange> ReadCidr(const Node* node);
Regex ReadRegex(const Node* node, std::string* opaque);
// A permission or principal.
Predicate ReadPredicate(const Node& node, ReadContext* context);
RbacFilter ReadRbacFilter(const Node* config, ReadContext* context);
std::shared_ptr<const RbacMatcher> ReadRbacMatcher(const Node& node, ReadContext* context);

// Filters (read_filter.cc).
enum class DumpFilterKind { kOther, kRbac, kJwt, kExtAuthz, kManager, kTcpProxy };
HttpFilter ReadHttpFilter(const Node& node, ReadContext* context);
NetworkFilter ReadNetworkFilter(const Node& node, ReadContext* context);
std::vector<FilterOverride> ReadOverrides(const Node* node, ReadContext* context);

// Routes (read_route.cc).
RouteMatch ReadRouteMatch(const Node* node, std::string* opaque);
std::shared_ptr<const RouteConfiguration> ReadRoutes(const Node& node, ReadContext* context);
std::vector<WeightedCluster> ReadWeightedClusters(const Node* node);

// Listeners (read_listener.cc).
Listener ReadListener(const Node& node, ReadContext* context);
// How a waypoint tells its chains apart (read_waypoint.cc); nothing where it is not Istio's way.
// The host of a waypoint's chain; "" of others.
std::string_view WaypointHostOf(std::string_view chain);
std::optional<WaypointMatcher> ReadWaypointMatcher(const Node& matcher, ReadContext* context);

// Ztunnel (read_ztunnel.cc).
ZtunnelDump ReadZtunnel(const Node& node, const SourceFile& file);

}  // namespace meshproof
