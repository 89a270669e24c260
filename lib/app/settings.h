#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "app/host.h"
#include "base/result.h"
#include "match/ip.h"
#include "simulate/request.h"

namespace meshproof {

// `.meshproof.yaml` (PRODUCT.md, *Formats*). Paths and globs are relative to the working
// directory here; in the file they are relative to the file.
struct Settings {
  std::string file;  // "" = there is none
  std::vector<std::string> paths;
  std::vector<std::string> ignore;
  std::vector<std::pair<std::string, std::string>> namespaces;  // glob -> namespace
  std::map<std::string, std::string> rules;                     // code, name or group -> severity
  std::optional<std::string> fail_on;
  std::optional<std::string> baseline;
  struct Mesh {
    std::optional<std::string> root_namespace, trust_domain, istio_version, mesh_config;
    std::vector<CidrRange> pod_cidrs, service_cidrs;
  } mesh;
  std::vector<std::pair<std::string, std::string>> istiod_env;
  std::map<std::string, ExtAuthzAnswer> ext_authz;
  struct Budget {
    std::optional<int64_t> nodes, seconds;
  } budget;
};

// The nearest `.meshproof.yaml` in the working directory or above, or `file` (`--config`); the
// defaults where there is none. An error lists everything that is wrong, with places.
Result<Settings> LoadSettings(const Host& host, const std::optional<std::string>& file);

// A glob relative to the directory that holds the components `below` (which lead from it to the
// working directory), as globs relative to the working directory: `**` may match some of `below`.
std::vector<std::string> RebaseGlob(std::string_view glob, const std::vector<std::string>& below);

// "1.27", "1.27.3".
bool IsIstioVersion(std::string_view text);

}  // namespace meshproof
