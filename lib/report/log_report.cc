#include "report/log_report.h"

#include "report/excerpt.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/verdict_json.h"
#include "report/verdict_text.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

// The request of a line, or who spoke to whom.
std::string Subject(const LogRecord& record) {
  if (record.kind == LogKind::kZtunnel) {
    return std::string(record[LogField::kRemote]) + " -> " + std::string(record[LogField::kLocal]);
  }
  std::string_view method = record[LogField::kMethod];
  std::string text;
  if (method.empty()) {
    text = record[LogField::kLocal].empty() ? "" : "to " + std::string(record[LogField::kLocal]);
  } else {
    text = std::string(method) + " " + std::string(record[LogField::kAuthority]) +
           std::string(record[LogField::kPath]);
  }
  return text;
}

void AppendGroup(const LogGroup& group, const Style& style, std::string* out) {
  const LogExplanation& why = group.explanation;
  std::string status = why.status == 0 ? "000" : std::to_string(why.status);
  *out += "\n" + style.Bold(std::to_string(group.count) + "x") + "  " + style.Bad(status) + " " +
          Printable(why.flags);
  if (!why.details.empty()) *out += "  " + Printable(why.details);
  *out += style.Dim("  first in line " + std::to_string(group.first_line)) + "\n";
  std::string subject = Subject(group.first);
  if (!subject.empty()) *out += "  " + Printable(subject) + "\n";
  *out += "  " + Printable(why.sentence) + "\n";
  std::string by = OriginText(why.origin);
  if (!by.empty()) *out += "  by  " + Printable(by) + "\n";
  if (!why.fix.empty()) *out += "  fix " + Printable(why.fix) + "\n";
}

std::string Rest(size_t others, size_t unreadable, size_t first_unreadable) {
  std::string text;
  if (others > 0) text += ", " + Counted(others, "other line");
  if (unreadable > 0) {
    text += ", " + std::to_string(unreadable) + " unreadable (the first is line " +
            std::to_string(first_unreadable) + ")";
  }
  return text;
}

Json CountsJson(const std::string& file, const LogSummary& summary, size_t refused) {
  Json out = Json::MakeObject({{"file", file}});
  out.Set("lines", summary.lines);
  out.Set("passed", summary.passed);
  out.Set("refused_or_failed", refused);
  out.Set("others", summary.others);
  out.Set("unreadable", summary.unreadable);
  out.Set("first_unreadable", summary.unreadable > 0 ? Json(summary.first_unreadable) : Json());
  return out;
}

size_t CountOf(const LogSummary& summary) {
  size_t count = 0;
  for (const auto& group : summary.groups) count += group.count;
  return count;
}

std::string ReplayChangeText(const ReplayChange& change, const Style& style) {
  const bool was = change.was.outcome == Outcome::kAllow;
  const bool would = change.would.outcome == Outcome::kAllow;
  if (was == would) return style.Unsure(would ? "routed otherwise" : "refused otherwise");
  return would ? style.Unsure("newly let through") : style.Bad("newly refused");
}

std::string AnswerText(const LoggedAnswer& was) {
  std::string text(ToString(was.outcome));
  if (was.status != 0) text += " " + std::to_string(was.status);
  if (was.flags != "-" && !was.flags.empty()) text += " " + was.flags;
  if (!was.details.empty()) text += "  " + was.details;
  return text;
}

}  // namespace

std::string LogReportText(const std::vector<LogFileReport>& files, const Style& style) {
  std::string out;
  for (const auto& report : files) {
    const LogSummary& summary = report.summary;
    if (!out.empty()) out += "\n";
    out += style.Bold(Printable(report.file)) + ": " + Counted(summary.lines, "line") + ", " +
           std::to_string(summary.passed) + " passed, " + std::to_string(CountOf(summary)) +
           " refused or failed in " + Counted(summary.groups.size(), "group") +
           Rest(summary.others, summary.unreadable, summary.first_unreadable) + "\n";
    for (const auto& group : summary.groups) AppendGroup(group, style, &out);
  }
  return out;
}

