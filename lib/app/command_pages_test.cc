// The pages of rules that `prove` and `diff` report: their first two YAML blocks are the inputs of
// the command, and a marked line (`# <- MP0421`) is where the finding points.

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/rule.h"
#include "app/memory_files.h"
#include "base/text.h"

namespace meshproof::command_pages_test {
namespace {

std::vector<std::string> BlocksOf(std::string_view page, std::string_view title) {
  size_t begin = page.find("\n## " + std::string(title) + "\n");
  REQUIRE(begin != std::string_view::npos);
  std::string_view section = page.substr(begin, page.find("\n## ", begin + 4) - begin);
  constexpr std::string_view kOpen = "```yaml\n";
  std::vector<std::string> blocks;
  for (size_t at = section.find(kOpen); at != std::string_view::npos;
       at = section.find(kOpen, at)) {
    at += kOpen.size();
    size_t end = section.find("```", at);
    blocks.emplace_back(section.substr(at, end - at));
    at = end;
  }
  return blocks;
}

// The lines of the second block that carry the mark.
std::set<int64_t> MarkedLines(const std::string& text, const std::string& code) {
  std::set<int64_t> lines;
  int64_t number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    if (line.find("# <- " + code) != std::string_view::npos) lines.insert(number);
  }
  return lines;
}

// The lines of the second input that the command's SARIF points to, by the rule's code.
std::set<int64_t> FoundLines(const Rule& rule, const std::vector<std::string>& blocks) {
  MemoryFiles files;
  files.Put("first.yaml", blocks[0]);
  files.Put("second.yaml", blocks[1]);
  bool prove = rule.code == "MP0421";
  Ran ran = prove ? Run({"prove", "second.yaml", "first.yaml", "--format", "sarif"}, files)
                  : Run({"diff", "first.yaml", "second.yaml", "--format", "sarif"}, files);
  auto parsed = ParseJson(ran.out);
  REQUIRE(parsed.ok());
  std::set<int64_t> lines;
  const Json& run = parsed.value().Find("runs")->as_array()[0];
  for (const Json& result : run.Find("results")->as_array()) {
    CHECK(result.Find("ruleId")->as_string() == rule.code);
    for (const Json& location : result.Find("locations")->as_array()) {
      const Json* physical = location.Find("physicalLocation");
      CHECK(physical->Find("artifactLocation")->Find("uri")->as_string() == "second.yaml");
      lines.insert(physical->Find("region")->Find("startLine")->as_integer());
    }
  }
  return lines;
}

}  // namespace

TEST_CASE("the examples of the rules that prove and diff report are true") {
  size_t asked = 0;
  for (const Rule& rule : AllRules()) {
    if (rule.page.find("\ncommand: ") == std::string_view::npos) continue;
    ++asked;
    CAPTURE(rule.slug);
    std::vector<std::string> bad = BlocksOf(rule.page, "Example");
    std::vector<std::string> good = BlocksOf(rule.page, "Instead");
    REQUIRE(bad.size() == 2);
    REQUIRE(good.size() == 2);
    CHECK_FALSE(MarkedLines(bad[1], rule.code).empty());
    CHECK(FoundLines(rule, bad) == MarkedLines(bad[1], rule.code));
    CHECK(FoundLines(rule, good).empty());
  }
  CHECK(asked == 2);
}

TEST_CASE("analyze leaves the rules of other commands alone") {
  for (const Rule& rule : AllRules()) {
    if (rule.page.find("\ncommand: ") == std::string_view::npos) continue;
    MemoryFiles files;
    for (const std::string& block : BlocksOf(rule.page, "Example")) files.Put("mesh.yaml", block);
    Ran ran = Run({"analyze", "mesh.yaml", "--only", rule.code, "--format", "concise"}, files);
    CHECK_FALSE(ran.out.find(rule.code) != std::string::npos);
  }
}

}  // namespace meshproof::command_pages_test
