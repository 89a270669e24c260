#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "analyze/driver.h"
#include "source/source.h"

// `analyze` on text in memory, for tests.
namespace meshproof {

struct Analyzed {
  std::shared_ptr<const Mesh> mesh;  // what the findings point into
  AnalyzeResult result;

  // The findings as "file:line code" in their order, with " suppressed" where they are.
  std::vector<std::string> Lines() const {
    std::vector<std::string> lines;
    for (const Finding& finding : result.findings) {
      std::string place = finding.file;
      if (finding.span) {
        Location at = Locate(finding.span);
        place = at.file + ":" + std::to_string(at.line);
      }
      lines.push_back(place + " " + finding.rule->code + (finding.suppressed ? " suppressed" : ""));
    }
    return lines;
  }
};

using NamedTexts = std::vector<std::pair<std::string, std::string>>;

inline Analyzed AnalyzeTexts(const NamedTexts& files, const AnalyzeOptions& options) {
  Load load;
  for (const auto& [name, text] : files) load.files.push_back(ParseText(name, text));
  Analyzed analyzed;
  analyzed.mesh = Mesh::Build(DecodeModel(std::move(load), {}));
  World world(analyzed.mesh);
  analyzed.result = Analyze(*analyzed.mesh, world, options);
  return analyzed;
}

}  // namespace meshproof
