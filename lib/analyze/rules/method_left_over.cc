// Methods are compared with case and one by one (istio-semantics section 1.5). A list that names
// some of the methods that write leaves the others; GET does not stand for HEAD; `post` is another
// method than POST, which HTTP/1 does not even carry (Envoy's parser answers 400).
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/reach.h"
#include "analyze/rule.h"
#include "analyze/slips.h"
#include "analyze/value_forms.h"
#include "base/text.h"

namespace meshproof::method_left_over {
namespace {

std::string ToUpper(std::string_view text) {
  std::string upper;
  for (char c : text) upper += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  return upper;
}

bool IsMethod(std::string_view method) {
  constexpr std::string_view kKnown[] = {"GET",    "HEAD",    "POST",  "PUT",     "PATCH",
                                         "DELETE", "OPTIONS", "TRACE", "CONNECT", "QUERY"};
  return std::find(std::begin(kKnown), std::end(kKnown), method) != std::end(kKnown);
}

// "spec.rules[0].to[1].operation.methods" of a value's place.
std::string ListOf(const std::string& field_path) {
  return field_path.substr(0, field_path.rfind('['));
}

const TextList& ListAt(const AuthorizationPolicy& policy, const Slip& slip) {
  const auto& rule = policy.rules[static_cast<size_t>(slip.rule)];
  for (const auto& operation : rule.to) {
    for (const TextList* list : {&operation.methods, &operation.not_methods}) {
      for (const Text& text : list->values) {
        if (text.span.begin == slip.value.span.begin && text.span.file == slip.value.span.file) {
          return *list;
        }
      }
    }
  }
  return rule.to.front().methods;
}

size_t Writing(const TextList& list) {
  constexpr std::string_view kWriting[] = {"POST", "PUT", "PATCH", "DELETE"};
  return static_cast<size_t>(
      std::count_if(std::begin(kWriting), std::end(kWriting),
                    [&](std::string_view method) { return CoversMethod(list, method); }));
}

// Slips of one list, which are one fault.
void ReportLeftOver(const Analysis& analysis, const AuthorizationPolicy& policy,
                    const std::vector<const Slip*>& slips, Reporter& reporter) {
  const Slip& first = *slips.front();
  const TextList& list = ListAt(policy, first);
  std::vector<std::string> left;
  for (const Slip* slip : slips) left.push_back(slip->spelling.sent);
  std::string names = ListNames(left);
  bool misspelt = ToUpper(first.spelling.covered) != first.spelling.covered;
  std::string what = misspelt ? "methods are compared with case, and `" + first.spelling.covered +
                                    "` is none that HTTP/1 carries"
                              : "`" + first.spelling.covered + "` does not stand for " +
                                    (left.size() == 1 ? "it" : "them");
  std::string do_this = misspelt ? "write `" + ToUpper(first.spelling.covered) + "`"
                        : IsDeny(policy)
                            ? "add " + names +
                                  ", or deny all but the methods that are meant "
                                  "(`notMethods`)"
                            : "list the methods that are meant to be open in `methods`";
  Finding& finding =
      reporter.Report(policy.meta, first.value.span,
                      names + (left.size() == 1 ? " gets" : " get") + " through where " +
                          first.spelling.covered + " is refused: " + what + "; " + do_this);
  finding.field_path = first.field_path;
  bool reads = first.spelling.covered == "GET";
  if (!misspelt && !reads && Writing(list) < 2) finding.severity = Severity::kInfo;
  if (misspelt) {
    finding.fix = "Write `" + ToUpper(first.spelling.covered) + "`.";
    finding.edits.push_back({first.value.span, ToUpper(first.spelling.covered)});
  } else {
    finding.fix = "Name " + names + " too.";
  }
  AttachSlip(analysis, first, &finding);
}

// An ALLOW rule that names a method which nobody sends, or GET without HEAD: it shuts.
class ShutMethods {
 public:
  ShutMethods(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis), reporter_(reporter) {}

  void Check(const AuthorizationPolicy& policy) {
    if (policy.dry_run || policy.action != AuthorizationPolicy::Action::kAllow) return;
    for (size_t i = 0; i < policy.rules.size(); ++i) {
      for (size_t j = 0; j < policy.rules[i].to.size(); ++j) {
        const TextList& methods = policy.rules[i].to[j].methods;
        for (size_t v = 0; v < methods.values.size(); ++v) {
          const std::string written(methods.values[v].value);
          const std::string meant = ToUpper(written);
          if (written != meant && IsMethod(meant)) {
            Ask(policy, i, j, v, meant);
          } else if (written == "GET" && !CoversMethod(methods, "HEAD")) {
            Ask(policy, i, j, v, "HEAD");
          }
        }
      }
    }
  }

