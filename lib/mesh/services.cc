// Services as istiod's registries give them: one for each Kubernetes Service and for each host of a
// ServiceEntry, oldest first (creation time, then host), because the oldest decides where two
// target one port or claim one host; a Kubernetes Service goes before ServiceEntries of its host.
// Each knows the workloads that it selects in its namespace: pods and WorkloadEntries alike.
#include <algorithm>

#include "base/text.h"
#include "mesh/builder.h"
#include "mesh/hosts.h"
#include "mesh/order.h"

namespace meshproof {
namespace {

constexpr std::string_view kExportTo = "networking.istio.io/exportTo";

std::vector<std::string_view> ExportTo(const MeshService& service) {
  std::vector<std::string_view> out;
  if (service.entry) {
    for (const Text& value : service.entry->export_to.values) out.push_back(value.value);
  } else if (const std::string* value = FindLabel(service.object->annotations, kExportTo)) {
    for (std::string_view piece : Split(*value, ',')) {
      if (std::string_view name = TrimSpace(piece); !name.empty()) out.push_back(name);
    }
  }
  return out;
}

// Workloads by namespace, and by namespace and label, so that a selector looks at few of them.
class LabelIndex {
 public:
  explicit LabelIndex(const std::vector<Workload>& workloads) : workloads_(workloads) {
    for (size_t i = 0; i < workloads.size(); ++i) {
      by_namespace_[workloads[i].ns].push_back(i);
      for (const auto& [key, value] : workloads[i].labels) {
        by_label_[LabelKey(workloads[i].ns, key, value)].push_back(i);
      }
    }
  }

  std::vector<size_t> Select(const std::string& ns, const Labels& selector) const {
    const std::vector<size_t>* candidates = nullptr;
    if (selector.empty()) {
      auto it = by_namespace_.find(ns);
      if (it != by_namespace_.end()) candidates = &it->second;
    }
    for (const auto& [key, value] : selector) {
      auto it = by_label_.find(LabelKey(ns, key, value));
      if (it == by_label_.end()) return {};
      if (!candidates || it->second.size() < candidates->size()) candidates = &it->second;
    }
    std::vector<size_t> out;
    if (!candidates) return out;
    for (size_t i : *candidates) {
      if (Selects(selector, workloads_[i].labels)) out.push_back(i);
    }
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
  }

 private:
  static std::string LabelKey(const std::string& ns, const std::string& key,
                              const std::string& value) {
    std::string out = ns;
    out.append(1, '\0').append(key).append(1, '\0').append(value);
    return out;
  }

