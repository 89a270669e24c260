// Executes what the rules say of themselves: the first YAML block of *Example* gives exactly the
// findings that its comments mark (`# <- MP0101`), the first of *Instead* none of that rule; and
// likewise the files of testdata/rules/<slug>/, whose names begin with bad- or good-. A mark may
// name the messages of istioctl that the finding stands for (`# <- MP0107 IST0101`).

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "analyze/driver.h"
#include "base/text.h"
#include "proxy/dump_input.h"
#include "source/source.h"

namespace meshproof::rule_pages_test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNow = 1795000000;  // November 2026

// The text of the section "## <title>"; "" where the page has none.
std::string_view Section(std::string_view page, std::string_view title) {
  std::string heading = "\n## " + std::string(title) + "\n";
  size_t begin = page.find(heading);
  if (begin == std::string_view::npos) return {};
  begin += heading.size();
  return page.substr(begin, page.find("\n## ", begin) - begin);
}

std::string YamlBlock(std::string_view section) {
  constexpr std::string_view kOpen = "```yaml\n";
  size_t begin = section.find(kOpen);
  if (begin == std::string_view::npos) return "";
  begin += kOpen.size();
  return std::string(section.substr(begin, section.find("```", begin) - begin));
}

// Lines that carry the mark of `code`, one entry a mark.
std::multiset<int> MarkedLines(std::string_view text, const std::string& code) {
  std::multiset<int> lines;
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    size_t mark = line.find("# <- ");
    if (mark == std::string_view::npos) continue;
    for (std::string_view word : Split(line.substr(mark + 5), ' ')) {
      if (word == code) lines.insert(number);
    }
  }
  return lines;
}

// "12 IST0101": messages of istioctl that a marked line names, `# <- MP0107 IST0101`.
std::set<std::string> MarkedIstioctl(std::string_view text, const std::string& code) {
  std::set<std::string> marks;
  int number = 0;
  for (std::string_view line : Split(text, '\n')) {
    ++number;
    size_t mark = line.find("# <- ");
    if (mark == std::string_view::npos) continue;
    std::vector<std::string_view> words = Split(line.substr(mark + 5), ' ');
    if (std::find(words.begin(), words.end(), code) == words.end()) continue;
    for (std::string_view word : words) {
      if (word.starts_with("IST")) marks.insert(std::to_string(number) + " " + std::string(word));
    }
  }
  return marks;
}

std::multiset<int> FoundLines(const std::string& text, const Rule& rule,
                              std::set<std::string>* istioctl = nullptr) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", text));
  DumpInput dumps;
  dumps.TakeFrom(&load);
  auto mesh = Mesh::Build(DecodeModel(dumps.Complete(std::move(load), false), {}));
  World world(mesh);
  AnalyzeOptions options;
  if (dumps.any()) options.dumps = dumps.Finish(mesh);
  // What hides nothing is known only when every rule has run.
  if (rule.slug != "useless-suppression") options.only = {rule.code};
  options.now = kNow;
  std::multiset<int> lines;
  for (const Finding& finding : Analyze(*mesh, world, options).findings) {
    if (finding.rule != &rule) continue;
    CHECK_MESSAGE(!finding.message.ends_with('.'), finding.message);
    const int line = finding.span ? Locate(finding.span).line : 0;
    lines.insert(line);
    if (istioctl == nullptr) continue;
    const auto& codes = finding.istioctl_codes ? *finding.istioctl_codes : rule.istioctl;
    for (const std::string& code : codes) istioctl->insert(std::to_string(line) + " " + code);
  }
  return lines;
}

std::string Show(const std::multiset<int>& lines) {
  std::string text;
  for (int line : lines) text += std::to_string(line) + " ";
  return text;
}

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("every page has its sections, in order, and a code of its own") {
  std::set<std::string> codes;
  for (const Rule& rule : AllRules()) {
    CAPTURE(rule.slug);
    CHECK(codes.insert(rule.code).second);
    CHECK_FALSE(rule.summary.ends_with('.'));
    CHECK(rule.page.find("# " + std::string(rule.slug) + " (" + rule.code + ")\n") !=
          std::string_view::npos);
    size_t last = 0;
    for (const char* title : {"What it finds", "Why it matters", "Example", "Instead", "Limits"}) {
      CAPTURE(title);
      size_t at = rule.page.find("\n## " + std::string(title) + "\n");
      CHECK(at != std::string_view::npos);
      CHECK(at > last);
      last = at;
    }
  }
  CHECK(codes.size() > 20);
}

TEST_CASE("the examples on the pages are true") {
  for (const Rule& rule : AllRules()) {
    CAPTURE(rule.slug);
    // Of a rule of another command its own test asks.
    if (rule.page.find("\ncommand: ") != std::string_view::npos) continue;
    std::string bad = YamlBlock(Section(rule.page, "Example"));
    std::string good = YamlBlock(Section(rule.page, "Instead"));
    REQUIRE_FALSE(bad.empty());
    REQUIRE_FALSE(good.empty());
    auto marked = MarkedLines(bad, rule.code);
    CHECK_FALSE(marked.empty());
    CHECK(Show(FoundLines(bad, rule)) == Show(marked));
    CHECK(Show(FoundLines(good, rule)).empty());
  }
}

TEST_CASE("the cases of testdata/rules give what they mark") {
  fs::path root = fs::path(MESHPROOF_ROOT) / "testdata" / "rules";
  for (const Rule& rule : AllRules()) {
    fs::path folder = root / std::string(rule.slug);
    if (!fs::is_directory(folder)) continue;
    for (const auto& entry : fs::directory_iterator(folder)) {
      std::string name = entry.path().filename().string();
      CAPTURE(entry.path().string());
      std::string text = ReadFile(entry.path());
      auto marked = MarkedLines(text, rule.code);
      CHECK(name.starts_with("bad-") == !marked.empty());
      std::set<std::string> istioctl;
      CHECK(Show(FoundLines(text, rule, &istioctl)) == Show(marked));
      for (const std::string& mark : MarkedIstioctl(text, rule.code)) {
        CHECK_MESSAGE(istioctl.contains(mark), "no finding stands for " << mark);
      }
    }
  }
}

}  // namespace meshproof::rule_pages_test
