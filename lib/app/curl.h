#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "simulate/request.h"

namespace meshproof {

// What a curl command line sends, as far as a proxy can see it.
struct CurlRequest {
  bool https = false;
  std::string host;  // of the URL
  int port = 0;
  // Where the connection goes instead (--resolve, --connect-to).
  std::optional<std::string> connect_host;
  std::optional<int> connect_port;
  std::string method = "GET";
  std::string path = "/";  // with the query, as sent
  std::string authority;   // as the Host header has it
  std::vector<std::pair<std::string, std::string>> headers;
  WireProtocol protocol = WireProtocol::kHttp1;
  std::vector<std::string> notes;  // options that change nothing here but that a reader may miss
};

// `arguments` starts with "curl". An error names the argument that cannot be understood.
Result<CurlRequest> ParseCurl(const std::vector<std::string>& arguments);

}  // namespace meshproof
