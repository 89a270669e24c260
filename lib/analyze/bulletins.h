#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// Istio's security bulletins (istio.io/latest/news/security): which releases each concerns. One
// entry a flaw, since flaws of one bulletin can have different triggers.
namespace meshproof {

struct Release {
  unsigned minor = 0;             // of Istio 1
  std::optional<unsigned> patch;  // nothing where only "1.28" is known
};

// "1.28.4", "v1.28", "1.28.4-distroless"; nothing where it is none of Istio 1.
std::optional<Release> ParseRelease(std::string_view text);

// What in a mesh makes a flaw matter.
enum class Trigger {
  kNone,                // nothing that manifests show
  kHeaderCondition,     // AuthorizationPolicy `when` on a request header
  kFetchedKeys,         // a JWT rule whose keys are fetched
  kInternalKeys,        // a jwksUri with an address or localhost
  kPulledModule,        // a Wasm image that needs a pull secret
  kDottedAccount,       // serviceAccounts with a dot
  kOpenGateway,         // a gateway takes HTTP from outside
  kLongProxyVersion,    // EnvoyFilter proxyVersion over 1024 characters
  kDelegatedFilters,    // a Role lets others write EnvoyFilters
  kExtensionFilter,     // EnvoyFilter with one of `words`
  kWebSocket,           // upgrades to WebSocket or CONNECT that the configuration names
  kNamesOfCertificate,  // subjectAltNames compared with certificates of one's own
  kEnvoyFetchesKeys,    // the proxies fetch JWT keys themselves
  kSecureCookie,        // a cookie named `__Secure-` or `__Host-`
  kDynamicForward,      // ServiceEntry with dynamic DNS
  kJsonAccessLog,
  kUncheckedInternal,  // x-envoy headers believed from private addresses
  kPathDenied,         // DENY paths or ALLOW notPaths
  kHostDenied,         // DENY hosts or ALLOW notHosts
  kHostRule,           // hosts or notHosts
  kCredential,         // credentialName in a Gateway or DestinationRule
  kAutoPassthrough,
  kAnyJwt,        // a RequestAuthentication
  kSuffixDenied,  // DENY with `*suffix` in principals or namespaces
};

struct Fix {
  unsigned minor = 0;
  unsigned patch = 0;  // the first release of that minor without the flaw; kNotFixed = none has
};
inline constexpr unsigned kNotFixed = 1000;

struct Bulletin {
  std::string_view id;    // "2026-001"
  std::string_view flaw;  // CVE, or a few words where it has none
  Trigger trigger = Trigger::kNone;
  std::vector<Fix> fixes;  // ascending
  bool older_too = false;  // every minor below the first of `fixes`
  std::string_view effect;
  std::vector<std::string_view> words;  // kExtensionFilter
};

std::span<const Bulletin> Bulletins();

// The release that repairs it where `release` has the flaw, "" where no release of that minor does;
// nothing where it does not have it, or may not.
std::optional<std::string> FixFor(const Bulletin& bulletin, const Release& release);

}  // namespace meshproof
