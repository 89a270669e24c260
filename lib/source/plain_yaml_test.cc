#include "source/plain_yaml.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>

#include "source/plain_yaml_check.h"
#include "source/plain_yaml_documents.h"

namespace meshproof::plain_yaml_test {
namespace {

double Percent(size_t part, size_t whole) {
  return whole == 0 ? 0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole);
}

// Whether the plain reader takes all documents of `text`.
bool TakesAll(const std::string& text) {
  PlainYamlComparison comparison;
  PlainYamlCount count;
  std::string difference = comparison.Compare(text, &count);
  CHECK(difference == "");
  return count.plain == count.documents;
}

std::string ReadAllOf(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

bool IsYaml(const std::filesystem::path& path) {
  return path.extension() == ".yaml" || path.extension() == ".yml";
}

void CompareGenerated(uint64_t seed, size_t documents) {
  CAPTURE(seed);
  DocumentMaker maker(seed);
  PlainYamlComparison comparison;
  PlainYamlCount count;
  size_t differences = 0;
  for (size_t i = 0; i < documents && differences < 5; ++i) {
    std::string difference = comparison.Compare(maker.Next(), &count);
    if (!difference.empty()) {
      FAIL_CHECK(difference);
      ++differences;
    }
  }
  MESSAGE(fmt::format("plain YAML, seed {}: {} documents, {:.1f} % the plain way", seed,
                      count.documents, Percent(count.plain, count.documents)));
  // A generator whose documents are all refused would prove nothing.
  CHECK(Percent(count.plain, count.documents) > 20);
}

size_t GeneratedDocuments() {
  const char* asked = std::getenv("MESHPROOF_PLAIN_YAML_DOCUMENTS");
  return asked == nullptr ? 20000 : std::strtoull(asked, nullptr, 10);
}

}  // namespace

TEST_CASE("the plain reader takes what tools print") {
  for (std::string text : {
           "a: b\n",
           "a: b",
           "# c\n---\na: 1 # d\n\n# e\nb:\n- c\n- d: e\n  f:\n    g: h\n  # i\n- - j\n  - k\n...\n",
           "---\n",
           "---\n# nothing\n",
           "# nothing\n",
           "a:\nb:\n- \n-\n- ~\n- null\n",
           "a: |\n  x\n\n   y\n\nb: |-\n  x\nc: |+\n  x\n\nd: e\n",
           "- |\n a\n\n- x",
           "a: |2-\n    x\n   y\n\nb: >\n  c\n  d\n\n  e\n   f\n\n  g\nh: >-\n i\n",
           "a: | # c\n  x\ty\n  \n",
           "a: 'it''s'\nb: \"x\\n\\u00e9\\\"\"\n'c d': \"\"\n\"e\": '#'\n",
           "a: []\nb: {}\nc: [x, \"y\", 'z', 1, null, [a, {b: c}], ]\nd: {e: f, \"g\":h, \"i\": [] "
           "}\n",
           "  a: b\n  c: d\n",
           "a: b\n  c\n   d # e\nf:\n- g  \n  - h\n- i: j\n   k\nl: 1\n 2",
           "a: 'b \n  c''d'\ne: \"f\\\n  \\ g\n  h\\n\"\n",
           "8080: a\n0: b\n",
           "a: x: y\n---\nb: 1\n",
       }) {
    CAPTURE(text);
    bool broken = text.find("x: y") != std::string::npos;
    CHECK(TakesAll(text) == !broken);
  }
}

TEST_CASE("the plain reader leaves what it does not own to the general one") {
  for (std::string text : {
           "a: &x b\n",
           "a: *x\n",
           "a: !t b\n",
           "<<: {a: b}\n",
           "? a\n: b\n",
           "a: b\n\n  c\n",
           "a: b # c\n  d\n",
           "a: b\n  c: d\n",
           "- 'a\n  b': c\n",
           "'a\n b': c\n",
           "a: 'b\n\n  c'\n",
           "a: 'b\nc'\n",
           "a: 'b\n  '\n",
           "a: [b,\n  c]\n",
           "%YAML 1.1\n---\na: b\n",
           "\ta: b\n",
           "a:\tb\n",
           "a: b\t\n",
           "a: b\r\n",
           "a:\n    b: c\n  d: e\n",
           "a: 1\na: 2\n",
           "0: a\n0: b\n",

           "yes: a\n",
           "a: b: c\n",

           "a\n",
           "[a]\n",
           "a: \"\\x41\"\n",
           "a: {b}\n",
           "a: [b: c]\n",
           "a: |\nb: c\n",
           "a: |\n\t\n",
           "a: '\n",
           "a :b\n",
           "a : b\n",
           "- a\nb: c\n",
           "a: {{ x }}\n",
           "010: a\n",
           "1_0: a\n",
           "0x1: a\n",
           "-1: a\n",
           "12345678901234567890: a\n",
       }) {
    CAPTURE(text);
    CHECK_FALSE(TakesAll(text));
  }
  // What one document asks for does not touch the others.
  PlainYamlComparison comparison;
  PlainYamlCount count;
  CHECK(comparison.Compare("a: b\n---\nc: &x d\n---\ne: f\n", &count) == "");
  CHECK(count.documents == 3);
  CHECK(count.plain == 2);
}

TEST_CASE("the plain reader's bounds are the general reader's") {
  for (size_t length : {900u, 1000u, 1020u, 1024u, 1030u, 2000u}) {
    std::string key(length, 'k');
    CAPTURE(length);
    CHECK(TakesAll(key + ": b\n'" + key + "': c\n{" + key + ": d}\n") == false);
    CHECK(TakesAll(key + ": b\n") == (length <= 1000));
    CHECK(TakesAll("a: {" + key + ": b}\n") == (length <= 1000));
  }
  for (int depth : {50, 99, 101, 256, 257, 3000}) {
    std::string text;
    for (int i = 0; i < depth; ++i) text += std::string(static_cast<size_t>(i), ' ') + "a:\n";
    CHECK(TakesAll(text) == (depth < 100));
  }
}

TEST_CASE("the plain reader reads real files as the general one does") {
  const char* named = std::getenv("MESHPROOF_SHARED");
  std::string root = MESHPROOF_ROOT;
  for (std::string folder :
       {root + "/testdata", named != nullptr ? std::string(named) : root + "/../shared"}) {
    if (!std::filesystem::exists(folder)) {
      MESSAGE(fmt::format("skipped: {} is not there", folder));
      continue;
    }
    PlainYamlComparison comparison;
    PlainYamlCount count;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
      if (!entry.is_regular_file() || !IsYaml(entry.path())) continue;
      CAPTURE(entry.path().string());
      PlainYamlCount before = count;
      CHECK(comparison.Compare(ReadAllOf(entry.path()), &count) == "");
      bool list = std::getenv("MESHPROOF_PLAIN_YAML_LIST") != nullptr;
      if (list && count.documents - before.documents != count.plain - before.plain) {
        std::printf("%s: %zu of %zu\n", entry.path().c_str(), count.plain - before.plain,
                    count.documents - before.documents);
      }
    }
    MESSAGE(fmt::format("{}: {} documents, {:.2f} % the plain way, {:.2f} % of the bytes",
                        std::filesystem::path(folder).filename().string(), count.documents,
                        Percent(count.plain, count.documents),
                        Percent(count.plain_bytes, count.bytes)));
  }
}

TEST_CASE("the plain reader reads generated documents as the general one does") {
  size_t documents = GeneratedDocuments();
  CompareGenerated(20240817, documents / 2);
  CompareGenerated(std::random_device()(), documents - documents / 2);
}

}  // namespace meshproof::plain_yaml_test
