// EnvoyFilters that reach into what Istio builds for authentication and authorization. The HTTP
// chain of inbound listeners and gateways is: metadata exchange, CUSTOM (rbac, ext_authz),
// jwt_authn, rbac, …, router; what is put before sees requests that nobody has checked. Patches are
// applied in the order of priority, then of creation; one that finds nothing to hold on to is
// dropped silently.
#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/gateway_listeners.h"
#include "analyze/names.h"
#include "analyze/rule.h"
#include "base/text.h"
#include "match/string_matcher.h"

namespace meshproof::envoyfilter_on_security_chain {
namespace {

template <size_t N>
bool IsOneOf(std::string_view word, const std::string_view (&words)[N]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

constexpr std::string_view kSecurityFilters[] = {
    "envoy.filters.http.jwt_authn",
    "envoy.filters.http.rbac",
    "envoy.filters.http.ext_authz",
    "envoy.filters.network.rbac",
    "envoy.filters.network.ext_authz",
    "istio_authn",
    "istio.authn",
    "envoy.filters.http.rbac.shadow",
};
// Stand before or at the security filters.
constexpr std::string_view kEarlyFilters[] = {"istio.metadata_exchange",
                                              "envoy.filters.network.metadata_exchange"};
// What Istio puts into the chains itself: a patch that holds on to it always applies.
constexpr std::string_view kIstioFilters[] = {
    "envoy.filters.http.router",
    "envoy.filters.http.cors",
    "envoy.filters.http.fault",
    "envoy.filters.http.grpc_stats",
    "envoy.filters.http.grpc_web",
    "envoy.filters.network.http_connection_manager",
    "envoy.filters.network.tcp_proxy",
    "istio.alpn",
    "istio.stats",
};

struct OldName {
  std::string_view old_name, new_name;
};
constexpr OldName kOldNames[] = {
    {"envoy.http_connection_manager", "envoy.filters.network.http_connection_manager"},
    {"envoy.tcp_proxy", "envoy.filters.network.tcp_proxy"},
    {"envoy.router", "envoy.filters.http.router"},
    {"envoy.cors", "envoy.filters.http.cors"},
    {"envoy.fault", "envoy.filters.http.fault"},
    {"envoy.lua", "envoy.filters.http.lua"},
    {"envoy.ext_authz", "envoy.filters.http.ext_authz"},
    {"envoy.rate_limit", "envoy.filters.http.ratelimit"},
    {"envoy.gzip", "envoy.filters.http.compressor"},
    {"envoy.grpc_web", "envoy.filters.http.grpc_web"},
    {"envoy.grpc_http1_bridge", "envoy.filters.http.grpc_http1_bridge"},
    {"envoy.grpc_json_transcoder", "envoy.filters.http.grpc_json_transcoder"},
    {"envoy.health_check", "envoy.filters.http.health_check"},
    {"envoy.ip_tagging", "envoy.filters.http.ip_tagging"},
    {"envoy.squash", "envoy.filters.http.squash"},
    {"envoy.buffer", "envoy.filters.http.buffer"},
    {"envoy.dynamo", "envoy.filters.http.dynamo"},
    {"envoy.client_ssl_auth", "envoy.filters.network.client_ssl_auth"},
    {"envoy.echo", "envoy.filters.network.echo"},
    {"envoy.mongo_proxy", "envoy.filters.network.mongo_proxy"},
    {"envoy.ratelimit", "envoy.filters.network.ratelimit"},
    {"envoy.redis_proxy", "envoy.filters.network.redis_proxy"},
    {"envoy.listener.original_dst", "envoy.filters.listener.original_dst"},
    {"envoy.listener.original_src", "envoy.filters.listener.original_src"},
    {"envoy.listener.proxy_protocol", "envoy.filters.listener.proxy_protocol"},
    {"envoy.listener.tls_inspector", "envoy.filters.listener.tls_inspector"},
};

// Fields that decide whom a proxy believes: where the client's address and identity come from, in
// which spelling paths and hosts are compared, which certificates are accepted.
constexpr std::string_view kTrustFields[] = {
    "use_remote_address",
    "xff_num_trusted_hops",
    "skip_xff_append",
    "original_ip_detection_extensions",
    "internal_address_config",
    "forward_client_cert_details",
    "set_current_client_cert_details",
    "normalize_path",
    "merge_slashes",
    "path_with_escaped_slashes_action",
    "http_filters",
    "early_header_mutation_extensions",
    "require_client_certificate",
    "validation_context",
    "combined_validation_context",
    "trust_chain_verification",
    "trusted_ca",
    "match_typed_subject_alt_names",
    "match_subject_alt_names",
    "tls_minimum_protocol_version",
    "preserve_external_request_id",
    "proxy_protocol_config",
};

// `useRemoteAddress` is `use_remote_address`: protobuf reads both.
std::string SnakeCase(std::string_view key) {
  std::string out;
  for (char c : key) {
    if (c >= 'A' && c <= 'Z') {
      out += '_';
      out += static_cast<char>(c - 'A' + 'a');
    } else {
      out += c;
    }
  }
  return out;
}

std::string_view CurrentName(std::string_view name) {
  for (const OldName& entry : kOldNames) {
    if (entry.old_name == name) return entry.new_name;
  }
  return name;
}

bool IsSecurityFilter(std::string_view name) {
  return IsOneOf(CurrentName(name), kSecurityFilters);
}

// The first key below `node` that `wanted` takes.
template <typename Wanted>
const Node* FindKey(const Node* node, const Wanted& wanted) {
  if (node == nullptr) return nullptr;
  for (const Node& item : node->items()) {
    if (const Node* found = FindKey(&item, wanted)) return found;
  }
  for (const Entry& entry : node->entries()) {
    if (wanted(SnakeCase(entry.key.text))) return &entry.key;
    if (const Node* found = FindKey(&entry.value, wanted)) return found;
  }
  return nullptr;
}

struct Patch {
  const ObjectMeta* object = nullptr;
  const Node* item = nullptr;
  const Node* value = nullptr;
  const Node* operation_node = nullptr;
  const Node* anchor_node = nullptr;  // name of the filter to hold on to, the innermost one
  const Node* value_name = nullptr;
  std::string_view apply_to, context, operation;

  std::string_view Anchor() const {
    return anchor_node == nullptr ? std::string_view() : CurrentName(anchor_node->text);
  }
  bool IsFilter() const { return apply_to == "HTTP_FILTER" || apply_to == "NETWORK_FILTER"; }
  bool IsRoute() const {
    return apply_to == "HTTP_ROUTE" || apply_to == "VIRTUAL_HOST" ||
           apply_to == "ROUTE_CONFIGURATION";
  }
  // Applies where requests come in and are checked.
  bool MeetsChecks() const { return context != "SIDECAR_OUTBOUND"; }
  Span Place(const Node* node) const {
    return SpanOf(object->file, node == nullptr ? *item : *node);
  }
};

const Node* Named(const Node* node) {
  const Node* name = NodeAt(node, {"name"});
  return name == nullptr || name->text.empty() ? nullptr : name;
}

Patch ReadPatch(const ObjectMeta& object, const Node& item) {
  Patch patch;
  patch.object = &object;
  patch.item = &item;
  auto text = [](const Node* node) { return node == nullptr ? std::string_view() : node->text; };
  patch.apply_to = text(NodeAt(&item, {"applyTo"}));
  patch.context = text(NodeAt(&item, {"match", "context"}));
  patch.operation_node = NodeAt(&item, {"patch", "operation"});
  patch.operation = text(patch.operation_node);
  patch.value = NodeAt(&item, {"patch", "value"});
  patch.value_name = Named(patch.value);
  const Node* chain = NodeAt(&item, {"match", "listener", "filterChain"});
  const Node* filter = NodeAt(chain, {"filter"});
  if (patch.apply_to == "HTTP_FILTER") {
    patch.anchor_node = Named(NodeAt(filter, {"subFilter"}));
  } else if (patch.apply_to == "LISTENER_FILTER") {
    const Node* name = NodeAt(&item, {"match", "listener", "listenerFilter"});
    patch.anchor_node = name;
  } else {
    patch.anchor_node = Named(filter);
  }
  return patch;
}

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter) : analysis_(analysis), reporter_(reporter) {
    // Filters that carry a proxyVersion: of two for one filter only one may apply to a proxy.
    for (const EnvoyFilter& filter : analysis.model.envoy_filters) {
      for (const Node& item : ListItems(NodeAt(filter.meta.node, {"spec", "configPatches"}))) {
        const Node* version = NodeAt(&item, {"match", "proxy", "proxyVersion"});
        if (version == nullptr || version->text.empty()) continue;
        ++versioned_[InstanceName(ReadPatch(filter.meta, item))];
      }
    }
  }

