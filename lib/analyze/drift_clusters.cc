#include <string>

#include "analyze/drift_comparison.h"
#include "base/text.h"

namespace meshproof {

// MP0903: an outbound cluster that sends plaintext where mutual TLS is chosen.
void CompareClusters(DriftComparison& c) {
  for (const DumpCluster& cluster : c.dump.clusters) {
    auto parts = Split(cluster.name, '|');
    if (parts.size() != 4 || parts[0] != "outbound" || cluster.tls || cluster.tls_by_endpoint) {
      continue;
    }
    const MeshService* service = c.input.mesh.FindService(parts[3]);
    auto number = ParseUnsigned(parts[1]);
    if (service == nullptr || !number) continue;
    const MeshServicePort* port = service->FindPort(static_cast<int>(*number));
    if (port == nullptr) continue;
    for (size_t index : service->workloads) {
      const Workload& endpoint = c.input.mesh.workloads()[index];
      ClientTlsChoice choice =
          c.input.mesh.ChooseClientTls(c.workload, *service, *port, parts[2], endpoint);
      if (choice.kind != ClientTlsChoice::Kind::kMeshMtls) continue;
      auto& difference =
          c.Add("MP0903", cluster.span,
                "the proxy of " + c.who + " calls `" + std::string(parts[3]) + ":" +
                    std::string(parts[1]) + "` without TLS (cluster `" + cluster.name +
                    "` has no TLS context), and the manifests give mutual TLS (" + choice.reason +
                    "); see which DestinationRule or EnvoyFilter the proxy has");
      difference.detail = c.who + " cluster " + cluster.name;
      break;
    }
  }
}

}  // namespace meshproof
