#include "analyze/host_index.h"

#include <algorithm>

#include "analyze/shared_views.h"
#include "base/text.h"
#include "match/ip.h"
#include "mesh/hosts.h"

namespace meshproof {

std::string_view NamespaceOfHost(std::string_view host, std::string_view domain) {
  std::string suffix = ".svc." + std::string(domain);
  if (!host.ends_with(suffix)) return {};
  host.remove_suffix(suffix.size());
  size_t dot = host.find('.');
  if (dot == std::string_view::npos || host.find('.', dot + 1) != std::string_view::npos) return {};
  return host.substr(dot + 1);
}

HostIndex::HostIndex(const Analysis& analysis)
    : analysis_(analysis), names_(analysis.views->Names()) {
  for (const MeshService& service : analysis.mesh.services()) {
    by_host_[service.host].push_back(&service);
    by_namespace_[service.ns].push_back(&service);
    if (service.kubernetes) {
      service_namespaces_.insert(service.ns);
      hosts_of_namespace_[service.ns].push_back(service.host);
    } else {
      other_hosts_.push_back(service.host);
    }
  }
}

bool HostIndex::IsExported(const MeshService& service, std::string_view ns) const {
  std::vector<std::string_view> targets;
  if (service.entry != nullptr) {
    for (const Text& value : service.entry->export_to.values) targets.push_back(value.value);
  } else if (service.service != nullptr) {
    const std::string* annotation =
        FindLabel(service.service->meta.annotations, "networking.istio.io/exportTo");
    if (annotation != nullptr && !TrimSpace(*annotation).empty()) {
      for (std::string_view value : Split(*annotation, ',')) targets.push_back(TrimSpace(value));
    }
  }
  return IsExportedTo(targets, service.ns, ns);
}

HostIndex::Lookup HostIndex::Find(std::string_view written, std::string_view ns) const {
  const std::string& domain = analysis_.model.mesh_config.domain;
  Lookup lookup;
  lookup.host = CompleteHost(ToLower(written), ns, domain);
  VisitCoveringHosts(lookup.host, [&](const std::string& host) {
    auto found = by_host_.find(host);
    if (found == by_host_.end()) return false;
    for (const MeshService* service : found->second) {
      if (IsExported(*service, ns)) {
        lookup.service = service;
        return true;
      }
      if (lookup.hidden == nullptr) lookup.hidden = service;
    }
    return false;
  });
  if (lookup.service != nullptr || lookup.hidden != nullptr) return lookup;
  std::string_view service_ns = NamespaceOfHost(lookup.host, domain);
  if (service_ns.empty()) {
    lookup.external = true;
    lookup.in_view = true;
    // `web.shop` is read as it stands; what was meant is web's full name.
    std::string full = lookup.host + (lookup.host.ends_with(".svc") ? "." : ".svc.") + domain;
    if (by_host_.contains(full)) lookup.nearest = full;
    for (const std::string& host : other_hosts_) {
      if (lookup.nearest.empty() && IsTypoOf(lookup.host, host)) lookup.nearest = host;
    }
    return lookup;
  }
  auto beside = hosts_of_namespace_.find(service_ns);
  if (beside != hosts_of_namespace_.end()) {
    lookup.in_view = true;
    // Only the name can be misspelt: the rest is the namespace's.
    std::vector<std::string> names;
    for (const std::string& host : beside->second) names.push_back(host.substr(0, host.find('.')));
    std::string_view own = std::string_view(lookup.host).substr(0, lookup.host.find('.'));
    std::string nearest = NearestName(own, names);
    if (!nearest.empty()) lookup.nearest = nearest + lookup.host.substr(own.size());
    return lookup;
  }
  // The namespace itself may be misspelt.
  std::string_view name = std::string_view(lookup.host).substr(0, lookup.host.find('.'));
  for (const std::string& candidate : service_namespaces_) {
    std::string host = std::string(name) + "." + candidate + ".svc." + domain;
    if (IsTypoOf(service_ns, candidate) && by_host_.contains(host)) {
      lookup.in_view = true;
      lookup.nearest = host;
    }
  }
  return lookup;
}

bool HostIndex::CoversAny(std::string_view pattern, std::string_view service_ns,
                          std::string_view ns) const {
  const auto fits = [&](const MeshService* service) {
    return (service_ns.empty() || service->ns == service_ns) && IsExported(*service, ns);
  };
  if (pattern.find('*') == std::string_view::npos) {
    return VisitCoveringHosts(std::string(pattern), [&](const std::string& host) {
      auto found = by_host_.find(host);
      return found != by_host_.end() &&
             std::any_of(found->second.begin(), found->second.end(), fits);
    });
  }
  const auto covered = [&](const MeshService* service) {
    return (HostCovers(pattern, service->host) || HostCovers(service->host, pattern)) &&
           fits(service);
  };
  if (!service_ns.empty()) {
    auto found = by_namespace_.find(service_ns);
    return found != by_namespace_.end() &&
           std::any_of(found->second.begin(), found->second.end(), covered);
  }
  return std::any_of(by_namespace_.begin(), by_namespace_.end(), [&](const auto& entry) {
    return std::any_of(entry.second.begin(), entry.second.end(), covered);
  });
}

bool HostIndex::HasServicesIn(std::string_view ns) const {
  return service_namespaces_.find(ns) != service_namespaces_.end();
}

}  // namespace meshproof
