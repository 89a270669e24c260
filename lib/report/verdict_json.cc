#include "report/verdict_json.h"

#include "report/parts.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

Json TextOrNull(std::string_view text) {
  if (text.empty()) return nullptr;
  return text;
}

Json AddressJson(const Address& address) {
  if (const auto* ip = std::get_if<IpAddress>(&address.value)) return ToString(*ip);
  if (const auto* range = std::get_if<CidrRange>(&address.value)) return ToString(*range);
  return nullptr;
}

Json StepJson(const Step& step) {
  Json out = Json::MakeObject({{"hop", step.hop}});
  out.Set("stage", step.stage == Stage::kNone ? Json() : Json(ToString(step.stage)));
  out.Set("outcome", ToString(step.result));
  out.Set("text", step.text);
  out.Set("policy", ObjectJson(step.origin.object));
  out.Set("rule", RuleJson(step.origin));
  out.Set("location", LocationJson(PlaceOf(step.origin)));
  return out;
}

Json NearMissJson(const NearMiss& miss) {
  Json failed = Json::MakeObject({{"field", miss.field}, {"got", miss.got}});
  failed.Set("wanted", miss.wanted);
  failed.Set("location", LocationJson(miss.span));
  Json out = Json::MakeObject({{"policy", ObjectJson(miss.origin.object)}});
  out.Set("rule", RuleJson(miss.origin));
  out.Set("location", LocationJson(PlaceOf(miss.origin)));
  out.Set("failed", std::move(failed));
  return out;
}

Json HopJson(const Hop& hop) {
  Json proxy = Json::MakeObject({{"namespace", hop.ns}, {"workload", hop.workload}});
  proxy.Set("mode", ProxyModeName(hop.mode));
  Json destination = Json::MakeObject({{"ip", AddressJson(hop.destination)}});
  destination.Set("port", hop.destination_port);
  Json out = Json::MakeObject({{"proxy", std::move(proxy)}});
  out.Set("peer", TextOrNull(hop.peer));
  out.Set("source_ip", AddressJson(hop.source));
  out.Set("destination", std::move(destination));
  out.Set("verdict", ToString(hop.outcome));
  out.Set("status", hop.status);
  out.Set("flags", hop.flags.empty() ? "-" : hop.flags);
  out.Set("details", hop.details);
  return out;
}

}  // namespace

std::string_view StageName(const Verdict& verdict) {
  if (verdict.stage != Stage::kNone) return ToString(verdict.stage);
  return verdict.outcome == Outcome::kAllow ? ToString(Stage::kAllow) : std::string_view();
}

Json VerdictJson(const Verdict& verdict) {
  Json decided = Json::MakeObject({{"stage", TextOrNull(StageName(verdict))}});
  decided.Set("policy", ObjectJson(verdict.decided_by.object));
  decided.Set("rule", RuleJson(verdict.decided_by));
  decided.Set("location", LocationJson(PlaceOf(verdict.decided_by)));

  Json steps = Json::MakeArray();
  for (const auto& step : verdict.steps) steps.Append(StepJson(step));
  Json misses = Json::MakeArray();
  for (const auto& miss : verdict.near_misses) misses.Append(NearMissJson(miss));
  Json hops = Json::MakeArray();
  for (const auto& hop : verdict.hops) hops.Append(HopJson(hop));
  Json missing = Json::MakeArray();
  for (const auto& reason : verdict.missing) missing.Append(reason);

  Json out = Json::MakeObject({{"verdict", ToString(verdict.outcome)}});
  out.Set("status", verdict.status);
  out.Set("flags", verdict.flags.empty() ? "-" : verdict.flags);
  out.Set("details", verdict.details);
  out.Set("decided_by", std::move(decided));
  out.Set("steps", std::move(steps));
  out.Set("near_misses", std::move(misses));
  out.Set("hops", std::move(hops));
  out.Set("body", verdict.body);
  out.Set("grpc_status", verdict.grpc_status < 0 ? Json() : Json(verdict.grpc_status));
  out.Set("missing", std::move(missing));
  return out;
}

}  // namespace meshproof
