#include "app/describe.h"

#include <algorithm>

#include "proxy/dump_input.h"
#include "proxy/dump_list.h"
#include "report/description.h"

namespace meshproof {
namespace {

// Without manifests nothing but what the dump says: not even that there are no policies.
void KeepToDump(const std::string& files, Description* description) {
  description->known_from = files;
  description->ports.clear();
  description->policies.clear();
  description->jwt.clear();
  description->routes.clear();
  description->unprotected.clear();
  description->ambient.reset();
}

// Whether a dump names the service account of a workload that no manifest has.
bool SaysAccount(const Dumps& dumps, const Workload& workload) {
  for (const ProxyDump& dump : dumps.proxies) {
    if (dump.config->ns != workload.ns || dump.config->workload != workload.name) continue;
    return !dump.service_account.empty();
  }
  return workload.mode != ProxyMode::kNone;
}

Result<Description> DescribeNamed(const Input& input, const std::string& text) {
  const Mesh& mesh = *input.mesh;
  auto name = ParseWorkloadName(text);
  if (!name.ok()) return name.error();
  auto workload = FindWorkload(mesh, name.value().name);
  if (!workload.ok()) return workload.error();
  Description description = Describe(mesh, *workload.value(), FromDumps(input).ztunnel);
  if (IsFromDump(*workload.value()) && workload.value()->mode != ProxyMode::kAmbient) {
    KeepToDump(DumpFiles(*input.dumps), &description);
    description.identity_known = SaysAccount(*input.dumps, *workload.value());
    return description;
  }
  if (description.ztunnel != nullptr && workload.value()->mode == ProxyMode::kAmbient) {
    const std::string& unknown = description.ztunnel->For(*workload.value()).unknown;
    if (!unknown.empty()) description.unprotected.push_back("not known: " + unknown);
  }
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

std::vector<const ProxyDump*> DumpsOf(const Input& input, const std::string& workload) {
  std::vector<const ProxyDump*> found;
  auto name = ParseWorkloadName(workload);
  if (input.dumps == nullptr || !name.ok()) return found;
  for (const ProxyDump& dump : input.dumps->proxies) {
    if (dump.config->ns + "/" + dump.config->workload == name.value().name) found.push_back(&dump);
  }
  return found;
}

}  // namespace

Exit RunDescribe(const DescribeOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto input = LoadInput(options.input, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  auto description = DescribeNamed(input.value(), options.workload);
  if (!description.ok()) {
    return Fail(host, WithNamelessDumps(description.error(), input.value()));
  }
  std::vector<const ProxyDump*> dumps = DumpsOf(input.value(), options.workload);
  if (options.format == "json") {
    Json out = DescriptionJson(description.value());
    Json listed = Json::MakeArray();
    for (const ProxyDump* dump : dumps) listed.Append(ListProxy(*dump));
    if (!dumps.empty()) out.Set("dumps", std::move(listed));
    host.out << WriteJson(out, 2) << "\n";
  } else {
    host.out << DescriptionText(description.value(), Style{host.colour});
    for (const ProxyDump* dump : dumps) host.out << "\n" << ProxyText(*dump);
  }
  return input.value().broken ? Exit::kUnusable : Exit::kOk;
}

}  // namespace meshproof
