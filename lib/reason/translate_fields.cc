// What there is to a request: its fields with all that each can hold, made when they are first
// asked for, and what holds of every request.

#include <algorithm>
#include <array>

#include "base/text.h"
#include "proxy/trust_domain.h"
#include "reason/translator.h"
#include "simulate/header_map.h"

namespace meshproof {
namespace {

constexpr std::string_view kMethodDomain = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
constexpr std::string_view kLowerHostDomain = "[a-z0-9!$%&'()*+,.:;=\\[\\]_~-]+";
constexpr std::string_view kHostDomain = "[A-Za-z0-9!$%&'()*+,.:;=\\[\\]_~-]+";
constexpr std::string_view kMeshIdentityDomain =
    "spiffe://[a-z0-9._-]+/ns/[a-z0-9-]+/sa/[a-z0-9.-]+";
constexpr std::string_view kForeignIdentityDomain = "[a-z]+://[!-~]+";
constexpr std::string_view kHeaderDomain = "([!-~]([ -~]*[!-~])?)?";
constexpr std::string_view kJoinedHeaderDomain = "[!-~]([ -~]*[!-~])?";
constexpr std::string_view kClaimDomain = "[ -~]*";
constexpr std::string_view kServerNameDomain = "[a-z0-9._-]*";

// A text of the pattern's language that says what it is about.
std::string SampleOf(const StringPattern& pattern) {
  switch (pattern.kind) {
    case StringPattern::Kind::kExact:
      return pattern.value;
    case StringPattern::Kind::kPrefix:
      return pattern.value + "x";
    case StringPattern::Kind::kSuffix:
    case StringPattern::Kind::kContains:
      return "x" + pattern.value;
    case StringPattern::Kind::kRegex:
      break;
  }
  return "";
}

}  // namespace

Space::FieldId PortModel::Translator::Transport_() {
  if (!transport) {
    std::vector<std::pair<std::string, int>> values;
    for (size_t i = 0; i < kTransports; ++i) {
      const Transport at = TransportAt(i);
      const std::array<int, 3> security = {0, 2, 1};
      const std::array<int, 3> speech = {0, 6, 9};
      values.emplace_back(
          "", security[static_cast<size_t>(at.security)] + speech[static_cast<size_t>(at.speech)]);
    }
    transport = space.ChoiceField("transport", kTransportOrder, std::move(values));
  }
  return *transport;
}

Expr PortModel::Translator::SecurityIs(Transport::Security security) {
  std::vector<Expr> any;
  for (size_t i = 0; i < kTransports; ++i) {
    if (TransportAt(i).security == security) any.push_back(TransportIs(i));
  }
  return space.OrAll(std::move(any));
}

Space::FieldId PortModel::Translator::Identity() {
  if (!identity) {
    identity = space.TextField(
        "identity", kIdentityOrder,
        PatternDomain(foreign_identities ? kForeignIdentityDomain : kMeshIdentityDomain), true);
  }
  return *identity;
}

// Identities that the mesh has, for people to read. Of a large mesh those of the namespaces that
// the patterns name, and a few for what they do not.
void PortModel::Translator::AddCallers() {
  constexpr size_t kFew = 300;
  if (!identity) return;
  std::set<std::string, std::less<>> named;
  bool all_small = true;
  for (const PortModel::Side& side : model.asked_) {
    named.insert(side.workload->ns);
    all_small = all_small && side.callers->sidecars.size() + side.callers->ambient.size() <= kFew;
  }
  for (const StringPattern& pattern : space.PatternsOf(*identity)) {
    constexpr std::string_view kNamespace = "/ns/";
    size_t at = pattern.value.find(kNamespace);
    if (at == std::string::npos) continue;
    std::string_view rest = std::string_view(pattern.value).substr(at + kNamespace.size());
    named.emplace(rest.substr(0, rest.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-")));
  }
  for (const PortModel::Side& side : model.asked_) {
    const Mesh& mesh = side.world->mesh();
    size_t others = 0;
    for (const auto& [ns, workloads] : side.callers->by_namespace) {
      bool known = all_small || named.count(ns) != 0;
      if (!known && others++ >= kFew) continue;
      for (const Workload* workload : workloads) {
        space.AddCandidate(*identity, workload->identity, ns == side.workload->ns);
        if (!known) break;
      }
    }
    const std::vector<std::string> bundle = TrustDomainBundle(mesh.config());
    const std::string domain = bundle.empty() ? "cluster.local" : bundle.front();
    space.AddCandidate(*identity, "spiffe://" + domain + "/ns/other/sa/other", 5);
    auto add_default = [&](std::string_view ns) {
      space.AddCandidate(*identity, "spiffe://" + domain + "/ns/" + std::string(ns) + "/sa/default",
                         3);
    };
    if (all_small && mesh.model().namespaces.size() <= kFew) {
      for (const Namespace& ns : mesh.model().namespaces) add_default(ns.meta.name);
    } else {
      for (const std::string& ns : named) {
        if (mesh.FindNamespace(ns) != nullptr) add_default(ns);
      }
    }
  }
}

Space::FieldId PortModel::Translator::Path() {
  if (!path) {
    path = space.TextField("path", kPathOrder, PathDomain(model.path_options_, false), false);
    space.AddCandidate(*path, "/", 0);
    space.AddCandidate(*path, "/x", 8);
  }
  return *path;
}

Space::FieldId PortModel::Translator::Method() {
  if (!method) {
    method = space.TextField("method", kMethodOrder, PatternDomain(kMethodDomain), false);
    int rank = 0;
    for (const char* name : kHttp1Methods) space.AddCandidate(*method, name, rank++);
  }
  return *method;
}

Space::FieldId PortModel::Translator::Host() {
  if (!host) {
    host =
        space.TextField("host", kHostOrder,
                        PatternDomain(host_case_matters ? kHostDomain : kLowerHostDomain), false);
    for (const PortModel::Side& side : model.asked_) {
      const Mesh& mesh = side.world->mesh();
      if (auto service = mesh.ServiceForPort(*side.workload, side.port)) {
        space.AddCandidate(*host, service->first->host, 0);
        space.AddCandidate(*host,
                           service->first->host + ":" + std::to_string(service->second->port), 1);
      }
    }
    space.AddCandidate(*host, "example.com", 3);
  }
  return *host;
}

Space::FieldId PortModel::Translator::ServerName() {
  if (!server_name) {
    server_name =
        space.TextField("server name", kServerNameOrder, PatternDomain(kServerNameDomain), false);
    for (const PortModel::Side& side : model.asked_) {
      if (auto service = side.world->mesh().ServiceForPort(*side.workload, side.port)) {
        space.AddCandidate(
            *server_name,
            "outbound_." + std::to_string(service->second->port) + "_._." + service->first->host,
            0);
      }
    }
    space.AddCandidate(*server_name, "example.com", 1);
  }
  return *server_name;
}

Space::FieldId PortModel::Translator::Issuer() {
  if (!issuer) {
    std::string domain = "[^\\x00-\\xff]";
    for (const std::string& one : issuers) domain += "|" + QuotedForRegex(one);
    if (any_issuer) domain = std::string(kClaimDomain);
    issuer = space.TextField("issuer", kIssuerOrder, PatternDomain(domain), true);
  }
  return *issuer;
}

Space::FieldId PortModel::Translator::Subject() {
  if (!subject) {
    subject = space.TextField("subject", kSubjectOrder, PatternDomain(kClaimDomain), true);
    space.AddCandidate(*subject, "alice", 0);
  }
  return *subject;
}

Space::FieldId PortModel::Translator::Claim(const std::vector<std::string>& names) {
  std::string key = "claim " + Join(names, "\x1f");
  if (auto known = space.Find(key)) return *known;
  Field field = space.TextSetField(key, kClaimOrder, PatternDomain(kClaimDomain));
  space.AddCandidate(field, "x", 3);
  model.claim_fields_[key] = names;
  return field;
}

Space::FieldId PortModel::Translator::HeaderField(const std::string& name) {
  std::string key = "header " + name;
  if (auto known = space.Find(key)) return *known;
  Field field = IsJoinedHeader(name)
                    ? space.TextField(key, kHeaderOrder, PatternDomain(kJoinedHeaderDomain), true)
                    : space.TextSetField(key, kHeaderOrder, PatternDomain(kHeaderDomain));
  space.AddCandidate(field, "x", 3);
  model.header_fields_[key] = name;
  return field;
}

Space::FieldId PortModel::Translator::Source() {
  if (!source) {
    source = space.AddressField("source address", kAddressOrder, {}, "client");
    space.AddAddressCandidate(*source, *ParseIpAddress("198.51.100.77"), 0);
    space.AddAddressCandidate(*source, *ParseIpAddress("10.244.0.9"), 1);
  }
  return *source;
}

Space::FieldId PortModel::Translator::Remote() {
  if (!remote) {
    Field direct = Source();
    (void)direct;
    remote = space.AddressField("remote address", kAddressOrder, {}, "client");
    space.AddAddressCandidate(*remote, *ParseIpAddress("198.51.100.77"), 0);
    space.AddAddressCandidate(*remote, *ParseIpAddress("10.244.0.9"), 1);
  }
  return *remote;
}

Expr PortModel::Translator::Flag(const std::string& name) {
  auto known = space.Find(name);
  return space.IsSet(known ? *known : space.FlagField(name, kFlagOrder));
}

Expr PortModel::Translator::Opaque(const std::string& key, const std::string& reason) {
  std::string name = std::string(kOpaque) + key;
  model.opaque_.try_emplace(name, reason);
  return Flag(name);
}

Expr PortModel::Translator::Text(Field field, const StringPattern& pattern, int rank) {
  bool understood = pattern.kind != StringPattern::Kind::kRegex;
  if (!understood) {
    auto [known, added] = understood_regexes.try_emplace(pattern.value, false);
    if (added) known->second = IsUnderstood(pattern);
    understood = known->second;
  }
  if (!understood) {
    return Opaque(space.name(field) + " ~ " + pattern.value,
                  "the pattern " + pattern.value + " is not understood");
  }
  if (std::string sample = SampleOf(pattern); !sample.empty()) {
    space.AddCandidate(field, std::move(sample), rank);
  }
  return space.Matches(field, pattern);
}

void PortModel::Translator::AddTemplateSample(std::string_view text) {
  std::string sample;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("**")) {
      sample += "x/y";
      ++i;
    } else if (text[i] == '*') {
      sample += 'x';
    } else {
      sample += text[i];
    }
  }
  space.AddCandidate(Path(), std::move(sample), 3);
}

// What holds of every request.
void PortModel::Translator::AddConstraints() {
  using Security = Transport::Security;
  std::vector<Expr> possible;
  for (size_t i = 0; i < kTransports; ++i) {
    if (Possible(TransportAt(i), any_gateway_)) possible.push_back(TransportIs(i));
  }
  space.Constrain(space.OrAll(std::move(possible)));
  Expr certificate = SecurityIs(Security::kCertificate);
  auto same = [&](Expr a, Expr b) {
    space.Constrain(space.Or(space.And(a, b), space.And(space.Not(a), space.Not(b))));
  };
  if (identity || gateway_asks) same(certificate, space.IsPresent(Identity()));
  if (server_name) {
    space.Constrain(
        space.Or(space.Not(SecurityIs(Security::kPlaintext)),
                 space.Matches(*server_name, {StringPattern::Kind::kExact, "", false})));
  }
  if (method) {
    std::vector<std::string> known(kHttp1Methods.begin(), kHttp1Methods.end());
    std::vector<Expr> http1;
    for (size_t i = 0; i < kTransports; ++i) {
      if (TransportAt(i).speech == Transport::Speech::kHttp1) http1.push_back(TransportIs(i));
    }
    space.Constrain(
        space.Or(space.Not(space.OrAll(std::move(http1))), space.ShowsOneOf(*method, known)));
    space.Constrain(space.Not(space.ShowsOneOf(*method, {"CONNECT", "QUERY"})));
  }
  if (issuer) {
    Expr token = space.IsPresent(*issuer);
    std::vector<Expr> accepted;
    for (const SideModel& side : model.sides_) accepted.push_back(side.token_accepted);
    space.Constrain(space.Or(space.Not(token), space.OrAll(std::move(accepted))));
    if (subject) space.Constrain(space.Or(token, space.Not(space.IsPresent(*subject))));
    for (const auto& [field, names] : model.claim_fields_) {
      space.Constrain(space.Or(token, space.Not(space.IsPresent(*space.Find(field)))));
      AddNesting(field, names);
    }
  }
}

// A claim inside another one is there only if that one is an object, not
// texts.
void PortModel::Translator::AddNesting(const std::string& field,
                                       const std::vector<std::string>& names) {
  for (const auto& [other, other_names] : model.claim_fields_) {
    if (other_names.size() >= names.size() ||
        !std::equal(other_names.begin(), other_names.end(), names.begin())) {
      continue;
    }
    space.Constrain(space.Not(
        space.And(space.IsPresent(*space.Find(field)), space.IsPresent(*space.Find(other)))));
  }
}

}  // namespace meshproof
