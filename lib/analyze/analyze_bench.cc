// What the rules cost: `analyze` on generated meshes beside yaml-cpp's bare event parse of the same
// bytes on one thread. Processor time on one thread, which other load on the machine disturbs
// least, and time of the clock of the whole way (read, decode, join, judge) on two. The least of
// several runs counts.
//
//   analyze_bench [SERVICES...]        default 400 2000 5000; a Markdown table
//   analyze_bench --rules SERVICES     each rule's share, the dearest first
//   analyze_bench --write SERVICES FILE  the mesh itself

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "analyze/driver.h"
#include "simulate/generated_mesh.h"
#include "source/bare_parse.h"
#include "source/source.h"

namespace meshproof {
namespace {

constexpr int64_t kNow = 1795000000;

double ProcessorSeconds(const std::function<void()>& body) {
  std::clock_t start = std::clock();
  body();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

double ClockSeconds(const std::function<void()>& body) {
  auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double LeastOf(int runs, const std::function<double()>& measure) {
  double least = 1e9;
  for (int i = 0; i < runs; ++i) least = std::min(least, measure());
  return least;
}

// What the rules on traffic look at: a gateway, and of each service a VirtualService, a
// DestinationRule, every fourth a RequestAuthentication and every tenth a ServiceEntry.
std::string GenerateTraffic(int services) {
  std::string text =
      "---\napiVersion: v1\nkind: Namespace\nmetadata:\n  name: istio-system\n"
      "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: gate\n  namespace: istio-system\n"
      "spec:\n  type: LoadBalancer\n  selector:\n    istio: gate\n  ports:\n  - name: https\n"
      "    port: 443\n    targetPort: 8443\n"
      "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: gate\n"
      "  namespace: istio-system\nspec:\n  selector:\n    matchLabels:\n      istio: gate\n"
      "  template:\n    metadata:\n      labels:\n        istio: gate\n"
      "        sidecar.istio.io/inject: \"true\"\n      annotations:\n"
      "        inject.istio.io/templates: gateway\n    spec:\n      serviceAccountName: gate\n"
      "      containers:\n      - name: istio-proxy\n        image: auto\n"
      "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata:\n  name: shop\n"
      "  namespace: istio-system\nspec:\n  selector:\n    istio: gate\n  servers:\n  - port:\n"
      "      number: 443\n      name: https\n      protocol: HTTPS\n    tls:\n      mode: SIMPLE\n"
      "      credentialName: shop\n    hosts:\n    - '*.example.com'\n";
  for (int i = 0; i < services; ++i) {
    std::string name = ServiceName(i), ns = TeamOf(i);
    std::string meta = "metadata:\n  name: " + name + "\n  namespace: " + ns + "\n";
    text += "---\napiVersion: networking.istio.io/v1\nkind: VirtualService\n" + meta +
            "spec:\n  hosts:\n  - " + name +
            ".example.com\n  gateways:\n  - istio-system/shop\n"
            "  http:\n  - match:\n    - uri:\n        prefix: /api\n    route:\n"
            "    - destination:\n        host: " +
            name +
            "\n        port:\n          number: 80\n"
            "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\n" +
            meta + "spec:\n  host: " + name + "." + ns +
            ".svc.cluster.local\n  trafficPolicy:\n"
            "    tls:\n      mode: ISTIO_MUTUAL\n  subsets:\n  - name: v1\n    labels:\n"
            "      version: v1\n";
    if (i % 4 == 0) {
      text += "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\n" + meta +
              "spec:\n  selector:\n    matchLabels:\n      app: " + name +
              "\n  jwtRules:\n  - issuer: https://issuer.example.com\n"
              "    jwksUri: https://issuer.example.com/keys\n    audiences:\n    - " +
              name + "\n";
    }
    if (i % 10 == 0) {
      text += "---\napiVersion: networking.istio.io/v1\nkind: ServiceEntry\n" + meta +
              "spec:\n  hosts:\n  - " + name +
              ".partner.example.net\n  ports:\n"
              "  - number: 443\n    name: tls\n    protocol: TLS\n  resolution: DNS\n";
    }
  }
  return text;
}

AnalyzeOptions Options(unsigned threads) {
  AnalyzeOptions options;
  options.now = kNow;
  options.threads = threads;
  return options;
}

std::shared_ptr<const Mesh> Read(const std::string& text, unsigned threads) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", text, threads));
  ModelOptions options;
  options.threads = threads;
  return Mesh::Build(DecodeModel(std::move(load), options));
}

void Measure(int services) {
  std::string text = GenerateMesh(services) + GenerateTraffic(services);
  int runs = services > 3000 ? 3 : 5;
  double bare = LeastOf(runs, [&] { return ProcessorSeconds([&] { BareEventParse(text); }); });
  double parse =
      LeastOf(runs, [&] { return ProcessorSeconds([&] { ParseText("mesh.yaml", text); }); });
  std::shared_ptr<const Mesh> mesh = Read(text, 1);
  size_t findings = 0;
  double rules = LeastOf(runs, [&] {
    World world(mesh);
    return ProcessorSeconds([&] { findings = Analyze(*mesh, world, Options(1)).findings.size(); });
  });
  double bare_clock = LeastOf(runs, [&] { return ClockSeconds([&] { BareEventParse(text); }); });
  double whole = LeastOf(runs, [&] {
    return ClockSeconds([&] {
      auto fresh = Read(text, 2);
      World world(fresh);
      Analyze(*fresh, world, Options(2));
    });
  });
  std::printf("| %d | %.1f | %zu | %zu | %.0f | %.0f | %.0f | %.2f | %.0f | %.2f |\n", services,
              static_cast<double>(text.size()) / 1e6, mesh->model().objects, findings, bare * 1e3,
              parse * 1e3, rules * 1e3, rules / parse, whole * 1e3, whole / bare_clock);
  std::fflush(stdout);
}

void MeasureRules(int services) {
  auto mesh = Read(GenerateMesh(services) + GenerateTraffic(services), 1);
  std::vector<std::pair<double, const Rule*>> times;
  for (const Rule& rule : AllRules()) {
    AnalyzeOptions options = Options(1);
    options.only = {rule.code};
    double least = LeastOf(3, [&] {
      World world(mesh);
      return ProcessorSeconds([&] { Analyze(*mesh, world, options); });
    });
    times.emplace_back(least, &rule);
  }
  std::sort(times.begin(), times.end(), std::greater<>());
  for (const auto& [seconds, rule] : times) {
    std::printf("%8.2f ms  %s %s\n", seconds * 1e3, rule->code.c_str(),
                std::string(rule->slug).c_str());
  }
}

}  // namespace
}  // namespace meshproof

int main(int argc, char** argv) {
  if (argc == 4 && std::string(argv[1]) == "--write") {
    int services = std::atoi(argv[2]);
    std::ofstream(argv[3]) << meshproof::GenerateMesh(services)
                           << meshproof::GenerateTraffic(services);
    return 0;
  }
  if (argc == 3 && std::string(argv[1]) == "--rules") {
    meshproof::MeasureRules(std::atoi(argv[2]));
    return 0;
  }
  std::vector<int> sizes;
  for (int i = 1; i < argc; ++i) sizes.push_back(std::atoi(argv[i]));
  if (sizes.empty()) sizes = {400, 2000, 5000};
  std::puts(
      "| services | MB | objects | findings | bare parse ms | reader ms | all rules ms | rules / "
      "reader | whole, two threads ms | whole / bare |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
  for (int size : sizes) meshproof::Measure(size);
  return 0;
}
