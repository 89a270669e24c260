#include "app/compile.h"

#include <algorithm>

#include "proxy/compile.h"
#include "proxy/dump.h"
#include "proxy/dump_input.h"
#include "proxy/emit.h"
#include "proxy/ztunnel.h"
#include "report/parts.h"

namespace meshproof {
namespace {

Result<const Workload*> ProxyOf(const Mesh& mesh, const std::string& text) {
  auto name = ParseWorkloadName(text);
  if (!name.ok()) return name.error();
  if (name.value().port != 0) {
    return Error{"`compile` prints a whole proxy: name it without a port"};
  }
  auto workload = FindWorkload(mesh, name.value().name);
  if (!workload.ok()) return workload;
  std::string who = name.value().name + " (" + workload.value()->mode_reason + ")";
  switch (workload.value()->mode) {
    case ProxyMode::kSidecar:
    case ProxyMode::kGateway:
    case ProxyMode::kWaypoint:
      return workload;
    case ProxyMode::kNone:
      return Error{who + " has no proxy: istiod pushes it nothing"};
    case ProxyMode::kAmbient:
      return Error{who + " has no proxy of its own: its node's ztunnel takes its traffic; " +
                   "`compile ztunnel` prints what istiod sends to every ztunnel"};
  }
  return workload;
}

void Print(const Json& emitted, const std::string& format, const Host& host) {
  Json out = Json::MakeObject({{"version", 1}});
  for (const auto& [key, value] : emitted.as_object()) out.Set(key, value);
  host.out << (format == "json" ? WriteJson(out, 2) + "\n" : WriteYaml(out));
}

bool OnlyFromDumps(const Model& model) {
  return std::all_of(model.files.begin(), model.files.end(), [](const ParsedFile& file) {
    return file.documents.empty() || IsMadeForDumps(*file.file);
  });
}

// What the dump's ztunnel was sent, in the form of what istiod sends.
Exit NormaliseZtunnel(const CompileOptions& options, const Host& host) {
  DumpInput dump;
  if (auto added = dump.Add(*options.from_dump, host.files); !added.ok()) {
    return Fail(host, added.error());
  }
  const auto model = DecodeModel(dump.Complete(Load(), true), ModelOptions());
  const auto mesh = Mesh::Build(model);
  const auto dumps = dump.Finish(mesh);
  Print(EmitZtunnel(ZtunnelConfig(*mesh, dumps->ztunnels)), options.format, host);
  return dumps->diagnostics.empty() ? Exit::kOk : Exit::kUnusable;
}

// The dump's proxies in the form that compiled ones have.
Exit Normalise(const CompileOptions& options, const Host& host) {
  auto text = host.files.Read(*options.from_dump);
  if (!text.ok())
    return Fail(host, Error{"the dump `" + *options.from_dump +
                            "` cannot be read: " + text.error().message});
  DumpReader reader;
  reader.AddText(*options.from_dump, text.Take());
  Dumps dumps = reader.Finish();
  bool broken = false;
  for (const auto& diagnostic : dumps.diagnostics) {
    host.err << ToString(diagnostic) << "\n";
    broken |= IsBroken(diagnostic);
  }
  std::vector<const ProxyDump*> chosen;
  for (const auto& dump : dumps.proxies) {
    std::string name = dump.config->ns + "/" + dump.config->workload;
    if (options.workload.empty() || options.workload == name) chosen.push_back(&dump);
  }
  if (chosen.empty() && !dumps.ztunnels.empty() &&
      (options.workload.empty() || options.workload == "ztunnel")) {
    return NormaliseZtunnel(options, host);
  }
  if (chosen.empty()) {
    return Fail(host, Error{options.workload.empty()
                                ? "no proxy's configuration in " + *options.from_dump
                                : "no dump of " + options.workload + " in " + *options.from_dump});
  }
  if (chosen.size() > 1) {
    return Fail(
        host, Error{"several proxies in " + *options.from_dump + "; say which with its WORKLOAD"});
  }
  for (const DumpOpaque& part : chosen.front()->opaque) {
    host.err << "warning: cannot be seen through: " << (part.where.empty() ? "" : part.where + ": ")
             << part.what << "\n";
  }
  Print(EmitProxy(*chosen.front()->config), options.format, host);
  return broken ? Exit::kUnusable : Exit::kOk;
}

}  // namespace

Exit RunCompile(const CompileOptions& options, const Host& host) {
  if (options.from_dump) return Normalise(options, host);
  if (options.workload.empty()) {
    return Fail(host, Error{"compile: WORKLOAD is required; see meshproof compile --help"});
  }
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  InputOptions input_options = options.input;
  input_options.nameless_dumps = true;
  auto input = LoadInput(input_options, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  Exit done = input.value().broken ? Exit::kUnusable : Exit::kOk;
  NoteUnusedDumps(input.value(),
                  "`compile` prints what istiod sends by the manifests "
                  "(`--from-dump FILE`: what a proxy runs)",
                  host);
  if (options.workload == "ztunnel") {
    if (input.value().model->objects == 0 || OnlyFromDumps(*input.value().model)) {
      return Fail(host, Error{"no manifests: `compile --from-dump FILE` prints what a ztunnel was "
                              "sent by its dump"});
    }
    Print(EmitZtunnel(ZtunnelConfig(*input.value().mesh)), options.format, host);
    return done;
  }
  auto workload = ProxyOf(*input.value().mesh, options.workload);
  if (!workload.ok()) return Fail(host, workload.error());
  if (IsFromDump(*workload.value())) {
    return Fail(host, Error{options.workload + " is known from " + DumpFiles(*input.value().dumps) +
                            " alone: `compile` prints what istiod sends by the manifests, " +
                            "`compile --from-dump FILE` what a proxy runs"});
  }

  Compiler compiler(input.value().mesh);
  auto proxy = compiler.Compile(*workload.value());
  for (const auto& failure : proxy->load_failures) {
    std::string by = OriginText(failure.origin);
    host.err << "warning: Envoy refuses listener " << failure.listener << ": " << failure.reason
             << (by.empty() ? "" : "; " + by) << "\n";
  }
  for (const auto* object : proxy->unmodelled) {
    host.err << "warning: " << ObjectText(*object)
             << " changes this proxy in ways that are not computed\n";
  }
  Print(EmitProxy(*proxy), options.format, host);
  return done;
}

}  // namespace meshproof
