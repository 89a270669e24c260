#include <map>

#include "report/graph.h"

namespace meshproof {
namespace {

std::string DotString(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n' || c == '\r') {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string_view Shape(std::string_view kind) {
  if (kind == "gateway") return "house";
  if (kind == "service") return "ellipse";
  if (kind == "policy") return "note";
  if (kind == "caller") return "plaintext";
  return "box";
}

std::string_view Attributes(std::string_view kind) {
  if (kind == "allows") return ", color=\"#1a7f37\"";
  if (kind == "denies") return ", color=\"#cf222e\"";
  if (kind == "custom") return ", color=\"#9a6700\"";
  if (kind == "selects" || kind == "targets" || kind == "mtls" || kind == "authenticates") {
    return ", style=dashed";
  }
  return "";
}

std::string EdgeLabel(const Graph::Edge& edge) {
  std::string label = edge.kind;
  if (edge.rule >= 0) {
    label += " " + std::string(edge.policy->name) + "[" + std::to_string(edge.rule) + "]";
  }
  return label;
}

}  // namespace

std::string GraphDot(const Graph& graph) {
  std::string out = "digraph mesh {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n";
  std::map<std::string, std::vector<const Graph::Node*>> by_namespace;
  for (const auto& node : graph.nodes) by_namespace[node.ns].push_back(&node);
  for (const auto& [ns, nodes] : by_namespace) {
    std::string indent = ns.empty() ? "  " : "    ";
    if (!ns.empty()) {
      out += "  subgraph " + DotString("cluster_" + ns) + " {\n    label=" + DotString(ns) + ";\n";
    }
    for (const auto* node : nodes) {
      out += indent + DotString(node->id) + " [label=" + DotString(node->label) +
             ", shape=" + std::string(Shape(node->kind)) + "];\n";
    }
    if (!ns.empty()) out += "  }\n";
  }
  for (const auto& edge : graph.edges) {
    out += "  " + DotString(edge.from) + " -> " + DotString(edge.to) +
           " [label=" + DotString(EdgeLabel(edge)) + std::string(Attributes(edge.kind)) + "];\n";
  }
  return out + "}\n";
}

}  // namespace meshproof
