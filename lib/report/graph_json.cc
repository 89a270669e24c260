#include "report/graph.h"
#include "report/parts.h"

namespace meshproof {

Json GraphJson(const Graph& graph) {
  auto text_or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  Json nodes = Json::MakeArray();
  for (const auto& node : graph.nodes) {
    Json entry = Json::MakeObject({{"id", node.id}, {"kind", node.kind}});
    entry.Set("namespace", text_or_null(node.ns));
    entry.Set("name", node.name);
    entry.Set("mode", text_or_null(node.mode));
    nodes.Append(std::move(entry));
  }
  Json edges = Json::MakeArray();
  for (const auto& edge : graph.edges) {
    Json entry = Json::MakeObject({{"from", edge.from}, {"to", edge.to}, {"kind", edge.kind}});
    entry.Set("policy", ObjectJson(edge.policy));
    entry.Set("rule", edge.rule < 0 ? Json() : Json(edge.rule));
    edges.Append(std::move(entry));
  }
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("nodes", std::move(nodes));
  out.Set("edges", std::move(edges));
  return out;
}

}  // namespace meshproof
