#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "analyze/names.h"
#include "analyze/rule.h"

namespace meshproof {

// The service registry as references see it: which host an object means, and, where there is none,
// whether that is a mistake or beyond the input.
class HostIndex {
 public:
  explicit HostIndex(const Analysis& analysis);

  struct Lookup {
    std::string host;                      // completed, lower case
    const MeshService* service = nullptr;  // visible to namespace `ns`
    const MeshService* hidden = nullptr;   // exists and is not exported to it
    // Where neither is set:
    std::string nearest;    // "" where nothing is near
    bool in_view = false;   // the input would hold it if it existed
    bool external = false;  // no name of a Kubernetes Service
  };
  // A host without wildcard as an object of namespace `ns` names it.
  Lookup Find(std::string_view host, std::string_view ns) const;

  // Whether any service that `ns` sees has a host that the pattern covers; `service_ns` limits it
  // to one namespace ("" = any).
  bool CoversAny(std::string_view pattern, std::string_view service_ns, std::string_view ns) const;

  bool HasServicesIn(std::string_view ns) const;
  const KnownNames& names() const { return names_; }

 private:
  bool IsExported(const MeshService& service, std::string_view ns) const;

  const Analysis& analysis_;
  const KnownNames& names_;
  std::map<std::string, std::vector<const MeshService*>, std::less<>> by_host_;
  std::map<std::string, std::vector<const MeshService*>, std::less<>> by_namespace_;
  std::set<std::string, std::less<>> service_namespaces_;
  std::map<std::string, std::vector<std::string>, std::less<>> hosts_of_namespace_;
  std::vector<std::string> other_hosts_;  // of ServiceEntries
};

// `namespace` of `name.namespace.svc.domain`; "" where the host is not of that form.
std::string_view NamespaceOfHost(std::string_view host, std::string_view domain);

}  // namespace meshproof
