#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "crypto/jwt.h"
#include "report/style.h"
#include "simulate/token_check.h"

namespace meshproof {

// What `jwt` found out about one token.
struct TokenReport {
  ParsedJwt token;
  int64_t now = 0;
  std::string workload;               // "ns/name", "" = not asked for
  std::optional<TokenAnswer> answer;  // of that workload's proxy
  std::vector<TokenCheck> checks;
  std::string trust_domain;  // "" = no mesh was read
  std::string missing;       // why nothing could be checked; "" = something was
};

// Refused where any check that the token is meant for refuses it; a token that nothing checks is
// undetermined, unless it is of no use whatever the keys are.
TokenAnswer::Kind Conclusion(const TokenReport& report);

std::string TokenReportText(const TokenReport& report, const Style& style = {});
Json TokenReportJson(const TokenReport& report);

}  // namespace meshproof
