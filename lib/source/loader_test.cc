#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "source/glob.h"
#include "source/source.h"
#include "source/tree_dump.h"

namespace meshproof::loader_test {
namespace {

// Files by path; what ends in `/` is a directory that cannot be listed, a text of `!` a file that
// cannot be read, `->PATH` a link.
class FakeDisk : public FileSystem {
 public:
  explicit FakeDisk(std::map<std::string, std::string> files) : files_(std::move(files)) {}

  Result<std::string> Read(const std::string& path) const override {
    auto found = files_.find(Canonical(path));
    if (found == files_.end()) return Error{"no such file"};
    if (found->second == "!") return Error{"permission denied"};
    return found->second;
  }
  Kind Stat(const std::string& path) const override {
    std::string real = Canonical(path);
    if (files_.contains(real)) return Kind::kFile;
    if (files_.contains(real + "/") || real == ".") return Kind::kDirectory;
    for (const auto& [name, text] : files_) {
      if (name.starts_with(real + "/")) return Kind::kDirectory;
    }
    return Kind::kMissing;
  }
  Result<std::vector<std::string>> List(const std::string& path) const override {
    std::string real = Canonical(path);
    if (files_.contains(real + "/")) return Error{"permission denied"};
    std::string prefix = real == "." ? "" : real + "/";
    std::vector<std::string> names;
    for (auto entry = files_.rbegin(); entry != files_.rend(); ++entry) {
      const std::string& name = entry->first;
      if (!name.starts_with(prefix)) continue;
      std::string rest = name.substr(prefix.size());
      rest = rest.substr(0, rest.find('/'));
      if (names.empty() || names.back() != rest) names.push_back(rest);
    }
    return names;
  }
  std::string Canonical(const std::string& path) const override {
    std::string real;
    std::stringstream parts(path);
    for (std::string part; std::getline(parts, part, '/');) {
      real += (real.empty() ? "" : "/") + part;
      auto link = files_.find(real);
      if (link != files_.end() && link->second.starts_with("->")) real = link->second.substr(2);
    }
    return real;
  }

