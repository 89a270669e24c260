#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"
#include "reason/reason.h"
#include "report/style.h"

// What is let in, workload by workload: the result of `exposure`, `who-can` and `what-can`, and
// its formats.
namespace meshproof {

struct PortAccess {
  const Workload* workload = nullptr;
  std::string protocol;          // as the port is declared, "" where it is not
  std::string mtls;              // "STRICT", …; "" without a sidecar
  bool other_ports = false;      // stands for every port that is not named
  std::vector<std::string> via;  // "istio-system/gate shop.example.com /api*"
  Exposure exposure;
};

// The JSON object of one way in; `witness` included.
Json ExampleJson(const Example* example);
// "GET orders.shop:80/api from ... -> allow 200".
std::string ExampleText(const Example& example);

Json AccessJson(const std::vector<PortAccess>& ports);
std::string AccessText(const std::vector<PortAccess>& ports, const Style& style = {});
std::string AccessCsv(const std::vector<PortAccess>& ports);
std::string AccessMarkdown(const std::vector<PortAccess>& ports);

}  // namespace meshproof
