#pragma once

#include <string>
#include <string_view>

namespace meshproof {

// Why `text` holds no PEM block whose label ends in `label` ("CERTIFICATE", "PRIVATE KEY") with DER
// inside; "" where it holds one. Looks at the form alone, not at what the certificate says.
std::string PemProblem(std::string_view text, std::string_view label);

}  // namespace meshproof
