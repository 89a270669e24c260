// Which rules say anything about a path is what tells requests apart most: of a thousand rules a
// handful touches one path. The classes of the path are therefore kept as a list beside the
// diagrams. For each class the tracked sets are reduced to what they say about all else; classes
// with the same list are one slice.

#include "reason/slices.h"

#include <algorithm>

namespace meshproof {
namespace {

uint64_t Mixed(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0xBF58476D1CE4E5B9ULL;
  return hash ^ (hash >> 29);
}

}  // namespace

Slices::Slices(Space* space) : space_(*space), path_(space->Find("path")) {}

Slices::Set Slices::Track(Node node) {
  auto [found, added] = known_.try_emplace(node, static_cast<Set>(sets_.size()));
  if (added) sets_.push_back({node, path_ && space_.AsksAbout(*path_, node), {}});
  return found->second;
}

bool Slices::Cut(size_t limit, std::optional<Set> within) {
  size_t classes = path_ ? space_.ClassCount(*path_) : 1;
  std::vector<bool> wanted(classes, true);
  Node paths = Bdd::kTrue;
  if (within && sets_[*within].asks_path) {
    wanted.assign(classes, false);
    space_.EachClass(*path_, sets_[*within].node, [&](uint32_t at, Node) {
      wanted[at] = true;
      return false;
    });
    paths = space_.bdd().Exists(
        sets_[*within].node,
        space_.VariablesOf([](const std::string& name) { return name != "path"; }));
    all_paths_ = std::find(wanted.begin(), wanted.end(), false) == wanted.end();
  }
  // How many entries each class has, then the entries class by class.
  struct Seen {
    uint32_t path = 0;
    Entry entry;
  };
  std::vector<Seen> seen;
  std::vector<size_t> ends(classes + 1, 0);
  for (Set set = 0; set < sets_.size(); ++set) {
    if (!sets_[set].asks_path) continue;
    size_t before = seen.size();
    const Node node = space_.bdd().And(sets_[set].node, paths);
    bool stopped = space_.EachClass(*path_, node, [&](uint32_t at, Node rest) {
      seen.push_back({at, {set, rest}});
      ++ends[at + 1];
      return seen.size() > limit;
    });
    if (stopped) return false;
    sets_[set].places.reserve(seen.size() - before);
  }
  for (size_t at = 0; at < classes; ++at) ends[at + 1] += ends[at];
  std::vector<Entry> sorted(seen.size());
  std::vector<size_t> next(ends.begin(), ends.end() - 1);
  for (const Seen& one : seen) sorted[next[one.path]++] = one.entry;

  std::vector<uint32_t> order(classes);
  for (uint32_t at = 0; at < classes; ++at) order[at] = at;
  auto rank_of = [&](uint32_t at) { return path_ ? space_.RankOf(*path_, at) : 0; };
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return rank_of(a) < rank_of(b); });
  std::unordered_multimap<uint64_t, uint32_t> by_hash;
  for (uint32_t at : order) {
    if (!wanted[at]) continue;
    const Entry* begin = sorted.data() + ends[at];
    const Entry* end = sorted.data() + ends[at + 1];
    uint64_t hash = 0x9E3779B97F4A7C15ULL;
    for (const Entry* entry = begin; entry != end; ++entry) {
      hash = Mixed(hash, static_cast<uint64_t>(entry->set) << 32 | entry->rest);
    }
    auto alike = by_hash.equal_range(hash);
    bool known = std::any_of(alike.first, alike.second, [&](const auto& one) {
      Range own = EntriesAt(one.second);
      return std::equal(own.begin(), own.end(), begin, end, [](const Entry& a, const Entry& b) {
        return a.set == b.set && a.rest == b.rest;
      });
    });
    if (known) continue;
    auto slice = static_cast<uint32_t>(slices_.size());
    by_hash.emplace(hash, slice);
    size_t first = entries_.size();
    entries_.insert(entries_.end(), begin, end);
    slices_.push_back({at, rank_of(at), first, entries_.size()});
    for (const Entry* entry = begin; entry != end; ++entry) {
      sets_[entry->set].places.push_back({slice, entry->rest});
    }
  }
  return true;
}

}  // namespace meshproof
