#pragma once

#include <doctest/doctest.h>

#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace meshproof {

// For tests: the cells of testdata/envoy-recorded/<name>, `\\` and `\xNN` undone.
inline std::string UnescapeCell(std::string_view text) {
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

inline std::vector<std::vector<std::string>> RecordedRows(const std::string& name) {
  std::ifstream file(std::string(MESHPROOF_ROOT) + "/testdata/envoy-recorded/" + name);
  REQUIRE(file.good());
  std::vector<std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::vector<std::string> row;
    for (std::string_view cell : Split(line, '\t')) row.push_back(UnescapeCell(cell));
    rows.push_back(row);
  }
  return rows;
}

}  // namespace meshproof
