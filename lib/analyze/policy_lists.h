#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/model.h"

// The lists of a rule of an AuthorizationPolicy, one after the other as they are written.
namespace meshproof {

struct PolicyList {
  enum class Subject { kIdentity, kToken, kHttp, kAddress, kPort, kOther };
  Subject subject = Subject::kOther;  // kHttp: of the request itself (header, host, method, path)
  std::string name;                   // "notPaths", "when request.headers[x]"
  std::string path;                   // below the rule: "from[0].source.principals"
  bool negative = false;
  const TextList* values = nullptr;  // not empty
  Span span;                         // of its first value
  // Which block it stands in: source or operation `block`, else condition `block`.
  const AuthorizationPolicy::Source* source = nullptr;
  const AuthorizationPolicy::Operation* operation = nullptr;
  const AuthorizationPolicy::Condition* condition = nullptr;
};

// What the values are compared with.
enum class ListField {
  kPrincipal,
  kNamespace,
  kAccount,
  kMethod,
  kPath,
  kHost,
  kPort,
  kHeader,
  kOther
};
ListField FieldOf(const PolicyList& list);
// "x-team" of `request.headers[x-team]`; nothing where the key is another one.
std::optional<std::string_view> HeaderOfKey(std::string_view key);
// The same of a list; "" where it is not about a header.
std::string_view HeaderOf(const PolicyList& list);

std::vector<PolicyList> ListsOf(const AuthorizationPolicy::Rule& rule);

// Whether a TCP chain cannot hold it (istio-semantics section 1.3).
bool IsHttpOnly(const PolicyList& list);
// Whether any list of the rule is such.
bool HasHttpOnly(const AuthorizationPolicy::Rule& rule);

// "spec.rules[1].from[0].source.principals"
std::string FieldPathOf(size_t rule, const PolicyList& list);

}  // namespace meshproof