  void Check(const EnvoyFilter& filter) {
    const Node* priority = NodeAt(filter.meta.node, {"spec", "priority"});
    const bool ordered = priority != nullptr && priority->AsInt().value_or(0) != 0;
    for (const Node& item : ListItems(NodeAt(filter.meta.node, {"spec", "configPatches"}))) {
      if (!item.IsMapping() || NodeAt(&item, {"patch"}) == nullptr) continue;
      const Patch patch = ReadPatch(filter.meta, item);
      Finding* touched = CheckSecurity(patch);
      CheckApplies(patch, ordered, touched);
      CheckVersion(patch);
      CheckOldNames(patch);
    }
  }

 private:
  Finding& Add(const Patch& patch, const Node* place, std::string message, std::string fix) {
    Finding& finding =
        ReportAt(reporter_, *patch.object, patch.Place(place), std::move(message), std::move(fix));
    finding.istioctl_codes = {"IST0133"};
    return finding;
  }

  std::string Scope(const Patch& patch) const {
    if (patch.context == "GATEWAY") return "gateways";
    if (patch.context == "SIDECAR_INBOUND") return "sidecars (inbound)";
    if (patch.context == "SIDECAR_OUTBOUND") return "sidecars (outbound)";
    return "sidecars and gateways";
  }

