#include "analyze/drift_version.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace meshproof {
namespace {

struct ProxyRelease {
  unsigned long minor = 0, patch = 0;  // of 1.x
};

// "1.22.3", "1.22.3-distroless", "1.22"; nothing for anything else.
std::optional<ProxyRelease> ParseProxyRelease(std::string_view text) {
  text = text.substr(0, text.find('-'));
  auto parts = Split(text, '.');
  if (parts.size() < 2 || parts.size() > 3 || parts[0] != "1") return std::nullopt;
  auto minor = ParseUnsigned(parts[1]);
  auto patch = parts.size() == 3 ? ParseUnsigned(parts[2]) : std::optional<unsigned long>(0);
  if (!minor || !patch) return std::nullopt;
  return ProxyRelease{*minor, *patch};
}

// The releases that brought a change: the first of its minor and those that it was put back into.
struct Change {
  std::string_view since;
  std::array<ProxyRelease, 4> releases;
  size_t count;

  bool In(const ProxyRelease& release) const {
    unsigned long newest = 0;
    for (size_t i = 0; i < count; ++i) {
      newest = std::max(newest, releases[i].minor);
      if (releases[i].minor == release.minor) return release.patch >= releases[i].patch;
    }
    return release.minor > newest;
  }
};

constexpr Change kTemplates = {"1.22", {{{22, 0}}}, 1};
constexpr Change kTargetRefs = {"1.22", {{{22, 0}}}, 1};
constexpr Change kProviderRefusal = {"1.20", {{{20, 0}}}, 1};
constexpr Change kCookies = {"1.21", {{{21, 0}}}, 1};
constexpr Change kServiceAccounts = {"1.25", {{{25, 0}}}, 1};
constexpr Change kSpaceDelimited = {"1.28", {{{28, 0}}}, 1};
constexpr Change kQuotedAccounts = {"1.27.9, 1.28.6, 1.29.2", {{{27, 9}, {28, 6}, {29, 2}}}, 3};
constexpr Change kQuotedNamespaces = {"1.28.7, 1.29.3", {{{28, 7}, {29, 3}}}, 2};
constexpr Change kTrustDomains = {"1.30.2", {{{30, 2}}}, 1};

class VersionFinder {
 public:
  VersionFinder(ProxyRelease release, std::vector<VersionDifference>* out)
      : release_(release), out_(out) {}

  void Check(const AuthorizationPolicy& policy) {
    object_ = &policy.meta;
    if (!policy.target_refs.empty()) {
      Note(kTargetRefs, policy.meta.span, "takes no targetRefs, so that it has no selector");
    }
    if (policy.action == AuthorizationPolicy::Action::kCustom) {
      Note(kProviderRefusal, policy.meta.span,
           "refuses every request where the provider is not usable, not only those that match");
    }
    for (const auto& rule : policy.rules) {
      for (const auto& source : rule.from) CheckSource(source);
      for (const auto& operation : rule.to) {
        CheckTemplates(operation.paths);
        CheckTemplates(operation.not_paths);
      }
      for (const auto& condition : rule.when) CheckCondition(condition);
    }
  }

  void Check(const RequestAuthentication& authentication) {
    object_ = &authentication.meta;
    if (!authentication.target_refs.empty()) {
      Note(kTargetRefs, authentication.meta.span,
           "takes no targetRefs, so that it has no selector");
    }
    for (const JwtRule& rule : authentication.jwt_rules) {
      NoteAny(kCookies, rule.from_cookies, "does not know fromCookies");
      NoteAny(kSpaceDelimited, rule.space_delimited_claims, "does not know spaceDelimitedClaims");
    }
  }

 private:
  void Note(const Change& change, Span span, std::string text) {
    if (change.In(release_)) return;
    out_->push_back({object_, span, std::string(change.since), std::move(text)});
  }

  void NoteAny(const Change& change, const TextList& list, const char* text) {
    if (!list.values.empty()) Note(change, list.span, text);
  }

  // Values in which an unquoted regular expression reads more than itself.
  void NoteDots(const Change& change, const TextList& list, const std::string& what) {
    for (const Text& text : list.values) {
      if (text.value.find_first_of(".+?()[]{}|^$") == std::string_view::npos) continue;
      Note(change, text.span,
           "reads " + what + " `" + std::string(text.value) + "` as a regular expression");
    }
  }

  void CheckTemplates(const TextList& paths) {
    for (const Text& path : paths.values) {
      if (path.value.find("{*}") == std::string_view::npos &&
          path.value.find("{**}") == std::string_view::npos) {
        continue;
      }
      Note(kTemplates, path.span, "takes `" + std::string(path.value) + "` literally");
    }
  }

  void CheckSource(const AuthorizationPolicy::Source& source) {
    NoteAny(kServiceAccounts, source.service_accounts, "does not know serviceAccounts");
    NoteAny(kServiceAccounts, source.not_service_accounts, "does not know notServiceAccounts");
    NoteAny(kTrustDomains, source.trust_domains, "does not know trustDomains");
    NoteAny(kTrustDomains, source.not_trust_domains, "does not know notTrustDomains");
    for (const auto* list : {&source.service_accounts, &source.not_service_accounts}) {
      NoteDots(kQuotedAccounts, *list, "service account");
    }
    for (const auto* list : {&source.namespaces, &source.not_namespaces}) {
      NoteDots(kQuotedNamespaces, *list, "namespace");
    }
    for (const auto* list : {&source.principals, &source.not_principals}) {
      TextList suffixes;
      for (const Text& text : list->values) {
        if (text.value.starts_with('*') && text.value.size() > 1) suffixes.values.push_back(text);
      }
      NoteDots(kQuotedNamespaces, suffixes, "principal");
    }
  }

  void CheckCondition(const AuthorizationPolicy::Condition& condition) {
    const std::string_view key = condition.key.value;
    if (key == "source.serviceAccount") {
      Note(kServiceAccounts, condition.key.span, "does not know source.serviceAccount");
    }
    if (key == "source.trustDomain") {
      Note(kTrustDomains, condition.key.span, "does not know source.trustDomain");
    }
    for (const auto* list : {&condition.values, &condition.not_values}) {
      if (key == "source.namespace") NoteDots(kQuotedNamespaces, *list, "namespace");
      if (key == "source.serviceAccount") NoteDots(kQuotedAccounts, *list, "service account");
    }
  }

  ProxyRelease release_;
  std::vector<VersionDifference>* out_;
  const ObjectMeta* object_ = nullptr;
};

}  // namespace

std::vector<VersionDifference> FindVersionDifferences(const Mesh& mesh, const Workload& workload,
                                                      std::string_view istio_version) {
  std::vector<VersionDifference> found;
  auto release = ParseProxyRelease(istio_version);
  if (!release) return found;
  VersionFinder finder(*release, &found);
  // Also those that do not apply today: without its targetRefs a policy applies to others.
  auto near = [&](const ObjectMeta& meta) {
    return meta.ns == workload.ns || meta.ns == mesh.config().root_namespace;
  };
  for (const auto& policy : mesh.model().authorization_policies) {
    if (near(policy.meta)) finder.Check(policy);
  }
  for (const auto& authentication : mesh.model().request_authentications) {
    if (near(authentication.meta)) finder.Check(authentication);
  }
  return found;
}

}  // namespace meshproof
