// What is let in, row by row in the words of the ALLOW rules: every pair of a permission and a
// principal of every rule is a row, lies in an earlier one, or lets nothing in. The rows together
// hold all that is let in.

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <tuple>
#include <unordered_map>

#include "base/text.h"
#include "reason/reasoner_impl.h"
#include "simulate/predicate.h"

namespace meshproof {
namespace {

using RequestSet = Session::Node;

constexpr size_t kMaxRows = 2000;

// The author's own words for one permission or principal.
void Describe(const Predicate& predicate, ExposureRow* row) {
  const auto* all = std::get_if<AndPredicate>(&predicate.match);
  if (all == nullptr) return;
  for (const Predicate& part : all->all) {
    std::string field = part.field;
    if (field.empty()) continue;
    bool negated = field.starts_with("not");
    if (negated) {
      field = field.substr(3);
      field[0] = static_cast<char>(field[0] | 0x20);
    }
    bool when = field.starts_with("when ");
    if (when) field = field.substr(5);
    bool when_negated = when && std::holds_alternative<NotPredicate>(part.match);
    std::string lead = negated || when_negated ? "not " : "";
    std::string values = WrittenValues(part);
    for (std::string_view value : Split(values, ',')) {
      std::string text(TrimSpace(value));
      if (field == "hosts") {
        row->hosts.push_back(lead + text);
      } else if (field == "methods") {
        row->methods.push_back(lead + text);
      } else if (field == "paths") {
        row->paths.push_back(lead + text);
      } else if (field == "ports") {
        row->conditions.push_back(lead + "port " + text);
      } else if (field == "principals") {
        row->from.push_back(lead + text);
      } else if (field == "namespaces" || field == "source.namespace") {
        row->from.push_back(lead + "namespace " + text);
      } else if (field == "serviceAccounts" || field == "source.serviceAccount") {
        row->from.push_back(lead + "service account " + text);
      } else if (field == "trustDomains" || field == "source.trustDomain") {
        row->from.push_back(lead + "trust domain " + text);
      } else if (field == "source.principal") {
        row->from.push_back(lead + text);
      } else if (field == "ipBlocks" || field == "source.ip") {
        row->from.push_back(lead + "peer address " + text);
      } else if (field == "remoteIpBlocks" || field == "remote.ip") {
        row->from.push_back(lead + "client address " + text);
      } else if (field == "requestPrincipals" || field == "request.auth.principal") {
        row->conditions.push_back(lead + "token of " + text);
      } else {
        row->conditions.push_back(lead + field + " = " + text);
      }
    }
  }
}

std::string RouteText(const RouteMatch& match) {
  switch (match.path_kind) {
    case RouteMatch::Path::kPrefix:
      return match.path == "/" ? "" : match.path + "*";
    case RouteMatch::Path::kExact:
      return match.path;
    case RouteMatch::Path::kRegex:
      return "~ " + match.path;
    case RouteMatch::Path::kPathSeparatedPrefix:
      return match.path + "[/*]";
  }
  return "";
}

std::string DestinationText(const Route& route) {
  std::vector<std::string> names;
  for (const WeightedCluster& cluster : route.clusters) {
    auto parts = Split(cluster.cluster, '|');
    if (parts.size() == 4) {
      names.push_back(std::string(parts[3]) + ":" + std::string(parts[1]) +
                      (parts[2].empty() ? "" : " (" + std::string(parts[2]) + ")"));
    } else {
      names.push_back(cluster.cluster);
    }
  }
  return Join(names, ", ");
}

void MergeRow(ExposureRow more, ExposureRow* row) {
  if (more.peer < row->peer) {
    row->peer = more.peer;
    row->example = std::move(more.example);
  }
  row->token = row->token && more.token;
  if (!row->token) row->issuers.clear();
  for (std::string& provider : more.custom) {
    if (std::find(row->custom.begin(), row->custom.end(), provider) == row->custom.end()) {
      row->custom.push_back(std::move(provider));
    }
  }
  for (auto& exception : more.except) {
    bool known = std::any_of(row->except.begin(), row->except.end(), [&](const auto& one) {
      return one.rule == exception.rule && one.text == exception.text;
    });
    if (!known) row->except.push_back(std::move(exception));
  }
}

// One way into a chain: a permission and a principal of a rule, at a gateway with a route.
struct Way {
  const RbacPolicy* policy = nullptr;
  RuleInChain::Pair pair;
  const RouteInChain* route = nullptr;
  std::vector<Session::Set> sets;  // it is where all of them are
};

class ExposureFinder {
 public:
  ExposureFinder(Session* session, Expr where, Expr certificate, Expr token,
                 const std::map<std::string, Expr>& issuers)
      : session_(*session),
        space_(session->space),
        bdd_(session->bdd),
        certificate_(session->space.ToNode(certificate)),
        token_(session->space.ToNode(token)),
        inside_(session->Track(where)) {
    for (const auto& [issuer, expr] : issuers) issuers_.emplace_back(issuer, space_.ToNode(expr));
    not_identity_ = space_.VariablesOf([](const std::string& name) { return name != "identity"; });
    for (const Session::Chain& chain : session_.chains()) AddWays(*chain.model);
    rows_at_.resize(session_.slices.count());
    pieces_.reserve(4 * session_.slices.count());
  }

