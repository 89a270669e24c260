#include "proxy/dump_certificates.h"

#include "crypto/x509.h"

namespace meshproof {

std::vector<DumpCertificate> ReadDumpCertificates(std::string_view pem) {
  std::vector<DumpCertificate> certificates;
  for (auto& block : ReadCertificates(pem)) {
    if (!block.certificate) continue;
    auto& read = *block.certificate;
    DumpCertificate certificate;
    certificate.serial = std::move(read.serial);
    certificate.subject = std::move(read.subject);
    certificate.key_id = std::move(read.key_id);
    certificate.uris = std::move(read.uris);
    certificate.not_before = read.not_before;
    certificate.not_after = read.not_after;
    certificates.push_back(std::move(certificate));
  }
  return certificates;
}

std::string CertificateDate(int64_t seconds_since_epoch) {
  return DateText(seconds_since_epoch);
}

}  // namespace meshproof
