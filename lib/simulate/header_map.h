#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <memory_resource>
#include <string_view>
#include <vector>

namespace meshproof {

// The headers of one request as Envoy's header map holds them: names in lower case, the pseudo
// headers as fields. Views point into the request or into texts that the map keeps.
// Not copyable; lives as long as the request is being judged, and costs no allocation as long as
// all that is kept fits into its own room.
class HeaderMap {
 public:
  struct Entry {
    std::string_view name;
    std::string_view value;
    // The value is made by the proxy and not known here (a request id, a certificate's hash). Where
    // it ends in an unknown address, `value` is what stands before the unknown part.
    bool opaque = false;
  };

  HeaderMap() : arena_(room_.data(), room_.size()) {}
  HeaderMap(const HeaderMap&) = delete;
  HeaderMap& operator=(const HeaderMap&) = delete;

  std::string_view method;
  std::string_view path;  // with its query
  std::string_view authority;
  std::string_view scheme;
  bool has_path = true;  // not in an HTTP/1 CONNECT
  bool has_authority = true;

  // Adds one header line. Of the headers that Envoy keeps once (`IsJoined`) a further value is
  // appended with a comma; so are HTTP/2 cookies, with "; ". Empty values vanish in a join.
  void Append(std::string_view name, std::string_view value, bool http2 = false);
  void Set(std::string_view name, std::string_view value, bool opaque = false);
  void MarkOpaque(std::string_view name);
  void Remove(std::string_view name);
  // Removes all of `names`, each of which starts with `prefix`.
  void RemoveAll(std::string_view prefix, const std::string_view* names, size_t count);

  const Entry* Find(std::string_view name) const;  // the first one; `name` in lower case
  bool Has(std::string_view name) const { return Find(name) != nullptr; }
  // All values joined with ",".
  std::string_view Joined(std::string_view name);
  const std::pmr::vector<Entry>& entries() const { return entries_; }
  void Reserve(size_t count) { entries_.reserve(count); }

  // Keeps a copy of `text`, or of the pieces one after the other, as long as the map lives.
  std::string_view Own(std::string_view text) { return Own({text}); }
  std::string_view Own(std::initializer_list<std::string_view> pieces);
  // Memory that is freed with the map.
  std::pmr::memory_resource* arena() { return &arena_; }

 private:
  Entry* FindMutable(std::string_view name);

  std::array<std::byte, 2048> room_;  // of most requests nothing more is kept
  std::pmr::monotonic_buffer_resource arena_;
  std::pmr::vector<Entry> entries_{&arena_};
};

// Request headers of which Envoy's map holds one value, so that a repeated one becomes `a,b`
// (measured on 1.40; envoy-facts section 1.3). `name` in lower case.
bool IsJoinedHeader(std::string_view name);

}  // namespace meshproof