  const std::vector<Workload>& workloads_;
  std::unordered_map<std::string, std::vector<size_t>> by_namespace_;
  std::unordered_map<std::string, std::vector<size_t>> by_label_;
};

int NamedContainerPort(const PodWorkload& pod, std::string_view name) {
  for (const ContainerPort& port : pod.ports) {
    if (port.name.value == name) return port.port;
  }
  return 0;
}

int NamedEntryPort(const WorkloadEntry& entry, std::string_view name) {
  for (const auto& [port_name, port] : entry.ports) {
    if (port_name == name) return port;
  }
  return 0;
}

}  // namespace

void MeshBuilder::AddService(const Service& service) {
  MeshService out;
  out.ns = service.meta.ns;
  out.name = std::string(service.meta.name);
  out.host = out.name + "." + out.ns + ".svc." + model_.mesh_config.domain;
  out.object = &service.meta;
  out.service = &service;
  out.kubernetes = true;
  out.headless = service.headless;
  out.external = service.type == "ExternalName";
  out.addresses = service.cluster_ips;
  for (const ServicePort& port : service.ports) {
    std::optional<std::string_view> app_protocol;
    if (port.app_protocol) app_protocol = port.app_protocol->value;
    out.ports.push_back({port.port, std::string(port.name.value),
                         SelectProtocol(port.port, port.protocol, port.name.value, app_protocol),
                         port.target_port});
  }
  mesh_.services_.push_back(std::move(out));
}

void MeshBuilder::AddServiceEntry(const ServiceEntry& entry) {
  for (const Text& host : entry.hosts.values) {
    MeshService out;
    out.host = ToLower(host.value);
    out.ns = entry.meta.ns;
    out.name = std::string(entry.meta.name);
    out.object = &entry.meta;
    out.entry = &entry;
    out.external = entry.mesh_external;
    // istiod sends to the original destination, as for headless Services.
    out.headless = entry.resolution.empty() || entry.resolution == "NONE";
    for (const Text& address : entry.addresses.values) {
      if (std::optional<IpAddress> ip = ParseIpAddress(address.value)) out.addresses.push_back(*ip);
    }
    for (const ServiceEntry::Port& port : entry.ports) {
      out.ports.push_back(
          {port.port, std::string(port.name.value), ParseProtocol(port.protocol.value), Text{}});
    }
    mesh_.services_.push_back(std::move(out));
  }
}

void MeshBuilder::BuildServices() {
  for (const Service& service : model_.services) AddService(service);
  for (const auto& service : mesh_.made_services_) AddService(*service);
  for (const ServiceEntry& entry : model_.service_entries) AddServiceEntry(entry);
  std::stable_sort(mesh_.services_.begin(), mesh_.services_.end(),
                   [](const MeshService& a, const MeshService& b) {
                     const int kind_a = a.kubernetes ? 0 : 1;
                     const int kind_b = b.kubernetes ? 0 : 1;
                     return std::tie(a.object->created, a.host, kind_a, a.ns, a.name) <
                            std::tie(b.object->created, b.host, kind_b, b.ns, b.name);
                   });
  for (size_t i = 0; i < mesh_.services_.size(); ++i) {
    const MeshService& service = mesh_.services_[i];
    std::vector<size_t>& same_host = mesh_.service_index_[service.host];
    auto position = same_host.end();
    if (service.kubernetes) {
      position = std::find_if(same_host.begin(), same_host.end(),
                              [&](size_t other) { return !mesh_.services_[other].kubernetes; });
    }
    same_host.insert(position, i);
    if (service.host.starts_with("*")) mesh_.has_wildcard_hosts_ = true;
    for (const IpAddress& address : service.addresses) {
      mesh_.service_addresses_.emplace(address, i);
    }
  }
}

void MeshBuilder::SelectWorkloads() {
  mesh_.services_of_workload_.resize(mesh_.workloads_.size());
  const LabelIndex index(mesh_.workloads_);
  for (size_t i = 0; i < mesh_.services_.size(); ++i) {
    MeshService& service = mesh_.services_[i];
    if (service.service) {
      const bool selects = service.service->has_selector && !service.service->selector.empty();
      if (selects && !service.external) {
        service.workloads = index.Select(service.ns, service.service->selector);
      }
    } else if (service.entry->workload_selector.present) {
      service.workloads = index.Select(service.ns, service.entry->workload_selector.match_labels);
    }
    for (size_t workload : service.workloads) mesh_.services_of_workload_[workload].push_back(i);
  }
}

const MeshService* Mesh::FindService(std::string_view host) const {
  auto it = service_index_.find(std::string(host));
  return it == service_index_.end() ? nullptr : &services_[it->second.front()];
}

const MeshService* Mesh::LookUpHost(const std::string& host, std::string_view ns) const {
  auto it = service_index_.find(host);
  if (it == service_index_.end()) return nullptr;
  for (size_t i : it->second) {
    const MeshService& service = services_[i];
    if (service.kubernetes || IsExportedTo(ExportTo(service), service.ns, ns)) return &service;
  }
  return nullptr;
}

const MeshService* Mesh::FollowExternalName(const MeshService* service) const {
  // A chain of aliases may be a ring.
  for (int hops = 0; hops < 8 && service && service->service; ++hops) {
    if (!service->external || service->service->external_name.empty()) return service;
    const MeshService* next = FindService(ToLower(service->service->external_name));
    if (!next) return service;
    service = next;
  }
  return service;
}

const MeshService* Mesh::ResolveHost(std::string_view written, std::string_view ns) const {
  std::string host = ToLower(written);
  if (host.ends_with(".")) host.pop_back();
  if (host.empty()) return nullptr;
  const std::string& domain = config().domain;
  const auto dots = std::count(host.begin(), host.end(), '.');
  // As a pod's resolver completes names, in its order.
  std::string completed;
  if (dots == 0) {
    completed = host + "." + std::string(ns) + ".svc." + domain;
  } else if (dots == 1) {
    completed = host + ".svc." + domain;
  } else if (dots == 2 && host.ends_with(".svc")) {
    completed = host + "." + domain;
  }
  const MeshService* found = completed.empty() ? nullptr : LookUpHost(completed, ns);
  if (!found) found = LookUpHost(host, ns);
  if (!found && has_wildcard_hosts_) {
    VisitCoveringHosts(host, [&](const std::string& pattern) {
      found = LookUpHost(pattern, ns);
      return found != nullptr;
    });
  }
  return FollowExternalName(found);
}

const MeshService* Mesh::ResolveObjectHost(std::string_view written, std::string_view ns) const {
  const std::string host = CompleteHost(ToLower(written), ns, config().domain);
  const MeshService* found = LookUpHost(host, ns);
  if (!found && has_wildcard_hosts_) {
    VisitCoveringHosts(host, [&](const std::string& pattern) {
      found = LookUpHost(pattern, ns);
      return found != nullptr;
    });
  }
  return FollowExternalName(found);
}

bool Mesh::IsVisible(const Workload& client, const MeshService& service) const {
  if (!IsExportedTo(ExportTo(service), service.ns, client.ns)) return false;
  const Sidecar* sidecar = SidecarFor(client);
  if (!sidecar || sidecar->egress_hosts.empty()) return true;
  for (const Text& text : sidecar->egress_hosts.values) {
    const size_t slash = text.value.find('/');
    const std::string_view ns =
        slash == std::string_view::npos ? std::string_view("*") : text.value.substr(0, slash);
    const std::string host =
        ToLower(slash == std::string_view::npos ? text.value : text.value.substr(slash + 1));
    const bool same_namespace =
        ns == "*" || ns == service.ns || (ns == "." && service.ns == client.ns);
    if (same_namespace && (HostCovers(host, service.host) || HostCovers(service.host, host))) {
      return true;
    }
  }
  return false;
}

int Mesh::TargetPort(const MeshService& service, const MeshServicePort& service_port,
                     const Workload& workload) const {
  if (service.entry) {
    if (workload.entry) {
      if (int mapped = NamedEntryPort(*workload.entry, service_port.name)) return mapped;
    }
    for (const ServiceEntry::Port& port : service.entry->ports) {
      if (port.port == service_port.port && port.target_port > 0) return port.target_port;
    }
    return service_port.port;
  }
  const std::string_view target = service_port.target_port.value;
  const std::optional<unsigned long> number = ParseUnsigned(target);
  const bool numeric = target.empty() || (number && *number <= 65535);
  const int by_number =
      numeric && number && *number > 0 ? static_cast<int>(*number) : service_port.port;
  if (workload.entry) {
    // A WorkloadEntry maps named targets, and numbers by the Service port's name.
    if (int mapped = NamedEntryPort(*workload.entry, numeric ? service_port.name : target)) {
      return mapped;
    }
    return numeric ? by_number : 0;
  }
  if (numeric) return by_number;
  return workload.pod ? NamedContainerPort(*workload.pod, target) : 0;
}

}  // namespace meshproof
