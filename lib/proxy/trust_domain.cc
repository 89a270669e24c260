// Decides which identities a principal of a policy stands for once trust-domain aliases are taken
// into account. Only `<trust domain>/ns/<ns>/sa/<sa>` (five segments, the first not just a star) is
// rewritten; `cluster.local` always points at the mesh's own trust domains.

#include "proxy/trust_domain.h"

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

bool PrefixMatches(std::string_view text, std::string_view pattern) {
  return pattern.ends_with('*') && text.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool SuffixMatches(std::string_view text, std::string_view pattern) {
  return pattern.starts_with('*') && text.ends_with(pattern.substr(1));
}

bool Related(std::string_view a, std::string_view b) {
  return a == b || b == "*" || PrefixMatches(a, b) || PrefixMatches(b, a) || SuffixMatches(a, b) ||
         SuffixMatches(b, a);
}

void AddOnce(std::string value, std::vector<std::string>* values) {
  if (std::find(values->begin(), values->end(), value) == values->end()) {
    values->push_back(std::move(value));
  }
}

}  // namespace

std::vector<std::string> TrustDomainBundle(const MeshConfig& config) {
  std::vector<std::string> bundle = {config.trust_domain};
  bundle.insert(bundle.end(), config.trust_domain_aliases.begin(),
                config.trust_domain_aliases.end());
  return bundle;
}

std::vector<std::string> ExpandPrincipal(std::string_view principal,
                                         const std::vector<std::string>& bundle) {
  const std::vector<std::string_view> segments = Split(principal, '/');
  if (segments.size() != 5 || segments[0] == "*") return {std::string(principal)};
  const std::string_view trust_domain = segments[0];
  const bool known = trust_domain == "cluster.local" ||
                     std::any_of(bundle.begin(), bundle.end(), [&](const std::string& entry) {
                       return Related(trust_domain, entry);
                     });
  if (!known) return {std::string(principal)};
  std::vector<std::string> expanded;
  for (const std::string& entry : bundle) {
    std::string replaced(principal);
    if (!SuffixMatches(entry, trust_domain)) {
      replaced = entry + std::string(principal.substr(trust_domain.size()));
    }
    AddOnce(std::move(replaced), &expanded);
  }
  return expanded;
}

std::vector<std::string> ExpandTrustDomain(std::string_view trust_domain,
                                           const std::vector<std::string>& bundle) {
  if (std::find(bundle.begin(), bundle.end(), trust_domain) == bundle.end()) {
    return {std::string(trust_domain)};
  }
  std::vector<std::string> expanded;
  for (const std::string& entry : bundle) AddOnce(entry, &expanded);
  return expanded;
}

std::vector<std::string> AcceptedTrustDomains(const MeshConfig& config) {
  std::vector<std::string> accepted;
  for (const std::string& entry : TrustDomainBundle(config)) AddOnce(entry, &accepted);
  for (const std::string& entry : config.ca_trust_domains) AddOnce(entry, &accepted);
  return accepted;
}

}  // namespace meshproof
