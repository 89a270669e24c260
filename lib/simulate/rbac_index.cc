// Finds the policies that a request can match without trying all of them.
//
// A policy holds only if one of its permissions and one of its principals hold; of an AND every
// part must hold, of an OR one. So a policy whose every permission has a part that is an OR of
// paths cannot match a request with another path, and never leaves the question open: the path is
// always known (envoy-facts section 1.2). Of the attributes that bind a policy the one is taken
// whose keys it shares with the fewest others.

#include "simulate/rbac_index.h"

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/text.h"
#include "match/path.h"
#include "proxy/filter_names.h"
#include "simulate/predicate.h"

namespace meshproof {
namespace {

using Key = RbacIndex::Key;
// Absent: not bound by the attribute. Empty: nothing matches.
using Keys = std::optional<std::vector<Key>>;
enum class Attribute { kPath, kHost, kPeer };

constexpr size_t kLongList = 4;

// The namespace of `.*/ns/shop/.*`, which istiod makes of `namespaces: [shop]`.
std::optional<std::string> NamespaceOfPattern(std::string_view pattern) {
  constexpr std::string_view kBefore = ".*/ns/", kAfter = "/.*";
  if (!pattern.starts_with(kBefore) || !pattern.ends_with(kAfter)) return std::nullopt;
  if (pattern.size() <= kBefore.size() + kAfter.size()) return std::nullopt;
  pattern.remove_prefix(kBefore.size());
  pattern.remove_suffix(kAfter.size());
  const bool plain = std::all_of(pattern.begin(), pattern.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
  return plain ? std::optional<std::string>(pattern) : std::nullopt;
}

Keys KeysOf(const StringMatcher& matcher, Attribute attribute) {
  if (matcher.ignore_case && attribute != Attribute::kHost) return std::nullopt;
  std::string text = attribute == Attribute::kHost ? ToLower(matcher.value) : matcher.value;
  switch (matcher.kind) {
    case StringMatcher::Kind::kExact:
      return std::vector<Key>{{Key::Kind::kExact, std::move(text)}};
    case StringMatcher::Kind::kPrefix:
      return std::vector<Key>{{Key::Kind::kPrefix, std::move(text)}};
    case StringMatcher::Kind::kSuffix:
      return std::vector<Key>{{Key::Kind::kSuffix, std::move(text)}};
    case StringMatcher::Kind::kRegex:
      if (attribute == Attribute::kPeer) {
        if (auto ns = NamespaceOfPattern(matcher.value)) {
          return std::vector<Key>{{Key::Kind::kNamespace, *ns}};
        }
      }
      return std::nullopt;
    case StringMatcher::Kind::kContains:
      return std::nullopt;
  }
  return std::nullopt;
}

Keys KeysOf(const Predicate& predicate, Attribute attribute);

Keys KeysOfAny(const std::vector<Predicate>& alternatives, Attribute attribute) {
  std::vector<Key> all;
  for (const auto& alternative : alternatives) {
    Keys keys = KeysOf(alternative, attribute);
    if (!keys) return std::nullopt;
    all.insert(all.end(), std::make_move_iterator(keys->begin()),
               std::make_move_iterator(keys->end()));
  }
  return all;
}

Keys KeysOf(const Predicate& predicate, Attribute attribute) {
  const auto& match = predicate.match;
  if (const auto* both = std::get_if<AndPredicate>(&match)) {
    Keys fewest;
    for (const auto& part : both->all) {
      Keys keys = KeysOf(part, attribute);
      if (keys && (!fewest || keys->size() < fewest->size())) fewest = std::move(keys);
    }
    return fewest;
  }
  if (const auto* either = std::get_if<OrPredicate>(&match)) {
    return KeysOfAny(either->any, attribute);
  }
  if (const auto* path = std::get_if<UrlPathPredicate>(&match)) {
    if (attribute == Attribute::kPath) return KeysOf(path->path, attribute);
  }
  if (const auto* header = std::get_if<HeaderPredicate>(&match)) {
    const HeaderMatcher& matcher = header->header;
    const bool plain = matcher.kind == HeaderMatcher::Kind::kString && !matcher.invert &&
                       !matcher.treat_missing_as_empty;
    if (attribute == Attribute::kHost && matcher.name == ":authority" && plain) {
      return KeysOf(matcher.string, attribute);
    }
  }
  if (attribute != Attribute::kPeer) return std::nullopt;
  if (const auto* peer = std::get_if<AuthenticatedPredicate>(&match)) {
    if (peer->principal_name) return KeysOf(*peer->principal_name, attribute);
  }
  if (const auto* state = std::get_if<FilterStatePredicate>(&match)) {
    if (state->key == kPeerPrincipal) return KeysOf(state->value, attribute);
  }
  return std::nullopt;
}

// How often each key of one attribute stands in the list.
struct Bound {
  std::vector<Keys> keys;  // by policy
  std::unordered_map<std::string, size_t> uses;

  static std::string Name(const Key& key) {
    return std::to_string(static_cast<int>(key.kind)) + key.text;
  }
  void Add(Keys of_policy) {
    if (of_policy) {
      for (const Key& key : *of_policy) ++uses[Name(key)];
    }
    keys.push_back(std::move(of_policy));
  }
  // With how many others a policy would be found; nothing where it is not bound.
  std::optional<size_t> Cost(size_t policy) const {
    if (!keys[policy]) return std::nullopt;
    size_t cost = 0;
    for (const Key& key : *keys[policy]) cost += uses.at(Name(key));
    return cost;
  }
};

void AddSize(size_t size, std::vector<size_t>* sizes) {
  auto at = std::lower_bound(sizes->begin(), sizes->end(), size);
  if (at == sizes->end() || *at != size) sizes->insert(at, size);
}

}  // namespace

void RbacIndex::Table::Add(const Key& key, uint32_t position) {
  empty_ = false;
  Positions* positions = &exact_;
  switch (key.kind) {
    case Key::Kind::kExact:
      break;
    case Key::Kind::kPrefix:
      positions = &prefixes_;
      AddSize(key.text.size(), &prefix_sizes_);
      break;
    case Key::Kind::kSuffix:
      positions = &suffixes_;
      AddSize(key.text.size(), &suffix_sizes_);
      break;
    case Key::Kind::kNamespace:
      positions = &namespaces_;
      break;
  }
  (*positions)[key.text].push_back(position);
}

void RbacIndex::Table::Find(std::string_view text, std::pmr::vector<uint32_t>* out) const {
  auto look_up = [&](const Positions& positions, std::string_view key) {
    auto found = positions.find(key);
    if (found != positions.end()) {
      out->insert(out->end(), found->second.begin(), found->second.end());
    }
  };
  if (!exact_.empty()) look_up(exact_, text);
  for (size_t size : prefix_sizes_) {
    if (size > text.size()) break;
    look_up(prefixes_, text.substr(0, size));
  }
  for (size_t size : suffix_sizes_) {
    if (size > text.size()) break;
    look_up(suffixes_, text.substr(text.size() - size));
  }
  if (namespaces_.empty()) return;
  constexpr std::string_view kMark = "/ns/";
  for (size_t mark = text.find(kMark); mark != std::string_view::npos;
       mark = text.find(kMark, mark + 1)) {
    const size_t begin = mark + kMark.size();
    const size_t end = text.find('/', begin);
    if (end == std::string_view::npos) return;
    look_up(namespaces_, text.substr(begin, end - begin));
  }
}

RbacIndex::RbacIndex(const Rbac& rules) {
  Bound paths, hosts, peers;
  for (const auto& policy : rules.policies) {
    paths.Add(KeysOfAny(policy->permissions, Attribute::kPath));
    hosts.Add(KeysOfAny(policy->permissions, Attribute::kHost));
    peers.Add(KeysOfAny(policy->principals, Attribute::kPeer));
  }
  for (size_t i = 0; i < rules.policies.size(); ++i) {
    const auto position = static_cast<uint32_t>(i);
    Table* table = nullptr;
    const std::vector<Key>* keys = nullptr;
    size_t cost = 0;
    auto consider = [&](const Bound& bound, Table* its_table) {
      const auto its_cost = bound.Cost(i);
      if (!its_cost || (table != nullptr && *its_cost >= cost)) return;
      table = its_table;
      keys = &*bound.keys[i];
      cost = *its_cost;
    };
    consider(peers, &peers_);
    consider(paths, &paths_);
    consider(hosts, &hosts_);
    if (table == nullptr) {
      always_.push_back(position);
      continue;
    }
    for (const Key& key : *keys) table->Add(key, position);
  }
}

void RbacIndex::Find(const Stream& stream, std::pmr::vector<uint32_t>* out) const {
  out->assign(always_.begin(), always_.end());
  if (!paths_.empty()) paths_.Find(PathWithoutQuery(stream.headers.path), out);
  if (!hosts_.empty()) hosts_.Find(ToLower(stream.headers.authority), out);
  if (!peers_.empty()) {
    auto look_up = [&](std::string_view name) {
      peers_.Find(name, out);
      return false;
    };
    AnyPeerName(stream.certificate, look_up);
    if (!stream.tunnel_peer.empty()) look_up(stream.tunnel_peer);
  }
  std::sort(out->begin(), out->end());
  out->erase(std::unique(out->begin(), out->end()), out->end());
}

namespace {

// The indexes that some proxy still has, by policies. An index keeps its policies, so that no other
// ones can come to stand where they stood.
class SharedIndexes {
 public:
  std::shared_ptr<const RbacIndex> Of(const Rbac& rules) {
    List list;
    list.reserve(rules.policies.size());
    for (const auto& policy : rules.policies) list.push_back(policy.get());
    {
      std::lock_guard lock(mutex_);
      auto known = known_.find(list);
      if (known != known_.end()) {
        if (auto index = known->second.lock()) return index;
      }
    }
    struct Kept {
      explicit Kept(const Rbac& rules) : policies(rules.policies), index(rules) {}
      std::vector<std::shared_ptr<const RbacPolicy>> policies;
      RbacIndex index;
    };
    auto kept = std::make_shared<const Kept>(rules);
    std::shared_ptr<const RbacIndex> index(kept, &kept->index);
    std::lock_guard lock(mutex_);
    if (known_.size() >= room_) {
      std::erase_if(known_, [](const auto& one) { return one.second.expired(); });
      room_ = std::max<size_t>(room_, 2 * known_.size());
    }
    known_[std::move(list)] = index;
    return index;
  }

