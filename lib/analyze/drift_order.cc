// An RBAC filter that is gone with its policies is told by them, not here.

#include "analyze/drift_comparison.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/text.h"

namespace meshproof {
namespace {

class OrderComparer {
 public:
  explicit OrderComparer(DriftComparison& comparison) : c_(comparison) {}

  void Compare() {
    struct Where {
      std::set<std::string> ports;
      Span span;
      std::string lists;  // of the chain with the most filters
      size_t filters = 0;
    };
    std::map<std::string, Where> found;  // by message
    for (const ChainPair& pair : c_.pairs) {
      std::vector<std::string> expected = Kinds(pair.expected), got = Kinds(pair.got);
      std::string message = OrderMessage(expected, got);
      if (message.empty()) continue;
      Where& where = found[message];
      where.ports.insert(PortText(*pair.got.chain));
      if (!where.span) where.span = pair.got.chain->span;
      if (!where.lists.empty() && expected.size() <= where.filters) continue;
      where.filters = expected.size();
      where.lists = " (expected " + Join(expected, ", ") + "; found " +
                    (got.empty() ? std::string("none") : Join(got, ", ")) + ")";
    }
    for (const auto& [message, where] : found) {
      auto& difference =
          c_.Add("MP0904", where.span,
                 "the security filters of " + c_.who + " on " + ListText(where.ports) +
                     " are not those of the manifests: " + message + where.lists);
      difference.detail = c_.who + " filters " + message;
    }
  }

 private:
  static std::vector<std::string> Kinds(const ChainView& view) {
    std::vector<std::string> kinds;
    for (const auto& filter : view.filters) kinds.push_back(filter.kind);
    return kinds;
  }

  static std::string OrderMessage(const std::vector<std::string>& expected,
                                  const std::vector<std::string>& got) {
    if (expected == got) return "";
    auto has = [](const std::vector<std::string>& list, const std::string& kind) {
      return std::find(list.begin(), list.end(), kind) != list.end();
    };
    std::vector<std::string> notes;
    for (const std::string& kind : expected) {
      bool rbac = kind.starts_with("rbac");
      if (!has(got, kind) && !rbac) notes.push_back("`" + kind + "` is absent");
    }
    bool shadow_only = std::any_of(expected.begin(), expected.end(), [&](const std::string& kind) {
      return (kind == "rbac ALLOW" || kind == "rbac DENY") && !has(got, kind) &&
             Count(got, "rbac shadow") > Count(expected, "rbac shadow");
    });
    if (shadow_only)
      notes.emplace_back("rules stand there as shadow rules only, which enforce nothing");
    for (const std::string& kind : got) {
      bool rbac = kind.starts_with("rbac ") && kind != "rbac matcher";
      if (!has(expected, kind) && !rbac) notes.push_back("`" + kind + "` stands there");
    }
    std::vector<std::string> common_expected, common_got;
    for (const std::string& kind : expected) {
      if (has(got, kind)) common_expected.push_back(kind);
    }
    for (const std::string& kind : got) {
      if (has(expected, kind)) common_got.push_back(kind);
    }
    if (common_expected != common_got) notes.emplace_back("their order is another");
    if (notes.empty()) return "";
    return Join(notes, ", ");
  }

  static size_t Count(const std::vector<std::string>& list, const std::string& kind) {
    return static_cast<size_t>(std::count(list.begin(), list.end(), kind));
  }

  DriftComparison& c_;
};

}  // namespace

void CompareOrder(DriftComparison& comparison) {
  OrderComparer(comparison).Compare();
}

}  // namespace meshproof
