#include "simulate/verdict.h"

namespace meshproof {

std::string_view ToString(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAllow:
      return "allow";
    case Outcome::kDeny:
      return "deny";
    case Outcome::kReject:
      return "reject";
    case Outcome::kUndetermined:
      return "undetermined";
  }
  return "";
}

std::string_view ToString(Stage stage) {
  switch (stage) {
    case Stage::kNone:
      return "none";
    case Stage::kMtls:
      return "mtls";
    case Stage::kHttp:
      return "http";
    case Stage::kCustom:
      return "custom";
    case Stage::kJwt:
      return "jwt";
    case Stage::kDeny:
      return "deny";
    case Stage::kAllow:
      return "allow";
  }
  return "";
}

std::string_view ToString(Step::Result result) {
  switch (result) {
    case Step::Result::kPass:
      return "pass";
    case Step::Result::kMatch:
      return "match";
    case Step::Result::kNoMatch:
      return "no_match";
    case Step::Result::kRefuse:
      return "refuse";
    case Step::Result::kSkip:
      return "skip";
    case Step::Result::kUnknown:
      return "unknown";
  }
  return "";
}

std::string ToString(const Address& address) {
  if (const auto* ip = std::get_if<IpAddress>(&address.value)) return ToString(*ip);
  if (const auto* range = std::get_if<CidrRange>(&address.value)) {
    return "an address in " + ToString(*range);
  }
  return "unknown";
}

}  // namespace meshproof
