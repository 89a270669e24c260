#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"

// The effective-policy graph: which policy reaches which workload, whom its rules name, and what
// leads there; and its formats.
namespace meshproof {

struct Graph {
  struct Node {
    std::string id;    // "workload:shop/orders"; unique
    std::string kind;  // gateway, workload, service, policy, caller
    std::string ns, name;
    std::string mode;  // of a workload or gateway
    std::string label;
  };
  struct Edge {
    std::string from, to;
    // routes, selects, targets, allows, denies, custom, audits, authenticates, mtls
    std::string kind;
    const ObjectMeta* policy = nullptr;
    int rule = -1;
  };
  std::vector<Node> nodes;  // by id
  std::vector<Edge> edges;  // by from, to, kind, policy, rule
};

// Of the whole mesh, or of what touches one workload.
Graph BuildGraph(const Mesh& mesh, const Workload* only);

Json GraphJson(const Graph& graph);
std::string GraphDot(const Graph& graph);
std::string GraphMermaid(const Graph& graph);

}  // namespace meshproof
