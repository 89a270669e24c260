#pragma once

#include <optional>
#include <string>

#include "app/host.h"
#include "app/input.h"

namespace meshproof {

// `meshproof jwt`: what is in this token, and would Envoy take it?
struct JwtOptions {
  InputOptions input;
  std::string token;  // a file, `-`, or the token itself
  std::optional<std::string> jwks, workload, now;
  std::string format = "text";
};

Exit RunJwt(const JwtOptions& options, const Host& host);

// The token in a file (`-`: standard input), or `text` itself where it is one. `what` names the
// argument in errors. Blanks around it and a leading `Bearer` are taken off; whether it is a token
// that Envoy can read is not decided here.
Result<std::string> ReadToken(const std::string& text, const std::string& what, const Host& host);

// `--now`, or the time of the run.
Result<int64_t> NowOf(const std::optional<std::string>& now);

}  // namespace meshproof
