#include "analyze/policy_lists.h"

#include <algorithm>
#include <string_view>

namespace meshproof {
namespace {

using Subject = PolicyList::Subject;

Subject SubjectOfKey(std::string_view key) {
  if (key.starts_with("request.auth.")) return Subject::kToken;
  if (key.starts_with("request.headers")) return Subject::kHttp;
  if (key == "source.ip" || key == "remote.ip" || key == "destination.ip") return Subject::kAddress;
  if (key == "destination.port") return Subject::kPort;
  if (key.starts_with("source.")) return Subject::kIdentity;
  return Subject::kOther;
}

// "from[0].source."
struct Block {
  std::string_view before;
  size_t index;
  std::string_view behind;

  std::string PathOf(std::string_view field) const {
    std::string path(before);
    path += std::to_string(index);
    path += behind;
    path += field;
    return path;
  }
};

class ListCollector {
 public:
  std::vector<PolicyList> Collect(const AuthorizationPolicy::Rule& rule) {
    for (size_t i = 0; i < rule.from.size(); ++i) AddSource(rule.from[i], i);
    for (size_t i = 0; i < rule.to.size(); ++i) AddOperation(rule.to[i], i);
    for (size_t i = 0; i < rule.when.size(); ++i) AddCondition(rule.when[i], i);
    return std::move(lists_);
  }

 private:
  // `values` are not empty.
  void Add(Subject subject, std::string name, std::string path, bool negative,
           const TextList& values) {
    PolicyList list = current_;
    list.subject = subject;
    list.path = std::move(path);
    list.name = std::move(name);
    list.negative = negative;
    list.values = &values;
    list.span = values.values.front().span ? values.values.front().span : values.span;
    lists_.push_back(std::move(list));
  }

  // Most fields of most rules are empty, and no text is made for them.
  void AddField(Subject subject, std::string_view name, const Block& block, const TextList& values,
                const TextList& excluded) {
    if (!values.empty()) {
      Add(subject, std::string(name), block.PathOf(name), false, values);
    }
    if (excluded.empty()) return;
    std::string negative = "not" + std::string(name);
    negative[3] = static_cast<char>(negative[3] & ~0x20);
    std::string path = block.PathOf(negative);
    Add(subject, std::move(negative), std::move(path), true, excluded);
  }

  void AddSource(const AuthorizationPolicy::Source& source, size_t index) {
    current_ = {};
    current_.source = &source;
    const Block block{"from[", index, "].source."};
    auto add = [&](Subject subject, std::string_view name, const TextList& values,
                   const TextList& excluded) { AddField(subject, name, block, values, excluded); };
    add(Subject::kIdentity, "principals", source.principals, source.not_principals);
    add(Subject::kToken, "requestPrincipals", source.request_principals,
        source.not_request_principals);
    add(Subject::kIdentity, "namespaces", source.namespaces, source.not_namespaces);
    add(Subject::kIdentity, "serviceAccounts", source.service_accounts,
        source.not_service_accounts);
    add(Subject::kIdentity, "trustDomains", source.trust_domains, source.not_trust_domains);
    add(Subject::kAddress, "ipBlocks", source.ip_blocks, source.not_ip_blocks);
    add(Subject::kAddress, "remoteIpBlocks", source.remote_ip_blocks, source.not_remote_ip_blocks);
  }

  void AddOperation(const AuthorizationPolicy::Operation& operation, size_t index) {
    current_ = {};
    current_.operation = &operation;
    const Block block{"to[", index, "].operation."};
    auto add = [&](Subject subject, std::string_view name, const TextList& values,
                   const TextList& excluded) { AddField(subject, name, block, values, excluded); };
    add(Subject::kHttp, "hosts", operation.hosts, operation.not_hosts);
    add(Subject::kPort, "ports", operation.ports, operation.not_ports);
    add(Subject::kHttp, "methods", operation.methods, operation.not_methods);
    add(Subject::kHttp, "paths", operation.paths, operation.not_paths);
  }

