#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "proxy/dump_pieces.h"
#include "proxy/read_context.h"

namespace meshproof {

// The pieces of one file that belong to one proxy.
struct DumpSource {
  Parts parts;
  std::shared_ptr<const SourceFile> file;
};

// Where what is read goes.
struct DumpTarget {
  ReadContext* context = nullptr;
  ProxyDump* proxy = nullptr;
  std::vector<ZtunnelDump>* ztunnels = nullptr;
  std::vector<Diagnostic>* diagnostics = nullptr;
};

struct NodeFacts {
  bool mode_known = false;  // the node says what kind of proxy it is
  std::vector<std::pair<std::string, std::string>> labels;
};

// What says whose the dump is, and which sections it has.
NodeFacts ReadIdentity(const DumpSource& source, const DumpTarget& target);
// Everything else; what others refer to first. False: a listener could not be read.
bool ReadRest(const std::vector<DumpSource>& sources, const DumpTarget& target);

}  // namespace meshproof
