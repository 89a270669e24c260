#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "proxy/dump.h"
#include "source/source.h"

namespace meshproof {

// Dumps among the input. A proxy whose workload no manifest names becomes a pod of the mesh, made
// of what its node says, so that questions can name it.
class DumpInput {
 public:
  // A file that is Envoy's own dump, by its first bytes; false where it is none.
  bool Take(const std::string& path, const FileSystem& files);
  // A file that the user calls a dump: "FILE", or "NS/WORKLOAD=FILE" with whose proxy it is.
  Result<bool> Add(const std::string& word, const FileSystem& files);
  // The documents of a load that are dumps; they are taken out of it.
  void TakeFrom(Load* load);
  bool any() const { return any_; }

  // The load with pods for the proxies that it does not name; `of_mesh`: with what the dumps of
  // ztunnels and waypoints say of the mesh beyond the manifests.
  Load Complete(Load load, bool of_mesh);
  std::shared_ptr<const Dumps> Finish(const std::shared_ptr<const Mesh>& mesh);

 private:
  DumpReader reader_;
  std::vector<Document> documents_;
  bool any_ = false;
};

// Whether it is the file of the objects that stand for dumps.
bool IsMadeForDumps(const SourceFile& file);

// Whether the workload is one that no manifest names, made of what a dump's node says.
bool IsFromDump(const Workload& workload);

}  // namespace meshproof
