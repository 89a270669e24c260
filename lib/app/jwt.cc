#include "app/jwt.h"

#include <algorithm>
#include <ctime>

#include "base/text.h"
#include "report/token_report.h"
#include "simulate/case.h"
#include "simulate/fields.h"

namespace meshproof {
namespace {

// The mesh to check against; nothing where none is meant: no PATH was named and the current
// directory holds no manifests.
Result<std::optional<Input>> LoadOptionalMesh(const JwtOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return settings.error();
  bool named = !options.input.paths.empty() || !settings.value().paths.empty() ||
               !options.input.dumps.empty() || options.workload.has_value();
  if (named) {
    InputOptions input_options = options.input;
    input_options.nameless_dumps = !options.workload;
    auto input = LoadInput(input_options, settings.value(), host);
    if (!input.ok()) return input.error();
    return std::optional<Input>(input.Take());
  }
  if (options.jwks) return std::optional<Input>();
  // Nobody named it: what is wrong with it is not this command's to say.
  std::vector<std::string> unsaid;
  auto input = LoadMesh({{".", ""}}, options.input, settings.value(), host.files, 0, &unsaid);
  if (!input.ok()) return std::optional<Input>();
  input.value().broken = false;
  return std::optional<Input>(input.Take());
}

TokenCheck CheckAgainstKeys(const std::string& keys, const std::string& token, int64_t now) {
  JwtProvider provider;
  provider.name = "jwks";
  provider.local_jwks = keys;
  TokenCheck check;
  check.same_issuer = true;
  check.answer = AskJwtFilter(SingleProvider(std::move(provider)), token, now);
  return check;
}

// Whose proxy is asked; of a dump alone the dump's.
std::optional<std::string> AskedWorkload(const JwtOptions& options, const Input& input) {
  if (options.workload || input.dumps == nullptr || input.dumps->proxies.size() != 1) {
    return options.workload;
  }
  const ProxyConfig& config = *input.dumps->proxies.front().config;
  if (config.workload.empty()) return std::nullopt;
  return config.ns + "/" + config.workload;
}

Result<bool> AskWorkload(const std::string& name, const Input& input, const std::string& token,
                         const std::optional<std::string>& keys, TokenReport* report) {
  auto workload = FindWorkload(*input.mesh, name);
  if (!workload.ok()) return workload.error();
  const Workload& at = *workload.value();
  report->workload = at.ns + "/" + at.name;
  if (at.mode != ProxyMode::kSidecar && at.mode != ProxyMode::kGateway) {
    return Error{report->workload + " (" + at.mode_reason + ") has no proxy that checks tokens"};
  }
  World world(input.mesh, FromDumps(input));
  const JwtFilter* filter = FindJwtFilter(world.Proxy(at).proxy());
  report->answer.emplace();
  if (filter == nullptr) {
    report->answer->missing = "no RequestAuthentication applies: the proxy looks at no token";
    return true;
  }
  JwtFilter asked = *filter;
  if (keys) FillKeys(*keys, &asked);
  report->answer = AskJwtFilter(asked, token, report->now);
  return true;
}

}  // namespace

Result<std::string> ReadToken(const std::string& text, const std::string& what, const Host& host) {
  constexpr size_t kMaxToken = 1 << 20;
  std::string token = text;
  std::string source = what;
  auto kind = host.files.Stat(text);
  if (text == "-" || kind == FileSystem::Kind::kFile) {
    auto read = host.files.Read(text);
    if (!read.ok()) return Error{"the token cannot be read: " + read.error().message};
    token = read.Take();
    source = text == "-" ? "standard input" : "the file `" + text + "`";
  } else if (kind == FileSystem::Kind::kDirectory ||
             (std::count(text.begin(), text.end(), '.') != 2 && !text.starts_with("eyJ"))) {
    return Error{what + " `" + text + "` is neither a file nor a token (header.payload.signature)"};
  }
  token = std::string(TrimSpace(token));
  for (std::string_view lead : {"authorization:", "bearer "}) {
    if (StartsWithIgnoreCase(token, lead)) {
      token = std::string(TrimSpace(std::string_view(token).substr(lead.size())));
    }
  }
  if (token.empty()) return Error{source + " holds no token: it is empty"};
  bool text_only = token.size() <= kMaxToken && std::all_of(token.begin(), token.end(), [](char c) {
                     return c > 0x20 && c < 0x7F;
                   });
  if (!text_only) return Error{source + " holds no token: it has bytes that no token has"};
  return token;
}

Result<int64_t> NowOf(const std::optional<std::string>& now) {
  if (!now) return static_cast<int64_t>(std::time(nullptr));
  if (auto time = ParseTime(*now)) return *time;
  return Error{"`--now` is a time such as 2026-03-01T12:00:00Z, not `" + *now + "`"};
}

Exit RunJwt(const JwtOptions& options, const Host& host) {
  auto now = NowOf(options.now);
  if (!now.ok()) return Fail(host, now.error());
  auto token = ReadToken(options.token, "TOKEN", host);
  if (!token.ok()) return Fail(host, token.error());
  std::optional<std::string> keys;
  if (options.jwks) {
    auto text = host.files.Read(*options.jwks);
    if (!text.ok()) return Fail(host, Error{"the key set cannot be read: " + text.error().message});
    keys = text.Take();
    if (JwtStatus status = Jwks::Parse(*keys).status(); !status.ok()) {
      return Fail(host, Error{*options.jwks + " is no key set that Envoy can use: " + status.text});
    }
  }
  auto input = LoadOptionalMesh(options, host);
  if (!input.ok()) return Fail(host, input.error());

  TokenReport report;
  report.now = now.value();
  report.token = ParseJwt(token.value());
  bool broken = false;
  if (input.value()) {
    const Input& mesh = *input.value();
    broken = mesh.broken;
    report.trust_domain = mesh.mesh->config().trust_domain;
    report.checks = CheckToken(*mesh.mesh, token.value(), report.now, keys ? &*keys : nullptr);
    if (auto workload = AskedWorkload(options, mesh)) {
      auto asked = AskWorkload(*workload, mesh, token.value(), keys, &report);
      if (!asked.ok()) return Fail(host, asked.error());
    }
    if (report.checks.empty() && !report.answer)
      report.missing = "no RequestAuthentication in the input";
  }
  if (keys && report.token.status.ok()) {
    report.checks.push_back(CheckAgainstKeys(*keys, token.value(), report.now));
    report.missing.clear();
  } else if (!input.value()) {
    report.missing = "nothing was given to verify the signature with: name manifests, or --jwks";
  }

  if (options.format == "json") {
    host.out << WriteJson(TokenReportJson(report), 2) << "\n";
  } else {
    host.out << TokenReportText(report, Style{host.colour});
  }
  Exit exit = Exit::kOk;
  if (Conclusion(report) == TokenAnswer::Kind::kRefused) exit = Exit::kRefused;
  if (Conclusion(report) == TokenAnswer::Kind::kUndetermined) exit = Exit::kUndetermined;
  return broken ? Worse(exit, Exit::kUnusable) : exit;
}

}  // namespace meshproof
