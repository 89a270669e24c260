#include "reason/ask_all.h"

#include <unordered_set>

#include "base/parallel.h"
#include "reason/proxy_key.h"

namespace meshproof {
namespace {

// Keys are empty where a question is like no other one.
void AskByKey(const std::vector<std::string>& keys, const std::function<void(size_t)>& ask) {
  std::vector<size_t> first, others;
  std::unordered_set<std::string_view> known;
  for (size_t i = 0; i < keys.size(); ++i) {
    bool alike = !keys[i].empty() && !known.insert(keys[i]).second;
    (alike ? others : first).push_back(i);
  }
  for (const auto* part : {&first, &others}) {
    ParallelFor(part->size(), [&](size_t i) { ask((*part)[i]); });
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
