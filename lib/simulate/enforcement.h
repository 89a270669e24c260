#pragma once

#include <string>
#include <vector>

namespace meshproof {

// Where a policy is enforced, by its kind, what it is attached to, who calls and what is called.
// Nothing of it is written down: each cell is the answer of the simulator to a request that the
// policy would refuse, in a small mesh of all kinds of workloads.
struct EnforcementTable {
  struct Way {
    std::string client, destination;
  };
  std::vector<Way> ways;
  struct Row {
    std::string policy, attachment;
    std::vector<std::string> at;  // for each way: sidecar, gateway, waypoint, ztunnel or "-"
  };
  std::vector<Row> rows;
};

EnforcementTable BuildEnforcementTable();

// Lines of text, at most 100 columns wide.
std::string ToText(const EnforcementTable& table);

}  // namespace meshproof
