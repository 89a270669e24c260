// VirtualService: the errors that decide whether its routes exist.

#include <algorithm>

#include "model/admission.h"
#include "model/fields.h"

namespace meshproof {
namespace {

void AdmitRoutes(const std::vector<RouteDestination>& routes, Span place, Report& report) {
  int64_t total = 0;
  for (const RouteDestination& route : routes) {
    const Destination& destination = route.destination;
    Span at = FirstSpan(destination.host.span, FirstSpan(destination.span, place));
    if (destination.host.value.empty() || destination.host.value == "*") {
      report.Refuse(at, "a destination needs a host");
    }
    if (route.weight < 0) report.Refuse(at, "a weight is negative");
    total += route.weight;
  }
  if (routes.size() > 1 && total == 0) report.Refuse(place, "the weights of a route are all zero");
}

void AdmitHttpRoute(const HttpRoute& route, Report& report) {
  if (route.has_delegate) return;
  int answers = (route.routes.empty() ? 0 : 1) + (route.has_redirect ? 1 : 0) +
                (route.has_direct_response ? 1 : 0);
  if (answers == 0) {
    report.Refuse(route.span, "an HTTP route needs `route`, `redirect` or `directResponse`");
  } else if (answers > 1) {
    report.Refuse(route.span,
                  "an HTTP route has only one of `route`, `redirect` and `directResponse`");
  }
  AdmitRoutes(route.routes, route.span, report);
}

void AdmitHosts(const VirtualService& service, Report& report) {
  bool mesh = service.gateways.empty() ||
              std::any_of(service.gateways.values.begin(), service.gateways.values.end(),
                          [](const Text& gateway) { return gateway.value == "mesh"; });
  for (const Text& host : service.hosts.values) {
    if (host.value.empty()) report.Refuse(host.span, "a host is empty");
    if (host.value == "*" && mesh) {
      report.Refuse(host.span, "host `*` is not allowed for the mesh",
                    "bind the VirtualService to a gateway, or name hosts");
    }
  }
  if (!service.hosts.empty()) return;
  Span place = FirstSpan(service.hosts.span, service.meta.span);
  // Without hosts it is a delegate, which has HTTP routes alone.
  if (!service.gateways.empty() || !service.tls.empty() || !service.tcp.empty()) {
    report.Refuse(place,
                  "a VirtualService without hosts is a delegate, which has HTTP routes alone",
                  "name its hosts");
  }
}

}  // namespace

void AdmitVirtualService(const VirtualService& service, Report& report) {
  AdmitMetadata(service.meta, false, report);
  AdmitHosts(service, report);
  if (service.http.empty() && service.tls.empty() && service.tcp.empty()) {
    report.Refuse(service.meta.span, "a VirtualService needs `http`, `tls` or `tcp` routes");
  }
  for (const HttpRoute& route : service.http) AdmitHttpRoute(route, report);
  for (const auto* routes : {&service.tls, &service.tcp}) {
    for (const L4Route& route : *routes) {
      if (route.routes.empty()) report.Refuse(route.span, "a route needs a destination");
      if (routes == &service.tls && route.matches.empty()) {
        report.Refuse(route.span, "a TLS route needs a match");
      }
      AdmitRoutes(route.routes, route.span, report);
    }
  }
}

}  // namespace meshproof
