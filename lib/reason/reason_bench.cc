// How long the questions over all requests take, on meshes made at random from a seed, as Markdown.
//   reason_bench            one workload of growing policy sets
//   reason_bench fleet N    N namespaces of ten workloads, each with its own set of 50 rules
//   reason_bench worst [C]  what is hard: many rules, one API, prefixes by suffixes, templates
//                           (with a budget of C classes instead of the default)

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "base/parallel.h"
#include "mesh/mesh.h"
#include "reason/ask_all.h"
#include "reason/model.h"
#include "reason/reason.h"
#include "source/source.h"

namespace meshproof {
namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

struct Shape {
  int policies = 5, rules = 10, paths = 4;
  size_t services = 30, resources = 40;
};

class Generator {
 public:
  Generator(uint32_t seed, const Shape& shape) : random_(seed), shape_(shape) {}

  std::string Policies(const std::string& ns) {
    std::string yaml;
    for (int i = 0; i < shape_.policies; ++i) {
      bool deny = Below(5) == 0;
      yaml +=
          "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p" +
          std::to_string(i) + ", namespace: " + ns +
          "}\nspec:\n  action: " + (deny ? "DENY" : "ALLOW") + "\n  rules:\n";
      for (int j = 0; j < shape_.rules; ++j) yaml += Rule(deny);
    }
    return yaml;
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  std::string Name(const char* prefix, size_t limit) {
    return prefix + std::to_string(Below(limit));
  }
  std::string Service() { return Name("svc", shape_.services); }
  std::string Resource() { return Name("res", shape_.resources); }
  std::string Path() {
    std::string base = "/api/" + Service() + "/" + Resource();
    switch (Below(6)) {
      case 0:
        return "'" + base + "/*'";
      case 1:
        return "'/api/" + Service() + "*'";
      case 2:
        return "'/api/{*}/" + Resource() + "'";
      case 3:
        return "'*/" + Resource() + "'";
      default:
        return base;
    }
  }
  std::string Rule(bool deny) {
    std::string list;
    for (int i = 0; i < shape_.paths; ++i) list += (i == 0 ? "" : ", ") + Path();
    static const char* kMethods[] = {"GET", "POST", "PUT", "DELETE"};
    std::string source = Below(2) == 0 ? "namespaces: [" + Name("ns", 20) + "]"
                                       : "principals: [cluster.local/ns/" + Name("ns", 20) +
                                             "/sa/" + Name("sa", 20) + "]";
    if (Below(3) == 0 && !deny) source += ", requestPrincipals: ['*']";
    return "  - from: [{source: {" + source + "}}]\n    to: [{operation: {paths: [" + list +
           "], methods: [" + kMethods[Below(4)] + "]}}]\n";
  }
  std::mt19937 random_;
  Shape shape_;
};

std::string Workloads(const std::string& ns, int count) {
  std::string yaml = "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + ns +
                     ", labels: {istio-injection: enabled}}\n";
  for (int i = 0; i < count; ++i) {
    std::string name = "w" + std::to_string(i);
    yaml += "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
            ", namespace: " + ns + "}\nspec: {selector: {matchLabels: {app: " + name +
            "}}, template: {metadata: {labels: {app: " + name +
            "}}, spec: {containers: [{name: a, image: a}]}}}\n---\napiVersion: v1\nkind: "
            "Service\nmetadata: {name: " +
            name + ", namespace: " + ns + "}\nspec: {selector: {app: " + name +
            "}, ports: [{port: 80, name: http}]}\n";
  }
  yaml +=
      "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: "
      "jwt, namespace: " +
      ns + "}\nspec: {jwtRules: [{issuer: iss}]}\n";
  return yaml;
}

std::shared_ptr<const Mesh> MakeMesh(std::string yaml) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", std::move(yaml)));
  return Mesh::Build(DecodeModel(std::move(load), {}), {});
}

// Of one core: other programs do not count.
class Stopwatch {
 public:
  double Milliseconds() {
    std::clock_t now = std::clock();
    double spent = 1e3 * static_cast<double>(now - start_) / CLOCKS_PER_SEC;
    start_ = now;
    return spent;
  }

