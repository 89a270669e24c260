// Delegation: a root entry with `delegate` stands for all entries of the VirtualService it names
// (one without hosts), each match joined with each match of the root. A delegate may only narrow:
// what contradicts the root is dropped.

#include "proxy/virtual_service.h"

#include <algorithm>
#include <optional>

namespace meshproof {
namespace {

bool Conflicts(const StringMatch& root, const StringMatch& leaf) {
  using Kind = StringMatch::Kind;
  if (root.kind == Kind::kNone || leaf.kind == Kind::kNone) return false;
  if (root.kind == Kind::kRegex || leaf.kind == Kind::kRegex) return true;
  if (root.kind == Kind::kExact) {
    return leaf.kind == Kind::kPrefix || leaf.value.value != root.value.value;
  }
  return !leaf.value.value.starts_with(root.value.value);
}

using Named = std::vector<std::pair<Text, StringMatch>>;

bool Conflicts(const Named& root, const Named& leaf) {
  return std::any_of(root.begin(), root.end(), [&](const auto& outer) {
    return std::any_of(leaf.begin(), leaf.end(), [&](const auto& inner) {
      return outer.first.value == inner.first.value && Conflicts(outer.second, inner.second);
    });
  });
}

bool Conflicts(const HttpMatch& root, const HttpMatch& leaf) {
  return Conflicts(root.uri, leaf.uri) || Conflicts(root.scheme, leaf.scheme) ||
         Conflicts(root.method, leaf.method) || Conflicts(root.authority, leaf.authority) ||
         Conflicts(root.headers, leaf.headers) ||
         Conflicts(root.without_headers, leaf.without_headers) ||
         Conflicts(root.query_params, leaf.query_params) ||
         root.ignore_uri_case != leaf.ignore_uri_case ||
         (root.port != 0 && leaf.port != 0 && root.port != leaf.port) ||
         (!root.source_namespace.empty() && !leaf.source_namespace.empty() &&
          root.source_namespace != leaf.source_namespace);
}

void Inherit(const StringMatch& root, StringMatch* leaf) {
  if (leaf->kind == StringMatch::Kind::kNone) *leaf = root;
}

void Inherit(const Named& root, Named* leaf) {
  for (const auto& outer : root) {
    const bool own = std::any_of(leaf->begin(), leaf->end(), [&](const auto& inner) {
      return inner.first.value == outer.first.value;
    });
    if (!own) leaf->push_back(outer);
  }
}

HttpMatch Merge(const HttpMatch& root, HttpMatch leaf) {
  Inherit(root.uri, &leaf.uri);
  Inherit(root.scheme, &leaf.scheme);
  Inherit(root.method, &leaf.method);
  Inherit(root.authority, &leaf.authority);
  Inherit(root.headers, &leaf.headers);
  Inherit(root.without_headers, &leaf.without_headers);
  Inherit(root.query_params, &leaf.query_params);
  if (leaf.port == 0) leaf.port = root.port;
  if (leaf.source_namespace.empty()) leaf.source_namespace = root.source_namespace;
  // A delegate never says which gateway; the root does.
  leaf.gateways = root.gateways;
  for (const auto& label : root.source_labels) leaf.source_labels.push_back(label);
  return leaf;
}

std::optional<HttpRoute> Merge(const HttpRoute& root, HttpRoute leaf) {
  if (leaf.matches.empty()) {
    leaf.matches = root.matches;
  } else if (!root.matches.empty()) {
    std::vector<HttpMatch> merged;
    for (const HttpMatch& outer : root.matches) {
      for (const HttpMatch& inner : leaf.matches) {
        if (!Conflicts(outer, inner)) merged.push_back(Merge(outer, inner));
      }
    }
    if (merged.empty()) return std::nullopt;
    leaf.matches = std::move(merged);
  }
  if (!leaf.has_rewrite && root.has_rewrite) {
    leaf.has_rewrite = true;
    leaf.rewrite_uri = root.rewrite_uri;
    leaf.rewrite_authority = root.rewrite_authority;
    leaf.rewrite_regex = root.rewrite_regex;
    leaf.rewrite_substitution = root.rewrite_substitution;
  }
  return leaf;
}

const VirtualService* FindDelegate(const Mesh& mesh, const HttpRoute& root,
                                   std::string_view root_namespace) {
  const std::string_view ns =
      root.delegate_namespace.value.empty() ? root_namespace : root.delegate_namespace.value;
  for (const VirtualService& service : mesh.model().virtual_services) {
    if (service.hosts.empty() && service.meta.ns == ns &&
        service.meta.name == root.delegate_name.value) {
      return &service;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<EffectiveHttpRoute> ResolveHttpRoutes(const Mesh& mesh, const VirtualService& service) {
  std::vector<EffectiveHttpRoute> resolved;
  for (size_t i = 0; i < service.http.size(); ++i) {
    const HttpRoute& root = service.http[i];
    if (!root.has_delegate) {
      const bool made = root.made_from != nullptr;
      resolved.push_back(
          {root, made ? root.made_from : &service.meta, made ? root.rule : static_cast<int>(i)});
      continue;
    }
    const VirtualService* delegate = FindDelegate(mesh, root, service.meta.ns);
    if (delegate == nullptr) continue;
    for (size_t j = 0; j < delegate->http.size(); ++j) {
      if (delegate->http[j].has_delegate) continue;  // one level only
      std::optional<HttpRoute> merged = Merge(root, delegate->http[j]);
      if (merged) resolved.push_back({*std::move(merged), &delegate->meta, static_cast<int>(j)});
    }
  }
  return resolved;
}

}  // namespace meshproof
