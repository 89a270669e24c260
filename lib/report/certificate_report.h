#pragma once

#include <string>
#include <vector>

#include "base/json.h"
#include "proxy/read_certificates.h"
#include "report/style.h"

namespace meshproof {

// One certificate and what became of it.
struct CertificateRow {
  std::string source;
  Span span;  // where it stands in a document; of a file of its own: none
  CertificateRole role = CertificateRole::kWorkload;
  X509Certificate certificate;
  std::vector<CertificateCheck> checks;
  bool ok() const;
};

struct CertificateReport {
  std::vector<CertificateRow> rows;
  // Places that should hold a certificate and hold none that can be read, and why.
  std::vector<std::pair<std::string, std::string>> missing;
};

std::string CertificateReportText(const CertificateReport& report, const Style& style = {});
Json CertificateReportJson(const CertificateReport& report);

}  // namespace meshproof
