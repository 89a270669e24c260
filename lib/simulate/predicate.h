#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "proxy/config.h"
#include "simulate/stream.h"

namespace meshproof {

// Where a predicate is asked: network filters see no headers, no X-Forwarded-For and their own
// metadata.
enum class FilterLevel { kHttp, kNetwork };

// Evaluates Envoy's RBAC permissions and principals (envoy-facts section 1.2), three-valued.
// Reasons for kUnknown are appended to `unknown` where it is not null.
Truth Evaluate(const Predicate& predicate, Stream& stream, FilterLevel level,
               std::vector<std::string>* unknown);
// A header matcher as RBAC and routes use it (envoy-facts section 1.3).
Truth Evaluate(const HeaderMatcher& matcher, Stream& stream, std::vector<std::string>* unknown);
Truth Evaluate(const MetadataPredicate& predicate, Stream& stream, FilterLevel level,
               std::vector<std::string>* unknown);
bool Matches(const ValueMatcher& matcher, const Json& value);

// What the request shows to a predicate that failed, for people: the method, the header's value,
// "(no such header)". Of a tree the first leaf's.
std::string ShownTo(const Predicate& predicate, Stream& stream, FilterLevel level);
// The values as the author wrote them, joined with ", ".
std::string WrittenValues(const Predicate& predicate);

// The names of a certificate in the order in which `authenticated` tries them.
std::vector<std::string_view> PeerNames(const Certificate* certificate);
// Whether `accepts` takes one of them; tries no more after that.
template <typename Accepts>
bool AnyPeerName(const Certificate* certificate, Accepts accepts) {
  if (certificate == nullptr) return accepts(std::string_view());
  for (const auto& name : certificate->uri_sans) {
    if (accepts(std::string_view(name))) return true;
  }
  for (const auto& name : certificate->dns_sans) {
    if (accepts(std::string_view(name))) return true;
  }
  return accepts(std::string_view(certificate->subject));
}

}  // namespace meshproof
