#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace meshproof {

// A certificate of a dump's secret, as far as drift looks at it.
struct DumpCertificate {
  std::string serial;  // upper-case hex
  std::string subject;
  std::string key_id;  // equal for equal keys
  std::vector<std::string> uris;
  int64_t not_before = 0, not_after = 0;  // seconds since the epoch
};

// The certificates of a PEM text in order; blocks that are none are left out.
std::vector<DumpCertificate> ReadDumpCertificates(std::string_view pem);

// "2031-04-05".
std::string CertificateDate(int64_t seconds_since_epoch);

}  // namespace meshproof
