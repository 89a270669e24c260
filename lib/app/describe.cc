#include "app/describe.h"

#include <algorithm>

#include "report/description.h"

namespace meshproof {
namespace {

Result<Description> DescribeNamed(const Mesh& mesh, const std::string& text) {
  auto name = ParseWorkloadName(text);
  if (!name.ok()) return name.error();
  auto workload = FindWorkload(mesh, name.value().name);
  if (!workload.ok()) return workload.error();
  Description description = Describe(mesh, *workload.value());
  if (int port = name.value().port; port != 0) {
    auto other = [&](const Description::Port& entry) { return entry.port != port; };
    auto& ports = description.ports;
    ports.erase(std::remove_if(ports.begin(), ports.end(), other), ports.end());
    if (ports.empty()) {
      return Error{name.value().name + " declares no port " + std::to_string(port)};
    }
  }
  return description;
}

}  // namespace

Exit RunDescribe(const DescribeOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto input = LoadInput(options.input, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  auto description = DescribeNamed(*input.value().mesh, options.workload);
  if (!description.ok()) return Fail(host, description.error());
  if (options.format == "json") {
    host.out << WriteJson(DescriptionJson(description.value()), 2) << "\n";
  } else {
    host.out << DescriptionText(description.value(), Style{host.colour});
  }
  return input.value().broken ? Exit::kUnusable : Exit::kOk;
}

}  // namespace meshproof
