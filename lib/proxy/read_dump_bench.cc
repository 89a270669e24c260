// How fast a large dump is read, and in how much memory. Run by hand:
//
//   read_dump_bench DUMP OUT MB   writes a dump of MB megabytes: DUMP's listeners, routes and
//                                 clusters over and over, each time under other names
//   read_dump_bench FILE...       reads and says how long it took and what memory it needed

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <string>

#include "base/json.h"
#include "proxy/dump.h"
#include "source/source.h"

namespace meshproof {
namespace {

std::string ReadAll(const char* path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return std::move(out).str();
}

// The entries of a section's list with `mark` behind the names that proxies look up.
void Append(const Json& list, const std::string& mark, size_t limit, std::string* out) {
  for (const Json& entry : list.as_array()) {
    if (out->size() > limit) return;
    std::string text = WriteJson(entry);
    for (const char* key : {"\"name\":\"", "\"route_config_name\":\"", "\"cluster\":\""}) {
      const std::string wanted = key;
      size_t at = text.find(wanted);
      if (at == std::string::npos || mark == "0") continue;
      text.insert(at + wanted.size(), mark + "-");
    }
    if (out->back() != '[') *out += ",\n";
    *out += text;
  }
}

int Write(const char* from, const char* to, size_t megabytes) {
  auto parsed = ParseJson(ReadAll(from));
  if (!parsed.ok()) return 2;
  const Json* configs = parsed.value().Find("configs");
  if (configs == nullptr) return 2;
  std::string out = "{\"configs\":[";
  size_t sections = 0;
  for (const Json& section : configs->as_array()) {
    if (section.as_object().size() > 2) ++sections;
  }
  const size_t share = megabytes * 1'000'000 / (sections == 0 ? 1 : sections);
  for (const Json& section : configs->as_array()) {
    if (out.back() != '[') out += ",\n";
    out += "{";
    const size_t limit = out.size() + share;
    bool first = true;
    for (const auto& [key, value] : section.as_object()) {
      out += std::string(first ? "" : ",") + WriteJson(Json(key)) + ":";
      first = false;
      const bool repeated = value.is_array() && !value.as_array().empty() &&
                            key.starts_with("dynamic_") && !key.ends_with("secrets");
      if (!repeated) {
        out += WriteJson(value);
        continue;
      }
      out += "[";
      for (size_t round = 0; out.size() < limit; ++round) {
        Append(value, std::to_string(round), limit, &out);
      }
      out += "]";
    }
    out += "}";
  }
  out += "]}\n";
  std::ofstream(to, std::ios::binary) << out;
  return 0;
}

double PeakMegabytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmHWM:")) return std::strtod(line.c_str() + 6, nullptr) * 1024 / 1e6;
  }
  return 0;
}

int Read(const char* path) {
  auto read = RealFileSystem().Read(path);
  if (!read.ok()) return 2;
  std::string text = read.Take();
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  const auto begin = std::chrono::steady_clock::now();
  const std::clock_t cpu = std::clock();
  DumpReader reader;
  reader.AddText(path, std::move(text));
  const Dumps dumps = reader.Finish();
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  const double work = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  size_t listeners = 0, routes = 0, clusters = 0;
  for (const ProxyDump& proxy : dumps.proxies) {
    listeners += proxy.config->listeners.size() + proxy.config->outbound.size();
    routes += proxy.config->routes.size();
    clusters += proxy.clusters.size();
  }
  std::printf(
      "%s: %.1f MB in %.2f s: %.0f MB/s; %.2f s on all cores: %.0f MB/s of one; peak memory "
      "%.0f MB (%.1f times the file); ",
      path, megabytes, taken.count(), megabytes / taken.count(), work, megabytes / work,
      PeakMegabytes(), PeakMegabytes() / megabytes);
  std::printf("%zu proxies, %zu listeners, %zu route configurations, %zu clusters, %zu errors\n",
              dumps.proxies.size(), listeners, routes, clusters, dumps.diagnostics.size());
  return 0;
}

}  // namespace
}  // namespace meshproof

int main(int argc, char** argv) {
  if (argc == 4 && std::strtoul(argv[3], nullptr, 10) > 0) {
    return meshproof::Write(argv[1], argv[2], std::strtoul(argv[3], nullptr, 10));
  }
  int status = 0;
  for (int i = 1; i < argc; ++i) status |= meshproof::Read(argv[i]);
  return status;
}
