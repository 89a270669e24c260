// Measures the main path on generated meshes: every stage beside yaml-cpp's bare event parse of
// the same bytes on one thread, the latency of one verdict after loading, verdicts a second in a
// batch, and peak memory. `pipeline_bench [services...]`, default 400 2000 5000; a Markdown table.
// `pipeline_bench --write SERVICES FILE` writes the generated mesh instead.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "proxy/compile.h"
#include "simulate/case.h"
#include "source/bare_parse.h"
#include "source/source.h"

namespace meshproof {
namespace {

using Clock = std::chrono::steady_clock;

double Seconds(const std::function<void()>& body) {
  auto start = Clock::now();
  body();
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double PeakMegabytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

std::string Name(int service) {
  return "svc-" + std::to_string(service);
}
std::string NamespaceOf(int service) {
  return "team-" + std::to_string(service / 20);
}

void AddService(int i, std::string* out) {
  std::string name = Name(i);
  std::string ns = NamespaceOf(i);
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
            "\n    version: v1\n  ownerReferences:\n  - apiVersion: apps/v1\n    kind: ReplicaSet\n"
            "    name: " +
            name + "-5d9c7b8f6\n    controller: true\nspec:\n  serviceAccountName: " + name +
            "\n  containers:\n  - name: app\n    image: registry.example.com/" + name +
            ":v1.2.3\n    ports:\n    - name: http\n      containerPort: 8080\nstatus:\n"
            "  phase: Running\n  podIP: 10.244." +
            std::to_string(i / 250 % 250) + "." + std::to_string(i % 250) + "\n";
  }
  *out += "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\n" + meta +
          "spec:\n  selector:\n    matchLabels:\n      app: " + name +
          "\n  action: ALLOW\n  rules:\n  - from:\n    - source:\n        principals:\n"
          "        - cluster.local/ns/" +
          NamespaceOf(i + 7) + "/sa/" + Name(i + 7) + "\n        namespaces:\n        - " + ns +
          "\n    to:\n    - operation:\n        methods:\n        - GET\n        - POST\n"
          "        paths:\n        - /api/*\n        - /healthz\n  - when:\n"
          "    - key: request.headers[x-team]\n      values:\n      - team-*\n";
  if (i % 2 == 0) {
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

std::string GenerateMesh(int services) {
  std::string text =
      "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: istio\n  namespace: istio-system\n"
      "data:\n  mesh: |\n    trustDomain: cluster.local\n";
  for (int i = 0; i < services; i += 20) {
    text += "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: " + NamespaceOf(i) +
            "\n  labels:\n    istio-injection: enabled\n";
  }
  for (int i = 0; i < services; ++i) AddService(i, &text);
  text +=
      "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n"
      "  name: default\n  namespace: istio-system\nspec:\n  mtls:\n    mode: STRICT\n";
  return text;
}

Case Question(int i, int services) {
  Case question;
  int target = i % services;
  int caller = (target + (i % 3 == 0 ? 7 : 1)) % services;
  question.from_workload = NamespaceOf(caller) + "/" + Name(caller);
  question.to_workload = NamespaceOf(target) + "/" + Name(target);
  question.to_port = 8080;
  question.path = i % 2 == 0 ? "/api/items?x=1" : "/admin/users";
  question.method = i % 5 == 0 ? "POST" : "GET";
  question.host = Name(target) + "." + NamespaceOf(target);
  question.headers = {{"user-agent", "curl/8"}, {"x-team", i % 7 == 0 ? "team-1" : "other"}};
  question.now = 1700000000;
  return question;
}

double MinOf(int runs, const std::function<void()>& body) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) best = std::min(best, Seconds(body));
  return best;
}

void Measure(int services) {
  std::string text = GenerateMesh(services);
  double megabytes = static_cast<double>(text.size()) / 1e6;
  int runs = services > 3000 ? 3 : 5;
  size_t events = 0;
  double bare = MinOf(runs, [&] { events = BareEventParse(text); });
  ParsedFile parsed;
  double read = MinOf(runs, [&] { parsed = ParseText("mesh.yaml", text); });
  double decode = 1e9;
  std::shared_ptr<const Model> model;
  for (int i = 0; i < runs; ++i) {
    Load load;
    load.files.push_back(ParseText("mesh.yaml", text));
    decode = std::min(decode, Seconds([&] { model = DecodeModel(std::move(load), {}); }));
  }
  std::shared_ptr<const Mesh> mesh;
  double build = MinOf(runs, [&] { mesh = Mesh::Build(model); });
  std::unique_ptr<World> world;
  double compile = MinOf(runs, [&] {
    world = std::make_unique<World>(mesh);
    ParallelFor(mesh->workloads().size(), [&](size_t i) {
      const Workload& workload = mesh->workloads()[i];
      if (workload.mode == ProxyMode::kSidecar) world->Proxy(workload);
    });
  });
  constexpr int kBatch = 200000;
  std::vector<Case> questions;
  questions.reserve(kBatch);
  for (int i = 0; i < kBatch; ++i) questions.push_back(Question(i, services));
  int allowed = 0;
  double batch = MinOf(3, [&] {
    allowed = 0;
    for (const auto& question : questions) {
      auto verdict = world->Run(question, World::Addresses::kAssume, Detail::kVerdict);
      if (verdict.ok() && verdict.value().outcome == Outcome::kAllow) ++allowed;
    }
  });
  double latency =
      MinOf(20, [&] { (void)world->Run(questions[0], World::Addresses::kAssume, Detail::kTrace); });
  double after = decode + build + compile;
  std::printf(
      "| %d | %.1f | %zu | %.1f | %.1f (%.2fx) | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %.0f%% |"
      " %.0f |\n",
      services, megabytes, model->objects, megabytes / bare, megabytes / read, read / bare,
      decode * 1e3, build * 1e3, compile * 1e3, after / bare, latency * 1e6, kBatch / batch,
      100.0 * allowed / kBatch, PeakMegabytes());
  std::fflush(stdout);
  (void)events;
}

}  // namespace
}  // namespace meshproof

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--write") {
    std::ofstream(argv[3]) << meshproof::GenerateMesh(std::atoi(argv[2]));
    return 0;
  }
  std::vector<int> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::atoi(argv[i]));
  if (sizes.empty()) sizes = {400, 2000, 5000};
  std::puts(
      "| services | MB | objects | bare parse MB/s | reader MB/s (time / bare) | decode ms | mesh "
      "ms "
      "| compile ms | decode+mesh+compile / bare | one verdict us | verdicts/s, one core | allowed "
      "|"
      " peak MB |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
  for (int size : sizes) meshproof::Measure(size);
  return 0;
}
