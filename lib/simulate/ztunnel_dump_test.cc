// What istiod would send to ztunnels, as their admin interface prints it and read back, answers
// every recorded case as the manifests do: beside them with the same deciding rule, and alone
// wherever a ztunnel's dump can answer at all.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "proxy/dump_input.h"
#include "simulate/meshtest.h"
#include "simulate/replay.h"
#include "simulate/ztunnel_dump_testing.h"
#include "source/source.h"

namespace meshproof::ztunnel_dump_test {
namespace {

namespace fs = std::filesystem;

fs::path SharedFolder() {
  if (const char* given = std::getenv("MESHPROOF_SHARED")) return given;
  return fs::path(MESHPROOF_ROOT).parent_path() / "shared";
}

std::shared_ptr<const Mesh> MeshOf(const MeshTestFile& test, const fs::path& path) {
  std::vector<std::string> paths;
  ModelOptions options;
  for (const auto& source : test.mesh) {
    std::string full = source.path;
    if (!fs::exists(full)) full = (path.parent_path() / source.path).string();
    paths.push_back(full);
    if (source.ns.empty()) continue;
    options.path_namespaces.emplace_back(full + "/**", source.ns);
    options.path_namespaces.emplace_back(full, source.ns);
  }
  auto load = LoadPaths(paths, RealFileSystem());
  return load.ok() ? Mesh::Build(DecodeModel(load.Take(), options)) : nullptr;
}

// A mesh of which a ztunnel's dump is all that is known.
struct Alone {
  explicit Alone(const std::string& text) {
    Load load;
    load.files.push_back(ParseText("ztunnel.json", text));
    input.TakeFrom(&load);
    mesh = Mesh::Build(DecodeModel(input.Complete(std::move(load), true), {}));
    dumps = input.Finish(mesh);
    DumpedMesh dumped;
    dumped.ztunnel = std::make_shared<const ZtunnelConfig>(*mesh, dumps->ztunnels);
    for (const Workload& workload : mesh->workloads()) {
      if (workload.mode != ProxyMode::kAmbient) dumped.unknown[&workload] = "its proxy";
    }
    world = std::make_unique<World>(mesh, std::move(dumped));
  }
  DumpInput input;
  std::shared_ptr<const Mesh> mesh;
  std::shared_ptr<const Dumps> dumps;
  std::unique_ptr<World> world;
};

struct Tally {
  int cases = 0, beside = 0, alone = 0, open = 0;
  int logged = 0, other_way = 0;
};

std::string AddressText(const Address& address) {
  if (const auto* ip = std::get_if<IpAddress>(&address.value)) return ToString(*ip);
  if (const auto* range = std::get_if<CidrRange>(&address.value)) return ToString(range->address);
  return "203.0.113.9";
}

// The line that the ztunnel of the hop's workload would write.
LogRecord LineOf(const Hop& hop) {
  const std::string port = std::to_string(hop.destination_port);
  const std::string address = AddressText(hop.destination);
  auto with_port = [](const std::string& text, const std::string& number) {
    return (text.find(':') == std::string::npos ? text : "[" + text + "]") + ":" + number;
  };
  LogRecord record;
  record.kind = LogKind::kZtunnel;
  auto add = [&](LogField field, std::string value) {
    if (!value.empty()) record.fields.emplace_back(field, std::move(value));
  };
  add(LogField::kRemote, with_port(AddressText(hop.source), "41000"));
  add(LogField::kPeer, hop.peer);
  add(LogField::kLocal, with_port(address, hop.peer.empty() ? port : "15008"));
  if (!hop.peer.empty()) add(LogField::kTargetHbone, with_port(address, port));
  add(LogField::kTargetWorkload, hop.workload + "-7d9f8c6b5-x2x9z");
  add(LogField::kTargetNamespace, hop.ns);
  add(LogField::kDirection, "inbound");
  if (hop.outcome != Outcome::kAllow) {
    add(LogField::kError, "connection closed due to policy rejection: explicitly denied by: a/b");
  }
  return record;
}

// A connection that ztunnel answered is answered alike when its line is asked again.
void CheckReplayed(const World& world, const Verdict& verdict, Tally* tally) {
  for (const Step& step : verdict.steps) {
    // Neither of them becomes a line of a connection that policies judged.
    if (step.text.find("handshake fails") != std::string::npos ||
        step.text.find("TLS reaches an application") != std::string::npos ||
        step.text.find("takes no connection to port") != std::string::npos) {
      return;
    }
  }
  for (const Hop& hop : verdict.hops) {
    if (hop.mode != ProxyMode::kAmbient || hop.outcome == Outcome::kUndetermined) continue;
    const LogRecord line = LineOf(hop);
    ReplayWorlds worlds;
    worlds.after = &world;
    const ReplayAnswer answer = Replay(worlds, line);
    if (answer.undecided.find("go through the waypoint") != std::string::npos) {
      ++tally->other_way;  // the line does not say that the caller never passes one
      continue;
    }
    CHECK_MESSAGE(answer.undecided.empty(), answer.undecided);
    CHECK_FALSE(answer.changed);
    ++tally->logged;
  }
}

void CheckSame(const Verdict& a, const Verdict& b) {
  CHECK(a.outcome == b.outcome);
  CHECK(a.status == b.status);
  CHECK(a.details == b.details);
  CHECK(a.flags == b.flags);
  CHECK(a.stage == b.stage);
}

bool AnyAmbient(const Verdict& verdict) {
  return std::any_of(verdict.hops.begin(), verdict.hops.end(),
                     [](const Hop& hop) { return hop.mode == ProxyMode::kAmbient; });
}

bool OnlyAmbient(const Verdict& verdict) {
  return !verdict.hops.empty() &&
         std::all_of(verdict.hops.begin(), verdict.hops.end(),
                     [](const Hop& hop) { return hop.mode == ProxyMode::kAmbient; });
}

void CheckMesh(const MeshTestFile& test, const std::shared_ptr<const Mesh>& mesh, Tally* tally) {
  const World manifests(mesh);
  const std::string text = WriteJson(ZtunnelDumpWriter(manifests.Ztunnel()).Write());
  DumpReader reader;
  reader.AddText("ztunnel.json", text);
  const Dumps dumps = reader.Finish(mesh);
  REQUIRE(dumps.ztunnels.size() == 1);
  DumpedMesh dumped;
  dumped.ztunnel = std::make_shared<const ZtunnelConfig>(*mesh, dumps.ztunnels);
  const World beside(mesh, std::move(dumped));
  const Alone alone(text);
  CHECK(alone.dumps->diagnostics.empty());
  for (const auto& entry : test.cases) {
    if (!entry.errors.empty()) continue;
    CAPTURE(entry.question.name);
    const auto ask = [&](const World& world) {
      return world.Run(entry.question, World::Addresses::kAssume, Detail::kTrace);
    };
    const auto expected = ask(manifests);
    if (!expected.ok() || !AnyAmbient(expected.value())) continue;
    ++tally->cases;
    CheckReplayed(manifests, expected.value(), tally);
    const auto same = ask(beside);
    REQUIRE(same.ok());
    CheckSame(expected.value(), same.value());
    CHECK(expected.value().decided_by.object == same.value().decided_by.object);
    CHECK(expected.value().decided_by.rule == same.value().decided_by.rule);
    ++tally->beside;
    const auto without = ask(*alone.world);
    REQUIRE_MESSAGE(without.ok(), without.error().message);
    if (without.value().outcome == Outcome::kUndetermined) {
      ++tally->open;
      // A caller without a known proxy, or a proxy of its own on the way.
      const bool known_caller =
          entry.question.from_workload.empty() ||
          mesh->FindWorkload(
                  entry.question.from_workload.substr(0, entry.question.from_workload.find('/')),
                  entry.question.from_workload.substr(entry.question.from_workload.find('/') + 1))
                  ->mode == ProxyMode::kAmbient;
      const bool left_open = known_caller && OnlyAmbient(expected.value());
      CHECK_MESSAGE(!left_open, without.value().missing.front());
      continue;
    }
    CheckSame(expected.value(), without.value());
    const auto& by = expected.value().decided_by.object;
    const auto& found = without.value().decided_by.object;
    if (by != nullptr && found != nullptr) CHECK(by->name == found->name);
    ++tally->alone;
  }
}

TEST_CASE("a ztunnel's dump answers as the manifests that it was made of") {
  std::vector<fs::path> roots = {fs::path(MESHPROOF_ROOT) / "testdata"};
  if (fs::exists(SharedFolder())) {
    roots.push_back(SharedFolder() / "conformance");
  } else {
    MESSAGE("no shared data: its cases are skipped");
  }
  Tally tally;
  for (const fs::path& root : roots) {
    for (const auto& file : fs::recursive_directory_iterator(root)) {
      if (!IsMeshTestName(file.path().filename().string())) continue;
      auto text = RealFileSystem().Read(file.path().string());
      REQUIRE(text.ok());
      ParsedFile parsed = ParseText(file.path().string(), text.Take());
      MeshTestFile test = DecodeMeshTest(parsed, RealFileSystem());
      auto mesh = MeshOf(test, file.path());
      if (mesh == nullptr || !mesh->AmbientEnabled()) continue;
      CAPTURE(file.path().string());
      CheckMesh(test, mesh, &tally);
    }
  }
  MESSAGE(tally.cases << " cases at ztunnels: beside the manifests " << tally.beside << ", alone "
                      << tally.alone << ", left open " << tally.open << "; lines asked again "
                      << tally.logged << ", past a waypoint " << tally.other_way);
  CHECK(tally.logged > 100);
  CHECK(tally.beside > 100);
  CHECK(tally.alone > 50);
}

}  // namespace
}  // namespace meshproof::ztunnel_dump_test