  void AddCondition(const AuthorizationPolicy::Condition& condition, size_t index) {
    current_ = {};
    current_.condition = &condition;
    const Block block{"when[", index, "]."};
    const std::string name = "when " + std::string(condition.key.value);
    Subject subject = SubjectOfKey(condition.key.value);
    if (!condition.values.empty()) {
      Add(subject, name, block.PathOf("values"), false, condition.values);
    }
    if (!condition.not_values.empty()) {
      Add(subject, name, block.PathOf("notValues"), true, condition.not_values);
    }
  }

  PolicyList current_;
  std::vector<PolicyList> lists_;
};

}  // namespace

std::optional<std::string_view> HeaderOfKey(std::string_view key) {
  constexpr std::string_view kStart = "request.headers[";
  if (!key.starts_with(kStart) || !key.ends_with(']')) return std::nullopt;
  return key.substr(kStart.size(), key.size() - kStart.size() - 1);
}

std::string_view HeaderOf(const PolicyList& list) {
  if (list.condition == nullptr) return {};
  return HeaderOfKey(list.condition->key.value).value_or(std::string_view());
}

ListField FieldOf(const PolicyList& list) {
  if (list.condition != nullptr) {
    std::string_view key = list.condition->key.value;
    if (key == "source.principal") return ListField::kPrincipal;
    if (key == "source.namespace") return ListField::kNamespace;
    if (key == "source.serviceAccount") return ListField::kAccount;
    if (key == "destination.port") return ListField::kPort;
    return HeaderOf(list).empty() ? ListField::kOther : ListField::kHeader;
  }
  std::string_view name = list.path;
  name.remove_prefix(name.rfind('.') + 1);
  auto is = [&](std::string_view positive, std::string_view negative) {
    return name == positive || name == negative;
  };
  if (is("principals", "notPrincipals")) return ListField::kPrincipal;
  if (is("namespaces", "notNamespaces")) return ListField::kNamespace;
  if (is("serviceAccounts", "notServiceAccounts")) return ListField::kAccount;
  if (is("methods", "notMethods")) return ListField::kMethod;
  if (is("paths", "notPaths")) return ListField::kPath;
  if (is("hosts", "notHosts")) return ListField::kHost;
  if (is("ports", "notPorts")) return ListField::kPort;
  return ListField::kOther;
}

std::vector<PolicyList> ListsOf(const AuthorizationPolicy::Rule& rule) {
  return ListCollector().Collect(rule);
}

bool IsHttpOnly(const PolicyList& list) {
  return list.subject == Subject::kToken || list.subject == Subject::kHttp;
}

bool HasHttpOnly(const AuthorizationPolicy::Rule& rule) {
  const auto by_token = [](const AuthorizationPolicy::Source& source) {
    return !source.request_principals.empty() || !source.not_request_principals.empty();
  };
  const auto of_request = [](const AuthorizationPolicy::Operation& operation) {
    return !operation.hosts.empty() || !operation.not_hosts.empty() || !operation.methods.empty() ||
           !operation.not_methods.empty() || !operation.paths.empty() ||
           !operation.not_paths.empty();
  };
  const auto is_http = [](const AuthorizationPolicy::Condition& condition) {
    const Subject subject = SubjectOfKey(condition.key.value);
    return (subject == Subject::kToken || subject == Subject::kHttp) &&
           (!condition.values.empty() || !condition.not_values.empty());
  };
  return std::any_of(rule.from.begin(), rule.from.end(), by_token) ||
         std::any_of(rule.to.begin(), rule.to.end(), of_request) ||
         std::any_of(rule.when.begin(), rule.when.end(), is_http);
}

std::string FieldPathOf(size_t rule, const PolicyList& list) {
  return "spec.rules[" + std::to_string(rule) + "]." + list.path;
}

}  // namespace meshproof
