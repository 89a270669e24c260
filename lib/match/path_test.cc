#include "match/path.h"

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <vector>

#include "base/text.h"
#include "match/normal_path.h"

namespace meshproof::path_test {
namespace {

std::string Unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
    } else if (text.substr(i, 2) == "\\x") {
      out.push_back(static_cast<char>(std::stoi(std::string(text.substr(i + 2, 2)), nullptr, 16)));
      i += 3;
    } else {
      out.push_back('\\');
      ++i;
    }
  }
  return out;
}

std::vector<std::vector<std::string>> RecordedRows(const std::string& name) {
  std::ifstream file(std::string(MESHPROOF_ROOT) + "/testdata/envoy-recorded/" + name);
  REQUIRE(file.good());
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::vector<std::string> row;
    for (std::string_view cell : Split(line, '\t')) row.push_back(Unescape(cell));
    rows.push_back(row);
  }
  return rows;
}

PathOptions OptionsOfColumn(size_t column) {
  PathOptions options;
  options.normalize = (column & 1) != 0;
  options.merge_slashes = (column & 2) != 0;
  options.escaped_slashes = static_cast<EscapedSlashes>(column >> 2);
  return options;
}

std::string Describe(const NormalizedPath& result, const std::string& path) {
  switch (result.outcome) {
    case NormalizedPath::Outcome::kReject:
      return "reject";
    case NormalizedPath::Outcome::kRedirect:
      return "redirect:" + result.path;
    case NormalizedPath::Outcome::kOk:
      break;
  }
  return result.path == path ? "ok" : "ok:" + result.path;
}

}  // namespace

TEST_CASE("paths are normalized as Envoy was seen to do it") {
  auto rows = RecordedRows("paths.tsv");
  REQUIRE(rows.size() > 400);
  for (const auto& row : rows) {
    REQUIRE(row.size() == 17);
    std::string expected;
    for (size_t column = 0; column < 16; ++column) {
      if (row[column + 1] != "^") expected = row[column + 1];
      CAPTURE(row[0]);
      CAPTURE(column);
      CHECK(Describe(NormalizePath(row[0], OptionsOfColumn(column)), row[0]) == expected);
    }
  }
}

TEST_CASE("normalization, the cases that matter most") {
  const PathOptions none;
  const PathOptions base = {true, false, EscapedSlashes::kKeepUnchanged};
  const PathOptions merge = {true, true, EscapedSlashes::kKeepUnchanged};
  const PathOptions decode = {true, true, EscapedSlashes::kUnescapeAndForward};
  struct Row {
    const PathOptions& options;
    const char* path;
    const char* result;
  };
  for (const Row& row : {
           Row{none, "/a/../b", "ok"},
           Row{none, "/a#b?c", "ok:/a"},
           Row{base, "/a/./b/../c?x=/../y", "ok:/a/c?x=/../y"},
           Row{base, "/..;/admin", "ok:/admin"},
           Row{base, "/a/%2e%2e;x/b", "ok:/a/..;x/b"},
           Row{base, "/%41%62%7e%2d%5f%30", "ok:/Ab~-_0"},
           Row{base, "/a%00b", "reject"},
           Row{base, "/a?%00", "ok"},
           Row{base, "/%%34%31", "ok:/%2541"},
           // A lone `%` that a dot segment has taken away is forgotten.
           Row{base, "/%/../a%34b", "ok:/a4b"},
           Row{base, "/a\\..\\b", "ok:/b"},
           Row{base, "//a", "ok"},
           Row{merge, "//a///b//?x=//", "ok:/a/b/?x=//"},
           Row{merge, "///", "ok://"},
           Row{decode, "/a%2f..%2Fb", "ok:/b"},
           Row{decode, "/a%252fb", "ok"},
       }) {
    CAPTURE(row.path);
    CHECK(Describe(NormalizePath(row.path, row.options), row.path) == row.result);
  }
  CHECK(NormalizePath(std::string_view("/a\0b", 4), base).outcome ==
        NormalizedPath::Outcome::kReject);
  CHECK(PathWithoutQuery("/a?b#c") == "/a");
  CHECK(PathWithoutQuery("/a#b?c") == "/a");
  CHECK(PathWithoutQuery("/a") == "/a");
  CHECK(PathWithoutQuery("?") == "");
}

TEST_CASE("a path that looks normal is left as it is") {
  // All paths of at most six of these bytes, before each setting.
  constexpr std::string_view kBytes("/.%;\\a?#2e\0\x80", 12);
  std::vector<std::string> paths = {"", "/"};
  size_t normal = 0;
  for (size_t i = 0; i < paths.size(); ++i) {
    const std::string path = paths[i];
    if (path.size() < 5) {
      for (char c : kBytes) paths.push_back(path + c);
    }
    if (!IsNormalPath(path)) continue;
    ++normal;
    for (size_t column = 0; column < 16; ++column) {
      if (Describe(NormalizePath(path, OptionsOfColumn(column)), path) == "ok") continue;
      FAIL_CHECK(path << " in column " << column);
    }
  }
  CHECK(normal > 500);
  CHECK(IsNormalPath("/api/v1/items.json?x=/../%2e"));
  CHECK(!IsNormalPath("/api/.hidden"));  // left as it is, but not at a quick look
}

TEST_CASE("path templates match and are refused as Envoy was seen to do it") {
  auto rows = RecordedRows("path_templates.tsv");
  size_t matched = 0;
  size_t refused = 0;
  for (const auto& row : rows) {
    CAPTURE(row[1]);
    auto regex = CompilePathTemplate(row[1]);
    if (row[0] == "refused") {
      ++refused;
      REQUIRE_FALSE(regex.ok());
      CHECK(regex.error().message ==
            "path_match_policy.path_template " + row[1] + " is invalid: " + row[2]);
    } else {
      ++matched;
      REQUIRE(regex.ok());
      CAPTURE(row[2]);
      CHECK(regex.value().FullMatch(PathWithoutQuery(row[2])) == (row[3] == "yes"));
    }
  }
  CHECK(matched > 500);
  CHECK(refused > 100);
}

TEST_CASE("limits of path templates") {
  CHECK(CompilePathTemplate("/" + std::string(255, 'a')).ok());
  CHECK_FALSE(CompilePathTemplate("/" + std::string(256, 'a')).ok());
  CHECK_FALSE(CompilePathTemplate("").ok());
  CHECK(CompilePathTemplate("/").value().FullMatch("/"));
  CHECK(CompilePathTemplate("/{a}/{b}/{c}/{d}/{e}").ok());
  CHECK(CompilePathTemplate("/{abcdefghijklmnop}").ok());
  // RE2 refuses the expression of this one, so Envoy takes it and never matches it.
  auto never = CompilePathTemplate("/a**");
  REQUIRE(never.ok());
  for (const char* path : {"/a**", "/a", "/aa", "/", "\xff"}) {
    CHECK_FALSE(never.value().FullMatch(path));
  }
}

}  // namespace meshproof::path_test
