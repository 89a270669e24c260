#pragma once

#include <cstdint>
#include <string>

// A mesh of any size, for benchmarks: of each service an account, a Service, a Deployment with five
// pods and one or two policies (three for two services, or as many as are given, spread evenly),
// twenty services a namespace; mTLS is strict.
namespace meshproof {

inline std::string ServiceName(int service) {
  return "svc-" + std::to_string(service);
}
inline std::string TeamOf(int service) {
  return "team-" + std::to_string(service / 20);
}

inline void AddService(int i, bool denies, std::string* out) {
  std::string name = ServiceName(i);
  std::string ns = TeamOf(i);
  std::string meta = "metadata:\n  name: " + name + "\n  namespace: " + ns + "\n";
  *out += "---\napiVersion: v1\nkind: ServiceAccount\n" + meta;
  *out += "---\napiVersion: v1\nkind: Service\n" + meta + "spec:\n  selector:\n    app: " + name +
          "\n  ports:\n  - name: http\n    port: 80\n    targetPort: 8080\n  - name: tcp-admin\n"
          "    port: 9000\n    targetPort: 9000\n";
  std::string pod = "    spec:\n      serviceAccountName: " + name +
                    "\n      containers:\n      - name: app\n        image: registry.example.com/" +
                    name +
                    ":v1.2.3\n        ports:\n        - name: http\n          containerPort: 8080\n"
                    "        - name: admin\n          containerPort: 9000\n        resources:\n"
                    "          requests:\n            cpu: 100m\n            memory: 128Mi\n";
  *out += "---\napiVersion: apps/v1\nkind: Deployment\n" + meta +
          "spec:\n  replicas: 5\n  selector:\n    matchLabels:\n      app: " + name +
          "\n  template:\n    metadata:\n      labels:\n        app: " + name +
          "\n        version: v1\n" + pod;
  for (int replica = 0; replica < 5; ++replica) {
    std::string number = std::to_string(replica);
    *out += "---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name + "-5d9c7b8f6-" + number +
            "\n  namespace: " + ns + "\n  labels:\n    app: " + name +
            "\n    version: v1\n    pod-template-hash: 5d9c7b8f6\n  annotations:\n"
            "    sidecar.istio.io/status: '{}'\n"
            "  ownerReferences:\n  - apiVersion: apps/v1\n    kind: ReplicaSet\n"
            "    name: " +
            name + "-5d9c7b8f6\n    controller: true\nspec:\n  serviceAccountName: " + name +
            "\n  containers:\n  - name: app\n    image: registry.example.com/" + name +
            ":v1.2.3\n    ports:\n    - name: http\n      containerPort: 8080\nstatus:\n"
            "  phase: Running\n  podIP: 10." +
            std::to_string(244 + replica) + "." + std::to_string(i / 250 % 250) + "." +
            std::to_string(i % 250) + "\n";
  }
  *out += "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n" + meta +
          "spec:\n  selector:\n    matchLabels:\n      app: " + name +
          "\n  action: ALLOW\n  rules:\n  - from:\n    - source:\n        principals:\n"
          "        - cluster.local/ns/" +
          TeamOf(i + 7) + "/sa/" + ServiceName(i + 7) + "\n        namespaces:\n        - " + ns +
          "\n    to:\n    - operation:\n        methods:\n        - GET\n        - POST\n"
          "        paths:\n        - /api/*\n        - /healthz\n  - when:\n"
          "    - key: request.headers[x-team]\n      values:\n      - team-*\n";
  if (denies) {
    *out +=
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n"
        "  name: " +
        name + "-deny\n  namespace: " + ns +
        "\nspec:\n  selector:\n    matchLabels:\n"
        "      app: " +
        name +
        "\n  action: DENY\n  rules:\n  - to:\n    - operation:\n        paths:\n"
        "        - /admin/*\n        notMethods:\n        - GET\n";
  }
}

inline std::string GenerateMesh(int services, int policies = 0) {
  const int more = policies == 0 ? services / 2 : policies - services;
  std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\n"
      "data:\n  mesh: |\n    trustDomain: cluster.local\n";
  for (int i = 0; i < services; i += 20) {
    text += "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + TeamOf(i) +
            "\n  labels:\n    istio-injection: enabled\n";
  }
  for (int i = 0; i < services; ++i) {
    const bool denies = int64_t{i} * more % services < more;
    AddService(i, denies, &text);
  }
  text +=
      "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n"
      "  name: default\n  namespace: istio-system\nspec:\n  mtls:\n    mode: STRICT\n";
  return text;
}

}  // namespace meshproof