 private:
  using List = std::vector<const RbacPolicy*>;
  struct Hash {
    size_t operator()(const List& list) const {
      size_t hash = list.size();
      for (const RbacPolicy* policy : list) {
        hash = (hash ^ std::hash<const RbacPolicy*>()(policy)) * 0x9E3779B97F4A7C15ULL;
        hash ^= hash >> 31;
      }
      return hash;
    }
  };
  std::mutex mutex_;
  std::unordered_map<List, std::weak_ptr<const RbacIndex>, Hash> known_;
  size_t room_ = 1024;
};

SharedIndexes& AllIndexes() {
  static auto* all = new SharedIndexes;  // to the end of the process
  return *all;
}

}  // namespace

void RbacIndexes::Add(const std::optional<Rbac>& rules) {
  if (!rules || rules->policies.size() < kLongList) return;
  auto [own, added] = indexes_.try_emplace(&*rules);
  if (added) own->second = AllIndexes().Of(*rules);
}

void RbacIndexes::Add(const RbacFilter& filter) {
  Add(filter.rules);
  Add(filter.shadow_rules);
}

const RbacIndex* RbacIndexes::Find(const Rbac& rules) const {
  if (rules.policies.size() < kLongList) return nullptr;
  auto found = indexes_.find(&rules);
  return found == indexes_.end() ? nullptr : found->second.get();
}

}  // namespace meshproof
