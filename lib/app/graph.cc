#include "app/graph.h"

#include "app/input.h"
#include "report/graph.h"

namespace meshproof {
Exit RunGraph(const GraphOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  InputOptions input_options = options.input;
  input_options.nameless_dumps = true;
  std::string name = TakeWorkload(&input_options.paths, host.files);
  auto input = LoadInput(input_options, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  const Workload* only = nullptr;
  if (!name.empty()) {
    auto workload = FindWorkload(*input.value().mesh, ParseWorkloadName(name).value().name);
    if (!workload.ok()) return Fail(host, workload.error());
    only = workload.value();
  }
  NoteUnusedDumps(input.value(), "`graph` draws the manifests", host);
  Graph graph = BuildGraph(*input.value().mesh, only);
  if (options.format == "json") {
    host.out << WriteJson(GraphJson(graph), 2) << "\n";
  } else {
    host.out << (options.format == "mermaid" ? GraphMermaid(graph) : GraphDot(graph));
  }
  return input.value().broken ? Exit::kUnusable : Exit::kOk;
}

}  // namespace meshproof