 private:
  std::clock_t start_ = std::clock();
};

void Header() {
  std::printf(
      "| policies | rules | path classes | model ms | without a token ms | rule status ms "
      "(undetermined) | exposure ms (rows) | diff of one edit ms |\n"
      "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
}

// One workload; `edited` is the same set with one rule changed.
void Measure(const std::string& title, size_t rules, const std::string& set,
             const std::string& edited, const Budget& budget = {}) {
  std::string base = Workloads("a", 1);
  auto mesh = MakeMesh(base + set);
  World world(mesh);
  const Workload& workload = mesh->workloads().front();
  world.Proxy(workload);
  Stopwatch watch;
  std::string classes = "?";
  {
    PortModel model({{&world, &workload, 80}}, budget);
    if (!model.Build()) classes = model.reason();
    auto path = model.space().Find("path");
    if (path && model.reason().empty()) classes = std::to_string(model.space().ClassCount(*path));
  }
  double build = watch.Milliseconds();
  Reasoner reasoner(world, budget);
  watch.Milliseconds();
  Answer token =
      reasoner.Find(workload, 80, Region::Not(Region::Is(Region::Field::kToken)), Wanted::kAllowed);
  double find = watch.Milliseconds();
  watch.Milliseconds();
  auto statuses = reasoner.RuleStatuses(workload, 80);
  double status = watch.Milliseconds();
  size_t undetermined = 0;
  for (const auto& one : statuses) undetermined += one.kind == RuleStatus::Kind::kUndetermined;
  watch.Milliseconds();
  Exposure exposure = reasoner.ExposureOf(workload, 80);
  double rows = watch.Milliseconds();
  auto other_mesh = MakeMesh(base + edited);
  World other_world(other_mesh);
  Reasoner other(other_world, budget);
  other_world.Proxy(other_mesh->workloads().front());
  watch.Milliseconds();
  Comparison comparison =
      Reasoner::Compare(reasoner, workload, other, other_mesh->workloads().front(), 80);
  double compare = watch.Milliseconds();
  std::printf("| %s | %zu | %s | %.1f | %.1f%s | %.1f (%zu) | %.1f (%zu%s) | %.1f%s |\n",
              title.c_str(), rules, classes.c_str(), build, find,
              token.kind == Answer::Kind::kUndetermined ? " undetermined" : "", status,
              undetermined, rows, exposure.rows.size(), exposure.complete ? "" : ", not complete",
              compare, comparison.complete ? "" : " undetermined");
  std::fflush(stdout);
}

void MeasureShape(const std::string& title, const Shape& shape, const Budget& budget = {}) {
  std::string set = Generator(1, shape).Policies("a");
  // One rule wider.
  std::string edited = set;
  edited.replace(edited.rfind("methods: ["), 10, "methods: [PATCH, ");
  Measure(title, static_cast<size_t>(shape.policies * shape.rules), set, edited, budget);
}

std::string OnePolicy(const std::vector<std::string>& paths, const std::string& methods) {
  std::string yaml =
      "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, "
      "namespace: a}\nspec:\n  rules:\n";
  for (const std::string& path : paths) {
    yaml += "  - to: [{operation: {paths: ['" + path + "'], methods: [" + methods + "]}}]\n";
  }
  return yaml;
}

void Worst(const Budget& budget) {
  Header();
  MeasureShape("200 x 20, 10 paths", {200, 20, 10, 300, 400}, budget);
  MeasureShape("200 x 20, 10 paths, one API", {200, 20, 10, 1, 400}, budget);
  MeasureShape("50 x 10, 6 paths, 300 services", {50, 10, 6, 300, 400}, budget);
  std::vector<std::string> crossed;
  for (int i = 0; i < 200; ++i) {
    crossed.push_back("/p" + std::to_string(i) + "*");
    crossed.push_back("*/s" + std::to_string(i));
  }
  Measure("200 prefixes, 200 suffixes", crossed.size(), OnePolicy(crossed, "GET"),
          OnePolicy(crossed, "GET, PUT"), budget);
  for (int count : {8, 10, 12, 14}) {
    std::vector<std::string> templates;
    for (int i = 0; i < count; ++i) {
      std::string path;
      for (int j = 0; j < count; ++j) path += j == i ? "/x" : "/{*}";
      templates.push_back(path);
    }
    Measure(std::to_string(count) + " templates, each a literal elsewhere", templates.size(),
            OnePolicy(templates, "GET"), OnePolicy(templates, "GET, PUT"), budget);
  }
}

void Fleet(int namespaces) {
  std::string yaml;
  for (int i = 0; i < namespaces; ++i) {
    std::string ns = "n" + std::to_string(i);
    yaml += Workloads(ns, 10) + Generator(static_cast<uint32_t>(i), Shape{}).Policies(ns);
  }
  auto start = std::chrono::steady_clock::now();
  auto mesh = MakeMesh(std::move(yaml));
  World world(mesh);
  ParallelFor(mesh->workloads().size(), [&](size_t i) { world.Proxy(mesh->workloads()[i]); }, 2);
  double load = Seconds(start);
  Reasoner reasoner(world), together(world);
  Region no_token = Region::Not(Region::Is(Region::Field::kToken));
  std::vector<Question> questions;
  for (const Workload& workload : mesh->workloads()) questions.push_back({&workload, 80, ""});
  // Seconds that passed and that cores worked.
  auto ask = [&](const std::function<void(const Workload&)>& about) {
    auto begin = std::chrono::steady_clock::now();
    Stopwatch watch;
    AskAll(world, questions, [&](size_t i) { about(*questions[i].workload); });
    char text[64];
    std::snprintf(text, sizeof(text), "%.2f (%.2f)", Seconds(begin), watch.Milliseconds() / 1e3);
    return std::string(text);
  };
  std::atomic<size_t> undetermined{0};
  std::string all = ask([&](const Workload& one) {
    Reasoner& asked = together;
    size_t here =
        asked.Find(one, 80, no_token, Wanted::kAllowed).kind == Answer::Kind::kUndetermined;
    for (const RuleStatus& status : asked.RuleStatuses(one, 80)) {
      here += status.kind == RuleStatus::Kind::kUndetermined;
    }
    here += !asked.ExposureOf(one, 80).complete;
    undetermined += here;
  });
  std::string find =
      ask([&](const Workload& one) { reasoner.Find(one, 80, no_token, Wanted::kAllowed); });
  std::string status = ask([&](const Workload& one) { reasoner.RuleStatuses(one, 80); });
  std::string exposure = ask([&](const Workload& one) { reasoner.ExposureOf(one, 80); });
  std::printf(
      "| workloads | policy sets | load and compile s | without a token s (of a core) | rule "
      "status s | exposure s | all three s | undetermined | unconfirmed |\n| --- | --- | --- | --- "
      "| "
      "--- | --- | --- | --- | --- |\n"
      "| %zu | %d | %.2f | %s | %s | %s | %s | %zu | %zu |\n",
      mesh->workloads().size(), namespaces, load, find.c_str(), status.c_str(), exposure.c_str(),
      all.c_str(), undetermined.load(), reasoner.unconfirmed() + together.unconfirmed());
}

}  // namespace
}  // namespace meshproof

int main(int count, char** arguments) {
  std::string what = count > 1 ? arguments[1] : "";
  if (what == "fleet") {
    meshproof::Fleet(count > 2 ? std::atoi(arguments[2]) : 1000);
    return 0;
  }
  if (what == "worst") {
    meshproof::Budget budget;
    if (count > 2) budget.classes = std::strtoul(arguments[2], nullptr, 10);
    meshproof::Worst(budget);
    return 0;
  }
  meshproof::Header();
  meshproof::MeasureShape("2", {2, 3, 3});
  meshproof::MeasureShape("5", {5, 4, 4});
  meshproof::MeasureShape("5", {5, 10, 4});
  meshproof::MeasureShape("10", {10, 20, 5});
  meshproof::MeasureShape("25", {25, 20, 6});
  return 0;
}
