// The names of the fields are those of `openssl x509 -text`.

#include "report/certificate_report.h"

#include <algorithm>

#include "base/text.h"
#include "report/excerpt.h"
#include "report/parts.h"

namespace meshproof {
namespace {

std::string NamesText(const X509Certificate& certificate) {
  std::vector<std::string> names;
  for (const auto& name : certificate.dns_names) names.push_back("DNS:" + name);
  for (const auto& uri : certificate.uris) names.push_back("URI:" + uri);
  for (const auto& address : certificate.addresses) names.push_back("IP Address:" + address);
  return Join(names, ", ");
}

Json Texts(const std::vector<std::string>& values) {
  Json out = Json::MakeArray();
  for (const auto& value : values) out.Append(value);
  return out;
}

void AppendField(const char* name, const std::string& value, std::string* out) {
  constexpr size_t kColumn = 26;
  std::string line = "  " + std::string(name) + ": ";
  if (line.size() < kColumn) line.resize(kColumn, ' ');
  *out += line + (value.empty() ? "(empty)" : Printable(value)) + "\n";
}

void AppendRow(const CertificateRow& row, const Style& style, std::string* out) {
  const X509Certificate& certificate = row.certificate;
  *out += (row.ok() ? style.Good("OK") : style.Bad("BAD")) + "  " +
          style.Bold(Printable(row.source)) + "  (" + std::string(ToString(row.role)) + ")\n";
  AppendField("Serial Number", ToLower(certificate.serial), out);
  AppendField("Issuer", certificate.issuer, out);
  AppendField("Not Before", TimeText(certificate.not_before), out);
  AppendField("Not After", TimeText(certificate.not_after), out);
  AppendField("Subject", certificate.subject, out);
  AppendField("Public Key Algorithm",
              certificate.key_type + " (" + std::to_string(certificate.key_bits) + " bit)", out);
  AppendField("Signature Algorithm", certificate.signature, out);
  if (certificate.has_key_usage) {
    AppendField(
        "Key Usage",
        (certificate.key_usage_critical ? "critical " : "") + Join(certificate.key_usages, ", "),
        out);
  }
  if (certificate.has_extended_usage) {
    AppendField("Extended Key Usage", Join(certificate.extended_usages, ", "), out);
  }
  AppendField("Basic Constraints", certificate.is_ca ? "CA:TRUE" : "CA:FALSE", out);
  if (certificate.has_alternative_names) {
    AppendField("Subject Alt. Name",
                (certificate.names_critical ? "critical " : "") + NamesText(certificate), out);
  }
  for (const auto& check : row.checks) {
    std::string mark = !check.ok ? style.Unsure("?   ") : *check.ok ? "ok  " : style.Bad("BAD ");
    std::string name = check.name;
    name.resize(std::max<size_t>(name.size(), 18), ' ');
    *out += "    " + mark + " " + name + " " + Printable(check.text) + "\n";
  }
}

}  // namespace

bool CertificateRow::ok() const {
  return std::none_of(checks.begin(), checks.end(), [](const CertificateCheck& check) {
    return check.ok.has_value() && !*check.ok;
  });
}

std::string CertificateReportText(const CertificateReport& report, const Style& style) {
  std::string out;
  for (const auto& row : report.rows) {
    AppendRow(row, style, &out);
    out += "\n";
  }
  for (const auto& [source, why] : report.missing) {
    out += style.Unsure("NONE") + "  " + Printable(source) + ": " + Printable(why) + "\n";
  }
  if (!report.missing.empty()) out += "\n";
  auto bad = std::count_if(report.rows.begin(), report.rows.end(),
                           [](const CertificateRow& row) { return !row.ok(); });
  out += Counted(report.rows.size(), "certificate") + ", " + std::to_string(bad) + " bad\n";
  return out;
}

Json CertificateReportJson(const CertificateReport& report) {
  Json certificates = Json::MakeArray();
  for (const auto& row : report.rows) {
    const X509Certificate& certificate = row.certificate;
    Json out = Json::MakeObject({{"source", row.source}, {"subject", certificate.subject}});
    out.Set("spiffe_ids", Texts(certificate.uris));
    out.Set("not_before", TimeText(certificate.not_before));
    out.Set("not_after", TimeText(certificate.not_after));
    Json checks = Json::MakeArray();
    for (const auto& check : row.checks) {
      Json one = Json::MakeObject({{"name", check.name}});
      one.Set("ok", check.ok ? Json(*check.ok) : Json());
      one.Set("text", check.text);
      checks.Append(std::move(one));
    }
    out.Set("checks", std::move(checks));
    out.Set("role", ToString(row.role));
    out.Set("issuer", certificate.issuer);
    out.Set("serial", ToLower(certificate.serial));
    out.Set("dns_names", Texts(certificate.dns_names));
    out.Set("fingerprint", certificate.fingerprint);
    out.Set("location", LocationJson(row.span));
    certificates.Append(std::move(out));
  }
  Json missing = Json::MakeArray();
  for (const auto& [source, why] : report.missing) {
    missing.Append(Json::MakeObject({{"source", source}, {"reason", why}}));
  }
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("certificates", std::move(certificates));
  out.Set("missing", std::move(missing));
  return out;
}

}  // namespace meshproof
