#include "simulate/filter_chain.h"

#include <doctest/doctest.h>

#include "base/text.h"
#include "simulate/simulate_testing.h"

namespace meshproof::filter_chain_test {
namespace {

// The choice told the slow way: at each level the keys of a connection from the most specific to
// "none"; the first that any remaining chain has keeps just the chains that have it.
const FilterChain* SlowFind(const Listener& listener, uint32_t port, const std::string& name,
                            const std::string& transport, const std::vector<std::string>& alpn) {
  std::vector<const FilterChain*> chains;
  for (const auto& chain : listener.filter_chains) chains.push_back(&chain);
  auto keep = [&](const std::vector<std::string>& keys, auto keys_of) {
    for (const auto& key : keys) {
      std::vector<const FilterChain*> kept;
      for (const FilterChain* chain : chains) {
        std::vector<std::string> own = keys_of(chain->match);
        if (own.empty()) own.push_back("");
        for (const auto& candidate : own) {
          if (candidate == key) kept.push_back(chain);
        }
      }
      if (!kept.empty()) {
        chains = kept;
        return;
      }
    }
    chains.clear();
  };
  keep({std::to_string(port), "0"}, [](const FilterChainMatch& match) {
    return std::vector<std::string>{std::to_string(match.destination_port)};
  });
  std::vector<std::string> names;
  if (!name.empty()) names.push_back(name);
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '.' && i > 0) names.push_back("*" + name.substr(i));
  }
  names.push_back("");
  keep(names, [](const FilterChainMatch& match) { return match.server_names; });
  keep({transport, ""}, [](const FilterChainMatch& match) {
    return std::vector<std::string>{match.transport_protocol};
  });
  std::vector<std::string> protocols = alpn;
  protocols.push_back("");
  keep(protocols, [](const FilterChainMatch& match) { return match.application_protocols; });
  if (!chains.empty()) return chains.front();
  return listener.default_filter_chain ? &*listener.default_filter_chain : nullptr;
}

std::vector<FilterChainMatch> AllMatches() {
  std::vector<FilterChainMatch> matches;
  const std::vector<std::vector<std::string>> kNames = {{}, {"b.a"}, {"*.a"}, {"*.b.a", "c"}};
  const std::vector<std::vector<std::string>> kProtocols = {{}, {"h2"}, {"istio", "http/1.1"}};
  for (uint32_t port : {0U, 80U}) {
    for (const auto& names : kNames) {
      for (const char* transport : {"", "tls", "raw_buffer"}) {
        for (const auto& protocols : kProtocols) {
          FilterChainMatch match;
          match.destination_port = port;
          match.server_names = names;
          match.transport_protocol = transport;
          match.application_protocols = protocols;
          matches.push_back(match);
        }
      }
    }
  }
  return matches;
}

ConnectionFacts FactsOf(uint32_t port, const std::string& name, const std::string& transport,
                        const std::vector<std::string>& alpn) {
  ConnectionFacts facts;
  facts.source = testing::Ip("10.0.0.1");
  facts.destination = testing::Ip("10.0.0.2");
  facts.destination_port = port;
  facts.transport = transport;
  facts.server_name = name;
  facts.protocols.assign(alpn.begin(), alpn.end());
  return facts;
}

}  // namespace

TEST_CASE("filter chains: every pair of small matches, against the slow way") {
  const std::vector<FilterChainMatch> matches = AllMatches();
  const std::vector<std::vector<std::string>> kOffers = {
      {}, {"h2"}, {"http/1.1", "h2"}, {"foo", "istio"}};
  int compared = 0;
  for (const auto& first : matches) {
    for (const auto& second : matches) {
      Listener listener;
      for (const auto& match : {first, second}) {
        FilterChain chain;
        chain.match = match;
        listener.filter_chains.push_back(chain);
      }
      if ((&first - matches.data()) % 2 == 0) listener.default_filter_chain.emplace();
      FilterChainIndex index(listener);
      for (uint32_t port : {80U, 81U}) {
        for (const char* name : {"", "b.a", "c.b.a"}) {
          for (const char* transport : {"tls", "raw_buffer"}) {
            for (const auto& offer : kOffers) {
              const FilterChain* got = index.Find(FactsOf(port, name, transport, offer)).chain;
              const FilterChain* wanted = SlowFind(listener, port, name, transport, offer);
              ++compared;
              if (got != wanted) FAIL("differs on port " << port << " name " << name);
            }
          }
        }
      }
    }
  }
  CHECK(compared == 72 * 72 * 2 * 3 * 2 * 4);
}

TEST_CASE("filter chains: blocks, source type and source port") {
  Listener listener;
  auto add = [&](const char* name, auto set) {
    FilterChain chain;
    chain.name = name;
    set(&chain.match);
    listener.filter_chains.push_back(chain);
  };
  add("wide", [](FilterChainMatch* m) { m->prefix_ranges = {*ParseCidr("10.0.0.0/8")}; });
  add("narrow", [](FilterChainMatch* m) { m->prefix_ranges = {*ParseCidr("10.1.0.0/16")}; });
  add("none", [](FilterChainMatch*) {});
  FilterChainIndex index(listener);
  auto find = [&](Address destination) {
    ConnectionFacts facts = FactsOf(80, "", "raw_buffer", {});
    facts.destination = destination;
    ChainChoice choice = index.Find(facts);
    if (!choice.unknown.empty()) return std::string("unknown");
    return choice.chain == nullptr ? std::string("-") : choice.chain->name;
  };
  CHECK(find(testing::Ip("10.1.2.3")) == "narrow");
  CHECK(find(testing::Ip("10.2.2.3")) == "wide");
  CHECK(find(testing::Ip("1.1.1.1")) == "none");
  CHECK(find(testing::Ip("::1")) == "none");
  CHECK(find(testing::Block("10.1.1.0/24")) == "narrow");
  CHECK(find(testing::Block("10.0.0.0/15")) == "unknown");
  CHECK(find(Address{}) == "unknown");

  Listener typed;
  FilterChain local;
  local.name = "local";
  local.match.source_type = FilterChainMatch::SourceType::kSameIpOrLoopback;
  FilterChain external;
  external.name = "external";
  external.match.source_type = FilterChainMatch::SourceType::kExternal;
  FilterChain port;
  port.name = "port";
  port.match.source_type = FilterChainMatch::SourceType::kExternal;
  port.match.source_ports = {77};
  typed.filter_chains = {local, external, port};
  FilterChainIndex by_type(typed);
  ConnectionFacts facts = FactsOf(80, "", "tls", {});
  CHECK(by_type.Find(facts).chain->name == "external");
  facts.source_port = 77;
  CHECK(by_type.Find(facts).chain->name == "port");
  facts.source = testing::Ip("10.0.0.2");
  CHECK(by_type.Find(facts).chain->name == "local");  // the port belongs to the other type
  facts.source_port = 0;
  CHECK(by_type.Find(facts).chain->name == "local");
  facts.source = testing::Ip("127.0.0.1");
  CHECK(by_type.Find(facts).chain->name == "local");
}

}  // namespace meshproof::filter_chain_test
