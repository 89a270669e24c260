#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"

// Trust-domain aliases in policies (istio-semantics section 1.7).
namespace meshproof {

// meshConfig.trustDomain and its aliases.
std::vector<std::string> TrustDomainBundle(const MeshConfig& config);

// What istiod replaces one value of `principals` by: one principal for each trust domain of the
// bundle where the value names one of them, else the value itself.
std::vector<std::string> ExpandPrincipal(std::string_view principal,
                                         const std::vector<std::string>& bundle);
// The same for a value of `trustDomains`: only an exact entry of the bundle is expanded.
std::vector<std::string> ExpandTrustDomain(std::string_view trust_domain,
                                           const std::vector<std::string>& bundle);

// The trust domains that a client certificate may be of: the bundle and caCertificates' ones, in
// order, each once.
std::vector<std::string> AcceptedTrustDomains(const MeshConfig& config);

}  // namespace meshproof
