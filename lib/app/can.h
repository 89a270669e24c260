#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/host.h"
#include "app/input.h"
#include "simulate/case.h"

namespace meshproof {

// `meshproof can`: would this request be allowed, and why?
struct CanOptions {
  InputOptions input;
  std::string from, to;
  std::optional<std::string> method, path, authority, jwt, principal, source_ip, now, sni;
  std::optional<std::string> tls, protocol;
  std::vector<std::string> headers;    // "name: value"
  std::vector<std::string> ext_authz;  // "provider=allow"
  std::string format = "text";
  std::vector<std::string> curl;  // what stands behind `--`
};

Exit RunCan(const CanOptions& options, const Host& host);

// The question that the options ask. An error: something in them is impossible or not in the mesh.
Result<Case> MakeCase(const CanOptions& options, const Mesh& mesh, const Settings& settings,
                      const Host& host);

}  // namespace meshproof