  // What the session has to know.
  static std::vector<Expr> SetsOf(const SideModel& side, Expr where) {
    std::vector<Expr> sets = {where};
    for (const ChainModel& chain : side.chains) {
      for (const RuleInChain& rule : chain.rules) {
        for (const RuleInChain::Pair& pair : rule.pairs) sets.push_back(pair.match);
      }
      for (const RouteInChain& route : chain.routes) sets.push_back(route.match);
      for (const auto& [provider, asked] : chain.gates) sets.push_back(asked);
    }
    return sets;
  }

  size_t chains() const { return ways_.size(); }
  const std::vector<Way>& WaysInto(size_t chain) const { return ways_[chain]; }

  // What a way lets in, slice by slice. Empty: nothing, or the budget is spent.
  struct Pieces {
    Session::Places places;
    std::vector<RequestSet> distinct;
    Session::Places samples;  // of what the way asks for; DENY rules say the same in the others
  };
  Pieces PiecesOf(size_t chain, const Way& way) {
    const Session::Chain& own = session_.chains()[chain];
    Pieces pieces;
    std::unordered_map<uint64_t, RequestSet> known;
    session_.EachPlaceOf(way.sets, [&](uint32_t slice, RequestSet rest) {
      if (own.model->allow_filters > 1) rest = bdd_.And(rest, session_.At(own.admitted, slice));
      auto [found, added] = known.try_emplace(uint64_t{session_.GroupOf(slice)} << 32 | rest);
      if (added) {
        found->second = session_.FreeOf(chain, slice, rest, Authorizers::kAgree);
        pieces.samples.push_back({slice, rest});
        pieces.distinct.push_back(found->second);
      }
      if (found->second != Bdd::kFalse) pieces.places.push_back({slice, found->second});
      return added && session_.Tick();
    });
    std::erase(pieces.distinct, Bdd::kFalse);
    std::sort(pieces.distinct.begin(), pieces.distinct.end());
    pieces.distinct.erase(std::unique(pieces.distinct.begin(), pieces.distinct.end()),
                          pieces.distinct.end());
    return pieces;
  }

  // An earlier row holds all of it; else it is kept as a row of its own.
  bool LiesInEarlier(const Pieces& pieces) {
    std::vector<size_t> holding;
    bool first = true;
    std::vector<size_t> still;
    for (const Slices::Place& place : pieces.places) {
      auto holds = [&](const KeptPiece& piece) {
        return piece.node == place.rest || bdd_.Diff(place.rest, piece.node) == Bdd::kFalse;
      };
      still.clear();
      for (uint32_t at = rows_at_[place.slice].first; at != kNone; at = pieces_[at].next) {
        const KeptPiece& piece = pieces_[at];
        bool candidate = first || std::binary_search(holding.begin(), holding.end(), piece.row);
        if (candidate && holds(piece)) still.push_back(piece.row);
      }
      std::swap(holding, still);
      first = false;
      if (holding.empty()) break;
    }
    if (!holding.empty()) return true;
    for (const Slices::Place& place : pieces.places) Keep(place);
    ++kept_;
    return false;
  }

  ExposureRow Describe(size_t chain, const Way& way, const Pieces& pieces) {
    const ChainModel& model = *session_.chains()[chain].model;
    ExposureRow row;
    row.http = model.http;
    row.peer = PeerOf(chain, pieces);
    row.token = Each(pieces, [&](RequestSet in) { return bdd_.Diff(in, token_) == Bdd::kFalse; });
    for (const auto& [issuer, node] : issuers_) {
      if (!row.token) break;
      bool none = Each(pieces, [&](RequestSet in) { return bdd_.And(in, node) == Bdd::kFalse; });
      if (!none) row.issuers.push_back(issuer);
    }
    AddAuthorizers(chain, pieces, &row);
    if (way.policy != nullptr) {
      row.rules.push_back(way.policy);
      meshproof::Describe(way.policy->permissions[way.pair.permission], &row);
      meshproof::Describe(way.policy->principals[way.pair.principal], &row);
    }
    if (way.route != nullptr) {
      row.route = way.route->route;
      row.destination = DestinationText(*way.route->route);
      if (row.hosts.empty()) {
        for (const std::string& domain : way.route->host->domains) {
          if (domain != "*") row.hosts.push_back(domain);
        }
      }
      std::string path = RouteText(way.route->route->match);
      if (!path.empty()) row.conditions.push_back("route path " + path);
    }
    AddExceptions(chain, pieces, &row);
    return row;
  }

