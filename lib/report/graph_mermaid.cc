#include <map>

#include "report/graph.h"

namespace meshproof {
namespace {

// Mermaid's entity codes for what would end a quoted label.
std::string Label(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"') {
      out += "#quot;";
    } else if (c == '#') {
      out += "#35;";
    } else if (c == '<') {
      out += "#lt;";
    } else if (c == '>') {
      out += "#gt;";
    } else if (c == '\n' || c == '\r') {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string Shaped(const Graph::Node& node) {
  std::string label = Label(node.label);
  if (node.kind == "gateway") return "{{" + label + "}}";
  if (node.kind == "service") return "(" + label + ")";
  if (node.kind == "policy") return "[/" + label + "/]";
  if (node.kind == "caller") return "([" + label + "])";
  return "[" + label + "]";
}

std::string EdgeText(const Graph::Edge& edge) {
  std::string label = edge.kind;
  if (edge.rule >= 0) {
    label += " " + std::string(edge.policy->name) + " rule " + std::to_string(edge.rule);
  }
  bool structural = edge.rule < 0 && edge.kind != "routes";
  return (structural ? " -.->|" : " -->|") + Label(label) + "| ";
}

}  // namespace

std::string GraphMermaid(const Graph& graph) {
  // Mermaid's ids know no slashes: nodes are numbered in their order.
  std::map<std::string, std::string> ids;
  std::map<std::string, std::vector<const Graph::Node*>> by_namespace;
  for (const auto& node : graph.nodes) {
    ids[node.id] = "n" + std::to_string(ids.size());
    by_namespace[node.ns].push_back(&node);
  }
  std::string out = "flowchart LR\n";
  size_t group = 0;
  for (const auto& [ns, nodes] : by_namespace) {
    if (!ns.empty()) {
      out += "  subgraph g" + std::to_string(group++) + "[" + Label(ns) + "]\n";
    }
    for (const auto* node : nodes) {
      out += (ns.empty() ? "  " : "    ") + ids[node->id] + Shaped(*node) + "\n";
    }
    if (!ns.empty()) out += "  end\n";
  }
  for (const auto& edge : graph.edges) {
    out += "  " + ids[edge.from] + EdgeText(edge) + ids[edge.to] + "\n";
  }
  return out;
}

}  // namespace meshproof
