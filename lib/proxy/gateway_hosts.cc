#include "proxy/gateway_hosts.h"

#include <algorithm>

namespace meshproof {
namespace {

bool IsWildcard(std::string_view host) {
  return host.starts_with('*');
}

}  // namespace

std::vector<std::string> NormalizeServerHosts(const std::vector<std::string_view>& hosts,
                                              std::string_view gateway_namespace) {
  std::vector<std::string> normal;
  for (const std::string_view host : hosts) {
    const size_t slash = host.find('/');
    if (slash == std::string_view::npos) {
      normal.emplace_back(host);
      continue;
    }
    const std::string_view ns = host.substr(0, slash);
    const std::string_view name = host.substr(slash + 1);
    if (ns == "*") {
      if (name == "*") return {"*"};
      normal.emplace_back(name);
    } else {
      normal.push_back(std::string(ns == "." ? gateway_namespace : ns) + "/" + std::string(name));
    }
  }
  return normal;
}

std::vector<std::string> HostsForNamespace(const std::vector<std::string>& server_hosts,
                                           std::string_view ns) {
  std::vector<std::string> hosts;
  for (const std::string& host : server_hosts) {
    const size_t slash = host.find('/');
    if (slash == std::string::npos) {
      hosts.push_back(host);
    } else if (std::string_view(host).substr(0, slash) == ns) {
      hosts.push_back(host.substr(slash + 1));
    }
  }
  return hosts;
}

std::vector<std::string> SniHosts(const std::vector<std::string>& server_hosts) {
  std::vector<std::string> hosts;
  for (const std::string& host : server_hosts) {
    const size_t slash = host.find('/');
    std::string name = slash == std::string::npos ? host : host.substr(slash + 1);
    if (std::find(hosts.begin(), hosts.end(), name) == hosts.end()) {
      hosts.push_back(std::move(name));
    }
  }
  return hosts;
}

bool IsHostSubset(std::string_view host, std::string_view of) {
  if (!IsWildcard(of)) return host == of;
  if (!IsWildcard(host)) return host.ends_with(of.substr(1));
  return host.size() >= of.size() && host.substr(1).ends_with(of.substr(1));
}

bool HostsMatch(std::string_view a, std::string_view b) {
  return IsHostSubset(a, b) || IsHostSubset(b, a);
}

std::vector<std::string> IntersectHosts(const std::vector<std::string>& a,
                                        const std::vector<std::string>& b) {
  std::vector<std::string> both;
  const auto add = [&](const std::string& host) {
    if (std::find(both.begin(), both.end(), host) == both.end()) both.push_back(host);
  };
  for (const std::string& one : a) {
    for (const std::string& other : b) {
      if (IsHostSubset(one, other)) {
        add(one);
      } else if (IsHostSubset(other, one)) {
        add(other);
      }
    }
  }
  return both;
}

}  // namespace meshproof
