// Kubernetes' own kinds: metadata, Pod and what makes pods, Service, Secret.

#include <algorithm>

#include "model/decode.h"

namespace meshproof {
namespace {

PortProtocol ParseProtocol(const Fields& port) {
  Text protocol = port.String("protocol");
  if (protocol.value == "UDP") return PortProtocol::kUdp;
  if (protocol.value == "SCTP") return PortProtocol::kSctp;
  return PortProtocol::kTcp;
}

// A port's number, 0 and a diagnostic where it is none.
int PortNumber(const Fields& port, std::string_view key) {
  auto number = port.Integer(key);
  if (!number) return 0;
  if (*number >= 1 && *number <= 65535) return static_cast<int>(*number);
  if (*number != 0) port.report().IgnoredType(*port.Find(key), key, "a port, 1 to 65535,");
  return 0;
}

void DecodeContainer(const Fields& container, bool first, PodWorkload* workload) {
  if (container.View("name") == "istio-proxy") workload->has_proxy_container = true;
  container.ForEach("ports", [&](const Node& item) {
    Fields port(&item, container.report(), "ports");
    ContainerPort decoded;
    decoded.name = port.String("name");
    decoded.port = PortNumber(port, "containerPort");
    decoded.protocol = ParseProtocol(port);
    decoded.host_port = PortNumber(port, "hostPort");
    if (decoded.port != 0) workload->ports.push_back(decoded);
  });
  if (!first) return;
  container.ForEach("env", [&](const Node& item) {
    Fields variable(&item, container.report(), "env");
    workload->env.emplace_back(variable.View("name"), variable.View("value"));
  });
}

void DecodePodSpec(const Fields& spec, PodWorkload* workload) {
  workload->service_account = spec.View("serviceAccountName");
  if (workload->service_account.empty()) workload->service_account = spec.View("serviceAccount");
  if (workload->service_account.empty()) workload->service_account = "default";
  workload->host_network = spec.Bool("hostNetwork");
  bool first = true;
  spec.ForEach("containers", [&](const Node& item) {
    DecodeContainer(Fields(&item, spec.report(), "containers"), first, workload);
    first = false;
  });
  spec.ForEach("initContainers", [&](const Node& item) {
    Fields container(&item, spec.report(), "initContainers");
    // An init container that is always restarted is a native sidecar: it runs beside the pod.
    if (container.View("restartPolicy") == "Always") DecodeContainer(container, false, workload);
  });
}

void DecodePodMeta(const Fields& metadata, PodWorkload* workload) {
  workload->pod_labels = metadata.Map("labels", Fields::Nulls::kEmpty);
  workload->pod_annotations = metadata.Map("annotations", Fields::Nulls::kEmpty);
  if (const Node* labels = metadata.Find("labels")) {
    workload->pod_labels_span = metadata.report().SpanOf(*labels);
  }
}

void AddAddress(const Text& text, std::vector<IpAddress>* addresses) {
  auto address = ParseIpAddress(text.value);
  if (!address) return;
  if (std::find(addresses->begin(), addresses->end(), *address) == addresses->end()) {
    addresses->push_back(*address);
  }
}

void DecodePod(const Fields& object, PodWorkload* workload) {
  Fields metadata = object.Message("metadata");
  DecodePodMeta(metadata, workload);
  workload->generate_name = metadata.View("generateName");
  metadata.ForEach("ownerReferences", [&](const Node& item) {
    Fields owner(&item, object.report(), "ownerReferences");
    if (owner.Bool("controller")) workload->owner = owner.View("name");
  });
  Fields status = object.Message("status");
  AddAddress(status.String("podIP"), &workload->ips);
  status.ForEach("podIPs", [&](const Node& item) {
    AddAddress(Fields(&item, object.report(), "podIPs").String("ip"), &workload->ips);
  });
  DecodePodSpec(object.Message("spec"), workload);
}

std::vector<std::pair<std::string_view, std::string_view>> StringPairs(const Fields& fields,
                                                                       std::string_view key) {
  std::vector<std::pair<std::string_view, std::string_view>> pairs;
  fields.ForEachEntry(key, [&](const Node& name, const Node& value) {
    if (value.IsString()) pairs.emplace_back(name.text, value.text);
  });
  return pairs;
}

}  // namespace

void DecodeMeta(const Fields& object, ObjectMeta* meta) {
  meta->node = object.node();
  meta->file = object.report().file();
  meta->body = object.span();
  meta->kind = object.View("kind");
  meta->api_version = object.View("apiVersion");
  const Node& node = *object.node();
  meta->span =
      node.entries().empty() ? meta->body : object.report().SpanOf(node.entries().front().key);
  Fields metadata = object.Message("metadata");
  Text name = metadata.String("name");
  meta->name = name.value;
  meta->span = FirstSpan(name.span, meta->span);
  meta->ns = metadata.View("namespace");
  meta->namespace_given = !meta->ns.empty();
  meta->labels = metadata.Map("labels", Fields::Nulls::kEmpty);
  meta->annotations = metadata.Map("annotations", Fields::Nulls::kEmpty);
  // Plain timestamps are strings to JSON whatever YAML 1.1 calls them.
  const Node* created = metadata.Find("creationTimestamp");
  if (created != nullptr && created->kind == NodeKind::kScalar) meta->created = created->text;
}

PodWorkload DecodePodWorkload(const Fields& object, ObjectMeta meta) {
  PodWorkload workload;
  workload.meta = std::move(meta);
  if (workload.meta.kind == "Pod") {
    DecodePod(object, &workload);
    return workload;
  }
  Fields spec = object.Message("spec");
  Fields pod_template = workload.meta.kind == "CronJob"
                            ? spec.Message("jobTemplate").Message("spec").Message("template")
                            : spec.Message("template");
  DecodePodMeta(pod_template.Message("metadata"), &workload);
  DecodePodSpec(pod_template.Message("spec"), &workload);
  return workload;
}

Service DecodeService(const Fields& object, ObjectMeta meta) {
  Service service;
  service.meta = std::move(meta);
  Fields spec = object.Message("spec");
  service.selector = spec.Map("selector", Fields::Nulls::kEmpty);
  service.has_selector = !service.selector.empty();
  service.type = spec.View("type");
  if (service.type.empty()) service.type = "ClusterIP";
  service.external_name = spec.View("externalName");
  Text cluster_ip = spec.String("clusterIP");
  service.headless = cluster_ip.value == "None";
  AddAddress(cluster_ip, &service.cluster_ips);
  for (const Text& address : spec.Strings("clusterIPs").values) {
    service.headless = service.headless || address.value == "None";
    AddAddress(address, &service.cluster_ips);
  }
  spec.ForEach("ports", [&](const Node& item) {
    Fields port(&item, object.report(), "ports");
    ServicePort decoded;
    decoded.name = port.String("name");
    decoded.port = PortNumber(port, "port");
    decoded.target_port = port.IntOrString("targetPort");
    decoded.protocol = ParseProtocol(port);
    Text app_protocol = port.String("appProtocol");
    if (app_protocol.span) decoded.app_protocol = app_protocol;
    decoded.span = port.span();
    if (decoded.port != 0) service.ports.push_back(decoded);
  });
  return service;
}

Secret DecodeSecret(const Fields& object, ObjectMeta meta) {
  Secret secret;
  secret.meta = std::move(meta);
  secret.type = object.View("type");
  secret.data = StringPairs(object, "data");
  secret.string_data = StringPairs(object, "stringData");
  return secret;
}

}  // namespace meshproof
