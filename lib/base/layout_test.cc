// The folders of lib/ depend on each other in one direction; this reads every #include.

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>

namespace meshproof::layout_test {
namespace {

namespace fs = std::filesystem;

// Each folder with those directly to its left.
const std::map<std::string, std::set<std::string>> kLeft = {
    {"base", {}},
    {"source", {"base"}},
    {"match", {"base"}},
    {"crypto", {"base"}},
    {"model", {"source", "match", "crypto"}},
    {"mesh", {"model"}},
    {"proxy", {"mesh"}},
    {"simulate", {"proxy"}},
    {"reason", {"simulate"}},
    {"analyze", {"reason"}},
    {"report", {"analyze"}},
    {"app", {"report"}},
};

// Third-party headers and the only folders whose product code may include them.
const std::map<std::string, std::set<std::string>> kThirdParty = {
    {"yaml-cpp/", {"source"}}, {"simdjson.h", {"base", "source"}},
    {"re2/", {"match"}},       {"openssl/", {"crypto"}},
    {"CLI/", {"app"}},
};

std::set<std::string> Allowed(const std::string& folder) {
  std::set<std::string> allowed = {folder};
  for (const auto& left : kLeft.at(folder)) allowed.merge(Allowed(left));
  return allowed;
}

std::string Included(const std::string& line) {
  if (line.rfind("#include ", 0) != 0) return "";
  size_t open = line.find_first_of("\"<");
  size_t close = line.find_first_of("\">", open + 1);
  return line.substr(open + 1, close - open - 1);
}

}  // namespace

TEST_CASE("a folder includes only itself, folders to its left, and its own third-party library") {
  fs::path root = fs::path(MESHPROOF_ROOT) / "lib";
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file()) continue;
    std::string folder = fs::relative(entry.path(), root).begin()->string();
    CAPTURE(entry.path().string());
    REQUIRE(kLeft.count(folder) == 1);
    std::set<std::string> allowed = Allowed(folder);
    std::string file = entry.path().filename().string();
    bool is_test = file.size() > 8 && file.compare(file.size() - 8, 8, "_test.cc") == 0;
    std::ifstream in(entry.path());
    ++files;
    for (std::string line; std::getline(in, line);) {
      std::string header = Included(line);
      if (header.empty()) continue;
      CAPTURE(header);
      std::string first = header.substr(0, header.find('/'));
      if (kLeft.count(first) == 1 && header.find('/') != std::string::npos) {
        CHECK_MESSAGE(allowed.count(first) == 1, "includes a folder to its right");
      }
      if (is_test) continue;  // a test may sign a token itself
      for (const auto& [prefix, owners] : kThirdParty) {
        if (header.rfind(prefix, 0) == 0) CHECK(owners.count(folder) == 1);
      }
    }
  }
  CHECK(files > 10);
}

}  // namespace meshproof::layout_test
