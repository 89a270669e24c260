#include "reason/ask_all.h"

#include <unordered_map>
#include <utility>

#include "base/parallel.h"
#include "reason/proxy_key.h"

namespace meshproof {
namespace {

// So many questions are asked one after the other on one thread: what the first of them leaves in
// memory is still at hand for the others.
constexpr size_t kAtOnce = 64;

// Keys are empty where a question is like no other one.
void AskByKey(const std::vector<std::string>& keys, const std::function<void(size_t)>& ask) {
  std::vector<std::vector<size_t>> first, others;
  std::unordered_map<std::string_view, std::pair<size_t, size_t>> known;  // in first, in others
  for (size_t i = 0; i < keys.size(); ++i) {
    if (keys[i].empty()) {
      first.push_back({i});
      continue;
    }
    auto [found, added] = known.try_emplace(keys[i], first.size(), 0);
    auto& [own, more] = found->second;
    if (added) {
      first.push_back({i});
    } else if (first[own].size() < kAtOnce) {
      first[own].push_back(i);
    } else {
      if (more == 0 || others[more - 1].size() == kAtOnce) {
        others.emplace_back();
        more = others.size();
      }
      others[more - 1].push_back(i);
    }
  }
  for (const auto* part : {&first, &others}) {
    ParallelFor(part->size(), [&](size_t i) {
      for (size_t question : (*part)[i]) ask(question);
    });
  }
}

}  // namespace

void AskAll(const World& world, const std::vector<Question>& questions,
            const std::function<void(size_t)>& ask) {
  ProxyKeys keys;
  std::vector<std::string> by_question(questions.size());
  ParallelFor(questions.size(), [&](size_t i) {
    by_question[i] = keys.Of(world, *questions[i].workload, questions[i].port);
    if (!by_question[i].empty()) by_question[i] += questions[i].detail;
  });
  AskByKey(by_question, ask);
}

void AskAll(const World& before, const World& after, const std::vector<QuestionPair>& questions,
            const std::function<void(size_t)>& ask) {
  ProxyKeys old_keys, new_keys;
  std::vector<std::string> by_question(questions.size());
  ParallelFor(questions.size(), [&](size_t i) {
    const QuestionPair& own = questions[i];
    std::string old_key = old_keys.Of(before, *own.before.workload, own.before.port);
    std::string new_key = new_keys.Of(after, *own.after.workload, own.after.port);
    if (old_key.empty() || new_key.empty()) return;
    by_question[i] = std::to_string(old_key.size()) + "|" + old_key + new_key + own.after.detail;
  });
  AskByKey(by_question, ask);
}

}  // namespace meshproof
