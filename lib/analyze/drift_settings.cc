// Only what changes the path, the addresses or the certificate that rules see is a difference.

#include "analyze/drift_comparison.h"

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "proxy/emit.h"
#include "proxy/emit_match.h"

namespace meshproof {
namespace {

class SettingsComparer {
 public:
  explicit SettingsComparer(DriftComparison& comparison) : c_(comparison) {}

  void Compare() {
    std::map<std::string, std::pair<std::set<std::string>, Span>> found;
    for (const ChainPair& pair : c_.pairs) {
      if (pair.expected.manager == nullptr || pair.got.manager == nullptr) continue;
      const HttpConnectionManager& a = *pair.expected.manager;
      const HttpConnectionManager& b = *pair.got.manager;
      auto note = [&](const std::string& setting, const std::string& expected,
                      const std::string& got) {
        if (expected == got) return;
        auto& [ports, span] =
            found["`" + setting + "` is " + got + " where the mesh settings give " + expected];
        ports.insert(PortText(*pair.got.chain));
        if (!span) span = pair.got.chain->span;
      };
      auto flag = [](bool value) { return std::string(value ? "true" : "false"); };
      note("normalize_path", flag(a.path.normalize), flag(b.path.normalize));
      note("merge_slashes", flag(a.path.merge_slashes), flag(b.path.merge_slashes));
      note("path_with_escaped_slashes_action", EscapedSlashesName(a.path.escaped_slashes),
           EscapedSlashesName(b.path.escaped_slashes));
      note("use_remote_address", flag(a.use_remote_address), flag(b.use_remote_address));
      note("xff_num_trusted_hops", std::to_string(a.xff_num_trusted_hops),
           std::to_string(b.xff_num_trusted_hops));
      note("forward_client_cert_details", CertMode(a), CertMode(b));
      note("failure_mode_allow of ext_authz", FailsOpen(pair.expected), FailsOpen(pair.got));
    }
    for (const auto& [message, where] : found) {
      auto& difference =
          c_.Add("MP0904", where.second,
                 "the connection manager of " + c_.who + " on " + ListText(where.first) +
                     " shapes requests otherwise than the manifests say, so rules on paths or " +
                     "addresses see something else: " + message);
      difference.detail = c_.who + " setting " + message;
    }
  }

 private:
  // Of all providers in order.
  static std::string FailsOpen(const ChainView& view) {
    std::vector<std::string> texts;
    for (const auto& filter : view.filters) {
      if (filter.ext_authz == nullptr) continue;
      texts.emplace_back(filter.ext_authz->failure_mode_allow ? "true" : "false");
    }
    return Join(texts, ", ");
  }

  static std::string CertMode(const HttpConnectionManager& manager) {
    return manager.forward_client_cert_details.empty() ? "SANITIZE"
                                                       : manager.forward_client_cert_details;
  }

  DriftComparison& c_;
};

}  // namespace

void CompareSettings(DriftComparison& comparison) {
  SettingsComparer(comparison).Compare();
}

}  // namespace meshproof