  Finding* CheckSecurity(const Patch& patch) {
    const std::string anchor(patch.Anchor());
    if (patch.IsFilter() && patch.MeetsChecks()) {
      if (IsSecurityFilter(anchor) &&
          (patch.operation == "REMOVE" || patch.operation == "REPLACE" ||
           patch.operation == "MERGE")) {
        const std::string does = patch.operation == "REMOVE"    ? "removes"
                                 : patch.operation == "REPLACE" ? "replaces"
                                                                : "changes";
        return &Add(patch, patch.anchor_node,
                    "the patch " + does + " `" + anchor + "` of " + Scope(patch) +
                        ", so what the policies say and what the proxy checks are no longer the "
                        "same; change the policies instead",
                    "Change the policies instead of the filter.");
      }
      if (const Node* place = Precedes(patch)) {
        const std::string what = patch.value_name == nullptr
                                     ? "a filter"
                                     : "`" + std::string(patch.value_name->text) + "`";
        return &Add(patch, place,
                    "the patch puts " + what +
                        " before the filters that check tokens and policies (" +
                        (anchor.empty() ? "first in the chain" : "at `" + anchor + "`") + ") of " +
                        Scope(patch) +
                        ", so it sees, changes and may answer requests that nobody has checked; "
                        "insert it before `" +
                        (patch.apply_to == "HTTP_FILTER"
                             ? "envoy.filters.http.router"
                             : "envoy.filters.network.http_connection_manager") +
                        "` unless that is meant",
                    "Insert the filter behind the security filters.");
      }
    }
    const bool whole = patch.apply_to == "LISTENER" || patch.apply_to == "FILTER_CHAIN";
    if (whole && patch.MeetsChecks() && (patch.operation == "REMOVE" || patch.operation == "ADD")) {
      return &Add(patch, patch.operation_node,
                  std::string("the patch ") + (patch.operation == "ADD" ? "adds" : "removes") +
                      " a whole " + (patch.apply_to == "LISTENER" ? "listener" : "filter chain") +
                      " of " + Scope(patch) + ", so " +
                      (patch.operation == "ADD" ? "traffic that it takes meets no policy of Istio's"
                                                : "its policies go with it") +
                      "; use a Gateway, or a Sidecar's ingress",
                  "Use a Gateway, or a Sidecar's ingress.");
    }
    if (patch.apply_to == "LISTENER_FILTER") {
      if (Finding* finding = CheckListenerFilter(patch)) return finding;
    }
    return CheckValue(patch);
  }

  // The place to point to; null where the filter stands behind the checks.
  static const Node* Precedes(const Patch& patch) {
    if (patch.operation == "INSERT_FIRST") return patch.operation_node;
    const std::string_view anchor = patch.Anchor();
    if (patch.operation == "INSERT_BEFORE") {
      // Without a name it goes to the front.
      if (anchor.empty()) return patch.operation_node;
      return IsSecurityFilter(anchor) || IsOneOf(anchor, kEarlyFilters) ? patch.anchor_node
                                                                        : nullptr;
    }
    return patch.operation == "INSERT_AFTER" && IsOneOf(anchor, kEarlyFilters) ? patch.anchor_node
                                                                               : nullptr;
  }

