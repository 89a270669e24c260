#include "simulate/header_map.h"

#include <algorithm>
#include <array>

#include "base/text.h"

namespace meshproof {
namespace {

// Sorted; the ones that Envoy removes from every request anyway (te, connection, …) among them.
constexpr std::array<std::string_view, 55> kJoined = {
    "accept",
    "accept-encoding",
    "access-control-request-headers",
    "access-control-request-method",
    "access-control-request-private-network",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-type",
    "expect",
    "grpc-accept-encoding",
    "grpc-timeout",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "origin",
    "pragma",
    "proxy-connection",
    "proxy-status",
    "referer",
    "te",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "x-client-trace-id",
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-hedge-on-per-try-timeout",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-is-timeout-retry",
    "x-envoy-max-retries",
    "x-envoy-original-host",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-timeout-ms",
    "x-forwarded-client-cert",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-request-id",
};

bool HasUpper(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

}  // namespace

bool IsJoinedHeader(std::string_view name) {
  return std::binary_search(kJoined.begin(), kJoined.end(), name);
}

std::string_view HeaderMap::Own(std::initializer_list<std::string_view> pieces) {
  size_t size = 0;
  for (std::string_view piece : pieces) size += piece.size();
  if (size == 0) return "";
  char* const text = static_cast<char*>(arena_.allocate(size, 1));
  char* end = text;
  for (std::string_view piece : pieces) end = std::copy(piece.begin(), piece.end(), end);
  return {text, size};
}

HeaderMap::Entry* HeaderMap::FindMutable(std::string_view name) {
  for (auto& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

const HeaderMap::Entry* HeaderMap::Find(std::string_view name) const {
  return const_cast<HeaderMap*>(this)->FindMutable(name);
}

void HeaderMap::Append(std::string_view name, std::string_view value, bool http2) {
  if (HasUpper(name)) name = Own(ToLower(name));
  if (Entry* existing = FindMutable(name)) {
    std::string_view separator;
    if (http2 && name == "cookie") {
      separator = "; ";
    } else if (IsJoinedHeader(name)) {
      separator = ",";
    }
    if (!separator.empty()) {
      if (value.empty()) return;
      if (existing->value.empty()) {
        existing->value = value;
        return;
      }
      existing->value = Own({existing->value, separator, value});
      return;
    }
  }
  entries_.push_back({name, value, false});
}

void HeaderMap::MarkOpaque(std::string_view name) {
  if (Entry* entry = FindMutable(name)) entry->opaque = true;
}

void HeaderMap::Set(std::string_view name, std::string_view value, bool opaque) {
  if (Entry* existing = FindMutable(name)) {
    existing->value = value;
    existing->opaque = opaque;
    return;
  }
  entries_.push_back({name, value, opaque});
}

void HeaderMap::Remove(std::string_view name) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.name == name; });
}

void HeaderMap::RemoveAll(std::string_view prefix, const std::string_view* names, size_t count) {
  std::erase_if(entries_, [&](const Entry& entry) {
    return entry.name.starts_with(prefix) &&
           std::find(names, names + count, entry.name) != names + count;
  });
}

std::string_view HeaderMap::Joined(std::string_view name) {
  const Entry* first = nullptr;
  std::string joined;
  bool several = false;
  for (const auto& entry : entries_) {
    if (entry.name != name) continue;
    if (first == nullptr) {
      first = &entry;
      continue;
    }
    if (!several) joined = std::string(first->value);
    several = true;
    joined.append(",").append(entry.value);
  }
  if (several) return Own(joined);
  return first == nullptr ? std::string_view() : first->value;
}

}  // namespace meshproof
