// How long the questions over all requests take, on meshes made at random from a seed, as Markdown.
//   reason_bench            one workload of growing policy sets
//   reason_bench fleet N [L] N namespaces of ten workloads, each with its own set of 50 rules; only
//                           the line that begins with L
//   reason_bench write [N [wider]]  that fleet's manifests; wider: one rule of each set lets in
//   more reason_bench answers N  what is answered about N such namespaces, to compare two builds
//   reason_bench worst [C]  what is hard: many rules, one API, prefixes by suffixes, templates
//                           (with a budget of C classes instead of the default)

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/parallel.h"
#include "match/ip.h"
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
             const std::string& edited, const Budget& budget = CommandBudget()) {
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
  std::printf(
      "| %s | %zu | %s | %.1f | %.1f%s | %.1f (%zu) | %.1f (%zu%s) | %.1f%s |\n", title.c_str(),
      rules, classes.c_str(), build, find,
      token.kind == Answer::Kind::kUndetermined ? (" undetermined: " + token.reason).c_str() : "",
      status, undetermined, rows, exposure.rows.size(), exposure.complete ? "" : ", not complete",
      compare, comparison.complete ? "" : " undetermined");
  std::fflush(stdout);
}

std::string OneRuleWider(std::string set) {
  return set.replace(set.rfind("methods: ["), 10, "methods: [PATCH, ");
}

