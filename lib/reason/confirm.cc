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
                                               size_t side, const World& at, Authorizers answers,
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
  auto verdict = at.Run(*request, World::Addresses::kUnknown, Detail::kVerdict);
  bool as_expected = verdict.ok() && (refused ? IsRefusal(verdict.value().outcome)
                                              : verdict.value().outcome == Outcome::kAllow);
  if (!as_expected) {
    ++unconfirmed;
    std::lock_guard lock(unconfirmed_mutex);
    last_unconfirmed =
        request->to_workload + request->to_host + ":" + std::to_string(request->to_port) + " " +
        request->method.value_or("GET") + " " + request->path + ": " +
        (verdict.ok()
             ? std::string(ToString(verdict.value().outcome)) + " " + verdict.value().details
             : verdict.error().message);
    return std::nullopt;
  }
  return Example{*std::move(request), verdict.Take()};
}

bool Reasoner::Impl::Readdress(const Workload& workload, int port,
                               std::optional<Example>* example) const {
  if (!*example) return true;
  Case request = (*example)->request;
  request.to_workload = workload.ns + "/" + workload.name;
  request.to_port = port;
  auto verdict = world.Run(request, World::Addresses::kUnknown, Detail::kVerdict);
  if (!verdict.ok() || verdict.value().outcome != (*example)->verdict.outcome) return false;
  *example = Example{std::move(request), verdict.Take()};
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
  answer.example = Confirm(session, chosen.point, side, world, answers, refused);
  if (answer.example) {
    answer.kind = Answer::Kind::kFound;
  } else {
    answer.reason = UnconfirmedReason();
  }
  return answer;
}

}  // namespace meshproof
