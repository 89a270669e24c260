#pragma once

namespace meshproof {

inline constexpr char kVersion[] = "0.1.0";

}  // namespace meshproof
