#include "simulate/jwt_probe.h"

#include "base/text.h"
#include "simulate/jwt_authn.h"
#include "simulate/stream.h"

namespace meshproof {

struct JwtProbe::Impl {
  explicit Impl(const JwtFilter& filter) : authenticator(filter, &key_sets, &tokens) {}

  KeySets key_sets;
  TokenCache tokens;
  JwtAuthenticator authenticator;
};

JwtProbe::JwtProbe(const JwtFilter& filter) : impl_(std::make_unique<Impl>(filter)) {}
JwtProbe::~JwtProbe() = default;

const std::string& JwtProbe::load_failure() const {
  return impl_->authenticator.load_failure();
}

JwtProbeAnswer JwtProbe::Ask(const ProxyRequest& request) const {
  Verdict verdict;
  OpenQuestions questions;
  Stream stream;
  stream.request = &request;
  stream.questions = &questions;
  stream.verdict = &verdict;
  stream.headers.method = request.method;
  stream.headers.path = request.path;
  stream.headers.authority = request.authority ? std::string_view(*request.authority) : "";
  for (const auto& [name, value] : request.headers) {
    stream.headers.Append(stream.headers.Own(ToLower(name)), value);
  }
  JwtProbeAnswer answer;
  if (impl_->authenticator.Run(&stream) == FilterStatus::kStop) {
    answer.status = verdict.status;
    answer.body = verdict.body;
  } else if (stream.jwt_payload) {
    answer.claims = WriteJson(*stream.jwt_payload);
  }
  return answer;
}

std::string PlaceToken(const JwtProvider& provider, const std::string& token,
                       ProxyRequest* request) {
  if (!provider.from_headers.empty()) {
    const auto& location = provider.from_headers.front();
    request->headers.emplace_back(ToLower(location.name), location.prefix + token);
    return location.name + ": " + location.prefix + "<token>";
  }
  if (!provider.from_params.empty()) {
    const std::string& name = provider.from_params.front();
    const bool query = request->path.find('?') != std::string::npos;
    request->path += (query ? "&" : "?") + name + "=" + token;
    return "query parameter " + name;
  }
  if (!provider.from_cookies.empty()) {
    const std::string& name = provider.from_cookies.front();
    request->headers.emplace_back("cookie", name + "=" + token);
    return "cookie " + name;
  }
  request->headers.emplace_back("authorization", "Bearer " + token);
  return "Authorization: Bearer <token>";
}

}  // namespace meshproof
