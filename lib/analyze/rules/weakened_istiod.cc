// Settings of istiod that take away what the mesh's identities rest on: who may ask for which
// configuration and certificate, and whose certificates proxies believe. They are environment
// variables of the control plane: of its Deployment, of the values that an operator installs it
// with, or stated in the settings file. Booleans are Go's; one that cannot be read is the default.
#include <set>
#include <string>

#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/ip.h"
#include "mesh/injection.h"

namespace meshproof::weakened_istiod {
namespace {

struct Switch {
  std::string_view name;
  bool weak;  // the value that weakens; the other one is the default
  std::string_view consequence;
};

constexpr Switch kSwitches[] = {
    {"XDS_AUTH", false,
     "istiod no longer asks who is calling, and whoever reaches its ports gets the configuration "
     "of any proxy"},
    {"PILOT_ENABLE_XDS_IDENTITY_CHECK", false,
     "a proxy may claim to be one of another namespace or account, and gets its configuration and "
     "the private keys of its gateways"},
    {"PILOT_SKIP_VALIDATE_TRUST_DOMAIN", true,
     "proxies accept the certificates of every trust domain that their roots sign for, and a "
     "foreign domain's workloads pass as peers of this mesh"},
    {"ENABLE_DEBUG_ENDPOINT_AUTH", false,
     "the debug endpoints (15010, 15014) answer anybody in the cluster with the configuration of "
     "every proxy (CVE-2026-31838)"},
    {"UNSAFE_ENABLE_ADMIN_ENDPOINTS", true,
     "istiod's monitoring port answers anybody in the cluster with admin endpoints that are unsafe "
     "by their own name"},
};

std::optional<bool> ParseBool(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

// Where settings of istiod are written.
struct Source {
  ObjectName object;
  const SourceFile* file = nullptr;
  const Node* node = nullptr;  // of the object; null for the settings file
};

class Checker {
 public:
  explicit Checker(Reporter& reporter) : reporter_(reporter) {}

  void Check(const Source& source, std::string_view name, std::string_view value,
             const Node* place) {
    for (const Switch& one : kSwitches) {
      if (one.name != name || ParseBool(value) != one.weak) continue;
      const std::string safe = one.weak ? "false" : "true";
      Finding& finding =
          Add(source, place, name,
              std::string(name) + " is " + std::string(value) + " (default " + safe + "), so " +
                  std::string(one.consequence) + "; leave it at its default",
              "Remove " + std::string(name) + ", or set it to `" + safe + "`.");
      if (place != nullptr) {
        const bool quoted = place->style == ScalarStyle::kQuoted;
        finding.edits.push_back({finding.span, quoted ? "\"" + safe + "\"" : safe});
      }
    }
    if (name == "TRUSTED_GATEWAY_CIDR") CheckTrusted(source, value, place);
    if (name == "CA_TRUSTED_NODE_ACCOUNTS") CheckNodeAccounts(source, value, place);
  }

 private:
  Finding& Add(const Source& source, const Node* place, std::string_view name, std::string message,
               std::string fix) {
    Span span = place == nullptr ? Span() : SpanOf(source.file, *place);
    Finding& finding = reporter_.Report(source.object, span, std::move(message));
    if (source.node != nullptr && span) {
      finding.field_path = FieldPathAt(*source.node, span.begin);
    }
    finding.detail = name;
    finding.fix = std::move(fix);
    return finding;
  }

  // From these addresses istiod believes a forwarded client certificate header.
  void CheckTrusted(const Source& source, std::string_view value, const Node* place) {
    constexpr int kNarrow4 = 24;
    constexpr int kNarrow6 = 112;
    for (std::string_view written : Split(value, ',')) {
      std::string_view cidr = TrimSpace(written);
      auto range = ParseCidr(cidr);
      if (!range) continue;
      const bool v6 = cidr.find(':') != std::string_view::npos;
      size_t slash = cidr.find('/');
      auto prefix =
          slash == std::string_view::npos ? std::nullopt : ParseUnsigned(cidr.substr(slash + 1));
      if (!prefix || static_cast<int>(*prefix) >= (v6 ? kNarrow6 : kNarrow4)) continue;
      Finding& finding =
          Add(source, place, "TRUSTED_GATEWAY_CIDR",
              "TRUSTED_GATEWAY_CIDR trusts all of " + std::string(cidr) +
                  " (default: nobody), so every pod with an address in there gets certificates and "
                  "configuration of whom it names in an X-Forwarded-Client-Cert header of its own; "
                  "list the addresses of the gateways in front of istiod alone",
              "Narrow TRUSTED_GATEWAY_CIDR to the gateways' addresses.");
      finding.detail += "/" + std::string(cidr);
    }
  }

  // These accounts get certificates for every workload of their node.
  void CheckNodeAccounts(const Source& source, std::string_view value, const Node* place) {
    for (std::string_view written : Split(value, ',')) {
      std::string_view account = TrimSpace(written);
      size_t slash = account.find('/');
      if (account.empty() || slash == std::string_view::npos) continue;
      if (account.substr(slash + 1) == "ztunnel") continue;
      Finding& finding =
          Add(source, place, "CA_TRUSTED_NODE_ACCOUNTS",
              "CA_TRUSTED_NODE_ACCOUNTS trusts account " + std::string(account) +
                  ", so its pods get certificates for every workload of their nodes; list "
                  "ztunnel's account alone",
              "Remove `" + std::string(account) + "`.");
      finding.detail += "/" + std::string(account);
      finding.severity = Severity::kWarning;
    }
  }

  Reporter& reporter_;
};

// Values that helm charts and operators hand to istiod's environment.
void CheckInstallation(const RawObject& object, Checker& checker) {
  const Source source{NameOf(object), object.file, object.node};
  for (const Node* env : {NodeAt(object.node, {"spec", "values", "pilot", "env"}),
                          NodeAt(object.node, {"spec", "values", "env"})}) {
    if (env == nullptr) continue;
    for (const Entry& entry : env->entries()) {
      checker.Check(source, entry.key.text, entry.value.text, &entry.value);
    }
  }
  const Node* list = NodeAt(object.node, {"spec", "components", "pilot", "k8s", "env"});
  if (list == nullptr) return;
  for (const Node& item : list->items()) {
    const Node* name = NodeAt(&item, {"name"});
    const Node* value = NodeAt(&item, {"value"});
    if (name != nullptr && value != nullptr) checker.Check(source, name->text, value->text, value);
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(reporter);
  std::set<std::pair<std::string_view, std::string_view>> written;
  for (const PodWorkload& pod : analysis.model.pod_workloads) {
    if (!IsIstiod(pod)) continue;
    const Source source{NameOf(pod.meta), pod.meta.file, pod.meta.node};
    for (const PodContainer& container : ContainersOf(pod.meta)) {
      if (IsIstioContainer(container.name)) continue;
      const Node* env = NodeAt(container.node, {"env"});
      if (env == nullptr) continue;
      for (const Node& item : env->items()) {
        const Node* name = NodeAt(&item, {"name"});
        const Node* value = NodeAt(&item, {"value"});
        if (name == nullptr || value == nullptr) continue;
        written.insert({name->text, value->text});
        checker.Check(source, name->text, value->text, value);
      }
    }
  }
  for (const Model::Skipped& skipped : analysis.model.skipped) {
    if (skipped.kind != "IstioOperator" && skipped.kind != "Istio") continue;
    for (const RawObject& object : ObjectsOf(analysis.objects, {"IstioOperator", "Istio"})) {
      CheckInstallation(object, checker);
    }
    break;
  }
  // What the settings state, where no Deployment says the same.
  for (const auto& [name, value] : analysis.mesh.options().istiod_env) {
    if (written.contains({name, value})) continue;
    checker.Check({}, name, value, nullptr);
  }
}

}  // namespace meshproof::weakened_istiod
