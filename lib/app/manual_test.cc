// The manual pages are made of the rules' pages; ctest `manual` says whether they still say the
// same, and writes them anew with MESHPROOF_WRITE_GOLDEN=1. It is skipped among the other unit
// tests, so that a page can be worked on without them.

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "analyze/rule.h"
#include "app/version.h"
#include "report/rule_page.h"

namespace meshproof::manual_test {
namespace {

namespace fs = std::filesystem;

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

// Writes the file anew where MESHPROOF_WRITE_GOLDEN says so.
void CheckCurrent(const fs::path& path, const std::string& text) {
  if (std::getenv("MESHPROOF_WRITE_GOLDEN") != nullptr) {
    std::ofstream(path, std::ios::binary) << text;
  }
  CHECK_MESSAGE(ReadFile(path) == text, path.string(),
                " is not what the pages say; MESHPROOF_WRITE_GOLDEN=1 writes it");
}

TEST_CASE("the manual pages say what the rules' pages say" * doctest::skip()) {
  fs::path man = fs::path(MESHPROOF_ROOT) / "man";
  CheckCurrent(man / "meshproof-rules.7", RulesMan(kVersion));
  // The table of istioctl's codes stands in the page of the program.
  std::string page = ReadFile(man / "meshproof.1");
  const std::string begin = ".\\\" istioctl's codes, made of the rules' pages\n";
  const std::string end = ".\\\" end of istioctl's codes\n";
  size_t from = page.find(begin), to = page.find(end);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  from += begin.size();
  CheckCurrent(man / "meshproof.1", page.substr(0, from) + IstioctlCodesMan() + page.substr(to));
}

TEST_CASE("the table of istioctl's codes names every code of every rule") {
  std::string table = IstioctlCodesMan();
  size_t codes = 0;
  for (const Rule& rule : AllRules()) {
    for (const auto& code : rule.istioctl) {
      CHECK(Contains(table, ".B " + code + "\n"));
      ++codes;
    }
    if (!rule.istioctl.empty()) CHECK(Contains(table, rule.code));
  }
  CHECK(codes > 30);
}

}  // namespace
}  // namespace meshproof::manual_test