 private:
  void Ask(const AuthorizationPolicy& policy, size_t i, size_t j, size_t v,
           const std::string& method) {
    const AuthorizationPolicy::Rule& rule = policy.rules[i];
    AuthorizationPolicy::Operation rest = rule.to[j];
    rest.methods = {};
    AuthorizationPolicy::Rule asked = rule;
    asked.to = {rest};
    Region region =
        Region::And({RegionOf(asked, policy.meta.ns), Region::Is(Region::Field::kMethod, method)});
    constexpr size_t kMostSites = 2;
    std::vector<const Site*> sites = analysis_.reach->SitesOf(policy);
    if (sites.size() > kMostSites) sites.resize(kMostSites);
    for (const Site* site : sites) {
      for (const InboundPort& port : site->declared) {
        if (port.protocol == Protocol::kGrpc) continue;
        if (!IsHttp(port.protocol) && port.protocol != Protocol::kAuto) continue;
        const Reach& reach = *analysis_.reach;
        // Somebody else may let it in.
        if (!reach.Find(site->workload(), port.port, region, Wanted::kAllowed).empty()) continue;
        Answer answer = reach.Find(site->workload(), port.port, region, Wanted::kRefused);
        if (!answer.found()) continue;
        Report(policy, i, j, v, method, *answer.example);
        return;
      }
    }
  }

  void Report(const AuthorizationPolicy& policy, size_t i, size_t j, size_t v,
              const std::string& method, const Example& example) {
    const Text& text = policy.rules[i].to[j].methods.values[v];
    const std::string written(text.value);
    bool misspelt = written != "GET";
    std::string message =
        misspelt ? "`" + written + "` is not " + method + ": methods are compared with case, so " +
                       method + " is refused; write `" + method + "`"
                 : "HEAD is refused where GET is let in: GET does not stand for it; add HEAD if "
                   "clients or health checks send it";
    Finding& finding = reporter_.Report(policy.meta, text.span, std::move(message));
    if (!misspelt) finding.severity = Severity::kInfo;
    finding.field_path = OperationPath(i, j) + ".methods[" + std::to_string(v) + "]";
    finding.fix = misspelt ? "Write `" + method + "`." : "Add HEAD.";
    if (misspelt) finding.edits.push_back({text.span, method});
    AttachExample(analysis_, example, &finding);
  }

  const Analysis& analysis_;
  Reporter& reporter_;
};

// A method that HTTP/1 does not carry (Envoy's parser knows these alone) and nobody means.
bool IsCarried(std::string_view method) {
  constexpr std::string_view kCarried[] = {
      "ACL",       "BIND",      "CHECKOUT", "CONNECT", "COPY",       "DELETE",     "GET",
      "HEAD",      "LINK",      "LOCK",     "MERGE",   "MKACTIVITY", "MKCALENDAR", "MKCOL",
      "MOVE",      "MSEARCH",   "NOTIFY",   "OPTIONS", "PATCH",      "POST",       "PROPFIND",
      "PROPPATCH", "PURGE",     "PUT",      "QUERY",   "REBIND",     "REPORT",     "SEARCH",
      "SOURCE",    "SUBSCRIBE", "TRACE",    "UNBIND",  "UNLINK",     "UNLOCK",     "UNSUBSCRIBE"};
  return std::find(std::begin(kCarried), std::end(kCarried), method) != std::end(kCarried);
}

void CheckUnknown(const AuthorizationPolicy& policy, Reporter& reporter) {
  if (policy.dry_run) return;
  for (const PolicyValue& value : ValuesOf(policy)) {
    if (value.kind != PolicyValue::Kind::kMethod) continue;
    const std::string written(value.text->value);
    bool word = !written.empty() && std::all_of(written.begin(), written.end(), [](char c) {
      return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
    });
    std::string upper = ToUpper(written);
    // Small letters are answered by what gets through or is refused.
    if (!word || IsCarried(written) || IsMethod(upper)) continue;
    auto meant = Nearest(upper, {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"});
    Finding& finding = reporter.Report(
        policy.meta, value.text->span,
        "`" + written + "` is no method of HTTP: HTTP/1 requests with it are answered 400; " +
            EffectOfNoMatch(policy.action, value.negated) + "; write " +
            (meant ? "`" + *meant + "`" : "the method that is meant"));
    finding.field_path = value.field_path;
    finding.fix = "Write a method of HTTP.";
    if (meant) finding.edits.push_back(EditOfValue(value.text->span, *meant));
  }
}

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  ShutMethods shut(analysis, reporter);
  constexpr size_t kMostOfAList = 6;
  for (const AuthorizationPolicy& policy : analysis.model.authorization_policies) {
    std::vector<Slip> slips = FindSlips(analysis, policy, SlipKind::kMethod, kMostOfAList);
    std::map<std::string, std::vector<const Slip*>> by_list;
    for (const Slip& slip : slips) {
      by_list[ListOf(slip.field_path) + " " + slip.spelling.covered].push_back(&slip);
    }
    for (const auto& [list, of_list] : by_list) {
      ReportLeftOver(analysis, policy, of_list, reporter);
    }
    shut.Check(policy);
    CheckUnknown(policy, reporter);
  }
}

}  // namespace meshproof::method_left_over
