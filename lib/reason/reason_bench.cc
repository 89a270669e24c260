// How long the questions over all requests take, on meshes made at random from a seed.
//   reason_bench           one workload of growing policy sets
//   reason_bench fleet N   N namespaces of ten workloads, each with its own set of 50 rules

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "base/parallel.h"
#include "mesh/mesh.h"
#include "reason/model.h"
#include "reason/reason.h"
#include "source/source.h"

namespace meshproof {
namespace {

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  std::string Policies(const std::string& ns, int policies, int rules, int paths) {
    std::string yaml;
    for (int i = 0; i < policies; ++i) {
      bool deny = Below(5) == 0;
      yaml +=
          "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p" +
          std::to_string(i) + ", namespace: " + ns +
          "}\nspec:\n  action: " + (deny ? "DENY" : "ALLOW") + "\n  rules:\n";
      for (int j = 0; j < rules; ++j) yaml += Rule(paths, deny);
    }
    return yaml;
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  std::string Name(const char* prefix, size_t limit) {
    return prefix + std::to_string(Below(limit));
  }
  std::string Path() {
    std::string base = "/api/" + Name("svc", 30) + "/" + Name("res", 40);
    switch (Below(6)) {
      case 0:
        return "'" + base + "/*'";
      case 1:
        return "'/api/" + Name("svc", 30) + "*'";
      case 2:
        return "'/api/{*}/" + Name("res", 40) + "'";
      case 3:
        return "'*/" + Name("res", 40) + "'";
      default:
        return base;
    }
  }
  std::string Rule(int paths, bool deny) {
    std::string list;
    for (int i = 0; i < paths; ++i) list += (i == 0 ? "" : ", ") + Path();
    static const char* kMethods[] = {"GET", "POST", "PUT", "DELETE"};
    std::string source = Below(2) == 0 ? "namespaces: [" + Name("ns", 20) + "]"
                                       : "principals: [cluster.local/ns/" + Name("ns", 20) +
                                             "/sa/" + Name("sa", 20) + "]";
    if (Below(3) == 0 && !deny) source += ", requestPrincipals: ['*']";
    return "  - from: [{source: {" + source + "}}]\n    to: [{operation: {paths: [" + list +
           "], methods: [" + kMethods[Below(4)] + "]}}]\n";
  }
  std::mt19937 random_;
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

void One(int policies, int rules, int paths) {
  Generator generator(1);
  std::string base = Workloads("a", 1);
  std::string set = generator.Policies("a", policies, rules, paths);
  auto mesh = MakeMesh(base + set);
  World world(mesh);
  const Workload& workload = mesh->workloads().front();
  world.Proxy(workload);
  auto start = std::chrono::steady_clock::now();
  size_t classes = 0;
  {
    PortModel model({{&world, &workload, 80}}, Budget{});
    if (!model.Build()) std::printf("  (%s)\n", model.reason().c_str());
    if (auto path = model.space().Find("path")) classes = model.space().ClassCount(*path);
  }
  double build = Seconds(start);
  Reasoner reasoner(world);
  start = std::chrono::steady_clock::now();
  Answer token =
      reasoner.Find(workload, 80, Region::Not(Region::Is(Region::Field::kToken)), Wanted::kAllowed);
  double find = Seconds(start);
  start = std::chrono::steady_clock::now();
  auto statuses = reasoner.RuleStatuses(workload, 80);
  double status = Seconds(start);
  size_t undetermined = 0;
  for (const auto& one : statuses) undetermined += one.kind == RuleStatus::Kind::kUndetermined;
  start = std::chrono::steady_clock::now();
  Exposure exposure = reasoner.ExposureOf(workload, 80);
  double rows = Seconds(start);
  // The same set with one rule wider.
  std::string edited = set;
  size_t at = edited.rfind("methods: [");
  edited.replace(at, 10, "methods: [PATCH, ");
  auto other_mesh = MakeMesh(base + edited);
  World other_world(other_mesh);
  Reasoner other(other_world);
  other_world.Proxy(other_mesh->workloads().front());
  start = std::chrono::steady_clock::now();
  Comparison comparison =
      Reasoner::Compare(reasoner, workload, other, other_mesh->workloads().front(), 80);
  double compare = Seconds(start);
  std::printf(
      "%4d rules  %6zu path classes  build %.1f ms  no-token %.1f  status %.1f (%zu "
      "undetermined)  exposure %.1f (%zu rows%s)  compare %.1f ms%s%s\n",
      policies * rules, classes, build * 1e3, find * 1e3, status * 1e3, undetermined, rows * 1e3,
      exposure.rows.size(), exposure.complete ? "" : ", not complete", compare * 1e3,
      comparison.complete ? "" : " undetermined: ", comparison.reason.c_str());
}

void Fleet(int namespaces) {
  std::string yaml;
  for (int i = 0; i < namespaces; ++i) {
    std::string ns = "n" + std::to_string(i);
    yaml += Workloads(ns, 10) + Generator(static_cast<uint32_t>(i)).Policies(ns, 5, 10, 4);
  }
  auto mesh = MakeMesh(std::move(yaml));
  World world(mesh);
  for (const Workload& workload : mesh->workloads()) world.Proxy(workload);
  Reasoner reasoner(world);
  auto start = std::chrono::steady_clock::now();
  Region no_token = Region::Not(Region::Is(Region::Field::kToken));
  ParallelFor(
      mesh->workloads().size(),
      [&](size_t i) {
        const Workload& workload = mesh->workloads()[i];
        reasoner.Find(workload, 80, no_token, Wanted::kAllowed);
        reasoner.RuleStatuses(workload, 80);
      },
      2);
  std::printf("fleet: %zu workloads, %d sets: %.2f s\n", mesh->workloads().size(), namespaces,
              Seconds(start));
}

}  // namespace
}  // namespace meshproof

int main(int count, char** arguments) {
  if (count > 2) {
    meshproof::Fleet(std::atoi(arguments[2]));
    return 0;
  }
  meshproof::One(2, 3, 3);
  meshproof::One(5, 4, 4);
  meshproof::One(5, 10, 4);
  meshproof::One(10, 20, 5);
  meshproof::One(25, 20, 6);
  return 0;
}
