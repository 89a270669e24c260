// Invariants over all requests: which workloads and ports one is about, which requests to them, and
// what has to become of these.

#include "app/prove.h"

#include <algorithm>
#include <functional>

#include "app/access.h"
#include "app/version.h"
#include "base/parallel.h"
#include "base/text.h"
#include "match/labels.h"
#include "reason/ask_all.h"
#include "reason/proxy_key.h"
#include "report/access.h"
#include "report/parts.h"
#include "report/request_text.h"
#include "report/rule_sarif.h"
#include "simulate/fields.h"

namespace meshproof {
namespace {

using RegionField = Region::Field;

// The rule that a refuted invariant is reported as (rules/broken-invariant.md).
constexpr const char* kRule = "MP0421";

// Of the requests to one port of one workload, those that a written region means; nothing: none.
using Where = std::function<std::optional<Region>(const Workload&, int port)>;

struct Invariant {
  enum class Kind { kForbid, kAllow, kRequire } kind = Kind::kForbid;
  std::string name;
  Span span;
  Where on, require;
};

struct Proof {
  const Invariant* invariant = nullptr;
  enum class Outcome { kHolds, kRefuted, kUndetermined } outcome = Outcome::kHolds;
  std::optional<Example> witness;
  std::string region, reason;
  size_t asked = 0;
};

std::string_view ToString(Proof::Outcome outcome) {
  switch (outcome) {
    case Proof::Outcome::kHolds:
      return "holds";
    case Proof::Outcome::kRefuted:
      return "refuted";
    case Proof::Outcome::kUndetermined:
      return "undetermined";
  }
  return "";
}

class PromiseDecoder {
 public:
  PromiseDecoder(const Mesh& mesh, const Document& document, std::vector<Diagnostic>* errors)
      : mesh_(mesh), document_(document), errors_(errors) {}

  std::vector<Invariant> Decode(const Node& root) {
    FieldReader fields(document_, root, "an invariants file", errors_);
    std::vector<Invariant> invariants;
    const Node* list = fields.Take("invariants");
    if (list == nullptr || !list->IsSequence()) {
      fields.Report(list == nullptr ? root : *list, "`invariants` is a list");
    } else {
      for (const Node& item : list->items()) invariants.push_back(DecodeOne(item));
    }
    fields.Finish();
    return invariants;
  }

 private:
  // A list and its negation.
  struct Pair {
    std::vector<std::string> any, none;
    bool given = false;
    bool Passes(const std::function<bool(const std::string&)>& matches) const {
      bool ok = any.empty() || std::any_of(any.begin(), any.end(), matches);
      return ok && std::none_of(none.begin(), none.end(), matches);
    }
  };

  Invariant DecodeOne(const Node& item) {
    FieldReader fields(document_, item, "an invariant", errors_);
    Invariant invariant;
    invariant.name = fields.TakeText("name").value_or("");
    invariant.span = document_.SpanOf(item);
    if (invariant.name.empty()) fields.Report(item, "an invariant needs a `name`");
    const Node* forbid = fields.Take("forbid");
    const Node* allow = fields.Take("allow");
    const Node* require = fields.Take("require");
    // To YAML 1.1 a bare `on` is the truth value.
    const Node* quoted_on = fields.Take("on");
    const Node* bare_on = fields.Take("true");
    const Node* on = quoted_on != nullptr ? quoted_on : bare_on;
    int kinds = (forbid != nullptr) + (allow != nullptr) + (require != nullptr);
    if (kinds != 1) {
      fields.Report(item, "an invariant has one of `forbid`, `allow` and `require`");
    } else if (require != nullptr && on == nullptr) {
      fields.Report(*require,
                    "`require` says what every allowed request of `on` has to be: `on` is missing");
    } else if (require == nullptr && on != nullptr) {
      fields.Report(*on, "`on` stands beside `require` only");
    } else if (require != nullptr) {
      invariant.kind = Invariant::Kind::kRequire;
      invariant.on = DecodeRegion(*on);
      invariant.require = DecodeRegion(*require);
    } else {
      invariant.kind = forbid != nullptr ? Invariant::Kind::kForbid : Invariant::Kind::kAllow;
      invariant.on = DecodeRegion(forbid != nullptr ? *forbid : *allow);
    }
    fields.Finish();
    return invariant;
  }