  Finding* CheckListenerFilter(const Patch& patch) {
    std::string_view name =
        patch.value_name == nullptr ? patch.Anchor() : CurrentName(patch.value_name->text);
    if (patch.operation != "REMOVE" && name != "envoy.filters.listener.proxy_protocol" &&
        name != "envoy.filters.listener.original_src") {
      return nullptr;
    }
    return &Add(patch, patch.value_name == nullptr ? patch.operation_node : patch.value_name,
                "the patch " + std::string(patch.operation == "REMOVE" ? "removes" : "adds") +
                    " `" + std::string(name) +
                    "`, so addresses and names that policies compare come from " +
                    (patch.operation == "REMOVE" ? "elsewhere than Istio means"
                                                 : "what the peer says of itself") +
                    "; set gatewayTopology for the proxy instead",
                "Set `gatewayTopology` for the proxy instead.");
  }

  Finding* CheckValue(const Patch& patch) {
    if (patch.operation == "REMOVE") return nullptr;
    if (const Node* key =
            FindKey(patch.value, [](const std::string& name) { return IsSecurityFilter(name); })) {
      return &Add(patch, key,
                  "the patch sets `" + std::string(key->text) +
                      "` for single routes, so requests that take them are checked otherwise than "
                      "the policies say; write that into the policies",
                  "Write the exception into the policies.");
    }
    const bool direct_filter = patch.value_name != nullptr &&
                               patch.value_name->text == "envoy.filters.network.direct_response";
    const Node* direct =
        direct_filter ? patch.value_name : FindKey(patch.value, [](const std::string& name) {
          return name == "direct_response";
        });
    if (direct != nullptr && (patch.IsRoute() || direct_filter)) {
      return &Add(patch, direct,
                  "the patch lets the proxy answer itself (`" + std::string(direct->text) +
                      "`), so requests end here that routes and policies of Istio say nothing of; "
                      "use `directResponse` of a VirtualService",
                  "Use `directResponse` of a VirtualService.");
    }
    // A filter of one's own may use any field.
    const bool own_filter = patch.IsFilter() && patch.operation != "MERGE";
    if (own_filter && patch.apply_to == "HTTP_FILTER") return nullptr;
    const Node* trust =
        FindKey(patch.value, [](const std::string& name) { return IsOneOf(name, kTrustFields); });
    if (trust == nullptr) return nullptr;
    return &Add(patch, trust,
                "the patch sets `" + std::string(trust->text) + "` of " + Scope(patch) +
                    ", which decides whom the proxy believes (addresses, identities, spelling of "
                    "paths) behind the back of the policies; use gatewayTopology, "
                    "pathNormalization or the TLS settings of Istio's own objects",
                "Use the settings of Istio's own objects.");
  }

  void CheckApplies(const Patch& patch, bool ordered, Finding* touched) {
    auto code = [&](std::string name) {
      if (touched != nullptr) touched->istioctl_codes->push_back(std::move(name));
      return touched != nullptr;
    };
    const bool routes = patch.apply_to == "ROUTE_CONFIGURATION" || patch.apply_to == "HTTP_ROUTE";
    const std::string op(patch.operation);
    const std::string to(patch.apply_to);
    if ((op == "ADD" || op == "REMOVE") && routes) {
      Finding& finding = Add(patch, patch.operation_node,
                             "operation " + op + " does nothing for applyTo " + to +
                                 ", so what the patch is for does not happen; use MERGE, or " +
                                 (op == "ADD" ? "INSERT_FIRST" : "a VirtualService"),
                             "Use another operation.");
      finding.detail = "ignored";
      finding.istioctl_codes = {op == "ADD" ? "IST0153" : "IST0154"};
      return;
    }
    if (op == "REPLACE" && !patch.IsFilter()) {
      Finding& finding = Add(patch, patch.operation_node,
                             "operation REPLACE works for HTTP_FILTER and NETWORK_FILTER only, so "
                             "the patch for " +
                                 to + " is not applied; use MERGE",
                             "Use MERGE.");
      finding.detail = "ignored";
      finding.istioctl_codes = {"IST0152"};
      return;
    }
    const bool relative = op == "REMOVE" || op == "REPLACE" || op == "INSERT_BEFORE" ||
                          op == "INSERT_AFTER" || op == "MERGE";
    if (!relative || ordered) return;
    const bool versioned = VersionedElsewhere(patch);
    const Node* own = NodeAt(patch.item, {"match", "proxy", "proxyVersion"});
    const bool either = versioned || (own != nullptr && !own->text.empty());
    if (either) code("IST0155");
    if (code("IST0151")) return;
    const bool sure = op == "MERGE" || !patch.IsFilter() || IsOneOf(patch.Anchor(), kIstioFilters);
    Finding& finding = Add(
        patch, patch.operation_node,
        "operation " + op + " holds on to something else" +
            (patch.anchor_node == nullptr ? ""
                                          : " (`" + std::string(patch.anchor_node->text) + "`)") +
            " and the EnvoyFilter has no `priority`" +
            (versioned ? ", while patches of the same filter are kept to a proxyVersion" : "") +
            ", so the patch is dropped silently where that is not there yet; set a priority, or "
            "use "
            "INSERT_FIRST or ADD",
        "Set `priority`.");
    if (sure && !versioned) finding.severity = Severity::kInfo;
    finding.detail = "relative";
    finding.istioctl_codes = {"IST0151"};
    if (either) finding.istioctl_codes->push_back("IST0155");
  }

