#include "report/verdict_text.h"

#include <algorithm>

#include "base/text.h"
#include "report/parts.h"
#include "report/verdict_json.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

constexpr size_t kShownNearMisses = 3;

std::string_view Headline(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAllow:
      return "ALLOW";
    case Outcome::kDeny:
      return "DENY";
    case Outcome::kReject:
      return "REJECT";
    case Outcome::kUndetermined:
      return "UNDETERMINED";
  }
  return "UNDETERMINED";
}

std::string Paint(Outcome outcome, std::string_view text, const Style& style) {
  switch (outcome) {
    case Outcome::kAllow:
      return style.Good(text);
    case Outcome::kDeny:
    case Outcome::kReject:
      return style.Bad(text);
    case Outcome::kUndetermined:
      return style.Unsure(text);
  }
  return std::string(text);
}

// A backquote would end the quotation; values are shown as they are, but without line breaks.
std::string Backquoted(std::string_view text) {
  std::string out = "`";
  for (char c : text) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += c;
    }
  }
  return out + "`";
}

// What the reader can do about it: one line, or nothing.
std::string Advice(const Verdict& verdict) {
  const ObjectMeta* object = verdict.decided_by.object;
  switch (verdict.outcome) {
    case Outcome::kAllow:
      return verdict.status == 404
                 ? "security lets it through, but no route takes it: check host and path"
                 : "";
    case Outcome::kUndetermined:
      return "state what is missing (--source-ip, --principal, --jwt, --ext-authz), or add it to "
             "the "
             "input";
    case Outcome::kDeny:
    case Outcome::kReject:
      break;
  }
  switch (verdict.stage) {
    case Stage::kMtls:
      return object != nullptr ? "let the caller speak mTLS (a sidecar), or relax " +
                                     ObjectText(*object) + " for this workload and port"
                               : "make the caller's TLS fit what the port accepts";
    case Stage::kJwt:
      return "send a token that the RequestAuthentication accepts, or none where none is required";
    case Stage::kCustom:
      return "the external authorizer has to allow it; the rule above sends it there";
    case Stage::kDeny:
      return "narrow the DENY rule above; an ALLOW rule cannot override it";
    case Stage::kAllow:
      if (!verdict.near_misses.empty()) {
        return "if this should be allowed, change the condition that failed, or add an ALLOW rule";
      }
      return "if this should be allowed, add an ALLOW rule that matches it";
    case Stage::kHttp:
      return "the proxy itself answered before any policy: send a request that it accepts";
    case Stage::kNone:
      break;
  }
  return "";
}

void AppendSection(std::string_view title, const std::vector<std::string>& lines,
                   const Style& style, std::string* out) {
  if (lines.empty()) return;
  *out += "\n" + style.Bold(title) + "\n";
  for (const auto& line : lines) *out += "  " + line + "\n";
}

std::string HopText(size_t index, const Hop& hop) {
  std::string text = std::to_string(index) + "  " + std::string(ProxyModeName(hop.mode)) + " " +
                     hop.ns + "/" + hop.workload + ":" + std::to_string(hop.destination_port);
  text += "  peer " + (hop.peer.empty() ? std::string("none") : hop.peer);
  text += ", source " + ToString(hop.source);
  text += "  -> " + std::string(ToString(hop.outcome));
  if (hop.status != 0) text += " " + std::to_string(hop.status);
  return text;
}

std::vector<std::string> TraceLines(const Verdict& verdict) {
  std::vector<std::string> lines;
  for (const auto& step : verdict.steps) {
    std::string stage(step.stage == Stage::kNone ? "-" : ToString(step.stage));
    std::string result(ToString(step.result));
    std::replace(result.begin(), result.end(), '_', ' ');
    stage.resize(std::max<size_t>(stage.size(), 6), ' ');
    result.resize(std::max<size_t>(result.size(), 8), ' ');
    std::string line = std::to_string(step.hop) + "  " + stage + "  " + result + "  " + step.text;
    std::string place = PlaceText(PlaceOf(step.origin));
    if (!place.empty()) line += "  (" + place + ")";
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::string VerdictLine(const Verdict& verdict, const Style& style) {
  std::string head(Headline(verdict.outcome));
  if (verdict.status != 0) head += " " + std::to_string(verdict.status);
  std::string line = Paint(verdict.outcome, head, style);
  if (!verdict.details.empty()) line += "  " + verdict.details;
  if (!verdict.flags.empty() && verdict.flags != "-") line += "  " + verdict.flags;
  return line;
}

std::string DecisionText(const Verdict& verdict) {
  if (verdict.outcome == Outcome::kUndetermined) return "something that decides is not known";
  std::string by = OriginText(verdict.decided_by);
  if (!by.empty()) return std::string(StageName(verdict)) + ": " + by;
  if (verdict.outcome == Outcome::kAllow) return "no policy stands in the way";
  switch (verdict.stage) {
    case Stage::kAllow:
      return "ALLOW policies apply and no rule of theirs matched";
    case Stage::kMtls:
      return "the port accepts no such connection";
    case Stage::kHttp:
      return "the proxy's HTTP layer";
    default:
      return "stage " + std::string(StageName(verdict));
  }
}

std::string NearMissText(const NearMiss& miss) {
  std::string text = miss.origin.rule >= 0 ? "rule " + std::to_string(miss.origin.rule) : "a rule";
  if (miss.origin.object != nullptr) text += " of " + NameText(*miss.origin.object);
  text += miss.failed <= 1 ? " fails only on " : " fails on ";
  text += miss.field;
  if (miss.failed > 1) {
    text += " and " + Counted(static_cast<size_t>(miss.failed - 1), "other condition");
  }
  text += miss.got.empty() ? ": got nothing" : ": got " + Backquoted(miss.got);
  text += ", the policy has " + Backquoted(miss.wanted);
  std::string place = PlaceText(miss.span ? miss.span : PlaceOf(miss.origin));
  if (!place.empty()) text += " (" + place + ")";
  return text;
}

std::string VerdictText(const Verdict& verdict, std::string_view request, const Style& style) {
  std::string out = VerdictLine(verdict, style) + "\n";
  out += "  " + DecisionText(verdict) + "\n";
  if (!request.empty()) out += "  " + style.Dim(request) + "\n";
  if (!verdict.body.empty()) out += "  body: " + Backquoted(verdict.body) + "\n";
  if (verdict.grpc_status >= 0) {
    out += "  grpc-status: " + std::to_string(verdict.grpc_status) + "\n";
  }
  AppendSection("missing", verdict.missing, style, &out);
  std::vector<std::string> lines;
  for (const auto& miss : verdict.near_misses) {
    if (lines.size() == kShownNearMisses) break;
    lines.push_back(NearMissText(miss));
  }
  AppendSection("near misses", lines, style, &out);
  lines.clear();
  for (size_t i = 0; i < verdict.hops.size(); ++i) lines.push_back(HopText(i, verdict.hops[i]));
  AppendSection("hops", lines, style, &out);
  AppendSection("trace", TraceLines(verdict), style, &out);
  std::string advice = Advice(verdict);
  if (!advice.empty()) AppendSection("what to do", {advice}, style, &out);
  return out;
}

}  // namespace meshproof
