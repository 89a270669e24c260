#pragma once

#include "simulate/predicate.h"
#include "simulate/stream.h"

namespace meshproof {

// envoy.filters.http.ext_authz and envoy.filters.network.ext_authz with the answers that the
// request brings (envoy-facts section 3). `has_route`: an HTTP request without a route is not
// checked. A missing answer leaves the request undetermined. Request bodies are not modelled: the
// authorizer's own limit on them (413) is never reached.
FilterStatus RunExtAuthz(const ExtAuthzFilter& filter, FilterLevel level, bool has_route,
                         Stream* stream);

}  // namespace meshproof
