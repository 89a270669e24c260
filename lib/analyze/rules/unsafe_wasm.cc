// Modules that stand in the place of authentication or authorization. The proxy's agent fetches
// them: `oci://` (also without a scheme) by tag or digest, `http(s)://` as a file, checked against
// `sha256` where it is given. FAIL_OPEN lets requests pass by a module that cannot be fetched or
// crashed; FAIL_CLOSE, the default, answers 503.
#include <string>
#include <string_view>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/ip.h"

namespace meshproof::unsafe_wasm {
namespace {

struct Module {
  const ObjectMeta* object = nullptr;
  const Node* settings = nullptr;  // what holds url, sha256 and failStrategy
  std::string_view phase;
  const Node* url = nullptr;

  std::string_view Value(std::string_view field) const {
    const Node* value = NodeAt(settings, {field});
    return value == nullptr ? std::string_view() : value->text;
  }
  Span Place(std::string_view field) const {
    const Node* value = NodeAt(settings, {field});
    return value == nullptr ? object->span : SpanOf(object->file, *value);
  }
  std::string Checks() const {
    return phase == "AUTHN" ? "who the caller is" : "what the caller may do";
  }
};

std::string_view SchemeOf(std::string_view url) {
  size_t colon = url.find("://");
  return colon == std::string_view::npos ? std::string_view("oci") : url.substr(0, colon);
}

// The tag of an image; "" where it has none.
std::string_view TagOf(std::string_view url) {
  size_t colon = url.rfind(':');
  if (colon == std::string_view::npos) return {};
  std::string_view tag = url.substr(colon + 1);
  return tag.find('/') == std::string_view::npos ? tag : std::string_view();
}

std::string_view HostOf(std::string_view url) {
  size_t start = url.find("://");
  std::string_view rest = start == std::string_view::npos ? url : url.substr(start + 3);
  rest = rest.substr(0, rest.find_first_of("/?#"));
  size_t at = rest.rfind('@');
  if (at != std::string_view::npos) rest = rest.substr(at + 1);
  if (rest.starts_with('[')) return rest.substr(1, rest.find(']') - 1);
  return rest.substr(0, rest.rfind(':'));
}

void CheckFailOpen(const Module& module, Reporter& reporter) {
  if (module.Value("failStrategy") != "FAIL_OPEN") return;
  const Node* value = NodeAt(module.settings, {"failStrategy"});
  Finding& finding = ReportAt(
      reporter, *module.object, SpanOf(module.object->file, *value),
      "the module decides in phase " + std::string(module.phase) + " " + module.Checks() +
          " and fails open: while it cannot be fetched or after it crashed, requests pass without "
          "its check; use FAIL_CLOSE, which answers 503 then",
      "Set `failStrategy: FAIL_CLOSE`.");
  finding.edits.push_back({SpanOf(module.object->file, *value), "FAIL_CLOSE"});
}

void CheckPin(const Module& module, Reporter& reporter) {
  std::string_view url = module.url->text;
  std::string_view scheme = SchemeOf(url);
  if (scheme == "file" || !module.Value("sha256").empty()) return;
  std::string why;
  if (scheme == "oci") {
    if (url.find("@sha256:") != std::string_view::npos) return;
    std::string_view tag = TagOf(url);
    if (!tag.empty() && tag != "latest") return;
    why = tag.empty() ? "has neither tag nor digest" : "has the moving tag `latest`";
  } else if (scheme == "http" || scheme == "https") {
    why = "is a file without a checksum";
  } else {
    return;
  }
  ReportAt(reporter, *module.object, SpanOf(module.object->file, *module.url),
           "the module of phase " + std::string(module.phase) + " " + why +
               ", so whoever can change what `" + std::string(url) + "` serves decides " +
               module.Checks() + "; set `sha256`" +
               (scheme == "oci" ? ", or name a fixed tag or a digest" : ""),
           "Set `sha256` to the checksum of the module that was reviewed.");
}

void CheckPlainHttp(const Module& module, Reporter& reporter) {
  if (SchemeOf(module.url->text) != "http") return;
  const bool pinned = !module.Value("sha256").empty();
  Finding& finding = ReportAt(
      reporter, *module.object, SpanOf(module.object->file, *module.url),
      "the module of phase " + std::string(module.phase) + " is fetched over plain http, so " +
          (pinned ? "others on the way can keep it from loading, though not change it"
                  : "anybody on the way can put another one in its place") +
          "; use https or an image",
      "Use an https:// or oci:// URL.");
  finding.detail = "http";
  if (pinned) finding.severity = Severity::kWarning;
}

// Proxies fetch what the URL says, from inside the cluster.
void CheckTarget(const Module& module, const Mesh& mesh, Reporter& reporter) {
  std::string_view scheme = SchemeOf(module.url->text);
  if (scheme == "file" || mesh.Feature("BLOCKED_CIDRS_IN_WASM_FETCH")) return;
  std::string_view host = HostOf(module.url->text);
  std::string what;
  if (ParseIpAddress(host)) {
    what = "address " + std::string(host);
  } else if (host == "localhost" || host == "metadata.google.internal") {
    what = "host `" + std::string(host) + "`";
  } else {
    return;
  }
  Finding& finding = ReportAt(
      reporter, *module.object, SpanOf(module.object->file, *module.url),
      "every selected proxy fetches the module of phase " + std::string(module.phase) + " from " +
          what +
          " and BLOCKED_CIDRS_IN_WASM_FETCH restricts nothing, so the author of this object makes "
          "proxies call addresses that only they reach; use a named registry, and set "
          "BLOCKED_CIDRS_IN_WASM_FETCH at istiod",
      "Name a registry, and set BLOCKED_CIDRS_IN_WASM_FETCH at istiod.");
  finding.detail = "target";
  finding.severity = Severity::kWarning;
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  for (const OtherObject& object : analysis.model.others) {
    const bool plugin = object.meta.kind == "WasmPlugin";
    if (!plugin && object.meta.kind != "TrafficExtension") continue;
    const Node* spec = NodeAt(object.meta.node, {"spec"});
    const Node* phase = NodeAt(spec, {"phase"});
    if (phase == nullptr || (phase->text != "AUTHN" && phase->text != "AUTHZ")) continue;
    Module module;
    module.object = &object.meta;
    module.settings = plugin ? spec : NodeAt(spec, {"wasm"});
    module.phase = phase->text;
    module.url = NodeAt(module.settings, {"url"});
    if (module.settings == nullptr) continue;
    CheckFailOpen(module, reporter);
    if (module.url == nullptr) continue;
    CheckPin(module, reporter);
    CheckPlainHttp(module, reporter);
    CheckTarget(module, analysis.mesh, reporter);
  }
}

}  // namespace meshproof::unsafe_wasm