 private:
  static constexpr uint32_t kNone = 0xFFFFFFFF;
  struct KeptPiece {
    size_t row = 0;
    RequestSet node = Bdd::kFalse;
    uint32_t next = kNone;  // of the same slice
  };
  struct Chained {
    uint32_t first = kNone, last = kNone;
  };

  void Keep(const Slices::Place& place) {
    const auto at = static_cast<uint32_t>(pieces_.size());
    pieces_.push_back({kept_, place.rest, kNone});
    Chained& here = rows_at_[place.slice];
    (here.first == kNone ? here.first : pieces_[here.last].next) = at;
    here.last = at;
  }

  void AddWays(const ChainModel& chain) {
    bool gateway = session_.model.side(0).workload->mode == ProxyMode::kGateway;
    std::vector<Way> ways;
    auto add = [&](const RbacPolicy* policy, const RuleInChain::Pair& pair) {
      Session::Set set = session_.Track(pair.match);
      if (!gateway || chain.routes.empty()) {
        ways.push_back({policy, pair, nullptr, {set, inside_}});
        return;
      }
      for (const RouteInChain& route : chain.routes) {
        ways.push_back({policy, pair, &route, {set, inside_, session_.Track(route.match)}});
      }
    };
    if (chain.allow_filters == 0) {
      add(nullptr, {0, 0, kAlways});
    } else {
      for (const RuleInChain& rule : chain.rules) {
        if (rule.action != Rbac::Action::kAllow || rule.custom) continue;
        for (const RuleInChain::Pair& pair : rule.pairs) add(rule.policy, pair);
      }
    }
    std::vector<Session::Set> gates;
    for (const auto& [provider, asked] : chain.gates) gates.push_back(session_.Track(asked));
    ways_.push_back(std::move(ways));
    gates_.push_back(std::move(gates));
    any_identity_.emplace_back();
  }

  // All of the distinct pieces.
  template <typename Holds>
  static bool Each(const Pieces& pieces, Holds holds) {
    return std::all_of(pieces.distinct.begin(), pieces.distinct.end(), holds);
  }

  ExposureRow::Peer PeerOf(size_t chain, const Pieces& pieces) {
    bool certified =
        Each(pieces, [&](RequestSet in) { return bdd_.Diff(in, certificate_) == Bdd::kFalse; });
    if (!certified) return ExposureRow::Peer::kAnyone;
    std::optional<RequestSet>& any = any_identity_[chain];
    if (!any) {
      RequestSet arrives = space_.ToNode(session_.chains()[chain].model->arrives);
      any = bdd_.Exists(bdd_.And(session_.domain, arrives), not_identity_);
    }
    RequestSet seen = Bdd::kFalse;
    for (RequestSet in : pieces.distinct) {
      seen = bdd_.Or(seen, bdd_.Exists(in, not_identity_));
      if (seen == *any) return ExposureRow::Peer::kAnyIdentity;
    }
    return ExposureRow::Peer::kNamed;
  }

  void AddAuthorizers(size_t chain, const Pieces& pieces, ExposureRow* row) {
    const ChainModel& model = *session_.chains()[chain].model;
    for (size_t gate = 0; gate < model.gates.size(); ++gate) {
      const std::string& provider = model.gates[gate].first;
      if (std::find(row->custom.begin(), row->custom.end(), provider) != row->custom.end()) {
        continue;
      }
      bool asked =
          std::any_of(pieces.places.begin(), pieces.places.end(), [&](const Slices::Place& place) {
            RequestSet here = session_.At(gates_[chain][gate], place.slice);
            return bdd_.And(place.rest, here) != Bdd::kFalse;
          });
      if (asked) row->custom.push_back(provider);
    }
  }

