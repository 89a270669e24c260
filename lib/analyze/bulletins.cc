#include "analyze/bulletins.h"

#include "base/text.h"

namespace meshproof {
namespace {

std::vector<Bulletin> MakeBulletins() {
  const std::vector<Fix> march_2026 = {{27, 8}, {28, 5}, {29, 1}};
  const std::vector<Fix> april_2026 = {{28, 6}, {29, 2}};
  const std::vector<Fix> june_2026 = {{28, 10}, {29, 6}, {30, 3}};
  const std::vector<Fix> august_2026 = {{29, 7}, {30, 4}};
  const std::vector<Fix> december_2025 = {{26, 7}, {27, 4}, {28, 1}};
  const std::vector<Fix> august_2021 = {{9, 8}, {10, 4}, {11, 1}};
  const std::vector<Fix> may_2021 = {{8, 6}, {9, 5}};
  return {
      {"2026-006",
       "an expression of any length in EnvoyFilter",
       Trigger::kLongProxyVersion,
       august_2026,
       true,
       "istiod compiles a `proxyVersion` expression of any length, and one this long can exhaust "
       "it "
       "for the whole mesh",
       {}},
      {"2026-006",
       "an expression of any length in EnvoyFilter",
       Trigger::kDelegatedFilters,
       august_2026,
       true,
       "who may write EnvoyFilters in one namespace can exhaust istiod, and with it admission in "
       "all, by one long `proxyVersion`",
       {}},
      {"2026-005",
       "CVE-2026-47692 and others",
       Trigger::kExtensionFilter,
       june_2026,
       false,
       "remote callers can crash the proxy, exhaust it or read what it encrypts by flaws of the "
       "extension that this patch puts in",
       {"ext_proc", "oauth2", "zstd", "ExtAuthzPerRoute", "REQUESTED_SERVER_NAME", "grpc_stats",
        "proxy_protocol", "TcpStatsd", "http3", "quic"}},
      {"2026-004",
       "CVE-2026-47774",
       Trigger::kOpenGateway,
       {{28, 8}, {29, 4}, {30, 1}},
       false,
       "HTTP/2 requests with many cookies exhaust the gateway's memory, without any authentication",
       {}},
      {"2026-003",
       "CVE-2026-39350",
       Trigger::kDottedAccount,
       april_2026,
       false,
       "the dot of the account's name matches any character, so accounts of other names satisfy "
       "the rule",
       {}},
      {"2026-003",
       "requests forged through jwksUri",
       Trigger::kInternalKeys,
       april_2026,
       false,
       "istiod fetches keys from internal addresses and hands what it gets there to proxies",
       {}},
      {"2026-001",
       "CVE-2026-31837",
       Trigger::kFetchedKeys,
       march_2026,
       false,
       "while the keys cannot be fetched, istiod hands out a key that is publicly known, and "
       "tokens "
       "signed with it are accepted",
       {}},
      {"2026-001",
       "CVE-2026-26308",
       Trigger::kHeaderCondition,
       march_2026,
       false,
       "several values of one header are compared as one string, so a request that sends the "
       "header "
       "twice gets past the condition",
       {}},
      {"2026-001",
       "a forged token server",
       Trigger::kPulledModule,
       march_2026,
       false,
       "the registry decides where the pull credentials are sent",
       {}},
      {"2026-001",
       "CVE-2026-31838",
       Trigger::kNone,
       march_2026,
       false,
       "debug endpoints of istiod answer without authentication",
       {}},
      {"2025-004",
       "CVE-2025-62408",
       Trigger::kNone,
       {{26, 8}, {27, 5}, {28, 2}},
       false,
       "a DNS server that misbehaves crashes proxies",
       {}},
      {"2025-003",
       "CVE-2025-64763",
       Trigger::kWebSocket,
       december_2025,
       false,
       "what a client sends before the upgrade is answered can reach the application as a request "
       "that no policy saw",
       {}},
      {"2025-003",
       "CVE-2025-66220",
       Trigger::kNamesOfCertificate,
       december_2025,
       false,
       "a certificate with an OTHERNAME that holds a zero byte passes as another name",
       {}},
      {"2025-003",
       "CVE-2025-64527",
       Trigger::kEnvoyFetchesKeys,
       december_2025,
       false,
       "requests can crash a proxy that fetches JWT keys itself",
       {}},
      {"2025-002",
       "CVE-2025-62504",
       Trigger::kExtensionFilter,
       {{26, 6}, {27, 2}},
       false,
       "a large body that the script writes crashes the proxy",
       {"lua"}},
      {"2025-001",
       "CVE-2025-54588",
       Trigger::kExtensionFilter,
       {{25, 5}, {26, 4}, {27, 1}},
       false,
       "the DNS cache uses memory after it is freed",
       {"dynamic_forward_proxy"}},
      {"2025-001",
       "CVE-2025-54588",
       Trigger::kDynamicForward,
       {{25, 5}, {26, 4}, {27, 1}},
       false,
       "the DNS cache uses memory after it is freed",
       {}},
      {"2025-001",
       "CVE-2025-55162",
       Trigger::kSecureCookie,
       {{25, 5}, {26, 4}, {27, 1}},
       false,
       "cookies of that prefix are not removed when somebody signs out",
       {}},
      {"2025-001",
       "CVE-2025-55162",
       Trigger::kExtensionFilter,
       {{25, 5}, {26, 4}, {27, 1}},
       false,
       "cookies stay after somebody signs out",
       {"oauth2"}},
      {"2024-007",
       "CVE-2024-53270 and others",
       Trigger::kNone,
       {{22, 7}, {23, 4}, {24, 2}},
       false,
       "requests that are reset crash proxies under load",
       {}},
      {"2024-006",
       "x-envoy headers from outside",
       Trigger::kUncheckedInternal,
       {{22, 5}, {23, 2}},
       false,
       "the gateway takes callers with a private address for internal and keeps their x-envoy "
       "headers",
       {}},
      {"2024-004",
       "CVE-2024-34363",
       Trigger::kJsonAccessLog,
       {{22, 1}},
       false,
       "requests crash a proxy that logs as JSON",
       {}},
      {"2024-004",
       "CVE-2024-23326",
       Trigger::kWebSocket,
       {{20, 7}, {21, 3}, {22, 1}},
       true,
       "a refused upgrade leaves a tunnel through which requests pass that no policy sees",
       {}},
      {"2023-003",
       "CVE-2023-35941",
       Trigger::kExtensionFilter,
       {{16, 7}, {17, 5}, {18, 2}},
       true,
       "clients can make credentials that stay valid for ever",
       {"oauth2"}},
      {"2023-003",
       "CVE-2023-35944",
       Trigger::kOpenGateway,
       {{16, 7}, {17, 5}, {18, 2}},
       true,
       "requests whose scheme is in mixed case get past checks of the scheme",
       {}},
      {"2022-004",
       "CVE-2022-24726",
       Trigger::kNone,
       {{11, 8}, {12, 5}, {13, 2}},
       true,
       "a large message to istiod's webhook crashes it, without authentication",
       {}},
      {"2022-003",
       "CVE-2022-23635",
       Trigger::kNone,
       {{11, 7}, {12, 4}, {13, 1}},
       true,
       "a message to istiod crashes it, without authentication",
       {}},
      {"2022-001",
       "CVE-2022-21679",
       Trigger::kHostRule,
       {{12, 2}},
       false,
       "proxies of 1.11 get host rules that they read wrongly, so requests pass or are refused by "
       "accident",
       {}},
      {"2021-008",
       "CVE-2021-39156",
       Trigger::kPathDenied,
       august_2021,
       true,
       "a path with a fragment (`/admin#x`) gets past the rule and reaches the application as "
       "`/admin`",
       {}},
      {"2021-008",
       "CVE-2021-39155",
       Trigger::kHostDenied,
       august_2021,
       true,
       "the rule compares hosts by case and routes do not, so `Example.COM` gets past it",
       {}},
      {"2021-008",
       "CVE-2021-32777",
       Trigger::kExtensionFilter,
       august_2021,
       true,
       "the authorizer sees only the last of several values of a header",
       {"ext_authz"}},
      {"2021-007",
       "CVE-2021-34824",
       Trigger::kCredential,
       {{8, kNotFixed}, {9, 6}, {10, 2}},
       false,
       "any client of istiod can read the private key out of its cache",
       {}},
      {"2021-006",
       "CVE-2021-31921",
       Trigger::kAutoPassthrough,
       may_2021,
       true,
       "callers from outside reach services that the gateway does not name, past their policies",
       {}},
      {"2021-005",
       "CVE-2021-31920",
       Trigger::kPathDenied,
       may_2021,
       true,
       "a path with doubled or escaped slashes (`//admin`) gets past the rule, and no "
       "pathNormalization can help yet",
       {}},
      {"2021-001",
       "tokens of unknown issuers",
       Trigger::kAnyJwt,
       {{9, 1}},
       false,
       "a token of an issuer that no rule names is let through unchecked where no "
       "AuthorizationPolicy asks for one",
       {}},
      {"2020-009",
       "CVE-2020-16844",
       Trigger::kSuffixDenied,
       {{5, 9}, {6, 8}},
       false,
       "on TCP ports the value is compared wrongly and nobody is ever denied",
       {}},
  };
}

}  // namespace

std::optional<Release> ParseRelease(std::string_view text) {
  text = TrimSpace(text);
  if (text.starts_with('v')) text.remove_prefix(1);
  if (!text.starts_with("1.")) return std::nullopt;
  text.remove_prefix(2);
  auto number = [&text]() {
    size_t end = text.find_first_not_of("0123456789");
    auto value = ParseUnsigned(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end);
    return value;
  };
  auto minor = number();
  if (!minor || *minor >= kNotFixed) return std::nullopt;
  Release release{static_cast<unsigned>(*minor), std::nullopt};
  if (text.starts_with('.')) {
    text.remove_prefix(1);
    auto patch = number();
    if (patch && *patch < kNotFixed) release.patch = static_cast<unsigned>(*patch);
  }
  return release;
}

std::span<const Bulletin> Bulletins() {
  static const std::vector<Bulletin> bulletins = MakeBulletins();
  return bulletins;
}

std::optional<std::string> FixFor(const Bulletin& bulletin, const Release& release) {
  if (release.minor < bulletin.fixes.front().minor) {
    if (!bulletin.older_too) return std::nullopt;
    return "";
  }
  for (const Fix& fix : bulletin.fixes) {
    if (fix.minor != release.minor) continue;
    if (fix.patch == kNotFixed) return "";
    if (!release.patch || *release.patch >= fix.patch) return std::nullopt;
    return "1." + std::to_string(fix.minor) + "." + std::to_string(fix.patch);
  }
  return std::nullopt;
}

}  // namespace meshproof
