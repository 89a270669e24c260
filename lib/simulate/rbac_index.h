#pragma once

#include <cstdint>
#include <memory>
#include <memory_resource>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "proxy/config.h"
#include "simulate/stream.h"

namespace meshproof {

// Which policies of a long list a request can match at all, by one thing that each of them asks
// for: a path, a host or a peer. Policies that ask for nothing of the kind always count.
class RbacIndex {
 public:
  explicit RbacIndex(const Rbac& rules);

  // Positions in `Rbac::policies`, ascending: every policy that the request matches, or may match,
  // is among them. `out` is empty before.
  void Find(const Stream& stream, std::pmr::vector<uint32_t>* out) const;

  // What a matcher wants of one text: the whole of it, its beginning or end, or (of an identity)
  // its namespace.
  struct Key {
    enum class Kind { kExact, kPrefix, kSuffix, kNamespace };
    Kind kind = Kind::kExact;
    std::string text;
    friend bool operator==(const Key&, const Key&) = default;
  };

 private:
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  using Positions =
      std::unordered_map<std::string, std::vector<uint32_t>, TextHash, std::equal_to<>>;

  // The keys of one attribute.
  class Table {
   public:
    void Add(const Key& key, uint32_t position);
    bool empty() const { return empty_; }
    void Find(std::string_view text, std::pmr::vector<uint32_t>* out) const;

   private:
    bool empty_ = true;
    Positions exact_, prefixes_, suffixes_, namespaces_;
    std::vector<size_t> prefix_sizes_, suffix_sizes_;  // ascending
  };

  std::vector<uint32_t> always_;
  Table paths_, hosts_, peers_;  // hosts in lower case
};

// The indexes of a proxy's long lists. Proxies with the same policies share theirs.
class RbacIndexes {
 public:
  void Add(const RbacFilter& filter);
  // Null: the list is short, or not of this proxy.
  const RbacIndex* Find(const Rbac& rules) const;

 private:
  void Add(const std::optional<Rbac>& rules);
  std::unordered_map<const Rbac*, std::shared_ptr<const RbacIndex>> indexes_;
};

}  // namespace meshproof
