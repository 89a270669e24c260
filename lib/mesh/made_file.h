#pragma once

#include <string_view>

#include "model/model.h"
#include "source/source.h"

// Objects that nobody wrote: they stand for what dumps say of a mesh. Their labels and annotations
// were made to mean it, so that no reason may name them.
namespace meshproof {

// Stands for a file.
inline constexpr std::string_view kMadeFile = "(the dumps' proxies)";

inline bool IsMade(const ObjectMeta& object) {
  return object.file != nullptr && object.file->name() == kMadeFile;
}

}  // namespace meshproof
