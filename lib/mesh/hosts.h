#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace meshproof {

// A host as istiod completes it in an object of namespace `ns`: a name without a dot (but not `*`
// or an address) becomes `<name>.<ns>.svc.<domain>`; all others stay as they are.
std::string CompleteHost(std::string_view host, std::string_view ns, std::string_view domain);

// `*` and `*.example.com` cover what ends in the rest; others are equal or not. A wildcard is
// covered by an equal or wider one.
bool HostCovers(std::string_view pattern, std::string_view host);

// Calls `visit` with the patterns that cover `host`, the most specific one first (the host itself,
// then longer before shorter wildcards), until it returns true. Tells whether it did.
bool VisitCoveringHosts(const std::string& host,
                        const std::function<bool(const std::string&)>& visit);

// `exportTo` of an object in `owner`, towards namespace `client`: empty and `*` = all, `.` = the
// owner's, `~` = none.
template <typename Values>
bool IsExportedTo(const Values& export_to, std::string_view owner, std::string_view client) {
  bool any = false;
  bool named = false;
  for (std::string_view value : export_to) {
    if (value == "*") return true;
    any = true;
    named = named || value == client || (value == "." && owner == client);
  }
  if (!any) return true;
  for (std::string_view value : export_to) {
    if (value == "~") return false;
  }
  return named;
}

}  // namespace meshproof
