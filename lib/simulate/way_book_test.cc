#include "simulate/way_book.h"

#include <doctest/doctest.h>

#include <functional>
#include <set>
#include <string>
#include <vector>

namespace meshproof::way_book_test {
namespace {

std::string BytesOf(const Case& question) {
  std::string bytes;
  AppendWay(question, &bytes);
  return bytes;
}

}  // namespace

TEST_CASE("ways that differ have different bytes") {
  const std::vector<std::function<void(Case&)>> changes = {
      [](Case& one) { one.to_port = 80; },
      [](Case& one) { one.tls = CaseTls::kMtls; },
      [](Case& one) { one.protocol = WireProtocol::kTcp; },
      [](Case& one) { one.from_workload = "a/b"; },
      [](Case& one) { one.to_workload = "a/b"; },
      [](Case& one) { one.to_host = "a/b"; },
      [](Case& one) { one.from_identity = ""; },
      [](Case& one) { one.from_identity = "a/b"; },
      [](Case& one) { one.sni = ""; },
      [](Case& one) { one.sni = "a/b"; },
      [](Case& one) { one.from_ip = ParseIpAddress("10.0.0.1"); },
      [](Case& one) { one.to_ip = ParseIpAddress("10.0.0.1"); },
  };
  std::set<std::string> known = {BytesOf(Case())};
  for (size_t i = 0; i < changes.size(); ++i) {
    for (size_t j = i; j < changes.size(); ++j) {
      if ((i == 6 && j == 7) || (i == 8 && j == 9)) continue;  // of one field the later one counts
      Case one;
      changes[i](one);
      changes[j](one);
      CAPTURE(i);
      CAPTURE(j);
      CHECK(known.insert(BytesOf(one)).second);
    }
  }
}

TEST_CASE("what one case asks is no part of its way") {
  Case one;
  one.to_workload = "shop/web";
  const std::string bytes = BytesOf(one);
  one.method = "POST";
  one.path = "/x";
  one.host = "shop.example.com";
  one.headers.emplace_back("x", "y");
  one.now = 1;
  CHECK(BytesOf(one) == bytes);
}

}  // namespace meshproof::way_book_test