  // The DENY rules that take away a part of the way.
  void AddExceptions(size_t chain, const Pieces& pieces, ExposureRow* row) {
    const std::vector<RuleInChain>& rules = session_.chains()[chain].model->rules;
    std::set<size_t> taking;
    for (const auto& [slice, rest] : pieces.samples) {
      RequestSet open = bdd_.And(session_.Open(chain, slice, Authorizers::kAgree), rest);
      if (open == Bdd::kFalse || session_.Tick()) continue;
      for (const Session::DenyRule& deny : session_.DeniesAt(chain, slice)) {
        if (rules[deny.rule].custom || bdd_.And(rest, deny.rest) == Bdd::kFalse) continue;
        if (taking.count(deny.rule) != 0) continue;
        if (bdd_.And(open, deny.rest) != Bdd::kFalse) taking.insert(deny.rule);
      }
    }
    for (size_t rule : taking) {
      ExposureRow words;
      ExposureRow::Exception exception;
      exception.rule = rules[rule].policy;
      for (const Predicate& one : exception.rule->permissions) {
        meshproof::Describe(one, &words);
      }
      for (const Predicate& one : exception.rule->principals) meshproof::Describe(one, &words);
      std::vector<std::string> parts;
      for (const auto* list :
           {&words.from, &words.methods, &words.hosts, &words.paths, &words.conditions}) {
        if (!list->empty()) parts.push_back(Join(*list, ", "));
      }
      exception.text = parts.empty() ? "everything" : Join(parts, "; ");
      row->except.push_back(std::move(exception));
    }
  }

  Session& session_;
  Space& space_;
  Bdd& bdd_;
  RequestSet certificate_, token_;
  Session::Set inside_;
  std::vector<std::pair<std::string, RequestSet>> issuers_;
  std::vector<bool> not_identity_;
  std::vector<std::vector<Way>> ways_;                   // by chain
  std::vector<std::vector<Session::Set>> gates_;         // by chain
  std::vector<std::optional<RequestSet>> any_identity_;  // by chain
  std::vector<KeptPiece> pieces_;
  std::vector<Chained> rows_at_;  // by slice
  size_t kept_ = 0;
};

}  // namespace

Exposure Reasoner::Impl::ExposureAt(const PortModel::Side& at, const Region& within) const {
  return AskAt(at, within, [&](OpenPort* port, Expr where) {
    Exposure exposure = ExposureOf(port, where);
    exposure.port = at.port;
    return exposure;
  });
}

Exposure Reasoner::Impl::ExposureOf(OpenPort* port, Expr where) const {
  Exposure exposure;
  if (!port->built) {
    exposure.reason = port->reason;
    return exposure;
  }
  PortModel& model = port->model;
  const SideModel& side = model.side(0);
  Session& session = port->SessionFor(ExposureFinder::SetsOf(side, where));
  ExposureFinder finder(&session, where, port->certificate, port->token, port->issuers);
  using RowKey = std::tuple<const RbacPolicy*, size_t, size_t, const Route*, bool>;
  std::map<RowKey, size_t> row_of;
  for (size_t chain = 0; chain < finder.chains() && !session.spent(); ++chain) {
    for (const Way& way : finder.WaysInto(chain)) {
      ExposureFinder::Pieces pieces = finder.PiecesOf(chain, way);
      if (session.spent()) break;
      if (pieces.places.empty()) continue;
      if (exposure.rows.size() >= kMaxRows) {
        exposure.reason = "there are more rows than " + std::to_string(kMaxRows);
        break;
      }
      if (side.chains[chain].http) exposure.http = true;
      if (finder.LiesInEarlier(pieces)) continue;
      ExposureRow row = finder.Describe(chain, way, pieces);
      Session::Places sure;
      for (const Slices::Place& place : pieces.places) {
        RequestSet certain = session.Surely(place.rest);
        if (certain != Bdd::kFalse) sure.push_back({place.slice, certain});
      }
      if (sure.empty()) {
        if (exposure.reason.empty()) exposure.reason = model.OpaqueReason();
      } else {
        Answer answer = Show(&session, sure, 0, Authorizers::kAgree, false);
        if (answer.found()) {
          row.example = std::make_shared<const Example>(*std::move(answer.example));
        } else if (exposure.reason.empty()) {
          exposure.reason = answer.reason;
        }
      }
      // One rule in the chains of one port (plaintext, mTLS) is one row.
      RowKey key{way.policy, way.pair.permission, way.pair.principal, row.route, row.http};
      auto [twin, added] = row_of.try_emplace(key, exposure.rows.size());
      if (added) {
        exposure.rows.push_back(std::move(row));
      } else {
        MergeRow(std::move(row), &exposure.rows[twin->second]);
      }
    }
  }
  if (session.spent()) exposure.reason = SpentReason();
  exposure.complete = exposure.reason.empty();
  return exposure;
}

}  // namespace meshproof