void MeasureShape(const std::string& title, const Shape& shape,
                  const Budget& budget = CommandBudget()) {
  std::string set = Generator(1, shape).Policies("a");
  Measure(title, static_cast<size_t>(shape.policies * shape.rules), set, OneRuleWider(set), budget);
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

// Ten workloads in each of many namespaces, with policies of their own; `wider`: one rule of each
// namespace lets in more.
std::string FleetText(int namespaces, bool wider) {
  std::string yaml;
  for (int i = 0; i < namespaces; ++i) {
    std::string ns = "n" + std::to_string(i);
    std::string set = Generator(static_cast<uint32_t>(i), Shape{}).Policies(ns);
    yaml += Workloads(ns, 10) + (wider ? OneRuleWider(std::move(set)) : set);
  }
  return yaml;
}
std::shared_ptr<const Mesh> FleetMesh(int namespaces, bool wider) {
  return MakeMesh(FleetText(namespaces, wider));
}

Region NoToken() {
  return Region::Not(Region::Is(Region::Field::kToken));
}

void Fleet(int namespaces, std::string_view only) {
  auto start = std::chrono::steady_clock::now();
  Stopwatch loading;
  auto mesh = FleetMesh(namespaces, false);
  World world(mesh);
  ParallelFor(mesh->workloads().size(), [&](size_t i) { world.Proxy(mesh->workloads()[i]); }, 2);
  std::printf(
      "| %zu workloads, %d policy sets of 50 rules | s | of a core |\n| --- | --- | --- |\n",
      mesh->workloads().size(), namespaces);
  auto line = [](const char* what, std::chrono::steady_clock::time_point since, Stopwatch* watch) {
    std::printf("| %s | %.2f | %.2f |\n", what, Seconds(since), watch->Milliseconds() / 1e3);
    std::fflush(stdout);
  };
  line("load and compile", start, &loading);
  auto wider_mesh = FleetMesh(namespaces, true);
  World wider_world(wider_mesh);
  ParallelFor(
      mesh->workloads().size(), [&](size_t i) { wider_world.Proxy(wider_mesh->workloads()[i]); },
      2);
  std::vector<Question> questions;
  std::vector<QuestionPair> pairs;
  for (const Workload& workload : mesh->workloads()) {
    const Workload* wider = wider_mesh->FindWorkload(workload.ns, workload.name);
    questions.push_back({&workload, 80, ""});
    pairs.push_back({{&workload, 80, ""}, {wider, 80, ""}});
  }
  std::atomic<size_t> undetermined{0};
  size_t unconfirmed = 0;
  // Asks as the commands do: each verb with reasoners of its own, or all of them with the same.
  struct Verbs {
    bool token = false, status = false, exposure = false, diff = false;
  };
  auto ask = [&](std::string_view what, const Verbs& verbs) {
    if (what.substr(0, only.size()) != only) return;
    auto begin = std::chrono::steady_clock::now();
    Stopwatch watch;
    undetermined = 0;
    Reasoner reasoner(world), wider(wider_world);
    AskAll(world, questions, [&](size_t i) {
      const Workload& one = *questions[i].workload;
      if (verbs.token) {
        Answer answer = reasoner.Find(one, 80, NoToken(), Wanted::kAllowed);
        undetermined += answer.kind == Answer::Kind::kUndetermined;
      }
      if (verbs.status) {
        for (const RuleStatus& status : reasoner.RuleStatuses(one, 80, WithExamples::kNo)) {
          undetermined += status.kind == RuleStatus::Kind::kUndetermined;
        }
      }
      if (verbs.exposure) {
        undetermined += !reasoner.ExposureOf(one, 80, {}, WithExamples::kNo).complete;
      }
    });
    if (verbs.diff) {
      AskAll(world, wider_world, pairs, [&](size_t i) {
        Comparison comparison = Reasoner::Compare(reasoner, *pairs[i].before.workload, wider,
                                                  *pairs[i].after.workload, 80);
        undetermined += !comparison.complete;
      });
    }
    unconfirmed += reasoner.unconfirmed() + wider.unconfirmed();
    line(what.data(), begin, &watch);
  };
  ask("without a token", {true, false, false, false});
  ask("rule status", {false, true, false, false});
  ask("exposure", {false, false, true, false});
  ask("diff, one rule of each set changed", {false, false, false, true});
  ask("the first three together", {true, true, true, false});
  ask("all together", {true, true, true, true});
  std::printf("| undetermined, unconfirmed | %zu | %zu |\n", undetermined.load(), unconfirmed);
}

// Answers as text.
std::string TextOf(const auto& example) {
  if (!example) return " -";
  const Case& request = example->request;
  const Verdict& verdict = example->verdict;
  std::string text = " [" + request.from_workload + " " + request.from_identity.value_or("-") +
                     " tls " + std::to_string(static_cast<int>(request.tls)) + " speaks " +
                     std::to_string(static_cast<int>(request.protocol)) + " to " +
                     request.to_workload + request.to_host + " " + request.method.value_or("-") +
                     " " + request.path + " " + request.host.value_or("-") + " from " +
                     (request.from_ip ? ToString(*request.from_ip) : "-") + " sni " +
                     request.sni.value_or("-");
  for (const auto& [name, value] : request.headers) text += " " + name + ": " + value;
  if (request.claims) text += " claims " + WriteJson(*request.claims);
  for (const Case::Token& token : request.tokens) text += " token " + token.text;
  text += " -> " + std::string(ToString(verdict.outcome)) + " " + std::to_string(verdict.status) +
          " " + verdict.details + " by ";
  if (verdict.decided_by.object != nullptr) {
    text += std::string(verdict.decided_by.object->name) + " " +
            std::to_string(verdict.decided_by.rule);
  }
  for (const Hop& hop : verdict.hops) text += " via " + hop.ns + "/" + hop.workload;
  return text + "]";
}

std::string NameOf(const RbacPolicy& policy) {
  return " " + std::string(policy.origin.object->name) + " " + std::to_string(policy.origin.rule);
}

void PrintExposure(const Exposure& exposure) {
  std::printf("exposure %d %d %s\n", exposure.port, exposure.complete, exposure.reason.c_str());
  for (const ExposureRow& row : exposure.rows) {
    std::string text = " row " + std::to_string(static_cast<int>(row.peer)) +
                       (row.http ? " http" : "") + (row.token ? " token" : "");
    for (const auto* list : {&row.issuers, &row.custom, &row.from, &row.methods, &row.hosts,
                             &row.paths, &row.conditions}) {
      text += " |";
      for (const std::string& one : *list) text += " " + one;
    }
    for (const RbacPolicy* rule : row.rules) text += NameOf(*rule);
    for (const auto& one : row.except) text += " except " + one.text + NameOf(*one.rule);
    std::printf("%s%s\n", text.c_str(), TextOf(row.example).c_str());
  }
}

void Answers(int namespaces) {
  auto mesh = FleetMesh(namespaces, false), wider_mesh = FleetMesh(namespaces, true);
  World world(mesh), wider_world(wider_mesh);
  Reasoner reasoner(world), wider(wider_world);
  for (const Workload& workload : mesh->workloads()) {
    std::printf("%s/%s\n", workload.ns.c_str(), workload.name.c_str());
    for (Wanted wanted : {Wanted::kAllowed, Wanted::kAllowedByAnyAuthorizer, Wanted::kRefused}) {
      Answer answer = reasoner.Find(workload, 80, NoToken(), wanted);
      std::printf("find %d %s %s%s\n", static_cast<int>(answer.kind), answer.region.c_str(),
                  answer.reason.c_str(), TextOf(answer.example).c_str());
    }
    for (const RuleStatus& status : reasoner.RuleStatuses(workload, 80)) {
      std::string by;
      for (const RbacPolicy* rule : status.by) by += NameOf(*rule);
      std::printf("status%s %d%s %s%s\n", NameOf(*status.policy).c_str(),
                  static_cast<int>(status.kind), by.c_str(), status.reason.c_str(),
                  TextOf(status.example).c_str());
    }
    PrintExposure(reasoner.ExposureOf(workload, 80));
    Comparison comparison = Reasoner::Compare(
        reasoner, workload, wider, *wider_mesh->FindWorkload(workload.ns, workload.name), 80);
    std::printf("diff %d %s\n", comparison.complete, comparison.reason.c_str());
    for (const auto* list : {&comparison.newly_allowed, &comparison.newly_refused}) {
      for (const Difference& one : *list) {
        std::printf(" %s%s%s\n", one.region.c_str(), TextOf(&one.old_example).c_str(),
                    TextOf(&one.new_example).c_str());
      }
    }
  }
}

}  // namespace
}  // namespace meshproof

int main(int count, char** arguments) {
  std::string what = count > 1 ? arguments[1] : "";
  if (what == "fleet") {
    meshproof::Fleet(count > 2 ? std::atoi(arguments[2]) : 1000, count > 3 ? arguments[3] : "");
    return 0;
  }
  if (what == "write") {
    std::fputs(meshproof::FleetText(count > 2 ? std::atoi(arguments[2]) : 1000, count > 3).c_str(),
               stdout);
    return 0;
  }
  if (what == "answers") {
    meshproof::Answers(count > 2 ? std::atoi(arguments[2]) : 100);
    return 0;
  }
  if (what == "worst") {
    meshproof::Budget budget = meshproof::CommandBudget();
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
