// Providers are paired by their issuers: their names are numbers that one issuer more moves on.

#include "analyze/drift_comparison.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/drift_certificates.h"
#include "analyze/drift_rules.h"
#include "base/json.h"
#include "base/text.h"

namespace meshproof {
namespace {

class ProviderComparer {
 public:
  explicit ProviderComparer(DriftComparison& comparison) : c_(comparison) {}

  void Compare() {
    std::map<std::string, std::set<std::string>> missing, extra;
    std::map<std::string, const JwtProvider*> places;
    for (const ChainPair& pair : c_.pairs) {
      Providers expected = ProvidersOf(pair.expected), got = ProvidersOf(pair.got);
      // Without the filter the order of filters tells it.
      if (expected.empty() || got.empty()) continue;
      for (const auto& [issuer, providers] : expected) {
        auto there = got.find(issuer);
        if (there != got.end()) {
          CompareIssuer(issuer, providers, there->second);
          continue;
        }
        missing[issuer].insert(PortText(*pair.got.chain));
        places[issuer] = providers.front();
      }
      for (const auto& [issuer, providers] : got) {
        if (expected.contains(issuer)) continue;
        extra[issuer].insert(PortText(*pair.got.chain));
        places[issuer] = providers.front();
      }
    }
    for (const auto& [issuer, ports] : missing) {
      auto& difference = c_.Add(
          "MP0901", places[issuer]->origin.span,
          "the proxy of " + c_.who + " does not know JWT issuer `" + issuer + "` on " +
              ListText(ports) + ": its tokens are refused with 401; see whether istiod pushed " +
              "the RequestAuthentication (istioctl proxy-status)");
      difference.object = places[issuer]->origin.object;
      difference.detail = c_.who + " missing issuer " + issuer;
    }
    for (const auto& [issuer, ports] : extra) {
      auto& difference = c_.Add(
          "MP0901", places[issuer]->origin.span,
          "the proxy of " + c_.who + " accepts tokens of JWT issuer `" + issuer + "` on " +
              ListText(ports) + ", which no manifest names; add the RequestAuthentication to the " +
              "manifests or delete it");
      difference.detail = c_.who + " extra issuer " + issuer;
    }
  }

 private:
  using Providers = std::map<std::string, std::vector<const JwtProvider*>>;  // by issuer

  static Providers ProvidersOf(const ChainView& view) {
    Providers found;
    for (const auto& filter : view.filters) {
      if (filter.jwt == nullptr) continue;
      for (const JwtProvider& provider : filter.jwt->providers) {
        found[provider.issuer].push_back(&provider);
      }
    }
    return found;
  }

  // What decides about a token, by the name of the setting.
  static std::map<std::string, std::string> SettingsOf(const JwtProvider& provider) {
    auto sorted = [](std::vector<std::string> texts) {
      std::sort(texts.begin(), texts.end());
      return texts.empty() ? std::string("none") : Join(texts, ", ");
    };
    std::vector<std::string> headers, claims;
    for (const auto& header : provider.from_headers) {
      headers.push_back(header.name + (header.prefix.empty() ? "" : " `" + header.prefix + "`"));
    }
    for (const auto& [header, claim] : provider.claim_to_headers) {
      claims.push_back(header + " = " + claim);
    }
    return {{"audiences", sorted(provider.audiences)},
            {"fromHeaders", sorted(std::move(headers))},
            {"fromParams", sorted(provider.from_params)},
            {"fromCookies", sorted(provider.from_cookies)},
            {"forwardOriginalToken", provider.forward ? "true" : "false"},
            {"outputPayloadToHeader", provider.forward_payload_header},
            {"outputClaimToHeaders", sorted(std::move(claims))}};
  }

  static bool SameKeys(const JwtProvider& a, const JwtProvider& b) {
    // Keys that istiod fetched are not in the manifests; a placeholder is told by its own rule.
    if (!a.local_jwks || !b.local_jwks || *a.local_jwks == *b.local_jwks) return true;
    if (IsPlaceholderKeySet(*b.local_jwks)) return true;
    auto expected = ParseJson(*a.local_jwks), got = ParseJson(*b.local_jwks);
    if (!expected.ok() || !got.ok()) return false;
    return WriteJson(Canonical(expected.value())) == WriteJson(Canonical(got.value()));
  }

  void CompareIssuer(const std::string& issuer, const std::vector<const JwtProvider*>& expected,
                     const std::vector<const JwtProvider*>& got) {
    if (expected.size() != got.size()) return;
    for (size_t i = 0; i < expected.size(); ++i) {
      std::map<std::string, std::string> wanted = SettingsOf(*expected[i]);
      std::vector<std::string> notes;
      for (const auto& [setting, text] : SettingsOf(*got[i])) {
        if (text == wanted[setting]) continue;
        notes.push_back("`" + setting + "` is " + text + " where the manifests say " +
                        wanted[setting]);
      }
      if (!SameKeys(*expected[i], *got[i])) notes.emplace_back("its keys are others");
      if (notes.empty() || !issuers_reported_.insert(issuer).second) continue;
      const Origin& origin = expected[i]->origin;
      auto& difference = c_.Add(
          "MP0902", origin.span,
          "the proxy of " + c_.who + " judges tokens of JWT issuer `" + issuer +
              "` otherwise than the manifests: " + Join(notes, ", ") +
              "; see whether istiod pushed the RequestAuthentication (istioctl proxy-status)");
      difference.object = origin.object;
      difference.detail = c_.who + " issuer " + issuer;
      difference.related.push_back({c_.dump.span, "the dump of " + c_.who});
      if (origin.object != nullptr) {
        c_.ExplainByVersion("RequestAuthentication",
                            origin.object->ns + "/" + std::string(origin.object->name),
                            &difference);
      }
    }
  }

  DriftComparison& c_;
  std::set<std::string> issuers_reported_;
};

}  // namespace

void CompareProviders(DriftComparison& comparison) {
  ProviderComparer(comparison).Compare();
}

}  // namespace meshproof
