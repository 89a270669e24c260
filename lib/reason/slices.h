#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reason/space.h"

namespace meshproof {

// Cuts sets of requests into slices: the classes of the path, those together of which all tracked
// sets say the same. What is left of a set within a slice asks about everything but the path, so
// that questions about many rules are answered one slice at a time, each with the few rules that
// have something to say there. Slices are numbered by how pleasant their paths are to read.
//
// First Track everything, then Cut, then ask; later Track only what is known. Not for several
// threads at once.
class Slices {
 public:
  using Node = Space::Node;
  using Set = uint32_t;  // a tracked set
  struct Entry {
    Set set = 0;
    Node rest = 0;  // what is left of it here, never empty
  };
  struct Place {
    uint32_t slice = 0;
    Node rest = 0;
  };

  explicit Slices(Space* space);

  // Equal sets are one.
  Set Track(Node node);
  // It is tracked, or says nothing about the path.
  bool Knows(Node node) const {
    return known_.count(node) != 0 || !path_ || !space_.AsksAbout(*path_, node);
  }
  // False: there would be more entries than `limit`. With `within` there are slices only where
  // something is left of that set.
  bool Cut(size_t limit, std::optional<Set> within = std::nullopt);
  bool HaveAllPaths() const { return all_paths_; }

  size_t sets() const { return sets_.size(); }
  uint32_t count() const { return static_cast<uint32_t>(slices_.size()); }
  // What is left of a set in a slice.
  Node At(Set set, uint32_t slice) const {
    const Tracked& own = sets_[set];
    return own.asks_path ? space_.AtClass(*path_, slices_[slice].path, own.node) : own.node;
  }
  // A set that the path says nothing about: it is the same in all slices and has no entries.
  bool IsEverywhere(Set set) const { return !sets_[set].asks_path; }
  Node NodeOf(Set set) const { return sets_[set].node; }
  // The sets with something left in a slice, in the order of Track.
  struct Range {
    const Entry* first = nullptr;
    const Entry* last = nullptr;
    const Entry* begin() const { return first; }
    const Entry* end() const { return last; }
  };
  Range EntriesAt(uint32_t slice) const {
    const Slice& own = slices_[slice];
    return {entries_.data() + own.begin, entries_.data() + own.end};
  }
  // The slices in which something is left of a set, ascending.
  const std::vector<Place>& PlacesOf(Set set) const { return sets_[set].places; }

  // The path that stands for a slice; nothing asks about paths: none.
  std::optional<Space::FieldId> path() const { return path_; }
  uint32_t PathOf(uint32_t slice) const { return slices_[slice].path; }
  int RankOf(uint32_t slice) const { return slices_[slice].rank; }

 private:
  struct Tracked {
    Node node = 0;
    bool asks_path = false;
    std::vector<Place> places;
  };
  struct Slice {
    uint32_t path = 0;  // the most pleasant class
    int rank = 0;
    size_t begin = 0, end = 0;
  };

  Space& space_;
  std::optional<Space::FieldId> path_;
  std::unordered_map<Node, Set> known_;
  std::vector<Tracked> sets_;
  std::vector<Slice> slices_;
  std::vector<Entry> entries_;
  bool all_paths_ = true;
};

}  // namespace meshproof