  static Pair TakePair(FieldReader* fields, const std::string& key) {
    Pair pair;
    pair.any = fields->TakeTexts(key);
    pair.none = fields->TakeTexts("not_" + key);
    pair.given = !pair.any.empty() || !pair.none.empty();
    return pair;
  }

  static void AddFields(const Pair& pair, RegionField field, const std::string& name,
                        std::vector<Region>* all) {
    if (!pair.any.empty()) all->push_back(Region::AnyOf(field, pair.any, name));
    if (!pair.none.empty()) all->push_back(Region::Not(Region::AnyOf(field, pair.none, name)));
  }

  static std::vector<std::string> Bare(std::vector<std::string> identities) {
    constexpr std::string_view kSpiffe = "spiffe://";
    for (std::string& identity : identities) {
      if (identity.starts_with(kSpiffe)) identity.erase(0, kSpiffe.size());
    }
    return identities;
  }

  void DecodeFrom(const Node& node, std::vector<Region>* all) {
    FieldReader fields(document_, node, "`from`", errors_);
    Pair identities = TakePair(&fields, "identities");
    identities.any = Bare(std::move(identities.any));
    identities.none = Bare(std::move(identities.none));
    AddFields(identities, RegionField::kIdentity, "", all);
    AddFields(TakePair(&fields, "namespaces"), RegionField::kNamespace, "", all);
    Pair accounts = TakePair(&fields, "service_accounts");
    for (const auto* list : {&accounts.any, &accounts.none}) {
      for (const std::string& account : *list) {
        if (account.find('/') == std::string::npos) {
          fields.Report(node,
                        "a service account is named as NAMESPACE/NAME, not `" + account + "`");
        }
      }
    }
    AddFields(accounts, RegionField::kServiceAccount, "", all);
    Pair blocks = TakePair(&fields, "ip_blocks");
    for (const auto* list : {&blocks.any, &blocks.none}) {
      for (const std::string& block : *list) {
        if (!ParseCidr(block)) fields.Report(node, "`" + block + "` is no address and no block");
      }
    }
    AddFields(blocks, RegionField::kSourceIp, "", all);
    Pair gateways = TakePair(&fields, "gateways");
    for (auto* list : {&gateways.any, &gateways.none}) {
      for (std::string& name : *list) {
        auto workload = FindWorkload(mesh_, name);
        if (!workload.ok()) {
          fields.Report(node, workload.error().message);
        } else {
          name = workload.value()->identity.substr(std::string_view("spiffe://").size());
        }
      }
    }
    AddFields(gateways, RegionField::kIdentity, "", all);
    if (auto outside = fields.TakeBool("outside")) {
      std::vector<std::string> known;
      for (const Workload& workload : mesh_.workloads()) {
        if (workload.identity.starts_with("spiffe://"))
          known.push_back(workload.identity.substr(9));
      }
      std::sort(known.begin(), known.end());
      known.erase(std::unique(known.begin(), known.end()), known.end());
      Region inside = Region::AnyOf(RegionField::kIdentity, known);
      all->push_back(*outside ? Region::Not(inside) : inside);
    }
    if (auto unauthenticated = fields.TakeBool("unauthenticated")) {
      Region certificate = Region::Is(RegionField::kMutualTls);
      all->push_back(*unauthenticated ? Region::Not(certificate) : certificate);
    }
    fields.Finish();
  }

  void DecodeToken(const Node& node, FieldReader* fields, std::vector<Region>* all) {
    if (node.IsMapping()) {
      FieldReader inner(document_, node, "`jwt`", errors_);
      all->push_back(Region::Is(RegionField::kToken));
      AddIssuers(TakePair(&inner, "issuers"), all);
      if (const Node* claims = inner.Take("claims")) {
        DecodeNamed(*claims, "`claims`", [&](const std::string& name, const Pair& values) {
          AddFields(values, RegionField::kClaim, name.starts_with('[') ? name : "[" + name + "]",
                    all);
        });
      }
      inner.Finish();
      return;
    }
    if (auto wanted = fields->TakeBool("jwt")) {
      Region token = Region::Is(RegionField::kToken);
      all->push_back(*wanted ? token : Region::Not(token));
    }
  }

  static void AddIssuers(const Pair& issuers, std::vector<Region>* all) {
    AddFields(issuers, RegionField::kClaim, "[iss]", all);
  }