  // As istioctl tells patches apart: the name in the value, else of the filter in the match.
  static std::string InstanceName(const Patch& patch) {
    if (patch.value == nullptr || patch.value->entries().empty()) return "";
    if (patch.value_name != nullptr) return std::string(patch.value_name->text);
    const Node* filter = NodeAt(patch.item, {"match", "listener", "filterChain", "filter", "name"});
    return filter == nullptr ? "" : std::string(filter->text);
  }

  bool VersionedElsewhere(const Patch& patch) const {
    auto found = versioned_.find(InstanceName(patch));
    if (found == versioned_.end()) return false;
    const Node* own = NodeAt(patch.item, {"match", "proxy", "proxyVersion"});
    return found->second > (own != nullptr && !own->text.empty() ? 1 : 0);
  }

  void CheckVersion(const Patch& patch) {
    constexpr int kCostlyProgram = 5000;
    const Node* version = NodeAt(patch.item, {"match", "proxy", "proxyVersion"});
    if (version == nullptr || version->text.empty()) return;
    Result<Regex> pattern = Regex::Compile(version->text);
    if (!pattern.ok() || pattern.value().ProgramSize() > kCostlyProgram) {
      // What Go cannot read either is refused before.
      if (!pattern.ok() && pattern.error().message.find("too large") == std::string::npos) return;
      Finding& finding = Add(
          patch, version,
          "the expression in `proxyVersion` is costly and istiod evaluates it for every proxy, so "
          "one EnvoyFilter can slow down or stop the control plane; write a short prefix such as "
          "`^1\\.24.*`",
          "Write a short expression.");
      finding.detail = "cost";
      return;
    }
    const std::string& stated = analysis_.istio_version;
    if (stated.empty() || pattern.value().PartialMatch(stated)) return;
    Finding& finding = Add(patch, version,
                           "`proxyVersion` does not fit proxies of Istio " + stated +
                               ", so the patch is dropped silently there; correct or remove it",
                           "Make the expression fit the proxies that run.");
    finding.detail = "version";
  }

  void CheckOldNames(const Patch& patch) {
    const Node* filter = NodeAt(patch.item, {"match", "listener", "filterChain", "filter"});
    const Node* filter_name = Named(filter);
    const Node* sub_name = Named(NodeAt(filter, {"subFilter"}));
    for (const Node* name : {filter_name, sub_name, patch.value_name}) {
      if (name == nullptr || CurrentName(name->text) == name->text) continue;
      Finding& finding =
          Add(patch, name,
              "filter name `" + std::string(name->text) + "` is no longer used by Envoy (`" +
                  std::string(CurrentName(name->text)) +
                  "` is), so the patch may hold on to nothing; write the new name",
              "Write `" + std::string(CurrentName(name->text)) + "`.");
      finding.edits.push_back({patch.Place(name), std::string(CurrentName(name->text))});
      finding.severity = Severity::kInfo;
      finding.detail = "old-name";
    }
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::map<std::string, int> versioned_;  // patches with a proxyVersion, by what they patch
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const EnvoyFilter& filter : analysis.model.envoy_filters) checker.Check(filter);
}

}  // namespace meshproof::envoyfilter_on_security_chain
