#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "base/json.h"
#include "proxy/config.h"

// The parts that every format shares (PRODUCT.md, *Formats*): objects and locations.
namespace meshproof {

// {"kind","namespace","name"}, or null.
Json ObjectJson(const ObjectMeta* object);
// {"file","line","column","end_line","end_column"}, or null where nothing stands in a file.
Json LocationJson(const Span& span);
// The origin's own place, else that of its object.
Span PlaceOf(const Origin& origin);
// The rule's index, or null.
Json RuleJson(const Origin& origin);

// "shop/orders", "orders" where cluster-scoped.
std::string NameText(const ObjectMeta& object);
// "AuthorizationPolicy shop/orders".
std::string ObjectText(const ObjectMeta& object);
// "policies.yaml:12:9", or "".
std::string PlaceText(const Span& span);
// "AuthorizationPolicy shop/orders rule 1 (policies.yaml:12:9)".
std::string OriginText(const Origin& origin);

// With blanks behind up to `width` bytes.
std::string Padded(std::string text, size_t width);
// Counts with their noun: "1 case", "3 cases".
std::string Counted(size_t count, const std::string& noun);
// What `append(0, …)` … `append(count - 1, …)` write, one behind the other, written by several
// threads.
std::string TextOfEach(size_t count, const std::function<void(size_t, std::string*)>& append);

}  // namespace meshproof
