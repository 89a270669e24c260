#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/span.h"
#include "source/node.h"

// What a dump is taken apart into before anything of it is read: the elements of its lists.
namespace meshproof {

// What a piece of a dump is.
enum class PieceKind {
  kBootstrap,
  kStaticListener,   // {listener: …}
  kDynamicListener,  // {name, active_state: …}
  kListener,         // the message itself
  kStaticRoutes,
  kDynamicRoutes,
  kRoutes,
  kStaticCluster,
  kWarmingCluster,
  kCluster,
  kSecret,
  kStaticSecret,
  kWarmingSecret,
  kEcds,
  kEndpoints,
  kZtunnel,
  kOther,
};

enum class Section { kNone, kListeners, kRoutes, kClusters, kSecrets, kEcds, kEndpoints };

Section SectionOf(PieceKind kind);
// Of a section's @type.
Section SectionOfType(std::string_view type);
// What stands in a list of this name; nothing for what is no list of a dump.
std::optional<PieceKind> ListKind(std::string_view key);

// An element of a list whose kind nobody said: by the keys that it has. `type` is its @type.
struct Keys {
  bool filter_chains = false, virtual_hosts = false, cluster_like = false, secret_like = false,
       active_state = false, listener = false, route_config = false, cluster = false,
       secret = false, bootstrap = false, node = false, workloads = false, services = false,
       ecds = false, endpoints = false, name = false, typed_config = false, kind = false;

  void See(std::string_view key);
  PieceKind Guess(std::string_view type) const;
};

struct Piece {
  PieceKind kind = PieceKind::kOther;
  const Node* node = nullptr;  // a tree, or:
  uint32_t begin = 0, end = 0;
};

// What stands between the lists of one proxy's dump.
struct Parts {
  std::vector<Piece> pieces;
  std::vector<Section> sections;
  std::string listeners_version, clusters_version;
  Span span;
  bool cut = false;  // the text goes wrong in the last one of `sections`
};

// Gathers the pieces of a document. Each dump of a list of dumps becomes parts of its own.
class Collector {
 public:
  std::vector<Parts> parts;
  bool whole = false;  // it is Envoy's own dump, or a list of such

  Parts& Current() {
    if (parts.empty()) parts.emplace_back();
    return parts.back();
  }
  void Begin() { parts.emplace_back(); }
  void Add(Piece piece) {
    Section section = SectionOf(piece.kind);
    if (section != Section::kNone) Current().sections.push_back(section);
    Current().pieces.push_back(piece);
  }
};

// Gathers from a tree.
void WalkTree(const Node& root, Collector* out);

// Gathers from a JSON text without making a tree of it; stops at the first place that is no JSON.
struct TextError {
  size_t at = std::string_view::npos;  // npos: the text is whole, as far as it was looked at
  const char* message = "";
};
TextError WalkText(std::string_view text, Collector* out);

}  // namespace meshproof
