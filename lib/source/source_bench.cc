// What the reader costs beside yaml-cpp's bare event parse of the same bytes: processor time on one
// thread, which other load on the machine disturbs least, else time of the clock. The least of
// alternating runs counts. `source_bench [RUNS [THREADS [FILE]]]`; without a file it makes its own
// text.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

#include "source/bare_parse.h"
#include "source/parse.h"
#include "source/plain_yaml.h"
#include "source/source.h"

namespace meshproof {
namespace {

std::string MakeManifests(size_t size) {
  std::string text;
  for (int i = 0; text.size() < size; ++i) {
    text += fmt::format(R"(apiVersion: v1
kind: Service
metadata:
  name: service-{0}
  namespace: team-{1}
  labels:
    app: service-{0}
    app.kubernetes.io/part-of: "shop"
spec:
  selector:
    app: service-{0}
  ports:
  - name: http
    port: 80
    targetPort: 8080
  - {{name: metrics, port: 9090, protocol: TCP}}
---
# The workload behind it.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: service-{0}
  namespace: team-{1}
spec:
  replicas: 2
  selector:
    matchLabels:
      app: service-{0}
  template:
    metadata:
      annotations:
        prometheus.io/scrape: "true"
        sidecar.istio.io/inject: "true"
      labels:
        app: service-{0}
        version: v1
    spec:
      serviceAccountName: service-{0}
      containers:
      - name: main
        image: registry.example.com/team-{1}/service-{0}:1.{1}.{0}
        args: ["--listen=:8080", "--log-level=info"]
        command:
        - /bin/sh
        - -c
        - |
          set -e
          exec /usr/local/bin/server \
            --config /etc/service/config.yaml
        ports:
        - containerPort: 8080
        resources:
          requests:
            cpu: 100m
            memory: 128Mi
          limits:
            memory: 256Mi
        readinessProbe:
          httpGet:
            path: /healthz
            port: 8080
          periodSeconds: 5
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata:
  name: service-{0}
  namespace: team-{1}
spec:
  selector:
    matchLabels:
      app: service-{0}
  action: ALLOW
  rules:
  - from:
    - source:
        principals:
        - cluster.local/ns/team-{1}/sa/service-{2}
        - "cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account"
    to:
    - operation:
        methods: [GET, HEAD]
        paths: ["/api/v1/*", "/healthz"]
        ports: ["8080"]
    when:
    - key: request.headers[x-tenant]
      values: ["tenant-{1}", 'tenant-{2}']
---
)",
                        i, i % 50, i + 1);
  }
  return text;
}

double Seconds(bool processor, const auto& body) {
  auto start = std::chrono::steady_clock::now();
  std::clock_t ticks = std::clock();
  body();
  if (processor) return static_cast<double>(std::clock() - ticks) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// The reader of plain YAML on its own: documents are found and checked before. Returns how many it
// took.
size_t ReadPlain(const PreparedFile& prepared) {
  PlainYamlReader reader;
  ReadResult result;
  for (DocumentText where : prepared.documents) reader.Read(prepared.file, where, &result);
  return result.documents.size();
}

double ResidentMegabytes() {
  size_t pages = 0;
  size_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

int Run(const std::string& text, int runs, unsigned threads) {
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  const bool processor = threads == 1;
  const double before = ResidentMegabytes();
  const ParsedFile kept = ParseText("bench.yaml", text, threads);
  const double tree = ResidentMegabytes() - before;
  double bare = 1e9;
  double reader = 1e9;
  double plain = 1e9;
  size_t events = 0;
  size_t taken = 0;
  const PreparedFile prepared = PrepareText("bench.yaml", text);
  for (int i = 0; i < runs; ++i) {
    bare = std::min(bare, Seconds(processor, [&] { events = BareEventParse(text); }));
    plain = std::min(plain, Seconds(processor, [&] { taken = ReadPlain(prepared); }));
    std::string copy = text;
    reader = std::min(reader, Seconds(processor, [&] {
                        (void)ParseText("bench.yaml", std::move(copy), threads);
                      }));
  }
  std::printf("%.1f MB, %zu events, %zu documents, %zu of them plain, %d runs\n", megabytes, events,
              kept.documents.size(), taken, runs);
  std::printf("bare event parse  %7.2f MB/s\n", megabytes / bare);
  std::printf("plain reader      %7.2f MB/s, on one thread\n", megabytes / plain);
  std::printf("reader            %7.2f MB/s\n", megabytes / reader);
  std::printf("reader / bare     %7.4f\n", reader / bare);
  std::printf("memory            %7.2f x the text\n", tree / megabytes);
  return 0;
}

std::string ReadFile(const char* path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace
}  // namespace meshproof

int main(int argc, char** argv) {
  int runs = argc > 1 ? std::atoi(argv[1]) : 5;
  unsigned threads = argc > 2 ? static_cast<unsigned>(std::atoi(argv[2])) : 1;
  std::string text =
      argc > 3 ? meshproof::ReadFile(argv[3]) : meshproof::MakeManifests(size_t{11} << 20);
  return meshproof::Run(text, std::max(runs, 1), threads);
}
