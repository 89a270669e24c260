// No request is shown that the simulator does not judge as the answer says.

#include "base/text.h"
#include "reason/reasoner_impl.h"

namespace meshproof {
namespace {

bool IsRefusal(Outcome outcome) {
  return outcome == Outcome::kDeny || outcome == Outcome::kReject;
}

// A token that says what `claims` says and that nobody signed.
std::string UnsignedToken(const Json& claims) {
  auto encode = [](std::string_view text) {
    static constexpr char kDigits[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string out;
    uint32_t bits = 0;
    int count = 0;
    for (char c : text) {
      bits = bits << 8 | static_cast<uint8_t>(c);
      count += 8;
      while (count >= 6) {
        count -= 6;
        out.push_back(kDigits[bits >> count & 63]);
      }
    }
    if (count > 0) out.push_back(kDigits[bits << (6 - count) & 63]);
    return out;
  };
  return encode(R"({"alg":"RS256","typ":"JWT"})") + "." + encode(WriteJson(claims)) + ".AAAA";
}

}  // namespace

std::optional<Example> Reasoner::Impl::Confirm(Session* session, const Space::Point& point,
                                               size_t side, const Impl& at, Authorizers answers,
                                               bool refused) const {
  std::optional<Case> request = session->model.Decode(point, side);
  if (!request) {
    ++unconfirmed;
    return std::nullopt;
  }
  for (auto& [provider, answer] : request->ext_authz_by_provider) {
    answer = answers == Authorizers::kAgree ? ExtAuthzAnswer::kAllow : ExtAuthzAnswer::kDeny;
  }
  const SideModel& model = session->model.side(side);
  if (request->claims && model.has_jwt &&
      !session->space.Holds(session->space.ToNode(model.token_accepted), point)) {
    // Claims alone would be taken as valid by anybody.
    Case::Token token;
    token.text = UnsignedToken(*request->claims);
    request->tokens.push_back(std::move(token));
    request->claims.reset();
  }
  auto replay = at.replays.Run(*request, *model.workload, model.port);
  bool as_expected = replay.ok() && (refused ? IsRefusal(replay.value().verdict->outcome)
                                             : replay.value().verdict->outcome == Outcome::kAllow);
  if (!as_expected) {
    ++unconfirmed;
    std::lock_guard lock(unconfirmed_mutex);
    last_unconfirmed = request->to_workload + request->to_host + ":" +
                       std::to_string(request->to_port) + " " + request->method.value_or("GET") +
                       " " + request->path + ": " +
                       (replay.ok() ? std::string(ToString(replay.value().verdict->outcome)) + " " +
                                          replay.value().verdict->details
                                    : replay.error().message);
    return std::nullopt;
  }
  return Example{*std::move(request), *replay.value().verdict, replay.value().number};
}

bool Reasoner::Impl::Readdress(const Workload& workload, int port,
                               std::optional<Example>* example) const {
  if (!*example) return true;
  Example& own = **example;
  own.request.to_workload = workload.ns + "/" + workload.name;
  own.request.to_port = port;
  auto replay = replays.RunAgain(own.request, own.number, workload, port);
  if (!replay.ok() || replay.value().verdict->outcome != own.verdict.outcome) return false;
  own.verdict = *replay.value().verdict;
  return true;
}

std::string Reasoner::Impl::UnconfirmedReason() const {
  std::lock_guard lock(unconfirmed_mutex);
  return "the simulator does not confirm the request found (an error of meshproof): " +
         last_unconfirmed;
}

Answer Reasoner::Impl::Show(Session* session, const Session::Places& sure, size_t side,
                            Authorizers answers, bool refused) const {
  Answer answer;
  Session::Chosen chosen = session->Choose(sure, side);
  if (session->spent()) {
    answer.reason = SpentReason();
    return answer;
  }
  answer.example = Confirm(session, chosen.point, side, *this, answers, refused);
  if (answer.example) {
    answer.kind = Answer::Kind::kFound;
  } else {
    answer.reason = UnconfirmedReason();
  }
  return answer;
}

}  // namespace meshproof
