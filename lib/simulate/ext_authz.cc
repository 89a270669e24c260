// Envoy's external authorization filter on one request. Istio gates it by the metadata of the
// CUSTOM shadow rules before it: where no rule matched, nobody is asked. The gate compares a prefix
// of the policy id, so that provider `foo` is also asked for matches of `foo-bar`.

#include "simulate/ext_authz.h"

#include "proxy/filter_names.h"

namespace meshproof {
namespace {

bool GateOpen(const ExtAuthzFilter& filter, const Stream& stream) {
  if (filter.gate_filter.empty()) return true;
  const auto& metadata =
      filter.gate_filter == kNetworkRbac ? stream.network_rbac : stream.http_rbac;
  std::string_view key = filter.gate_key;
  for (const auto& entry : metadata) {
    if (key.starts_with(entry.prefix) && key.substr(entry.prefix.size()) == entry.key) {
      return entry.value.starts_with(filter.gate_prefix);
    }
  }
  return false;
}

std::optional<ExtAuthzAnswer> AnswerOf(const ExtAuthzFilter& filter, const ProxyRequest& request) {
  auto own = request.ext_authz_by_provider.find(filter.provider);
  if (own != request.ext_authz_by_provider.end()) return own->second;
  return request.ext_authz;
}

FilterStatus Refuse(const ExtAuthzFilter& filter, FilterLevel level, int status,
                    std::string_view details, std::string_view text, Stream* stream) {
  Origin origin = stream->custom_policy != nullptr ? stream->custom_policy->origin : filter.origin;
  if (stream->trace) {
    stream->AddStep(Stage::kCustom, Step::Result::kRefuse,
                    "authorizer " + filter.provider + std::string(text), origin);
  }
  if (level == FilterLevel::kNetwork) {
    CloseConnection(stream, Stage::kCustom, std::string(details), "UAEX");
  } else {
    SendLocalReply(stream, Outcome::kDeny, status, std::string(details), "", Stage::kCustom,
                   "UAEX");
  }
  stream->verdict->decided_by = origin;
  return FilterStatus::kStop;
}

}  // namespace

FilterStatus RunExtAuthz(const ExtAuthzFilter& filter, FilterLevel level, bool has_route,
                         Stream* stream) {
  if (level == FilterLevel::kHttp && !has_route) {
    stream->AddStep(Stage::kCustom, Step::Result::kSkip,
                    "authorizer " + filter.provider + " is not asked: no route takes the request");
    return FilterStatus::kContinue;
  }
  if (!filter.opaque_gate.empty() &&
      !stream->questions->Ask(&filter, "whether authorizer " + filter.provider +
                                           " is asked cannot be seen: " + filter.opaque_gate)) {
    return FilterStatus::kContinue;
  }
  if (!GateOpen(filter, *stream)) return FilterStatus::kContinue;
  auto answer = AnswerOf(filter, *stream->request);
  if (!answer) {
    EndUndetermined(stream, "no answer of authorizer " + filter.provider +
                                " is given: --ext-authz " + filter.provider + "=allow|deny");
    if (stream->custom_policy != nullptr) {
      stream->verdict->decided_by = stream->custom_policy->origin;
    }
    stream->verdict->stage = Stage::kCustom;
    return FilterStatus::kStop;
  }
  switch (*answer) {
    case ExtAuthzAnswer::kAllow:
      break;
    case ExtAuthzAnswer::kDeny:
      return Refuse(filter, level, 403, "ext_authz_denied", " denies", stream);
    case ExtAuthzAnswer::kError:
      if (filter.failure_mode_allow) break;
      return Refuse(filter, level, filter.status_on_error == 0 ? 403 : filter.status_on_error,
                    "ext_authz_error", " does not answer", stream);
  }
  if (stream->trace) {
    stream->AddStep(
        Stage::kCustom, Step::Result::kPass,
        "authorizer " + filter.provider +
            (*answer == ExtAuthzAnswer::kAllow ? " allows" : " does not answer, which is let pass"),
        stream->custom_policy != nullptr ? stream->custom_policy->origin : filter.origin);
  }
  return FilterStatus::kContinue;
}

}  // namespace meshproof
