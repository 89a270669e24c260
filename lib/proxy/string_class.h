#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "match/string_matcher.h"
#include "proxy/config.h"

// How istiod turns the values of a policy into matchers (istio-semantics sections 1.4 to 1.6).
namespace meshproof {

// Go's regexp.QuoteMeta, which istiod writes patterns with.
std::string QuoteGoRegex(std::string_view text);

// A regular expression; where it does not compile (author's own, or beyond RE2's bounds) `regex`
// stays unset and Envoy refuses what holds it.
StringMatcher MatchPattern(std::string pattern);

// Class S: `*` any non-empty, leading star (tested first) suffix, trailing star prefix, else exact.
StringMatcher MatchString(std::string_view value);
// Class H: as S, but `*` asks for presence.
HeaderMatcher MatchHeader(std::string_view name, std::string_view value, bool ignore_case);
// Class P: as S under "spiffe://"; `*` is any identity at all.
StringMatcher MatchPrincipal(std::string_view value);
// `namespaces`: the identity's /ns/ part, any number of stars.
StringMatcher MatchNamespace(std::string_view value);
// `serviceAccounts`: "sa" (in `policy_namespace`) or "ns/sa"; no wildcards.
StringMatcher MatchServiceAccount(std::string_view value, std::string_view policy_namespace);
// `trustDomains`: at most the first star counts.
StringMatcher MatchTrustDomain(std::string_view value);
// `requestPrincipals`: what `iss` and `sub` must be.
std::pair<StringMatcher, StringMatcher> MatchRequestPrincipal(std::string_view value);

// The path template of a value that holds `{*}` or `{**}`; nothing where it holds neither.
std::optional<std::string> PathTemplateOf(std::string_view value);

// "[name]" -> "name"; nothing where it is not of that form.
std::optional<std::string> NameInBrackets(std::string_view text);
// "[a][b]" -> a, b. Where a group is malformed the whole must be "[…]" and is one name.
std::optional<std::vector<std::string>> NamesInNestedBrackets(std::string_view text);

// Path and value of a metadata condition on JWT claims: a string or a list that holds one.
ValueMatcher MatchClaim(std::vector<StringMatcher> alternatives);

}  // namespace meshproof
