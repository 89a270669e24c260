// What is let in, over all requests: of the mesh or one workload, to one path, or of one caller.

#include "app/access.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "app/input.h"
#include "base/parallel.h"
#include "base/text.h"
#include "mesh/workload_name.h"
#include "proxy/ztunnel.h"
#include "reason/ask_all.h"
#include "reason/proxy_key.h"
#include "report/access.h"
#include "report/description.h"

namespace meshproof {
namespace {

// By workload and port, which routes of which gateways lead there.
using Ways = std::map<std::pair<const Workload*, int>, std::vector<std::string>>;

std::string RoutePath(const RouteMatch& match) {
  if (match.path_kind == RouteMatch::Path::kPrefix) {
    return match.path == "/" ? "" : " " + match.path + "*";
  }
  return " " + (match.path_kind == RouteMatch::Path::kRegex ? "~" + match.path : match.path);
}

Ways GatewayWays(const World& world) {
  Ways ways;
  const Mesh& mesh = world.mesh();
  for (const Workload& gateway : mesh.workloads()) {
    if (gateway.mode != ProxyMode::kGateway) continue;
    for (const auto& routes : world.Proxy(gateway).proxy().routes) {
      for (const VirtualHost& virtual_host : routes->virtual_hosts) {
        for (const Route& route : virtual_host.routes) {
          for (const WeightedCluster& cluster : route.clusters) {
            auto parts = Split(cluster.cluster, '|');
            if (parts.size() != 4) continue;
            const MeshService* service = mesh.FindService(parts[3]);
            auto number = ParseUnsigned(parts[1]);
            const MeshServicePort* port = service != nullptr && number
                                              ? service->FindPort(static_cast<int>(*number))
                                              : nullptr;
            if (port == nullptr) continue;
            std::string host = virtual_host.domains.empty() ? "*" : virtual_host.domains.front();
            std::string text =
                gateway.ns + "/" + gateway.name + " (" + host + RoutePath(route.match) + ")";
            for (size_t index : service->workloads) {
              const Workload& workload = mesh.workloads()[index];
              auto& own = ways[{&workload, mesh.TargetPort(*service, *port, workload)}];
              if (std::find(own.begin(), own.end(), text) == own.end()) own.push_back(text);
            }
          }
        }
      }
    }
  }
  return ways;
}

struct Target {
  const Workload* workload = nullptr;
  std::vector<int> ports;  // empty: all of them
  Region within;
};

struct Plan {
  std::vector<Target> targets;
  bool only_open = false;  // ports without a way in are left out
};

Result<Plan> PlanExposure(const World& world, const std::string& name) {
  Plan plan;
  if (name.empty()) {
    for (const Workload& workload : world.mesh().workloads()) {
      plan.targets.push_back({&workload, {}, Region::All()});
    }
    return plan;
  }
  WorkloadName parsed = ParseWorkloadName(name).Take();
  auto workload = FindWorkload(world.mesh(), parsed.name);
  if (!workload.ok()) return workload.error();
  Target target{workload.value(), {}, Region::All()};
  if (parsed.port != 0) target.ports = {parsed.port};
  plan.targets.push_back(std::move(target));
  return plan;
}

Result<Plan> PlanWhoCan(const World& world, const AccessOptions& options) {
  const Mesh& mesh = world.mesh();
  std::string rest = options.target;
  if (size_t scheme = rest.find("://"); scheme != std::string::npos) rest.erase(0, scheme + 3);
  size_t slash = rest.find('/');
  std::string host = rest.substr(0, slash);
  std::string path = slash == std::string::npos ? "/" : rest.substr(slash);
  int port = 0;
  if (size_t colon = host.rfind(':'); colon != std::string::npos) {
    auto number = ParsePort(host.substr(colon + 1));
    if (!number.ok()) return number.error();
    port = number.value();
    host.erase(colon);
  }
  std::vector<Region> all = {Region::Is(Region::Field::kPath, path)};
  if (options.method != "*") all.push_back(Region::Is(Region::Field::kMethod, options.method));
  Plan plan;
  const MeshService* service = mesh.ResolveHost(host, "default");
  if (service != nullptr && !service->workloads.empty()) {
    if (port == 0) port = service->ports.size() == 1 ? service->ports.front().port : 80;
    const MeshServicePort* service_port = service->FindPort(port);
    if (service_port == nullptr) {
      return Error{"Service " + service->host + " has no port " + std::to_string(port)};
    }
    for (size_t index : service->workloads) {
      const Workload& workload = mesh.workloads()[index];
      int target = mesh.TargetPort(*service, *service_port, workload);
      if (target != 0) plan.targets.push_back({&workload, {target}, Region::And(all)});
    }
    return plan;
  }
  if (service != nullptr) {
    std::string waypoint;
    if (const Waypoint* before = mesh.WaypointFor(*service).waypoint) {
      waypoint = "; of its waypoint " + NameOf(*before) + " alone `can` asks";
    }
    return Error{"what stands behind " + service->host + " is not in the input" + waypoint};
  }
  // A name that only gateways know.
  all.push_back(Region::Is(Region::Field::kHost, host));
  all.push_back(Region::Is(Region::Field::kRouted));
  for (const Workload& workload : mesh.workloads()) {
    if (workload.mode == ProxyMode::kGateway) {
      plan.targets.push_back({&workload, {}, Region::And(all)});
    }
  }
  if (plan.targets.empty()) return Error{"no Service and no gateway answers for `" + host + "`"};
  return plan;
}

Result<Plan> PlanWhatCan(const World& world, const AccessOptions& options,
                         const std::string& name) {
  Region caller;
  const Workload* self = nullptr;
  if (options.as) {
    std::string identity = *options.as;
    constexpr std::string_view kSpiffe = "spiffe://";
    if (identity.starts_with(kSpiffe)) identity.erase(0, kSpiffe.size());
    caller = Region::Is(Region::Field::kIdentity, identity);
  } else {
    if (name.empty()) return Error{"say who: a WORKLOAD (NAMESPACE/NAME), or --as IDENTITY"};
    auto workload = FindWorkload(world.mesh(), ParseWorkloadName(name).Take().name);
    if (!workload.ok()) return workload.error();
    self = workload.value();
    bool has_identity = self->mode != ProxyMode::kNone;
    caller = has_identity ? Region::Is(Region::Field::kIdentity,
                                       self->identity.substr(std::string_view("spiffe://").size()))
                          : Region::Not(Region::Is(Region::Field::kMutualTls));
  }
  // What asks for no identity is open to a caller that has one as well.
  caller = Region::Or({caller, Region::Not(Region::Is(Region::Field::kMutualTls))});
  Plan plan;
  plan.only_open = true;
  for (const Workload& workload : world.mesh().workloads()) {
    if (&workload != self) plan.targets.push_back({&workload, {}, caller});
  }
  return plan;
}

// The mode that a dump's chains for a port come to; "" where there are none.
std::string ModeIn(const ProxyConfig& proxy, uint32_t port, bool other) {
  bool plaintext = false, certificate = false;
  for (const uint32_t wanted : {other ? 0U : port, 0U}) {
    for (const Listener& listener : proxy.listeners) {
      if (!listener.original_dst) continue;
      for (const FilterChain& chain : listener.filter_chains) {
        if (chain.match.destination_port != wanted) continue;
        const bool asks = chain.tls && chain.tls->require_client_certificate;
        (asks ? certificate : plaintext) = true;
      }
    }
    if (plaintext || certificate) break;
  }
  if (!plaintext && !certificate) return "";
  const MtlsMode mode = !plaintext    ? MtlsMode::kStrict
                        : certificate ? MtlsMode::kPermissive
                                      : MtlsMode::kDisable;
  return std::string(ToString(mode));
}

std::vector<PortAccess> AnswerAll(const Reasoner& reasoner, const Plan& plan,
                                  WithExamples examples) {
  const Mesh& mesh = reasoner.world().mesh();
  Ways ways = GatewayWays(reasoner.world());
  std::vector<std::vector<int>> ports(plan.targets.size());
  ParallelFor(plan.targets.size(), [&](size_t i) {
    const Target& target = plan.targets[i];
    ports[i] = target.ports.empty() ? reasoner.Ports(*target.workload) : target.ports;
  });
  std::vector<Question> questions;
  std::vector<const Target*> targets;
  std::vector<PortAccess> answers;
  for (size_t i = 0; i < plan.targets.size(); ++i) {
    const Target& target = plan.targets[i];
    const Workload& workload = *target.workload;
    int other = reasoner.OtherPort(workload);
    for (int port : ports[i]) {
      PortAccess access;
      access.workload = &workload;
      access.other_ports = port == other && target.ports.empty();
      for (const InboundPort& declared : mesh.InboundPorts(workload)) {
        if (declared.port == port) access.protocol = std::string(ToString(declared.protocol));
      }
      const bool known = reasoner.world().Unknown(workload).empty();
      if (workload.mode == ProxyMode::kSidecar && known) {
        const ProxyConfig& proxy = reasoner.world().Proxy(workload).proxy();
        access.mtls = proxy.from_dump
                          ? ModeIn(proxy, static_cast<uint32_t>(port), port == other)
                          : std::string(ToString(mesh.MtlsFor(workload).ForPort(port).mode));
      }
      if (workload.mode == ProxyMode::kAmbient) {
        const ZtunnelConfig& ztunnel = reasoner.world().Ztunnel();
        const bool strict = ztunnel.StrictOn(workload, static_cast<uint32_t>(port)) != nullptr;
        access.mtls = std::string(ToString(strict ? MtlsMode::kStrict : MtlsMode::kPermissive));
      }
      if (auto found = ways.find({&workload, port}); found != ways.end()) {
        access.via = found->second;
      }
      answers.push_back(std::move(access));
      targets.push_back(&target);
      questions.push_back({&workload, port, RegionKey(target.within)});
    }
  }
  AskAll(reasoner.world(), questions, [&](size_t i) {
    answers[i].exposure = reasoner.ExposureOf(*questions[i].workload, questions[i].port,
                                              targets[i]->within, examples);
  });
  if (plan.only_open) {
    auto is_shut = [](const PortAccess& access) {
      return access.exposure.rows.empty() && access.exposure.complete;
    };
    answers.erase(std::remove_if(answers.begin(), answers.end(), is_shut), answers.end());
  }
  return answers;
}

// Of a waypoint and of a gateway without servers no port is asked: that nothing is printed would be
// read as that nothing gets in.
void NoteUnanswered(const Plan& plan, const Host& host) {
  for (const Target& target : plan.targets) {
    const Workload& workload = *target.workload;
    host.err << "note: " << NameOf(workload)
             << (workload.mode == ProxyMode::kWaypoint
                     ? " is a waypoint: what it lets through is said of the workloads behind it"
                     : " listens on no port that the input tells of")
             << "\n";
  }
}

}  // namespace

Budget BudgetOf(const Settings& settings) {
  Budget budget = CommandBudget();
  if (settings.budget.nodes) budget.nodes = static_cast<size_t>(*settings.budget.nodes);
  if (settings.budget.seconds) budget.seconds = static_cast<double>(*settings.budget.seconds);
  return budget;
}

Exit RunAccess(const AccessOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  InputOptions input_options = options.input;
  std::string name;
  if (options.question != AccessOptions::Question::kWhoCan && !options.as) {
    name = TakeWorkload(&input_options.paths, host.files);
  }
  auto loaded = LoadInput(input_options, settings.value(), host);
  if (!loaded.ok()) return Fail(host, loaded.error());
  const auto input = std::make_shared<const Input>(loaded.Take());
  const auto made_world = std::make_shared<const World>(input->mesh, FromDumps(*input));
  const auto reasoner = std::make_shared<const Reasoner>(*made_world, BudgetOf(settings.value()));
  Keep(host, input);
  Keep(host, made_world);
  Keep(host, reasoner);
  const World& world = *made_world;
  Result<Plan> plan =
      options.question == AccessOptions::Question::kExposure ? PlanExposure(world, name)
      : options.question == AccessOptions::Question::kWhoCan ? PlanWhoCan(world, options)
                                                             : PlanWhatCan(world, options, name);
  if (!plan.ok()) return Fail(host, WithNamelessDumps(plan.error(), *input));
  // The other formats print none.
  const WithExamples examples = options.format == "json" ? WithExamples::kYes : WithExamples::kNo;
  const auto made =
      std::make_shared<const std::vector<PortAccess>>(AnswerAll(*reasoner, plan.value(), examples));
  Keep(host, made);
  const std::vector<PortAccess>& answers = *made;
  const bool exposure = options.question == AccessOptions::Question::kExposure;
  if (exposure && answers.empty()) NoteUnanswered(plan.value(), host);
  if (options.format == "json") {
    host.out << WriteJson(AccessJson(answers), 2) << "\n";
  } else if (options.format == "csv") {
    host.out << AccessCsv(answers);
  } else if (options.format == "markdown") {
    host.out << AccessMarkdown(answers);
  } else {
    host.out << AccessText(answers, Style{host.colour});
  }
  if (input->broken) return Exit::kUnusable;
  bool sure = std::all_of(answers.begin(), answers.end(),
                          [](const PortAccess& access) { return access.exposure.complete; });
  return sure ? Exit::kOk : Exit::kUndetermined;
}

}  // namespace meshproof
