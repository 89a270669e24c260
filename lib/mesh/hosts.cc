#include "mesh/hosts.h"

#include "match/ip.h"

namespace meshproof {

std::string CompleteHost(std::string_view host, std::string_view ns, std::string_view domain) {
  std::string out(host);
  if (host.empty() || host == "*" || host.find('.') != std::string_view::npos) return out;
  if (ParseIpAddress(host)) return out;
  if (!ns.empty()) out.append(".").append(ns);
  if (!domain.empty()) out.append(".svc.").append(domain);
  return out;
}

bool HostCovers(std::string_view pattern, std::string_view host) {
  if (pattern == host) return true;
  if (pattern.empty() || pattern[0] != '*') return false;
  std::string_view rest = pattern.substr(1);
  if (!host.empty() && host[0] == '*') host.remove_prefix(1);
  return host.ends_with(rest);
}

bool VisitCoveringHosts(const std::string& host,
                        const std::function<bool(const std::string&)>& visit) {
  if (visit(host)) return true;
  std::string_view rest = host;
  if (!rest.empty() && rest[0] == '*') rest.remove_prefix(1);
  for (size_t i = 0; i <= rest.size(); ++i) {
    std::string pattern = "*" + std::string(rest.substr(i));
    if (pattern != host && visit(pattern)) return true;
  }
  return false;
}

}  // namespace meshproof
