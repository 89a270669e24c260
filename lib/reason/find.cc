// Some request of a region that is let in, or that is refused, or the proof that there is none:
// one ALLOW rule after the other and one slice after the other, until something is found for sure.

#include "reason/reasoner_impl.h"

namespace meshproof {
namespace {

using RequestSet = Session::Node;

struct Found {
  Session::Places sure, all;
};

void AddFound(Session* session, uint32_t slice, RequestSet node, Found* found) {
  if (node == Bdd::kFalse) return;
  found->all.push_back({slice, node});
  RequestSet sure = session->Surely(node);
  if (sure != Bdd::kFalse) found->sure.push_back({slice, sure});
}

// What one set of a chain lets in of a region.
RequestSet LetIn(Session* session, size_t chain, uint32_t slice, RequestSet wanted,
                 Authorizers answers) {
  return session->FreeOf(chain, slice, wanted, answers);
}

// What is no HTTP request is refused by an HTTP port, which nobody asks about.
Expr Asked(PortModel* model, Expr region) {
  return model->space().And(region, model->space().Not(model->side(0).garbled));
}

}  // namespace

Answer Reasoner::Impl::FindAt(const PortModel::Side& at, const Region& region,
                              Wanted wanted) const {
  return AskAt(at, region, [&](OpenPort* port, Expr inside) {
    Answer answer;
    answer.reason = port->reason;
    if (!port->built) return answer;
    Expr where = Asked(&port->model, inside);
    Session& session = port->SessionFor({where}, where);
    return FindIn(&session, session.Track(where), wanted);
  });
}

Answer Reasoner::Impl::FindIn(Session* session_at, Session::Set inside, Wanted wanted) const {
  Session& session = *session_at;
  PortModel& model = session.model;
  Answer answer;
  Authorizers answers =
      wanted == Wanted::kAllowedByAnyAuthorizer ? Authorizers::kRefuse : Authorizers::kAgree;
  bool refused = wanted == Wanted::kRefused;
  Found found;
  std::function<RequestSet(uint32_t)> found_at;
  auto refused_at = [&](uint32_t slice) {
    RequestSet asked = session.bdd.And(session.domain, session.At(inside, slice));
    return asked == Bdd::kFalse
               ? asked
               : session.bdd.Diff(asked, session.AllowedBy(0, slice, asked, answers));
  };
  if (session.spent()) {
    answer.reason = SpentReason();
    return answer;
  }
  if (refused) {
    for (uint32_t slice = 0; slice < session.slices.count() && !session.Tick(); ++slice) {
      AddFound(&session, slice, refused_at(slice), &found);
      // Slices come in the order of how pleasant they are.
      if (!found.sure.empty()) break;
    }
    found_at = refused_at;
  }
  for (size_t chain = 0; chain < session.chains().size() && !refused; ++chain) {
    const Session::Chain& own = session.chains()[chain];
    size_t ways = own.one_filter ? own.rules.size() : 1;
    for (size_t way = 0; way < ways && found.sure.empty(); ++way) {
      if (own.one_filter && !Session::Allows(own.model->rules[way])) continue;
      Session::Set admitted = own.one_filter ? own.rules[way] : own.admitted;
      session.EachPlaceOf({admitted, inside}, [&](uint32_t slice, RequestSet rest) {
        AddFound(&session, slice, LetIn(&session, chain, slice, rest, answers), &found);
        return session.Tick();
      });
      if (found.sure.empty()) continue;
      found_at = [&session, chain, admitted, inside, answers](uint32_t slice) {
        RequestSet asked = session.bdd.And(session.At(admitted, slice), session.At(inside, slice));
        return LetIn(&session, chain, slice, asked, answers);
      };
    }
    if (!found.sure.empty()) break;
  }
  if (found.sure.empty() && !refused && !session.spent()) {
    // Two ALLOW rules may together be sure of what neither is alone.
    std::vector<RequestSet> together(session.slices.count(), Bdd::kFalse);
    for (const Slices::Place& place : found.all) {
      together[place.slice] = session.bdd.Or(together[place.slice], place.rest);
    }
    found.all.clear();
    for (uint32_t slice = 0; slice < together.size(); ++slice) {
      AddFound(&session, slice, together[slice], &found);
    }
    found_at = [together](uint32_t slice) { return together[slice]; };
  }
  if (session.spent()) {
    answer.reason = SpentReason();
  } else if (found.all.empty()) {
    answer.kind = Answer::Kind::kEmpty;
  } else if (found.sure.empty()) {
    answer.reason = model.OpaqueReason();
  } else {
    Session::Chosen chosen = session.Choose(found.sure, 0);
    answer.example = Confirm(&session, chosen.point, 0, *this, answers, refused);
    if (answer.example) {
      answer.kind = Answer::Kind::kFound;
      answer.region = session.Generalize(
          chosen, [&](uint32_t slice) { return session.Surely(found_at(slice)); });
    } else {
      answer.reason = UnconfirmedReason();
    }
  }
  return answer;
}

}  // namespace meshproof
