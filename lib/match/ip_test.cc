#include "match/ip.h"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <vector>

namespace meshproof::ip_test {
namespace {

// The slow oracle: a block as the set of its addresses. Only the last byte varies.
std::set<int> Members(const CidrRange& range) {
  std::set<int> members;
  size_t last = range.address.v6 ? 15 : 3;
  int host_bits = (range.address.v6 ? 128 : 32) - range.length;
  for (int i = 0; i < (1 << host_bits); ++i) members.insert(range.address.bytes[last] + i);
  return members;
}

}  // namespace

TEST_CASE("addresses are bare and canonical") {
  struct Row {
    const char* text;
    const char* printed;  // null: refused
  };
  for (const Row& row : {
           Row{"0.0.0.0", "0.0.0.0"},
           Row{"255.255.255.255", "255.255.255.255"},
           Row{"10.1.2.3", "10.1.2.3"},
           Row{"::", "::"},
           Row{"::1", "::1"},
           Row{"2001:DB8::0:1", "2001:db8::1"},
           Row{"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
           Row{"::ffff:10.0.0.1", "::ffff:10.0.0.1"},
           Row{"::ffff:0a00:0001", "::ffff:10.0.0.1"},
           Row{"", nullptr},
           Row{"01.2.3.4", nullptr},
           Row{"1.2.3", nullptr},
           Row{"1.2.3.4.5", nullptr},
           Row{"1.2.3.256", nullptr},
           Row{"0x1.2.3.4", nullptr},
           Row{"16909060", nullptr},
           Row{" 1.2.3.4", nullptr},
           Row{"1.2.3.4 ", nullptr},
           Row{"1.2.3.4:80", nullptr},
           Row{"+1.2.3.4", nullptr},
           Row{"[::1]", nullptr},
           Row{"::1%eth0", nullptr},
           Row{"fe80::1%1", nullptr},
           Row{":::", nullptr},
           Row{"1::2::3", nullptr},
           Row{"12345::", nullptr},
           Row{"1:2:3:4:5:6:7", nullptr},
           Row{"1:2:3:4:5:6:7:8:9", nullptr},
           Row{"::1.2.3.04", nullptr},
           Row{"localhost", nullptr},
       }) {
    CAPTURE(row.text);
    auto address = ParseIpAddress(row.text);
    REQUIRE(address.has_value() == (row.printed != nullptr));
    if (address) CHECK(ToString(*address) == row.printed);
  }
  CHECK_FALSE(ParseIpAddress(std::string_view("1.2.3.4\0", 8)));
  CHECK(ParseIpAddress("::ffff:10.0.0.1")->v6);
  CHECK(*ParseIpAddress("::ffff:10.0.0.1") != *ParseIpAddress("10.0.0.1"));
}

TEST_CASE("blocks lose their host bits") {
  struct Row {
    const char* text;
    const char* printed;  // null: refused
  };
  for (const Row& row : {
           Row{"10.1.2.3/8", "10.0.0.0/8"},
           Row{"10.1.2.3", "10.1.2.3/32"},
           Row{"10.255.255.255/9", "10.128.0.0/9"},
           Row{"1.2.3.4/0", "0.0.0.0/0"},
           Row{"1.2.3.4/31", "1.2.3.4/31"},
           Row{"2001:db8:ffff::1/33", "2001:db8:8000::/33"},
           Row{"::1", "::1/128"},
           Row{"::1/0", "::/0"},
           Row{"ffff::/127", "ffff::/127"},
           Row{"10.0.0.0/33", nullptr},
           Row{"::/129", nullptr},
           Row{"10.0.0.0/", nullptr},
           Row{"10.0.0.0/08", nullptr},
           Row{"10.0.0.0/+8", nullptr},
           Row{"10.0.0.0/-1", nullptr},
           Row{"10.0.0.0/8/8", nullptr},
           Row{"10.0.0.0/255.0.0.0", nullptr},
           Row{"10.0.0.0 /8", nullptr},
           Row{"/8", nullptr},
           Row{"", nullptr},
       }) {
    CAPTURE(row.text);
    auto range = ParseCidr(row.text);
    REQUIRE(range.has_value() == (row.printed != nullptr));
    if (range) CHECK(ToString(*range) == row.printed);
  }
}

TEST_CASE("containment and overlap agree with the sets of addresses") {
  std::vector<CidrRange> ranges;
  for (const char* base : {"10.0.0.", "2001:db8::"}) {
    bool v6 = base[4] == ':';
    for (int host_bits = 0; host_bits <= 4; ++host_bits) {
      for (int first = 0; first < 16; ++first) {
        std::string text = base;
        text += v6 && first > 9 ? std::string(1, static_cast<char>('a' + first - 10))
                                : std::to_string(first);
        ranges.push_back(*ParseCidr(text + "/" + std::to_string((v6 ? 128 : 32) - host_bits)));
      }
    }
  }
  for (const CidrRange& a : ranges) {
    std::set<int> in_a = Members(a);
    for (const CidrRange& b : ranges) {
      bool same_family = a.address.v6 == b.address.v6;
      std::set<int> in_b = Members(b);
      bool all = same_family;
      bool some = false;
      for (int member : in_b) {
        all = all && in_a.count(member) > 0;
        some = some || (same_family && in_a.count(member) > 0);
      }
      REQUIRE(a.Contains(b) == all);
      REQUIRE(a.Overlaps(b) == some);
      if (b.length == (b.address.v6 ? 128 : 32)) REQUIRE(a.Contains(b.address) == all);
    }
  }
  CHECK_FALSE(ParseCidr("::/0")->Contains(*ParseIpAddress("10.0.0.1")));
  CHECK_FALSE(ParseCidr("0.0.0.0/0")->Contains(*ParseIpAddress("::ffff:10.0.0.1")));
}

}  // namespace meshproof::ip_test
