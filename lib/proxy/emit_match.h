#pragma once

#include "base/json.h"
#include "proxy/config.h"

// The matchers and filters as Envoy's proto-JSON.
namespace meshproof {

Json EmitString(const StringMatcher& matcher);
Json EmitHeader(const HeaderMatcher& matcher);
Json EmitMetadata(const MetadataPredicate& predicate);
Json EmitCidr(std::string_view address_prefix, int length);
// One entry of http_filters with its name.
Json EmitHttpFilter(const HttpFilter& filter);
Json EmitOpaqueFilter(const OpaqueFilter& filter);
Json EmitRbacFilter(const RbacFilter& filter, bool network);
Json EmitExtAuthzFilter(const ExtAuthzFilter& filter, bool network);

// An object of one entry.
Json Lone(std::string key, Json value);
// {"name", "typed_config": {"@type", …config}}.
Json EmitNamed(std::string_view name, std::string_view type, Json config);
void SetUnlessEmpty(std::string_view key, const std::string& value, Json* object);
void SetUnlessEmpty(std::string_view key, const std::vector<std::string>& values, Json* object);

}  // namespace meshproof
