#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace meshproof {

// Base64 as Kubernetes writes it in Secrets and proto JSON bytes; line breaks are skipped. Nothing
// on bad input.
std::optional<std::string> DecodeBase64(std::string_view text);

}  // namespace meshproof
