#include "app/drift.h"

#include <algorithm>
#include <chrono>

#include "analyze/drift.h"
#include "analyze/driver.h"
#include "app/version.h"
#include "proxy/dump_input.h"
#include "report/findings.h"
#include "report/parts.h"
#include "simulate/fields.h"

namespace meshproof {
namespace {

FindingsReport ReportOf(const Input& input, std::vector<Finding> findings, const Host& host) {
  FindingsReport report;
  report.version = kVersion;
  report.findings = std::move(findings);
  for (const auto& file : input.dumps->files) report.files.push_back(file->name());
  report.objects = input.model->objects;
  report.fail_on = Severity::kInfo;
  report.directory = host.directory;
  return report;
}

// Why a dump was not compared with manifests; "" where it was.
std::string NotCompared(const ProxyDump& dump, const Mesh& mesh) {
  if (dump.config->workload.empty()) return "the dump does not say whose it is (no bootstrap)";
  const Workload* workload = mesh.FindWorkload(dump.config->ns, dump.config->workload);
  if (workload == nullptr || IsFromDump(*workload)) return "no manifest has its workload";
  if (workload->mode == ProxyMode::kNone || workload->mode == ProxyMode::kAmbient) {
    return "its workload has no proxy of its own (" + workload->mode_reason + ")";
  }
  if (!mesh.UnmodelledFor(*workload).empty()) {
    return "an object changes this proxy in ways that are not computed";
  }
  return "";
}

// What of a proxy's dump was not compared, beside all the rest; "" where it was whole.
std::string NotSeen(const ProxyDump& dump) {
  if (dump.has_listeners) return "";
  return "the dump holds no listeners: policies, filters and mutual TLS are not compared";
}

// What the dumps' releases of Istio explain.
std::vector<DriftDifference> ExplainedByVersion(const Input& input, int64_t now) {
  const auto& proxies = input.dumps->proxies;
  bool any = std::any_of(proxies.begin(), proxies.end(),
                         [](const ProxyDump& dump) { return !dump.istio_version.empty(); });
  if (!any) return {};
  std::vector<DriftDifference> all = FindDrift({*input.mesh, *input.dumps, now});
  std::erase_if(all, [](const DriftDifference& difference) { return !difference.code.empty(); });
  return all;
}

Json VersionJson(const DriftDifference& difference) {
  Json out = Json::MakeObject({{"message", difference.message}});
  out.Set("object", ObjectJson(difference.object));
  out.Set("location", LocationJson(difference.span));
  return out;
}

Json ProxyJson(const ProxyDump& dump, const Mesh& mesh, Json versions, Json findings) {
  Json object = Json::MakeObject(
      {{"kind", "Proxy"}, {"namespace", dump.config->ns}, {"name", dump.config->workload}});
  Json out = Json::MakeObject({{"object", std::move(object)},
                               {"pod", dump.pod},
                               {"istio_version", dump.istio_version},
                               {"dump", dump.file}});
  std::string reason = NotCompared(dump, mesh);
  out.Set("compared", reason.empty());
  if (reason.empty()) reason = NotSeen(dump);
  if (!reason.empty()) out.Set("reason", reason);
  Json opaque = Json::MakeArray();
  for (const DumpOpaque& part : dump.opaque) {
    opaque.Append((part.where.empty() ? "" : part.where + ": ") + part.what);
  }
  out.Set("opaque", std::move(opaque));
  out.Set("version_differences", std::move(versions));
  out.Set("findings", std::move(findings));
  return out;
}

std::vector<Finding> FindingsOf(const std::vector<Finding>& findings, size_t dump) {
  std::vector<Finding> own;
  for (const Finding& finding : findings) {
    if (finding.dump == dump) own.push_back(finding);
  }
  return own;
}

std::string NotComparedZtunnel(const Mesh& mesh) {
  const auto& workloads = mesh.workloads();
  bool any = !std::all_of(workloads.begin(), workloads.end(), IsFromDump);
  return any ? "" : "no manifest has a workload";
}

Json DriftJson(const Input& input, const std::vector<Finding>& findings,
               const std::vector<DriftDifference>& explained, const Host& host) {
  const auto& dumps = input.dumps->proxies;
  Json proxies = Json::MakeArray();
  for (size_t i = 0; i < dumps.size(); ++i) {
    Json report = FindingsJson(ReportOf(input, FindingsOf(findings, i), host));
    const Json* listed = report.Find("findings");
    Json versions = Json::MakeArray();
    for (const auto& difference : explained) {
      if (difference.proxy == i) versions.Append(VersionJson(difference));
    }
    proxies.Append(ProxyJson(dumps[i], *input.mesh, std::move(versions),
                             listed != nullptr ? *listed : Json::MakeArray()));
  }
  const auto& ztunnels = input.dumps->ztunnels;
  for (size_t i = 0; i < ztunnels.size(); ++i) {
    Json report = FindingsJson(ReportOf(input, FindingsOf(findings, dumps.size() + i), host));
    Json object = Json::MakeObject({{"kind", "Ztunnel"}, {"namespace", ""}, {"name", ""}});
    Json out = Json::MakeObject({{"object", std::move(object)}, {"dump", ztunnels[i].file}});
    std::string reason = NotComparedZtunnel(*input.mesh);
    out.Set("compared", reason.empty());
    if (!reason.empty()) out.Set("reason", reason);
    out.Set("findings", *report.Find("findings"));
    proxies.Append(std::move(out));
  }
  Json whole = FindingsJson(ReportOf(input, findings, host));
  Json out = Json::MakeObject({{"version", 1}, {"proxies", std::move(proxies)}});
  if (const Json* summary = whole.Find("summary")) out.Set("summary", *summary);
  return out;
}

}  // namespace

Exit RunDrift(const DriftOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  AnalyzeOptions analyze;
  analyze.only = {"MP09"};
  auto since = std::chrono::system_clock::now().time_since_epoch();
  analyze.now = std::chrono::duration_cast<std::chrono::seconds>(since).count();
  if (options.now) {
    auto now = ParseTime(*options.now);
    if (!now) {
      return Fail(host, Error{"`--now` is a time such as 2026-03-01T12:00:00Z, not `" +
                              *options.now + "`"});
    }
    analyze.now = *now;
  }
  auto input = LoadInput(options.input, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  if (input.value().dumps == nullptr) {
    return Fail(host, Error{"no dump in the input: give what a proxy runs with --dump FILE"});
  }
  analyze.dumps = input.value().dumps;
  World world(input.value().mesh);
  AnalyzeResult result = Analyze(*input.value().mesh, world, analyze);
  auto explained = ExplainedByVersion(input.value(), analyze.now);
  if (options.format == "json") {
    host.out << WriteJson(DriftJson(input.value(), result.findings, explained, host), 2) << "\n";
  } else {
    for (const auto& difference : explained) {
      host.err << PlaceText(difference.span) << ": note: " << difference.message << "\n";
    }
    for (const ProxyDump& dump : input.value().dumps->proxies) {
      std::string reason = NotCompared(dump, *input.value().mesh);
      if (dump.config->workload.empty()) continue;  // said already
      if (!reason.empty()) {
        host.err << dump.file << ": note: not compared with manifests: " << reason << "\n";
      } else if (std::string unseen = NotSeen(dump); !unseen.empty()) {
        host.err << dump.file << ": note: " << unseen << "\n";
      }
    }
    for (const ZtunnelDump& dump : input.value().dumps->ztunnels) {
      std::string reason = NotComparedZtunnel(*input.value().mesh);
      if (!reason.empty()) {
        host.err << dump.file << ": note: not compared with manifests: " << reason << "\n";
      }
    }
    host.out << FindingsText(ReportOf(input.value(), result.findings, host), Style{host.colour});
  }
  Exit exit = result.findings.empty() ? Exit::kOk : Exit::kRefused;
  return input.value().broken ? Worse(exit, Exit::kUnusable) : exit;
}

}  // namespace meshproof
