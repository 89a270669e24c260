#include "simulate/stream.h"

namespace meshproof {

Truth Not(Truth value) {
  if (value == Truth::kUnknown) return value;
  return value == Truth::kTrue ? Truth::kFalse : Truth::kTrue;
}

bool OpenQuestions::Ask(const void* key, std::string reason) {
  for (const auto& question : asked_) {
    if (question.key == key) return question.answer;
  }
  bool answer = asked_.size() < script_.size() && script_[asked_.size()];
  asked_.push_back({key, answer, std::move(reason)});
  return answer;
}

// "application/grpc" itself or with a "+suffix"; nothing else (not grpc-web, no parameters).
bool HasGrpcContentType(const HeaderMap& headers) {
  constexpr std::string_view kGrpc = "application/grpc";
  const auto* type = headers.Find("content-type");
  if (type == nullptr || !type->value.starts_with(kGrpc)) return false;
  return type->value.size() == kGrpc.size() || type->value[kGrpc.size()] == '+';
}

int GrpcStatusOf(int http_status) {
  switch (http_status) {
    case 400:
      return 13;  // Internal
    case 401:
      return 16;  // Unauthenticated
    case 403:
      return 7;  // PermissionDenied
    case 404:
      return 12;  // Unimplemented
    case 429:
    case 502:
    case 503:
    case 504:
      return 14;  // Unavailable
    default:
      return 2;  // Unknown
  }
}

void SendLocalReply(Stream* stream, Outcome outcome, int status, std::string details,
                    std::string body, Stage stage, std::string_view flags) {
  Verdict& verdict = *stream->verdict;
  verdict.outcome = outcome;
  verdict.status = status;
  verdict.details = std::move(details);
  verdict.body = std::move(body);
  verdict.stage = stage;
  verdict.flags = flags;
  if (stream->request->method == "HEAD") verdict.body.clear();
  if (stream->headers.has_path && HasGrpcContentType(stream->headers)) {
    verdict.grpc_status = GrpcStatusOf(status);  // the text becomes grpc-message
  }
}

void CloseConnection(Stream* stream, Stage stage, std::string details, std::string_view flags) {
  Verdict& verdict = *stream->verdict;
  verdict.outcome = Outcome::kReject;
  verdict.status = 0;
  verdict.details = std::move(details);
  verdict.stage = stage;
  verdict.flags = flags;
}

void EndUndetermined(Stream* stream, std::string reason) {
  Verdict& verdict = *stream->verdict;
  verdict.outcome = Outcome::kUndetermined;
  verdict.status = 0;
  verdict.flags = "-";
  verdict.missing.push_back(reason);
  stream->AddStep(Stage::kNone, Step::Result::kUnknown, std::move(reason));
}

}  // namespace meshproof
