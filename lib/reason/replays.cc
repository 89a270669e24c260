#include "reason/replays.h"

#include <iterator>

#include "base/json.h"
#include "match/ip.h"

namespace meshproof {
namespace {

// Of so many ports; the threads ask about one each.
constexpr size_t kMaxPorts = 8;

void AppendText(std::string_view text, std::string* key) {
  *key += std::to_string(text.size());
  *key += ':';
  *key += text;
}
void AppendText(const std::optional<std::string>& text, std::string* key) {
  *key += text ? '+' : '-';
  if (text) AppendText(std::string_view(*text), key);
}
void AppendText(const std::optional<IpAddress>& address, std::string* key) {
  *key += address ? '+' : '-';
  if (address) AppendText(std::string_view(ToString(*address)), key);
}
void AppendText(int64_t number, std::string* key) {
  *key += std::to_string(number);
  *key += ',';
}

// Equal for equal requests.
std::string TextOf(const Case& request) {
  std::string key;
  AppendText(std::string_view(request.from_workload), &key);
  AppendText(int64_t{request.from_outside}, &key);
  AppendText(request.from_identity, &key);
  AppendText(request.from_ip, &key);
  AppendText(static_cast<int64_t>(request.tls), &key);
  AppendText(std::string_view(request.to_workload), &key);
  AppendText(std::string_view(request.to_host), &key);
  AppendText(int64_t{request.to_port}, &key);
  AppendText(request.to_ip, &key);
  AppendText(static_cast<int64_t>(request.protocol), &key);
  AppendText(request.method, &key);
  AppendText(std::string_view(request.path), &key);
  AppendText(request.host, &key);
  for (const auto& [name, value] : request.headers) {
    key += 'h';
    AppendText(std::string_view(name), &key);
    AppendText(std::string_view(value), &key);
  }
  AppendText(request.sni, &key);
  for (const Case::Token& token : request.tokens) {
    key += 't';
    for (const std::string* part : {&token.text, &token.header, &token.param, &token.cookie}) {
      AppendText(std::string_view(*part), &key);
    }
    AppendText(token.prefix, &key);
  }
  key += request.claims ? '+' : '-';
  if (request.claims) AppendText(std::string_view(WriteJson(*request.claims)), &key);
  if (request.ext_authz) AppendText(static_cast<int64_t>(*request.ext_authz), &key);
  for (const auto& [provider, answer] : request.ext_authz_by_provider) {
    key += 'e';
    AppendText(std::string_view(provider), &key);
    AppendText(static_cast<int64_t>(answer), &key);
  }
  key += request.follow ? 'f' : '.';
  if (request.now) AppendText(*request.now, &key);
  return key;
}

}  // namespace

Replays::Known& Replays::KnownOf(const Port& port) {
  for (auto at = known_.begin(); at != known_.end(); ++at) {
    if (at->first != port) continue;
    known_.splice(known_.begin(), known_, at);
    return at->second;
  }
  if (known_.size() < kMaxPorts) {
    known_.emplace_front(port, Known());
  } else {
    known_.splice(known_.begin(), known_, std::prev(known_.end()));
    known_.front().first = port;
    known_.front().second.by_text.clear();
    known_.front().second.by_number.clear();
  }
  return known_.front().second;
}

Result<Replays::Replay> Replays::Run(const Case& request, const Workload& workload, int port) {
  const Port at{&workload, port};
  std::string text = TextOf(request);
  {
    std::lock_guard lock(mutex_);
    Known& known = KnownOf(at);
    auto found = known.by_text.find(text);
    if (found != known.by_text.end()) return found->second;
  }
  auto verdict = world_.Run(request, World::Addresses::kUnknown, Detail::kHops);
  if (!verdict.ok()) return verdict.error();
  Replay replay{0, std::make_shared<const Verdict>(verdict.Take())};
  std::lock_guard lock(mutex_);
  replay.number = ++last_number_;
  Known& known = KnownOf(at);
  known.by_number.emplace(replay.number, replay.verdict);
  return known.by_text.try_emplace(std::move(text), replay).first->second;
}

Result<Replays::Replay> Replays::RunAgain(const Case& request, uint64_t number,
                                          const Workload& workload, int port) {
  if (number == 0) return Run(request, workload, port);
  const Port at{&workload, port};
  {
    std::lock_guard lock(mutex_);
    Known& known = KnownOf(at);
    auto found = known.by_number.find(number);
    if (found != known.by_number.end()) return Replay{number, found->second};
  }
  auto verdict = world_.Run(request, World::Addresses::kUnknown, Detail::kHops);
  if (!verdict.ok()) return verdict.error();
  Replay replay{number, std::make_shared<const Verdict>(verdict.Take())};
  std::lock_guard lock(mutex_);
  KnownOf(at).by_number.try_emplace(number, replay.verdict);
  return replay;
}

}  // namespace meshproof
