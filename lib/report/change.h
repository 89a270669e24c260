#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"
#include "reason/reason.h"
#include "report/style.h"

// What `diff` found between two versions of a mesh, and its formats.
namespace meshproof {

struct ChangeReport {
  struct Group {
    std::vector<const ObjectMeta*> objects;  // workloads that change alike
    std::vector<std::string> names;          // of them
    std::vector<Difference> newly_allowed, newly_refused;
    std::vector<std::string> notes;
  };
  std::vector<Group> groups;
  std::vector<const Workload*> added, removed;
  std::vector<std::string> undetermined;

  bool opens() const;
  bool differs() const;
};

Json ChangeJson(const ChangeReport& report);
std::string ChangeText(const ChangeReport& report, const Style& style = {});
std::string ChangeMarkdown(const ChangeReport& report);
std::string ChangeSarif(const ChangeReport& report, const std::string& version);

}  // namespace meshproof
