// Measures the main path on generated meshes: every stage beside yaml-cpp's bare event parse of
// the same bytes on one thread, the latency of one verdict after loading, verdicts a second of
// processor time in a batch, and peak memory. `pipeline_bench [services...]`, default 400 2000
// 5000; a Markdown table. `pipeline_bench --rules [rules...]`, default 1 10 100 500: verdicts a
// second before one workload with that many rules. `pipeline_bench --write SERVICES FILE
// [POLICIES]` writes the generated mesh instead.

#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "proxy/compile.h"
#include "simulate/case.h"
#include "simulate/generated_mesh.h"
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

Case Question(int i, int services) {
  Case question;
  int target = i % services;
  int caller = (target + (i % 3 == 0 ? 7 : 1)) % services;
  question.from_workload = TeamOf(caller) + "/" + ServiceName(caller);
  question.to_workload = TeamOf(target) + "/" + ServiceName(target);
  question.to_port = 8080;
  question.path = i % 2 == 0 ? "/api/items?x=1" : "/admin/users";
  question.method = i % 5 == 0 ? "POST" : "GET";
  question.host = ServiceName(target) + "." + TeamOf(target);
  question.headers = {{"user-agent", "curl/8"}, {"x-team", i % 7 == 0 ? "team-1" : "other"}};
  question.now = 1700000000;
  return question;
}

double MinOf(int runs, const std::function<void()>& body) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) best = std::min(best, Seconds(body));
  return best;
}

// Of this thread alone, so that what else runs on the machine counts less.
double ProcessorSeconds(const std::function<void()>& body) {
  auto now = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
  };
  double start = now();
  body();
  return now() - start;
}

struct Batch {
  double per_second = 0;
  double allowed = 0;  // share
};

Batch RunBatch(const World& world, const std::vector<Case>& questions) {
  double seconds = 1e9;
  int allowed = 0;
  for (int run = 0; run < 5; ++run) {
    allowed = 0;
    seconds = std::min(seconds, ProcessorSeconds([&] {
                         for (const auto& question : questions) {
                           auto verdict =
                               world.Run(question, World::Addresses::kAssume, Detail::kVerdict);
                           if (verdict.ok() && verdict.value().outcome == Outcome::kAllow) {
                             ++allowed;
                           }
                         }
                       }));
  }
  auto count = static_cast<double>(questions.size());
  return {count / seconds, allowed / count};
}

// One policy that looks at all that policies usually look at.
std::string PolicyOf(int rules) {
  std::string text =
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n"
      "  name: many\n  namespace: team-0\nspec:\n  selector:\n    matchLabels:\n"
      "      app: svc-1\n  rules:\n";
  for (int i = 0; i < rules; ++i) {
    const std::string number = std::to_string(i);
    text += "  - from:\n    - source:\n";
    text += i % 3 == 0 ? "        namespaces: [team-" + number + "]\n"
                       : "        principals: [cluster.local/ns/team-" + number + "/sa/svc-" +
                             number + "]\n";
    text += "    to:\n    - operation:\n        methods: [GET, POST]\n        paths: [/api/v" +
            std::to_string(i % 7) + "/*, /of/" + number + "]\n";
    if (i % 5 == 0) {
      text += "    when:\n    - key: request.headers[x-team]\n      values: [team-*]\n";
    }
  }
  return text;
}

// Every rule's caller in turn, with what its rule allows and with what it does not.
void MeasureRules(int rules) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", GenerateMesh(20) + PolicyOf(rules)));
  World world(Mesh::Build(DecodeModel(std::move(load), {})));
  constexpr int kBatch = 100000;
  std::vector<Case> questions;
  questions.reserve(kBatch);
  for (int i = 0; i < kBatch; ++i) {
    const std::string number = std::to_string(i * 7 % rules);
    Case question = Question(i, 20);
    question.from_workload.clear();
    question.from_identity = "spiffe://cluster.local/ns/team-" + number + "/sa/svc-" + number;
    question.to_workload = "team-0/svc-1";
    question.path = i % 2 == 0 ? "/api/v" + std::to_string(i % 9) + "/items?x=1" : "/of/" + number;
    questions.push_back(std::move(question));
  }
  Batch batch = RunBatch(world, questions);
  std::printf("| %d | %.0f | %.0f%% |\n", rules, batch.per_second, 100 * batch.allowed);
  std::fflush(stdout);
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
  Batch batch = RunBatch(*world, questions);
  double latency =
      MinOf(20, [&] { (void)world->Run(questions[0], World::Addresses::kAssume, Detail::kTrace); });
  double after = decode + build + compile;
  std::printf(
      "| %d | %.1f | %zu | %.1f | %.1f (%.2fx) | %.0f | %.0f | %.0f | %.2f | %.0f | %.0f | %.0f%% |"
      " %.0f |\n",
      services, megabytes, model->objects, megabytes / bare, megabytes / read, read / bare,
      decode * 1e3, build * 1e3, compile * 1e3, after / bare, latency * 1e6, batch.per_second,
      100 * batch.allowed, PeakMegabytes());
  std::fflush(stdout);
  (void)events;
}

}  // namespace
}  // namespace meshproof

int main(int argc, char** argv) {
  if (argc >= 4 && std::string(argv[1]) == "--write") {
    const int policies = argc > 4 ? std::atoi(argv[4]) : 0;
    std::ofstream(argv[3]) << meshproof::GenerateMesh(std::atoi(argv[2]), policies);
    return 0;
  }
  const bool rules = argc > 1 && std::string(argv[1]) == "--rules";
  std::vector<int> sizes;
  for (int i = rules ? 2 : 1; i < argc; ++i) sizes.push_back(std::atoi(argv[i]));
  if (rules) {
    if (sizes.empty()) sizes = {1, 10, 100, 500};
    std::puts("| rules | verdicts/s, one core | allowed |\n|--:|--:|--:|");
    for (int size : sizes) meshproof::MeasureRules(size);
    return 0;
  }
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
