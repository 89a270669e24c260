#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace meshproof {

// Base64 as Kubernetes writes it in Secrets; line breaks are skipped. Nothing on bad input.
std::optional<std::string> DecodeBase64(std::string_view text);

// Why `text` holds no PEM block whose label ends in `label` ("CERTIFICATE", "PRIVATE KEY") with DER
// inside; "" where it holds one. Looks at the form alone, not at what the certificate says.
std::string PemProblem(std::string_view text, std::string_view label);

}  // namespace meshproof
