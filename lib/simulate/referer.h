#pragma once

#include <string_view>

namespace meshproof {

// Whether Envoy keeps a Referer header: an absolute URL without userinfo and fragment, or a
// relative reference of URI characters without a fragment. It removes any other before filters see
// the request (run on Envoy 1.40; the rows are in referer_test.cc).
bool IsKeptReferer(std::string_view value);

}  // namespace meshproof