  void DecodeNamed(const Node& node, const std::string& what,
                   const std::function<void(const std::string&, const Pair&)>& take) {
    FieldReader fields(document_, node, what, errors_);
    std::vector<std::string> names;
    if (node.IsMapping()) {
      for (const auto& entry : node.entries()) names.emplace_back(entry.key.text);
    }
    for (const std::string& name : names) {
      if (name.starts_with("not_")) continue;
      take(name, TakePair(&fields, name));
    }
    for (const std::string& name : names) {
      if (!name.starts_with("not_")) continue;
      Pair pair;
      pair.none = fields.TakeTexts(name);
      if (!pair.none.empty()) take(name.substr(4), pair);
    }
    fields.Finish();
  }

  struct Destination {
    Pair workloads, labels, namespaces, hosts, ports;
    Labels wanted;
  };

  Destination DecodeTo(const Node& node) {
    FieldReader fields(document_, node, "`to`", errors_);
    Destination to;
    to.workloads = TakePair(&fields, "workloads");
    for (const auto* list : {&to.workloads.any, &to.workloads.none}) {
      for (const std::string& name : *list) {
        auto workload = FindWorkload(mesh_, name);
        if (!workload.ok()) fields.Report(node, workload.error().message);
      }
    }
    if (const Node* labels = fields.Take("labels")) {
      FieldReader inner(document_, *labels, "`labels`", errors_);
      if (labels->IsMapping()) {
        for (const auto& entry : labels->entries()) {
          std::string key(entry.key.text);
          to.wanted.emplace_back(key, inner.TakeText(key).value_or(""));
        }
      }
      inner.Finish();
    }
    to.namespaces = TakePair(&fields, "namespaces");
    to.hosts = TakePair(&fields, "hosts");
    for (const auto* list : {&to.hosts.any, &to.hosts.none}) {
      for (const std::string& name : *list) {
        if (mesh_.ResolveHost(name, "default") == nullptr) {
          fields.Report(node, "no Service `" + name + "` in the input");
        }
      }
    }
    to.ports = TakePair(&fields, "ports");
    fields.Finish();
    return to;
  }

  bool Leads(const std::string& name, const Workload& workload, int port) const {
    const MeshService* service = mesh_.ResolveHost(name, "default");
    if (service == nullptr) return false;
    for (size_t index : service->workloads) {
      if (&mesh_.workloads()[index] != &workload) continue;
      for (const MeshServicePort& each : service->ports) {
        if (mesh_.TargetPort(*service, each, workload) == port) return true;
      }
    }
    return false;
  }

  bool IsTo(const Destination& to, const Workload& workload, int port) const {
    std::string name = workload.ns + "/" + workload.name;
    return to.workloads.Passes([&](const std::string& wanted) { return wanted == name; }) &&
           to.namespaces.Passes([&](const std::string& wanted) { return wanted == workload.ns; }) &&
           Selects(to.wanted, workload.labels) &&
           to.hosts.Passes([&](const std::string& host) { return Leads(host, workload, port); }) &&
           to.ports.Passes(
               [&](const std::string& wanted) { return wanted == std::to_string(port); });
  }

  Where DecodeRegion(const Node& node) {
    FieldReader fields(document_, node, "a region", errors_);
    std::vector<Region> all;
    Destination to;
    if (const Node* from = fields.Take("from")) DecodeFrom(*from, &all);
    if (const Node* destination = fields.Take("to")) to = DecodeTo(*destination);
    AddFields(TakePair(&fields, "methods"), RegionField::kMethod, "", &all);
    AddFields(TakePair(&fields, "paths"), RegionField::kPath, "", &all);
    AddFields(TakePair(&fields, "hosts"), RegionField::kHost, "", &all);
    if (const Node* headers = fields.Take("headers")) {
      DecodeNamed(*headers, "`headers`", [&](const std::string& name, const Pair& values) {
        AddFields(values, RegionField::kHeader, name, &all);
      });
    }
    if (auto mtls = fields.TakeBool("mtls")) {
      Region certificate = Region::Is(RegionField::kMutualTls);
      all.push_back(*mtls ? certificate : Region::Not(certificate));
    }
    if (const Node* token = fields.Take("jwt")) DecodeToken(*token, &fields, &all);
    fields.Finish();
    Region region = Region::And(std::move(all));
    return [this, to, region](const Workload& workload, int port) -> std::optional<Region> {
      if (!IsTo(to, workload, port)) return std::nullopt;
      return region;
    };
  }

