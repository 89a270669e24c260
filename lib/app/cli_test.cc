#include "app/cli.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <set>

#include "app/memory_files.h"
#include "app/version.h"
#include "simulate/enforcement.h"

namespace meshproof::cli_test {
namespace {

std::string ReadFile(const std::string& path) {
  std::ifstream in(path);
  REQUIRE_MESSAGE(in.good(), path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Every "--name" of a text.
std::set<std::string> LongOptions(std::string_view text) {
  std::set<std::string> found;
  auto is_name = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  };
  for (size_t at = text.find("--"); at != std::string_view::npos; at = text.find("--", at)) {
    bool starts = at == 0 || !is_name(text[at - 1]);
    size_t end = at + 2;
    while (end < text.size() && is_name(text[end])) ++end;
    if (starts && end > at + 2) found.insert(std::string(text.substr(at, end - at)));
    at = end;
  }
  return found;
}

// The man page with its escapes undone: "\-" is "-".
std::string ManPage() {
  std::string text = ReadFile(std::string(MESHPROOF_ROOT) + "/man/meshproof.1");
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == '-') continue;
    out += text[i];
  }
  return out;
}

TEST_CASE("help: every command, and every option of it, is explained") {
  MemoryFiles files;
  Ran general = Run({"--help"}, files);
  CHECK(general.status == 0);
  CHECK(general.err.empty());
  for (const auto& command : CommandNames()) {
    CAPTURE(command);
    CHECK(Contains(general.out, "  " + command + " "));
    Ran help = Run({command, "--help"}, files);
    CHECK(help.status == 0);
    CHECK(help.err.empty());
    CHECK(help.out == Run({"help", command}, files).out);
    for (const auto& option : OptionNames(command)) {
      CAPTURE(option);
      CHECK(Contains(help.out, option));
    }
    CHECK(Contains(help.out, "Examples:"));
    CHECK(Contains(help.out, "Exit status:"));
    std::vector<std::string> names = OptionNames(command);
    for (const auto& option : LongOptions(help.out.substr(0, help.out.find("Examples:")))) {
      CAPTURE(option);
      CHECK(std::find(names.begin(), names.end(), option) != names.end());
    }
  }
}

TEST_CASE("the man page and --help show where policies are enforced") {
  const std::string table = ToText(BuildEnforcementTable());
  CHECK(Contains(ManPage(), table));
  MemoryFiles files;
  CHECK(Contains(Run({"describe", "--help"}, files).out, "nowhere"));
}

TEST_CASE("the man page and --help name the same commands and options") {
  std::string man = ManPage();
  std::set<std::string> known = {"--version"};
  for (const auto& command : CommandNames()) {
    CAPTURE(command);
    CHECK(Contains(man, "meshproof " + command));
    for (const auto& option : OptionNames(command)) {
      CAPTURE(option);
      CHECK(Contains(man, option));
      known.insert(option);
    }
  }
  for (const auto& option : LongOptions(man)) {
    CAPTURE(option);
    CHECK(known.contains(option));
  }
}

TEST_CASE("the version is the project's") {
  MemoryFiles files;
  CHECK(Run({"--version"}, files).out == std::string("meshproof ") + kVersion + "\n");
  std::string cmake = ReadFile(std::string(MESHPROOF_ROOT) + "/CMakeLists.txt");
  CHECK(Contains(cmake, std::string("project(meshproof VERSION ") + kVersion + " "));
}

TEST_CASE("a command line that cannot be used: status 2, the nearest name, nothing on stdout") {
  struct Row {
    std::vector<std::string> arguments;
    const char* message;
  };
  const Row rows[] = {
      {{}, "no command; see meshproof --help"},
      {{"cn"}, "unknown command `cn`; did you mean `can`?"},
      {{"frobnicate"}, "unknown command `frobnicate`"},
      {{"--verison"}, "unknown option `--verison`; did you mean `--version`?"},
      {{"can", "--form", "x"}, "unknown option `--form`; did you mean `--from`?"},
      {{"can", "--form=x"}, "unknown option `--form`; did you mean `--from`?"},
      {{"test", "--coverge"}, "unknown option `--coverge`; did you mean `--coverage`?"},
      {{"test", "--from", "x"}, "unknown option `--from`"},
      {{"can", "--from"}, "--from"},
      {{"can", "--tls", "maybe"}, "maybe"},
      {{"graph", "--format", "svg"}, "svg"},
      {{"compile"}, "WORKLOAD"},
      {{"describe", "a/b/c", "mesh.yaml"}, "a workload is named as NAMESPACE/NAME"},
      {{"can", "--from", "a/b", "--"}, "behind `--` stands a curl command line"},
  };
  MemoryFiles files;
  files.Put("mesh.yaml", kSmallMesh);
  for (const Row& row : rows) {
    CAPTURE(row.message);
    Ran ran = Run(row.arguments, files);
    CHECK(ran.status == 2);
    CHECK(ran.out.empty());
    CHECK_MESSAGE(Contains(ran.err, row.message), ran.err);
    CHECK(ran.err.starts_with("meshproof: "));
  }
}

TEST_CASE("options are read in every spelling") {
  CommandLine line = ParseCommandLine(
      {"can",     "a",      "--from=x/y", "-H", "a: 1", "-Hb: 2", "b", "--to",
       "z",       "-XPOST", "--path",     "",   "-n",   "shop",   "-", "--ext-authz",
       "p=allow", "--",     "curl",       "-H", "c: 3", "u"});
  REQUIRE_MESSAGE(line.error.empty(), line.error);
  const auto& can = std::get<CanOptions>(line.command);
  CHECK(can.input.paths == std::vector<std::string>{"a", "b", "-"});
  CHECK(can.from == "x/y");
  CHECK(can.to == "z");
  CHECK(can.method == "POST");
  CHECK(can.path == "");
  CHECK(can.input.ns == "shop");
  CHECK(can.headers == std::vector<std::string>{"a: 1", "b: 2"});
  CHECK(can.ext_authz == std::vector<std::string>{"p=allow"});
  CHECK(can.curl == std::vector<std::string>{"curl", "-H", "c: 3", "u"});
  CHECK(can.format == "text");
}

TEST_CASE("exit statuses: of several the order is 2, 3, 1, 0") {
  for (Exit worst : {Exit::kUnusable, Exit::kUndetermined, Exit::kRefused, Exit::kOk}) {
    CHECK(Worse(worst, Exit::kOk) == worst);
    CHECK(Worse(Exit::kOk, worst) == worst);
    CHECK(Worse(worst, Exit::kUnusable) == Exit::kUnusable);
  }
  CHECK(Worse(Exit::kUndetermined, Exit::kRefused) == Exit::kUndetermined);
}

}  // namespace
}  // namespace meshproof::cli_test
