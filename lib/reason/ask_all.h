#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "mesh/mesh.h"
#include "reason/reason.h"
#include "simulate/case.h"

namespace meshproof {

// What a command may spend on each of its questions. Rules, which ask a lot of questions in
// passing, give up sooner.
inline Budget CommandBudget() {
  Budget budget;
  budget.classes = 400'000;
  return budget;
}

struct Question {
  const Workload* workload = nullptr;
  int port = 0;
  std::string detail;  // what else is asked; questions of one Reasoner that differ in it differ
};

// Calls ask(0) … ask(questions.size() - 1), each once, on several threads. A Reasoner remembers
// what it answered for proxies that say the same; the first of them in this order is asked before
// the others, so that answers do not depend on the number of threads. `ask` must not throw.
void AskAll(const World& world, const std::vector<Question>& questions,
            const std::function<void(size_t)>& ask);

// The same for questions about two versions of a workload, where the second one is there.
struct QuestionPair {
  Question before, after;
};
void AskAll(const World& before, const World& after, const std::vector<QuestionPair>& questions,
            const std::function<void(size_t)>& ask);

}  // namespace meshproof