 private:
  std::map<std::string, std::string> files_;
};

std::string Names(const Load& load) {
  std::string names;
  for (const ParsedFile& file : load.files) names += (names.empty() ? "" : " ") + file.file->name();
  return names;
}

std::string SharedFolder() {
  const char* named = std::getenv("MESHPROOF_SHARED");
  return named != nullptr ? named : std::string(MESHPROOF_ROOT) + "/../shared";
}

}  // namespace

TEST_CASE("globs") {
  struct Row {
    std::string_view glob, path;
    bool matches, covers;
  };
  for (const Row& row : std::vector<Row>{
           {"a.yaml", "a.yaml", true, true},
           {"a.yaml", "x/a.yaml", false, true},
           {"x", "x/a.yaml", false, true},
           {"*.yaml", "x/a.yaml", false, true},
           {"x/*", "x/a.yaml", true, true},
           {"x/*", "x/y/a.yaml", false, true},
           {"x/*.yaml", "x/y/a.yaml", false, false},
           {"**/a.yaml", "a.yaml", true, true},
           {"**/a.yaml", "x/y/a.yaml", true, true},
           {"x/**", "x/y/a.yaml", true, true},
           {"x/**/a.yaml", "x/a.yaml", true, true},
           {"x/**/a.yaml", "y/a.yaml", false, false},
           {"./x/", "x/a.yaml", false, true},
           {"a?c", "abc", true, true},
           {"a*b*c", "aXbXbc", true, true},
           {"a*b*c", "aXcX", false, false},
           {"**", "x/y", true, true},
           {"", "x", false, false},
       }) {
    CAPTURE(row.glob);
    CAPTURE(row.path);
    CHECK(GlobMatches(row.glob, row.path) == row.matches);
    CHECK(GlobCovers(row.glob, row.path) == row.covers);
  }
}

TEST_CASE("directories are read recursively, by name") {
  FakeDisk disk({{"m/b.yaml", "b: 1"},
                 {"m/a.yml", "a: 1"},
                 {"m/sub/c.json", "{\"c\": 1}"},
                 {"m/README.md", "# no"},
                 {"m/.git/x.yaml", "x: 1"},
                 {"m/.hidden.yaml", "x: 1"},
                 {"z.txt", "z: 1"}});
  for (unsigned threads : {1U, 2U, 5U}) {
    auto load = LoadPaths({"z.txt", "m/"}, disk, {{}, threads});
    REQUIRE(load.ok());
    CHECK(Names(load.value()) == "m/a.yml m/b.yaml m/sub/c.json z.txt");
    CHECK(DumpDocuments(load.value().files[2]) == "0-8{1-4s\"<c>: 6-7i<1>}");
  }
  CHECK(Names(LoadPaths({"."}, disk).value()) == "m/a.yml m/b.yaml m/sub/c.json");
  CHECK(Names(LoadPaths({"m", "./m/b.yaml", "m//a.yml", "m"}, disk).value()) ==
        "m/a.yml m/b.yaml m/sub/c.json");
  CHECK(Names(LoadPaths({"m/.hidden.yaml"}, disk).value()) == "m/.hidden.yaml");
}

TEST_CASE("ignored paths are not read") {
  FakeDisk disk({{"m/a.yaml", "a: 1"}, {"m/charts/x/b.yaml", "b: 1"}, {"m/charts/c.yaml", "c: 1"}});
  struct Row {
    std::vector<std::string> globs;
    std::string names;
  };
  for (const Row& row : std::vector<Row>{
           {{"charts"}, "m/a.yaml"},
           {{"m/charts"}, "m/a.yaml"},
           {{"charts/**"}, "m/a.yaml"},
           {{"charts/*/b.yaml"}, "m/a.yaml m/charts/c.yaml"},
           {{"**/x"}, "m/a.yaml m/charts/c.yaml"},
           {{"*.yaml"}, ""},
           {{"nothing", "a.yaml"}, "m/charts/c.yaml m/charts/x/b.yaml"},
       }) {
    CHECK(Names(LoadPaths({"m"}, disk, {row.globs, 1}).value()) == row.names);
  }
}

TEST_CASE("links are followed once") {
  FakeDisk disk({{"m/a.yaml", "a: 1"},
                 {"m/again.yaml", "->m/a.yaml"},
                 {"m/loop", "->m"},
                 {"m/sub/loop", "->m"},
                 {"m/sub/b.yaml", "b: 1"},
                 {"m/gone.yaml", "->nowhere"}});
  auto load = LoadPaths({"m"}, disk);
  REQUIRE(load.ok());
  CHECK(Names(load.value()) == "m/a.yaml m/sub/b.yaml");
  REQUIRE(load.value().diagnostics.size() == 1);
  CHECK(load.value().diagnostics[0].message == "cannot read m/gone.yaml: the link leads nowhere");
}

TEST_CASE("what cannot be read is said") {
  FakeDisk disk({{"m/a.yaml", "a: 1"}, {"m/secret.yaml", "!"}, {"m/closed/", ""}});
  auto load = LoadPaths({"m"}, disk);
  REQUIRE(load.ok());
  CHECK(Names(load.value()) == "m/a.yaml");
  REQUIRE(load.value().diagnostics.size() == 2);
  CHECK(load.value().diagnostics[0].message == "cannot read directory m/closed: permission denied");
  CHECK(load.value().diagnostics[1].message == "cannot read m/secret.yaml: permission denied");
  CHECK(load.value().diagnostics[1].trouble == Trouble::kUnreadable);

  auto missing = LoadPaths({"m/a.yml"}, disk);
  REQUIRE_FALSE(missing.ok());
  CHECK(missing.error().message == "m/a.yml: no such file or directory; did you mean m/a.yaml?");
  CHECK(LoadPaths({"quite-different"}, disk).error().message ==
        "quite-different: no such file or directory");
}

TEST_CASE("the machine's disk is read") {
  namespace fs = std::filesystem;
  std::string pattern = (fs::temp_directory_path() / "meshproof-XXXXXX").string();
  REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  fs::path root = pattern;
  fs::create_directories(root / "sub" / "deep");
  std::string large = "a: \"" + std::string(300000, 'x') + "\"\n";
  std::ofstream(root / "a.yaml") << large;
  std::ofstream(root / "sub" / "deep" / "b.yml") << "b: 1\n";
  std::ofstream(root / "sub" / "empty.yaml");
  fs::create_directory_symlink(root, root / "sub" / "loop");
  fs::create_symlink(root / "nowhere", root / "sub" / "gone.yaml");
  ::mkfifo((root / "pipe.yaml").c_str(), 0600);

  auto load = LoadPaths({root.string()}, RealFileSystem());
  REQUIRE(load.ok());
  REQUIRE(load.value().files.size() == 3);
  CHECK(load.value().files[0].file->text() == large);
  CHECK(load.value().files[1].documents.size() == 1);
  CHECK(load.value().files[2].documents.empty());
  REQUIRE(load.value().diagnostics.size() == 1);
  CHECK(load.value().diagnostics[0].message.ends_with("gone.yaml: the link leads nowhere"));

  const FileSystem& disk = RealFileSystem();
  CHECK(disk.Stat(root.string()) == FileSystem::Kind::kDirectory);
  CHECK(disk.Stat((root / "x").string()) == FileSystem::Kind::kMissing);
  CHECK(disk.Stat((root / "pipe.yaml").string()) == FileSystem::Kind::kOther);
  CHECK(disk.Read((root / "x").string()).error().message == "No such file or directory");
  CHECK(disk.Read(root.string()).error().message == "Is a directory");
  CHECK_FALSE(disk.List((root / "x").string()).ok());
  if (::geteuid() != 0) {
    fs::permissions(root / "sub", fs::perms::none);
    auto closed = LoadPaths({root.string()}, disk);
    fs::permissions(root / "sub", fs::perms::owner_all);
    REQUIRE(closed.ok());
    CHECK(closed.value().diagnostics.size() == 1);
  }
  fs::remove_all(root);
}

TEST_CASE("documents of a long text are the same on any number of threads") {
  std::string text;
  for (int i = 0; i < 20000; ++i) {
    text += "a: " + std::to_string(i) + " # c\n";
    if (i % 50 == 7) text += "b: [\n";
    text += "---\n";
  }
  ParsedFile one = ParseText("t", text, 1);
  ParsedFile many = ParseText("t", text, 4);
  CHECK(one.documents.size() == 20000 - 400);
  CHECK(one.diagnostics.size() == 400);
  CHECK(DumpDocuments(one) == DumpDocuments(many));
  CHECK(DumpDiagnostics(one) == DumpDiagnostics(many));
  CHECK(one.comments.size() == many.comments.size());
}

TEST_CASE("every file at hand is read") {
  namespace fs = std::filesystem;
  size_t files = 0;
  size_t documents = 0;
  for (const std::string& folder : {std::string(MESHPROOF_ROOT) + "/testdata", SharedFolder()}) {
    if (!fs::exists(folder)) {
      std::cout << "skipped: " << folder << " is not there\n";
      continue;
    }
    auto load = LoadPaths({folder}, RealFileSystem());
    REQUIRE(load.ok());
    for (const ParsedFile& file : load.value().files) {
      ++files;
      documents += file.documents.size();
      bool failed = false;
      for (const Diagnostic& diagnostic : file.diagnostics) {
        failed = failed || diagnostic.severity == Severity::kError;
      }
      if (failed || file.file->name().ends_with(".json")) continue;
      // Documents by lines: those with a line that is neither blank, comment nor marker.
      size_t expected = 0;
      bool content = false;
      for (int line = 1; line <= file.file->LineCount(); ++line) {
        std::string_view text = file.file->Line(line);
        if (text == "---" || text.starts_with("--- ") || text == "...") {
          expected += content ? 1 : 0;
          content = text.starts_with("--- ") && text[4] != '#';
        } else {
          size_t first = text.find_first_not_of(" \t");
          content = content || (first != std::string_view::npos && text[first] != '#');
        }
      }
      expected += content ? 1 : 0;
      if (file.documents.size() != expected) {
        FAIL_CHECK(file.file->name() << ": " << file.documents.size() << " of " << expected);
      }
    }
  }
  CHECK(files > 0);
  CHECK(documents > 0);
}

}  // namespace meshproof::loader_test
