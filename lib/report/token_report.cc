#include "report/token_report.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "crypto/jwt_meaning.h"
#include "crypto/x509.h"
#include "report/excerpt.h"
#include "report/parts.h"

namespace meshproof {
namespace {

using Kind = TokenAnswer::Kind;

Kind Worse(Kind a, Kind b) {
  if (a == Kind::kUndetermined || b == Kind::kUndetermined) return Kind::kUndetermined;
  return a == Kind::kRefused || b == Kind::kRefused ? Kind::kRefused : Kind::kAccepted;
}

bool IsMeantFor(const TokenReport& report, const TokenCheck& check) {
  // Where no rule has the token's issuer, every one answers that it does not know it.
  bool any = std::any_of(report.checks.begin(), report.checks.end(),
                         [](const TokenCheck& one) { return one.same_issuer; });
  return check.same_issuer || !any;
}

std::string Seconds(const TokenReport& report, uint64_t at) {
  constexpr uint64_t kYear9999 = 253402300799;
  if (at > kYear9999) return "never";
  auto time = static_cast<int64_t>(at);
  int64_t apart = time > report.now ? time - report.now : report.now - time;
  constexpr std::array<std::pair<int64_t, const char*>, 4> kUnits = {
      std::pair{int64_t{86400}, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
  std::string distance = "now";
  for (const auto& [size, name] : kUnits) {
    if (apart < size) continue;
    distance = Counted(static_cast<size_t>(apart / size), name);
    distance = time > report.now ? "in " + distance : distance + " ago";
    break;
  }
  return TimeText(time) + ", " + distance;
}

bool IsTime(std::string_view claim) {
  return claim == "exp" || claim == "nbf" || claim == "iat" || claim == "auth_time";
}

void AppendValues(const TokenReport& report, const char* title, const Json& values,
                  const Style& style, std::string* out) {
  *out += "\n" + style.Bold(title) + "\n";
  if (!values.is_object()) return;
  size_t width = 0;
  for (const auto& [name, value] : values.as_object()) width = std::max(width, name.size());
  width = std::min<size_t>(width, 24);
  for (const auto& [name, value] : values.as_object()) {
    std::string key = Printable(name);
    if (key.size() < width) key.resize(width, ' ');
    std::string text = value.is_string() ? value.as_string() : WriteJson(value);
    *out += "  " + key + "  " + Printable(text);
    if (IsTime(name) && value.is_integer() && value.as_integer() >= 0) {
      *out += "  (" + Seconds(report, static_cast<uint64_t>(value.as_integer())) + ")";
    }
    *out += "\n";
  }
}

std::string AnswerLine(const TokenAnswer& answer, const Style& style) {
  switch (answer.kind) {
    case Kind::kAccepted:
      return style.Good("200") + "  the token is accepted";
    case Kind::kRefused:
      return style.Bad(std::to_string(answer.status)) + "  " + answer.details + "  body: `" +
             Printable(answer.body) + "`";
    case Kind::kUndetermined:
      return style.Unsure("?") + "    " + Printable(answer.missing);
  }
  return "";
}

void AppendAnswer(const TokenAnswer& answer, const Style& style, std::string* out) {
  *out += "    " + AnswerLine(answer, style) + "\n";
  if (!answer.place.empty() && answer.place != "Authorization: Bearer <token>") {
    *out += "    sent as " + Printable(answer.place) + "\n";
  }
  if (answer.kind == Kind::kRefused) {
    if (const JwtMeaning* meaning = FindJwtMeaning(answer.body)) {
      *out += "    why: " + std::string(meaning->why) +
              "\n    to pass: " + std::string(meaning->fix) + "\n";
    }
  }
  for (const auto& [name, value] : answer.headers) {
    *out += "    sets " + Printable(name) + ": " + Printable(value) + "\n";
  }
}

std::string CheckTitle(const TokenCheck& check) {
  if (check.origin.object == nullptr) return "the key set of --jwks";
  return Printable(OriginText(check.origin)) + "  issuer " +
         (check.issuer.empty() ? "(any)" : Printable(check.issuer));
}

void AppendChecks(const TokenReport& report, const Style& style, std::string* out) {
  if (report.answer) {
    *out += "\n" + style.Bold("at " + report.workload) + "\n";
    std::string by = Printable(OriginText(report.answer->origin));
    if (!by.empty()) *out += "  " + by + "\n";
    AppendAnswer(*report.answer, style, out);
  }
  if (report.checks.empty()) return;
  *out += "\n" + style.Bold("checks") + "\n";
  size_t others = 0;
  for (const auto& check : report.checks) {
    if (!IsMeantFor(report, check)) {
      ++others;
      continue;
    }
    *out += "  " + CheckTitle(check) + "\n";
    AppendAnswer(check.answer, style, out);
  }
  if (others > 0) {
    *out += "  " + Counted(others, "rule") + " of other issuers: " +
            "401 `Jwt issuer is not configured` where no rule of this issuer applies too\n";
  }
}

void AppendServiceAccount(const TokenReport& report, const Style& style, std::string* out) {
  ServiceAccountToken account;
  if (!ReadServiceAccountToken(report.token.jwt.payload, &account)) return;
  *out += "\n" + style.Bold("service account") + "\n";
  *out += "  " + Printable(account.ns + "/" + account.account) +
          (account.pod.empty() ? "" : ", bound to pod " + Printable(account.pod)) + "\n";
  std::string domain = report.trust_domain.empty() ? "TRUST_DOMAIN" : report.trust_domain;
  *out += "  the identity of its workloads: spiffe://" +
          Printable(domain + "/ns/" + account.ns + "/sa/" + account.account) + "\n";
  const auto& audiences = report.token.jwt.audiences;
  if (std::find(audiences.begin(), audiences.end(), "istio-ca") != audiences.end()) {
    *out += "  its audience is istio-ca: a proxy shows it to istiod to get its certificate\n";
  }
  if (!account.expires) *out += "  it never expires: a token of the old kind, kept in a Secret\n";
}

void AppendNotes(const TokenReport& report, std::string* out) {
  auto claims = UnmatchableClaims(report.token.jwt.payload);
  if (claims.empty()) return;
  *out += "\nno condition on request.auth.claims matches " + Printable(Join(claims, ", ")) +
          ": Istio compares strings only\n";
}

Json AnswerJson(const TokenAnswer& answer) {
  Json out = Json::MakeObject();
  const char* outcome = answer.kind == Kind::kAccepted  ? "accepted"
                        : answer.kind == Kind::kRefused ? "refused"
                                                        : "undetermined";
  out.Set("status", answer.kind == Kind::kUndetermined ? Json() : Json(answer.status));
  out.Set("details", answer.details);
  out.Set("outcome", outcome);
  out.Set("body", answer.body);
  out.Set("missing", answer.missing.empty() ? Json() : Json(answer.missing));
  out.Set("sent_as", answer.place);
  Json headers = Json::MakeArray();
  for (const auto& [name, value] : answer.headers) {
    headers.Append(Json::MakeObject({{"name", name}, {"value", value}}));
  }
  out.Set("sets_headers", std::move(headers));
  return out;
}

Json CheckJson(const Origin& origin, const Json& issuer, const TokenAnswer& answer) {
  Json out = Json::MakeObject({{"policy", ObjectJson(origin.object)}});
  out.Set("rule", RuleJson(origin));
  out.Set("location", LocationJson(PlaceOf(origin)));
  out.Set("issuer", issuer);
  Json more = AnswerJson(answer);
  for (auto& [key, value] : more.as_object()) out.Set(key, std::move(value));
  return out;
}

}  // namespace

Kind Conclusion(const TokenReport& report) {
  if (!report.token.status.ok()) return Kind::kRefused;
  if (report.answer) return report.answer->kind;
  if (report.checks.empty()) {
    return CheckTimes(report.token.jwt, report.now).ok() ? Kind::kUndetermined : Kind::kRefused;
  }
  Kind worst = Kind::kAccepted;
  for (const auto& check : report.checks) {
    if (IsMeantFor(report, check)) worst = Worse(worst, check.answer.kind);
  }
  return worst;
}

std::string TokenReportText(const TokenReport& report, const Style& style) {
  std::string out;
  if (!report.token.status.ok()) {
    const std::string& status = report.token.status.text;
    out += style.Bad("REFUSED 401") + "  " + status + "\n";
    if (const JwtMeaning* meaning = FindJwtMeaning(status)) {
      out += "  " + std::string(meaning->why) + "; " + std::string(meaning->fix) + "\n";
    }
    out += "  Envoy answers so wherever it looks for a token and finds this one\n";
    return out;
  }
  Kind kind = Conclusion(report);
  JwtStatus times = CheckTimes(report.token.jwt, report.now);
  if (kind == Kind::kAccepted) {
    out += style.Good("ACCEPTED");
  } else if (kind == Kind::kRefused) {
    out += style.Bad("REFUSED");
    if (report.checks.empty() && !report.answer) out += "  " + times.text;
  } else {
    out += style.Unsure("UNDETERMINED");
  }
  out += "\n";
  if (!report.missing.empty()) out += "  " + Printable(report.missing) + "\n";
  std::string principal = RequestPrincipalOf(report.token.jwt.payload);
  out += "  request principal  " +
         (principal.empty() ? "none: the token lacks iss or sub" : Printable(principal)) + "\n";
  AppendValues(report, "header", report.token.jwt.header, style, &out);
  AppendValues(report, "claims", report.token.jwt.payload, style, &out);
  AppendServiceAccount(report, style, &out);
  AppendChecks(report, style, &out);
  AppendNotes(report, &out);
  return out;
}

Json TokenReportJson(const TokenReport& report) {
  Json out = Json::MakeObject({{"version", 1}});
  bool parsed = report.token.status.ok();
  const char* verdict = Conclusion(report) == Kind::kAccepted  ? "accepted"
                        : Conclusion(report) == Kind::kRefused ? "refused"
                                                               : "undetermined";
  out.Set("header", parsed ? report.token.jwt.header : Json());
  out.Set("claims", parsed ? report.token.jwt.payload : Json());
  std::string principal = parsed ? RequestPrincipalOf(report.token.jwt.payload) : std::string();
  out.Set("request_principal", principal.empty() ? Json() : Json(principal));
  Json checks = Json::MakeArray();
  for (const auto& check : report.checks) {
    checks.Append(CheckJson(check.origin, check.origin.object == nullptr ? Json() : check.issuer,
                            check.answer));
  }
  out.Set("checks", std::move(checks));
  out.Set("verdict", verdict);
  out.Set("error", parsed ? Json() : Json(report.token.status.text));
  out.Set("missing", report.missing.empty() ? Json() : Json(report.missing));
  Json workload;
  if (report.answer) {
    workload = Json::MakeObject({{"workload", report.workload}});
    Json answer = CheckJson(report.answer->origin, nullptr, *report.answer);
    for (auto& [key, value] : answer.as_object()) {
      if (key != "issuer") workload.Set(key, std::move(value));
    }
  }
  out.Set("answer", std::move(workload));
  ServiceAccountToken account;
  Json service_account;
  if (parsed && ReadServiceAccountToken(report.token.jwt.payload, &account)) {
    service_account = Json::MakeObject({{"namespace", account.ns}, {"name", account.account}});
    service_account.Set("pod", account.pod.empty() ? Json() : Json(account.pod));
  }
  out.Set("service_account", std::move(service_account));
  Json unmatchable = Json::MakeArray();
  if (parsed) {
    for (const auto& claim : UnmatchableClaims(report.token.jwt.payload)) unmatchable.Append(claim);
  }
  out.Set("unmatchable_claims", std::move(unmatchable));
  return out;
}

}  // namespace meshproof
