// Decides what an extension provider becomes. A broken or missing one is not deny-all: the rules of
// the policies that name it turn into enforced DENY rules (filter_builder.cc), so it matters
// exactly which providers istiod takes for broken.

#include "proxy/custom.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>

#include "base/text.h"
#include "proxy/filter_names.h"
#include "proxy/string_class.h"

namespace meshproof {
namespace {

constexpr std::string_view kGateKey = "istio_ext_authz_shadow_effective_policy_id";

struct StatusName {
  int status;
  std::string_view name;
};

constexpr std::array kStatusNames = {
    StatusName{100, "Continue"},
    StatusName{200, "OK"},
    StatusName{201, "Created"},
    StatusName{202, "Accepted"},
    StatusName{203, "NonAuthoritativeInformation"},
    StatusName{204, "NoContent"},
    StatusName{205, "ResetContent"},
    StatusName{206, "PartialContent"},
    StatusName{207, "MultiStatus"},
    StatusName{208, "AlreadyReported"},
    StatusName{226, "IMUsed"},
    StatusName{300, "MultipleChoices"},
    StatusName{301, "MovedPermanently"},
    StatusName{302, "Found"},
    StatusName{303, "SeeOther"},
    StatusName{304, "NotModified"},
    StatusName{305, "UseProxy"},
    StatusName{307, "TemporaryRedirect"},
    StatusName{308, "PermanentRedirect"},
    StatusName{400, "BadRequest"},
    StatusName{401, "Unauthorized"},
    StatusName{402, "PaymentRequired"},
    StatusName{403, "Forbidden"},
    StatusName{404, "NotFound"},
    StatusName{405, "MethodNotAllowed"},
    StatusName{406, "NotAcceptable"},
    StatusName{407, "ProxyAuthenticationRequired"},
    StatusName{408, "RequestTimeout"},
    StatusName{409, "Conflict"},
    StatusName{410, "Gone"},
    StatusName{411, "LengthRequired"},
    StatusName{412, "PreconditionFailed"},
    StatusName{413, "PayloadTooLarge"},
    StatusName{414, "URITooLong"},
    StatusName{415, "UnsupportedMediaType"},
    StatusName{416, "RangeNotSatisfiable"},
    StatusName{417, "ExpectationFailed"},
    StatusName{421, "MisdirectedRequest"},
    StatusName{422, "UnprocessableEntity"},
    StatusName{423, "Locked"},
    StatusName{424, "FailedDependency"},
    StatusName{426, "UpgradeRequired"},
    StatusName{428, "PreconditionRequired"},
    StatusName{429, "TooManyRequests"},
    StatusName{431, "RequestHeaderFieldsTooLarge"},
    StatusName{500, "InternalServerError"},
    StatusName{501, "NotImplemented"},
    StatusName{502, "BadGateway"},
    StatusName{503, "ServiceUnavailable"},
    StatusName{504, "GatewayTimeout"},
    StatusName{505, "HTTPVersionNotSupported"},
    StatusName{506, "VariantAlsoNegotiates"},
    StatusName{507, "InsufficientStorage"},
    StatusName{508, "LoopDetected"},
    StatusName{510, "NotExtended"},
    StatusName{511, "NetworkAuthenticationRequired"},
};

bool IsDnsLabel(std::string_view name) {
  if (name.empty() || name.size() > 63 || name.front() == '-' || name.back() == '-') return false;
  return std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::optional<int> ParseInt(std::string_view text) {
  if (text.starts_with('+')) text.remove_prefix(1);
  int value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

struct FoundHost {
  std::string host;
  std::string error;
};

FoundHost FindHost(const Mesh& mesh, std::string_view service) {
  const size_t slash = service.find('/');
  const bool qualified = slash != std::string_view::npos;
  const std::string_view ns = qualified ? service.substr(0, slash) : std::string_view();
  const std::string_view host = qualified ? service.substr(slash + 1) : service;
  std::vector<std::string_view> namespaces;
  for (const MeshService& candidate : mesh.services()) {
    if (candidate.host != host || (qualified && candidate.ns != ns)) continue;
    if (std::find(namespaces.begin(), namespaces.end(), candidate.ns) == namespaces.end()) {
      namespaces.push_back(candidate.ns);
    }
  }
  if (namespaces.size() > 1) {
    return {"", "service " + std::string(service) + " stands in several namespaces"};
  }
  if (namespaces.empty()) return {"", "service " + std::string(service) + " is not in the mesh"};
  return {std::string(host), ""};
}

std::vector<StringMatcher> HeaderPatterns(const TextList& list) {
  std::vector<StringMatcher> patterns;
  for (const Text& value : list.values) {
    StringMatcher matcher = MatchString(value.value);
    matcher.ignore_case = true;
    patterns.push_back(std::move(matcher));
  }
  return patterns;
}

std::string FindError(const ExtensionProvider& provider) {
  if (!IsDnsLabel(provider.name.value)) return "its name is no lower-case DNS label";
  if (provider.port < 1 || provider.port > 65535) return "its port is not in 1..65535";
  if (provider.service.value.empty()) return "it names no service";
  if (!provider.status_on_error.empty()) {
    const std::optional<int> status = ParseInt(provider.status_on_error);
    if (!status || (*status != 0 && EnvoyStatusName(*status).empty())) {
      return "its statusOnError is no HTTP status that Envoy knows";
    }
  }
  if (provider.kind != ExtensionProvider::Kind::kExtAuthzHttp) return "";
  if (!provider.path_prefix.empty() && !provider.path_prefix.starts_with('/')) {
    return "its pathPrefix does not start with /";
  }
  for (const TextList* list :
       {&provider.include_request_headers, &provider.include_headers_deprecated,
        &provider.headers_to_upstream_on_allow, &provider.headers_to_downstream_on_deny,
        &provider.headers_to_downstream_on_allow}) {
    for (const Text& value : list->values) {
      if (value.value == "*") return "a list of headers holds *";
    }
  }
  return "";
}

void SetHttpService(const ExtensionProvider& provider, const std::string& host,
                    ExtAuthzFilter* filter) {
  filter->uri = "http://" + host;
  filter->path_prefix = std::string(provider.path_prefix);
  filter->allowed_headers =
      HeaderPatterns(provider.include_request_headers.empty() ? provider.include_headers_deprecated
                                                              : provider.include_request_headers);
  for (const auto& [name, value] : provider.include_additional_headers) {
    filter->headers_to_add.emplace_back(name.value, value.value);
  }
  std::sort(filter->headers_to_add.begin(), filter->headers_to_add.end());
  filter->allowed_upstream_headers = HeaderPatterns(provider.headers_to_upstream_on_allow);
  filter->allowed_client_headers = HeaderPatterns(provider.headers_to_downstream_on_deny);
  filter->allowed_client_headers_on_success =
      HeaderPatterns(provider.headers_to_downstream_on_allow);
}

ResolvedProvider Build(const ExtensionProvider& provider, const std::string& host) {
  ExtAuthzFilter filter;
  filter.provider = std::string(provider.name.value);
  filter.cluster = "outbound|" + std::to_string(provider.port) + "||" + host;
  filter.timeout = ProtoDuration(provider.timeout).value_or("600s");
  filter.failure_mode_allow = provider.fail_open;
  filter.status_on_error = ParseInt(provider.status_on_error).value_or(0);
  filter.gate_filter = "envoy.filters.http.rbac";
  filter.gate_key = std::string(kGateKey);
  filter.gate_prefix = "istio-ext-authz-" + filter.provider;
  if (provider.body) {
    ExtAuthzFilter::Body body;
    body.max_request_bytes = static_cast<uint32_t>(provider.body->max_request_bytes);
    body.allow_partial_message = provider.body->allow_partial_message;
    body.pack_as_bytes = provider.body->pack_as_bytes;
    filter.with_request_body = body;
  }
  ResolvedProvider resolved;
  if (provider.kind == ExtensionProvider::Kind::kExtAuthzHttp) {
    SetHttpService(provider, host, &filter);
    resolved.http = std::move(filter);
    return resolved;
  }
  filter.grpc = true;
  filter.authority = host;
  resolved.http = filter;
  filter.gate_filter = kNetworkRbac;
  filter.stat_prefix = "tcp.";
  filter.with_request_body.reset();
  filter.status_on_error = 0;
  resolved.network = std::move(filter);
  return resolved;
}

ResolvedProvider Broken(std::string error) {
  ResolvedProvider resolved;
  resolved.error = std::move(error);
  return resolved;
}

}  // namespace

std::string_view EnvoyStatusName(int64_t status) {
  for (const StatusName& entry : kStatusNames) {
    if (entry.status == status) return entry.name;
  }
  return "";
}

std::optional<std::string> ProtoDuration(std::string_view go_duration) {
  struct Unit {
    std::string_view name;
    double nanoseconds;
  };
  static constexpr std::array kUnits = {Unit{"ns", 1},  Unit{"us", 1e3}, Unit{"ms", 1e6},
                                        Unit{"s", 1e9}, Unit{"m", 60e9}, Unit{"h", 3600e9}};
  if (go_duration.empty()) return std::nullopt;
  double total = 0;
  while (!go_duration.empty()) {
    const size_t digits =
        std::min(go_duration.find_first_not_of("0123456789."), go_duration.size());
    double number = 0;
    const auto [end, error] =
        std::from_chars(go_duration.data(), go_duration.data() + digits, number);
    if (error != std::errc() || end != go_duration.data() + digits) return std::nullopt;
    go_duration.remove_prefix(digits);
    const size_t letters = std::min(go_duration.find_first_of("0123456789."), go_duration.size());
    const std::string_view name = go_duration.substr(0, letters);
    const auto unit = std::find_if(kUnits.begin(), kUnits.end(),
                                   [&](const Unit& each) { return each.name == name; });
    if (unit == kUnits.end()) return std::nullopt;
    total += number * unit->nanoseconds;
    go_duration.remove_prefix(letters);
  }
  if (total > 9e18) return std::nullopt;
  const auto nanoseconds = static_cast<uint64_t>(std::llround(total));
  std::string text = std::to_string(nanoseconds / 1'000'000'000);
  if (const uint64_t rest = nanoseconds % 1'000'000'000; rest != 0) {
    std::string fraction = std::to_string(1'000'000'000 + rest).substr(1);
    while (fraction.ends_with("000")) fraction.resize(fraction.size() - 3);
    text += "." + fraction;
  }
  return text + "s";
}

ResolvedProvider ResolveProvider(const Mesh& mesh, std::string_view name) {
  const ExtensionProvider* found = nullptr;
  for (const ExtensionProvider& provider : mesh.config().providers) {
    if (provider.kind == ExtensionProvider::Kind::kOther || provider.name.value != name) continue;
    if (found != nullptr) return Broken("two providers have this name");
    found = &provider;
  }
  if (found == nullptr) return Broken("no such provider");
  std::string error = FindError(*found);
  if (!error.empty()) return Broken(std::move(error));
  FoundHost host = FindHost(mesh, found->service.value);
  if (!host.error.empty()) return Broken(std::move(host.error));
  return Build(*found, host.host);
}

}  // namespace meshproof