Json LogReportJson(const std::vector<LogFileReport>& files) {
  Json groups = Json::MakeArray();
  Json counts = Json::MakeArray();
  for (const auto& report : files) {
    for (const auto& group : report.summary.groups) {
      const LogExplanation& why = group.explanation;
      Json out = Json::MakeObject({{"count", group.count}});
      out.Set("first_line", group.first_line);
      out.Set("status", why.status);
      out.Set("flags", why.flags);
      out.Set("details", why.details);
      out.Set("sentence", why.sentence);
      out.Set("policy", ObjectJson(why.origin.object));
      out.Set("location", LocationJson(PlaceOf(why.origin)));
      out.Set("fix", why.fix.empty() ? Json() : Json(why.fix));
      out.Set("rule", RuleJson(why.origin));
      out.Set("file", report.file);
      out.Set("request", Subject(group.first));
      groups.Append(std::move(out));
    }
    counts.Append(CountsJson(report.file, report.summary, CountOf(report.summary)));
  }
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("groups", std::move(groups));
  out.Set("summary", std::move(counts));
  return out;
}

std::string ReplayText(const std::string& file, const ReplaySummary& summary, const Style& style) {
  size_t changed = 0, undecided = 0;
  for (const auto& change : summary.changes) changed += change.count;
  for (const auto& one : summary.undecided) undecided += one.count;
  std::string out = style.Bold(Printable(file)) + ": " + Counted(summary.requests, "request") +
                    ", " + std::to_string(summary.same) + " answered alike, " +
                    std::to_string(changed) + " changed, " + std::to_string(undecided) +
                    " undecided" +
                    Rest(summary.others, summary.unreadable, summary.first_unreadable) + "\n";
  for (const auto& change : summary.changes) {
    bool opens = change.would.outcome == Outcome::kAllow;
    out += "\n" + style.Bold(std::to_string(change.count) + "x") + "  " +
           ReplayChangeText(change, style) +
           style.Dim("  first in line " + std::to_string(change.first_line)) + "\n";
    out += "  " + Printable(QuestionText(change.request)) + "\n";
    out += "  was    " + Printable(AnswerText(change.was)) + "\n";
    out += "  would  " + Printable(VerdictLine(change.would)) + "\n";
    std::string why = DecisionText(change.would);
    if (!why.empty()) out += "         " + Printable(why) + "\n";
    if (!opens && !change.would.near_misses.empty()) {
      out += "         " + Printable(NearMissText(change.would.near_misses.front())) + "\n";
    }
  }
  if (!summary.undecided.empty()) out += "\n" + style.Bold("undecided") + "\n";
  for (const auto& one : summary.undecided) {
    out += "  " + std::to_string(one.count) + "x  " + Printable(one.reason) +
           style.Dim("  first in line " + std::to_string(one.first_line)) + "\n";
  }
  return out;
}

Json ReplayJson(const ReplaySummary& summary) {
  Json changes = Json::MakeArray();
  for (const auto& change : summary.changes) {
    Json was = Json::MakeObject({{"verdict", ToString(change.was.outcome)}});
    was.Set("status", change.was.status);
    was.Set("flags", change.was.flags);
    was.Set("details", change.was.details);
    Json out = Json::MakeObject({{"count", change.count}});
    out.Set("first_line", change.first_line);
    out.Set("request", CaseToJson(change.request));
    out.Set("was", std::move(was));
    out.Set("would", VerdictJson(change.would));
    changes.Append(std::move(out));
  }
  Json undecided = Json::MakeArray();
  for (const auto& one : summary.undecided) {
    Json out = Json::MakeObject({{"count", one.count}, {"reason", one.reason}});
    out.Set("first_line", one.first_line);
    undecided.Append(std::move(out));
  }
  Json counts = Json::MakeObject({{"lines", summary.lines}, {"requests", summary.requests}});
  counts.Set("same", summary.same);
  counts.Set("others", summary.others);
  counts.Set("unreadable", summary.unreadable);
  counts.Set("first_unreadable", summary.unreadable > 0 ? Json(summary.first_unreadable) : Json());
  Json out = Json::MakeObject({{"version", 1}});
  out.Set("changes", std::move(changes));
  out.Set("undecided", std::move(undecided));
  out.Set("summary", std::move(counts));
  return out;
}

}  // namespace meshproof