  const Mesh& mesh_;
  const Document& document_;
  std::vector<Diagnostic>* errors_;
};

// Questions are asked so many at a time; those behind the first one that refutes do not count.
constexpr size_t kAtOnce = 256;

using PortsOf = std::vector<std::pair<const Workload*, std::vector<int>>>;

PortsOf AllPorts(const Reasoner& reasoner) {
  PortsOf all;
  for (const Workload& workload : reasoner.world().mesh().workloads()) {
    all.emplace_back(&workload, std::vector<int>());
  }
  ParallelFor(all.size(), [&](size_t i) { all[i].second = reasoner.Ports(*all[i].first); });
  return all;
}

// Asks every port that the invariant is about, until one refutes it.
Proof Prove(const Reasoner& reasoner, const PortsOf& all_ports, const Invariant& invariant) {
  Proof proof;
  proof.invariant = &invariant;
  Wanted wanted = invariant.kind == Invariant::Kind::kAllow ? Wanted::kRefused : Wanted::kAllowed;
  std::vector<Question> questions;
  std::vector<Region> regions;
  for (const auto& [workload, ports] : all_ports) {
    for (int port : ports) {
      std::optional<Region> region = invariant.on(*workload, port);
      if (!region) continue;
      if (invariant.kind == Invariant::Kind::kRequire) {
        std::optional<Region> required = invariant.require(*workload, port);
        if (required) region = Region::And({*region, Region::Not(*required)});
      }
      questions.push_back({workload, port, RegionKey(*region)});
      regions.push_back(*std::move(region));
    }
  }
  for (size_t begin = 0; begin < questions.size(); begin += kAtOnce) {
    size_t end = std::min(questions.size(), begin + kAtOnce);
    std::vector<Question> now(questions.begin() + static_cast<std::ptrdiff_t>(begin),
                              questions.begin() + static_cast<std::ptrdiff_t>(end));
    std::vector<Answer> answers(now.size());
    AskAll(reasoner.world(), now, [&](size_t i) {
      answers[i] = reasoner.Find(*now[i].workload, now[i].port, regions[begin + i], wanted);
    });
    for (size_t i = 0; i < now.size(); ++i) {
      Answer& answer = answers[i];
      ++proof.asked;
      if (answer.found()) {
        proof.outcome = Proof::Outcome::kRefuted;
        proof.witness = std::move(answer.example);
        proof.region = std::move(answer.region);
        proof.reason.clear();
        return proof;
      }
      if (!answer.empty() && proof.outcome == Proof::Outcome::kHolds) {
        proof.outcome = Proof::Outcome::kUndetermined;
        proof.reason = now[i].workload->ns + "/" + now[i].workload->name + ":" +
                       std::to_string(now[i].port) + ": " + answer.reason;
      }
    }
  }
  if (proof.asked == 0) {
    proof.outcome = Proof::Outcome::kUndetermined;
    proof.reason = "no workload and port of the input is meant by `to`";
  }
  return proof;
}

Json ProofsJson(const std::vector<Proof>& proofs) {
  Json list = Json::MakeArray();
  int64_t holds = 0;
  int64_t refuted = 0;
  int64_t undetermined = 0;
  for (const Proof& proof : proofs) {
    switch (proof.outcome) {
      case Proof::Outcome::kHolds:
        ++holds;
        break;
      case Proof::Outcome::kRefuted:
        ++refuted;
        break;
      case Proof::Outcome::kUndetermined:
        ++undetermined;
        break;
    }
    Json entry = Json::MakeObject({{"name", proof.invariant->name}});
    entry.Set("outcome", ToString(proof.outcome));
    bool refuted_one = proof.outcome == Proof::Outcome::kRefuted;
    entry.Set("code", refuted_one ? Json(kRule) : Json());
    entry.Set("location", LocationJson(proof.invariant->span));
    entry.Set("witness", ExampleJson(proof.witness ? &*proof.witness : nullptr));
    std::string reason = proof.reason.empty() ? proof.region : proof.reason;
    entry.Set("reason", reason.empty() ? Json() : Json(reason));
    list.Append(std::move(entry));
  }
  Json summary = Json::MakeObject({{"holds", holds}});
  summary.Set("refuted", refuted);
  summary.Set("undetermined", undetermined);
  Json out = Json::MakeObject({{"version", 1}, {"invariants", std::move(list)}});
  out.Set("summary", std::move(summary));
  return out;
}

std::string ProofsText(const std::vector<Proof>& proofs, const Style& style) {
  std::string out;
  size_t holds = 0;
  for (const Proof& proof : proofs) {
    const std::string& name = proof.invariant->name;
    switch (proof.outcome) {
      case Proof::Outcome::kHolds:
        ++holds;
        out += style.Good("holds") + "         " + name + "\n";
        break;
      case Proof::Outcome::kRefuted:
        out += style.Bad("refuted") + "       " + name + " [" + kRule + "]  (" +
               PlaceText(proof.invariant->span) + ")\n";
        out += "    " + ExampleText(*proof.witness) + "\n";
        if (proof.witness->verdict.decided_by.object != nullptr) {
          out += "    decided by " + OriginText(proof.witness->verdict.decided_by) + "\n";
        }
        out += "    the requests like it: " + proof.region + "\n";
        out += "    " + CurlText(proof.witness->request) + "\n";
        break;
      case Proof::Outcome::kUndetermined:
        out += style.Unsure("undetermined") + "  " + name + "\n    " + proof.reason + "\n";
        break;
    }
  }
  return out + std::to_string(holds) + " of " + std::to_string(proofs.size()) + " hold\n";
}

std::string ProofsSarif(const std::vector<Proof>& proofs) {
  std::vector<RuleResult> results;
  for (const Proof& proof : proofs) {
    if (proof.outcome == Proof::Outcome::kHolds) continue;
    RuleResult result;
    result.span = proof.invariant->span;
    result.kind = ToString(proof.outcome);
    if (proof.outcome == Proof::Outcome::kUndetermined) {
      result.level = "note";
      result.text = proof.invariant->name + " is undetermined: " + proof.reason + ".";
    } else {
      result.level = "error";
      result.text = proof.invariant->name + " does not hold: " + ExampleText(*proof.witness) + ".";
      if (proof.witness->verdict.decided_by.object != nullptr) {
        result.text += " Decided by " + OriginText(proof.witness->verdict.decided_by) + ".";
      }
      result.text += " The requests like it: " + proof.region + ".";
    }
    results.push_back(std::move(result));
  }
  return RuleSarif(kRule, results, kVersion);
}

}  // namespace

Exit RunProve(const ProveOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto text = host.files.Read(options.invariants);
  if (!text.ok()) return Fail(host, text.error());
  ParsedFile file = ParseText(options.invariants, text.Take());
  for (const Diagnostic& diagnostic : file.diagnostics) host.err << ToString(diagnostic) << "\n";
  bool broken_file = std::any_of(file.diagnostics.begin(), file.diagnostics.end(), IsBroken);
  if (broken_file || file.documents.size() != 1 || file.documents.front().root() == nullptr) {
    return Fail(host, Error{options.invariants + " is no invariants file: one document with "
                                                 "`invariants`"});
  }
  auto input = LoadInput(options.input, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  World world(input.value().mesh, FromDumps(input.value()));
  std::vector<Diagnostic> errors;
  PromiseDecoder decoder(*input.value().mesh, file.documents.front(), &errors);
  std::vector<Invariant> invariants = decoder.Decode(*file.documents.front().root());
  for (const Diagnostic& error : errors) host.err << ToString(error) << "\n";
  if (!errors.empty()) return Exit::kUnusable;
  Reasoner reasoner(world, BudgetOf(settings.value()));
  std::vector<Proof> proofs;
  PortsOf ports = AllPorts(reasoner);
  for (const Invariant& invariant : invariants) {
    proofs.push_back(Prove(reasoner, ports, invariant));
  }
  if (options.format == "json") {
    host.out << WriteJson(ProofsJson(proofs), 2) << "\n";
  } else if (options.format == "sarif") {
    host.out << ProofsSarif(proofs);
  } else {
    host.out << ProofsText(proofs, Style{host.colour});
  }
  Exit exit = input.value().broken ? Exit::kUnusable : Exit::kOk;
  for (const Proof& proof : proofs) {
    if (proof.outcome == Proof::Outcome::kRefuted) exit = Worse(exit, Exit::kRefused);
    if (proof.outcome == Proof::Outcome::kUndetermined) exit = Worse(exit, Exit::kUndetermined);
  }
  return exit;
}

}  // namespace meshproof
