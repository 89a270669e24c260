// JUnit XML as Jenkins and GitLab read it: a suite for each file, a failed test for each finding
// that makes the run fail, one that passes where a file has no finding.
#include <map>

#include "analyze/rule.h"
#include "report/findings.h"
#include "report/rule_page.h"
#include "report/xml.h"

namespace meshproof {
namespace {

constexpr char kNoFile[] = "meshproof";  // the suite of findings about no file

std::string Details(const FindingsReport& report, const Finding& finding) {
  FindingsReport one;
  one.findings = {finding};
  one.istioctl_codes = report.istioctl_codes;
  std::string text = FindingsText(one);
  // Without the summary, which stands behind an empty line.
  return text.substr(0, text.rfind("\n\n") + 1);
}

std::string TestCase(const FindingsReport& report, const std::string& suite,
                     const Finding& finding) {
  auto place = PlaceOf(finding);
  std::string name = RuleText(report, finding);
  std::string object = ObjectText(finding.object);
  if (!object.empty()) name += " " + object;
  if (place) name += " line " + std::to_string(place->line);
  // `file` and `line`, which some readers know, are not in Jenkins' schema.
  std::string out =
      "    <testcase" + XmlAttribute("classname", suite) + XmlAttribute("name", name) + ">\n";
  if (report.Fails(finding)) {
    out += "      <failure" + XmlAttribute("type", ToString(finding.severity)) +
           XmlAttribute("message", finding.message) + ">" + XmlText(Details(report, finding)) +
           "</failure>\n";
  } else if (finding.suppressed) {
    out += "      <skipped" + XmlAttribute("message", finding.suppressed->reason) + "/>\n";
  } else {
    out += "      <system-out>" + XmlText(Details(report, finding)) + "</system-out>\n";
  }
  return out + "    </testcase>\n";
}

std::string FindingCounts(size_t tests, size_t failures, size_t skipped) {
  return XmlAttribute("tests", std::to_string(tests)) +
         XmlAttribute("failures", std::to_string(failures)) + XmlAttribute("errors", "0") +
         XmlAttribute("skipped", std::to_string(skipped));
}

}  // namespace

std::string FindingsJunit(const FindingsReport& report) {
  std::map<std::string, std::vector<const Finding*>> suites;
  for (const auto& file : report.files) suites[RelativePath(report.directory, file)];
  for (const Finding& finding : report.findings) {
    auto place = PlaceOf(finding);
    suites[place ? RelativePath(report.directory, place->file) : kNoFile].push_back(&finding);
  }
  if (suites.empty()) suites[kNoFile];
  size_t all_tests = 0, all_failures = 0;
  std::string body;
  for (const auto& [suite, findings] : suites) {
    size_t failures = 0, skipped = 0;
    std::string cases;
    for (const Finding* finding : findings) {
      cases += TestCase(report, suite, *finding);
      failures += report.Fails(*finding);
      skipped += finding->suppressed.has_value();
    }
    if (findings.empty()) {
      cases = "    <testcase" + XmlAttribute("classname", suite) +
              XmlAttribute("name", "no finding") + "/>\n";
    }
    size_t tests = findings.empty() ? 1 : findings.size();
    body += "  <testsuite" + XmlAttribute("name", suite) + FindingCounts(tests, failures, skipped) +
            ">\n" + cases + "  </testsuite>\n";
    all_tests += tests;
    all_failures += failures;
  }
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites" +
         XmlAttribute("name", "meshproof analyze") +
         XmlAttribute("tests", std::to_string(all_tests)) +
         XmlAttribute("failures", std::to_string(all_failures)) + XmlAttribute("errors", "0") +
         ">\n" + body + "</testsuites>\n";
}

}  // namespace meshproof
