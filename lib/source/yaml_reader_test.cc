#include <doctest/doctest.h>

#include "source/reader.h"
#include "source/source.h"
#include "source/tree_dump.h"

namespace meshproof::yaml_reader_test {
namespace {

struct Row {
  std::string text;
  std::string expected;
};

void CheckTrees(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.yaml", row.text);
    CHECK(DumpDiagnostics(file) == "");
    CHECK(DumpDocuments(file) == row.expected);
  }
}

std::string Repeat(std::string_view text, int times) {
  std::string all;
  for (int i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("plain scalars end where their text ends") {
  CheckTrees({
      {"a", "0-1s<a>"},
      {"a: b", "0-4{0-1s<a>: 3-4s<b>}"},
      {"a: b  # c", "0-4{0-1s<a>: 3-4s<b>}"},
      {"a: b#c", "0-6{0-1s<a>: 3-6s<b#c>}"},
      {"a b: c d", "0-8{0-3s<a b>: 5-8s<c d>}"},
      {"a: b\n  c  \n\n  d # e\nf: g", "0-24{0-1s<a>: 3-15s<b c\nd>, 20-21s<f>: 23-24s<g>}"},
      {"a: b\r\n  c\r\nd: e\r\n", "0-15{0-1s<a>: 3-9s<b c>, 11-12s<d>: 14-15s<e>}"},
      {"a: x\ry: 2", "0-9{0-1s<a>: 3-4s<x>, 5-6b<true>: 8-9i<2>}"},
      {"\xC3\xA9: \xC3\xA9t\xC3\xA9", "0-9{0-2s<\xC3\xA9>: 4-9s<\xC3\xA9t\xC3\xA9>}"},
      {"a: http://x:80/y?z", "0-18{0-1s<a>: 3-18s<http://x:80/y?z>}"},
      {"- a\n- [b,\n c d\n e]\n", "0-18[2-3s<a>, 6-18[7-8s<b>, 11-17s<c d e>]]"},
      {"null", "0-4n<null>"},
      {"~", "0-1n<~>"},
      {"a: null\nb: ~\n", "0-12{0-1s<a>: 3-7n<null>, 8-9s<b>: 11-12n<~>}"},
      {"a: foo-{{ .x }}", "0-15{0-1s<a>: 3-15s<foo-{{ .x }}>}"},
  });
}

TEST_CASE("quoted scalars end behind their quote") {
  CheckTrees({
      {"\"k\": 'v'", "0-8{0-3s\"<k>: 5-8s\"<v>}"},
      {"a: 'it''s' # x", "0-10{0-1s<a>: 3-10s\"<it's>}"},
      {"a: \"\\\"x\\\\\"", "0-10{0-1s<a>: 3-10s\"<\"x\\>}"},
      {"a: \"b\n  c\" # d", "0-10{0-1s<a>: 3-10s\"<b c>}"},
      {"a: \"x\\\n  y\"", "0-11{0-1s<a>: 3-11s\"<xy>}"},
      {"a: 'b\n\n c'", "0-10{0-1s<a>: 3-10s\"<b\nc>}"},
      {"a: 'b\n\n\n c'", "0-11{0-1s<a>: 3-11s\"<b\n\nc>}"},
      {"a: 'b\n\n\n'", "0-9{0-1s<a>: 3-9s\"<b\n\n>}"},
      {"a: '\n\n'", "0-7{0-1s<a>: 3-7s\"<\n>}"},
      {"a: \"b\n\tc\"", "0-9{0-1s<a>: 3-9s\"<b c>}"},
      {"a: '#' #", "0-6{0-1s<a>: 3-6s\"<#>}"},
      {"a: \"\"\nb: ''\n", "0-11{0-1s<a>: 3-5s\"<>, 6-7s<b>: 9-11s\"<>}"},
      {"a: \"yes\"", "0-8{0-1s<a>: 3-8s\"<yes>}"},
      {"a: \"\\u00e9\\t\"", "0-13{0-1s<a>: 3-13s\"<\xC3\xA9\t>}"},
      {"a: \"{{ .x }}\"", "0-13{0-1s<a>: 3-13s\"<{{ .x }}>}"},
  });
}

TEST_CASE("block scalars end with their last line of content") {
  CheckTrees({
      {"a: |\n  foo\n\nb: >-\n x", "0-20{0-1s<a>: 3-10s|<foo\n>, 12-13s<b>: 15-20s|<x>}"},
      {"a: | # hi\n  x\n   y\n\n\nb: 2", "0-25{0-1s<a>: 3-18s|<x\n y\n>, 21-22s<b>: 24-25i<2>}"},
      {"a: >2-\n    x\n   y\nc: 1", "0-22{0-1s<a>: 3-17s|<  x\n y>, 18-19s<c>: 21-22i<1>}"},
      {"a: |\nb: 1", "0-9{0-1s<a>: 3-4s|<>, 5-6s<b>: 8-9i<1>}"},
      {"a: |+\n  x\n\nb: 1", "0-15{0-1s<a>: 3-9s|<x\n\n>, 11-12s<b>: 14-15i<1>}"},
      {"a: |-\n\n\n   x\n\nb: 1", "0-18{0-1s<a>: 3-12s|<\n\nx>, 14-15s<b>: 17-18i<1>}"},
      {"- |\n  a\n- >\n  b\n  c\n\n  d\n", "0-24[2-7s|<a\n>, 10-24s|<b c\nd\n>]"},
      {"a: |\r\n  x\r\n  y\r\nb: 2", "0-20{0-1s<a>: 3-14s|<x\ny\n>, 16-17s<b>: 19-20i<2>}"},
      {"a: |\n  # no comment\n  \tx\n", "0-24{0-1s<a>: 3-24s|<# no comment\n\tx\n>}"},
      {"--- |\n foo\n", "4-10s|<foo\n>"},
      {"a: >\n  f\n  g\n  ", "0-12{0-1s<a>: 3-12s|<f g\n>}"},
      {"a: >-\n  {{ x }}\n", "0-15{0-1s<a>: 3-15s|<{{ x }}>}"},
  });
}

TEST_CASE("block collections end behind their last child, flow collections behind the bracket") {
  CheckTrees({
      {"a:\n- b\n- c: 1\n  d: 2\ne: f",
       "0-25{0-1s<a>: 3-20[5-6s<b>, 9-20{9-10s<c>: 12-13i<1>, 16-17s<d>: 19-20i<2>}], 21-22s<e>: "
       "24-25s<f>}"},
      {"- - a\n  - b\n- c", "0-15[2-11[4-5s<a>, 10-11s<b>], 14-15s<c>]"},
      {"a: {}\nb: []\nc: [ # x\n  1, # y\n ] # z",
       "0-32{0-1s<a>: 3-5{}, 6-7s<b>: 9-11[], 12-13s<c>: 15-32[23-24i<1>]}"},
      {"[a: b, {c}, d, ]", "0-16[1-5{1-2s<a>: 4-5s<b>}, 7-10{8-9s<c>: 9-9n<>}, 12-13s<d>]"},
      {"a:\n  b: [1,\n  2]\nc: d",
       "0-21{0-1s<a>: 5-16{5-6s<b>: 8-16[9-10i<1>, 14-15i<2>]}, 17-18s<c>: 20-21s<d>}"},
      {"? a\n: b\n? c", "0-11{2-3s<a>: 6-7s<b>, 10-11s<c>: 11-11n<>}"},
      {"{\n\ta: b\n}\n", "0-9{3-4s<a>: 6-7s<b>}"},
      {"{a: null, b: ~, c: , d}",
       "0-23{1-2s<a>: 4-8n<null>, 10-11s<b>: 13-14n<~>, 16-17s<c>: 18-18n<>, 21-22s<d>: 22-22n<>}"},
      {"{a: {b: [c]}}", "0-13{1-2s<a>: 4-12{5-6s<b>: 8-11[9-10s<c>]}}"},
  });
}

TEST_CASE("values that are left out stand behind their indicator") {
  CheckTrees({
      {"a:\nb: null", "0-10{0-1s<a>: 2-2n<>, 3-4s<b>: 6-10n<null>}"},
      {"a: \n\n# c\n\nb: 1", "0-14{0-1s<a>: 2-2n<>, 10-11s<b>: 13-14i<1>}"},
      {"- \n-\n- null", "0-11[1-1n<>, 4-4n<>, 7-11n<null>]"},
      {"a:\n-\nb:", "0-7{0-1s<a>: 3-4[4-4n<>], 5-6s<b>: 7-7n<>}"},
      {"- a:\n- b", "0-8[2-4{2-3s<a>: 4-4n<>}, 7-8s<b>]"},
      {"a:   # c\n  b:\n", "0-13{0-1s<a>: 11-13{11-12s<b>: 13-13n<>}}"},
      {"- &x\n- null", "0-11[4-4n<>, 7-11n<null>]"},
      {"a:\n  b:\n   c # d\n  e:\n  - f\n",
       "0-27{0-1s<a>: 5-27{5-6s<b>: 11-12s<c>, 19-20s<e>: 24-27[26-27s<f>]}}"},
      {"a:\n  ~", "0-6{0-1s<a>: 5-6n<~>}"},
  });
}

TEST_CASE("anchors, aliases and tags are properties, not values") {
  CheckTrees({
      {"a: &x !!str foo\n&k key: *x", "0-26{0-1s<a>: 12-15s<foo>, 19-22s<key>: 24-26s<foo>}"},
      {"a: &x\n  k: 1", "0-12{0-1s<a>: 8-12{8-9s<k>: 11-12i<1>}}"},
      {"&root\na: 1", "6-10{6-7s<a>: 9-10i<1>}"},
      {"a: [&x 1, *x]", "0-13{0-1s<a>: 3-13[7-8i<1>, 10-12i<1>]}"},
      {"a: &x {b: 1}\nc: *x",
       "0-18{0-1s<a>: 6-12{7-8s<b>: 10-11i<1>}, 13-14s<c>: 16-18{7-8s<b>: "
       "10-11i<1>}}"},
      {"a: &x\nb: *x", "0-11{0-1s<a>: 5-5n<>, 6-7s<b>: 9-11n<>}"},
      {"a: !!str\nb: 1", "0-13{0-1s<a>: 8-8s<>, 9-10s<b>: 12-13i<1>}"},
      {"a: !!str 5", "0-10{0-1s<a>: 9-10s<5>}"},
      {"a: !<tag:yaml.org,2002:str> 5", "0-29{0-1s<a>: 28-29s<5>}"},
      {"%TAG ! tag:yaml.org,2002:\n---\na: !str 5", "30-39{30-31s<a>: 38-39s<5>}"},
      {"a: ! 5", "0-6{0-1s<a>: 5-6s<5>}"},
      {"a: !!int \"5\"", "0-12{0-1s<a>: 9-12i\"<5>}"},
      {"a: !!float 3", "0-12{0-1s<a>: 11-12f<3>}"},
      {"a: !!bool 'on'", "0-14{0-1s<a>: 10-14b\"<on>}"},
      {"a: !!null ''", "0-12{0-1s<a>: 10-12n\"<>}"},
      {"a: !!binary aGk=", "0-16{0-1s<a>: 12-16s<hi>}"},
      {"a: !!timestamp 2001-01-01", "0-25{0-1s<a>: 15-25s<2001-01-01>}"},
      {"a: !foo bar", "0-11{0-1s<a>: 8-11s<bar>}"},
      {"--- !!map\na: 1", "10-14{10-11s<a>: 13-14i<1>}"},
      {"a: !!seq # c\n- b", "0-16{0-1s<a>: 13-16[15-16s<b>]}"},
  });
}

TEST_CASE("merge keys bring their entries in where they stand, the last of equal keys counts") {
  struct Merge {
    std::string text;
    std::string tree;
  };
  for (const Merge& row : std::vector<Merge>{
           {"<<: {b: 1}\nd: 2", "{s<b>: i<1>, s<d>: i<2>}"},
           {"<<: {b: 1, c: 1}\nb: 2", "{s<c>: i<1>, s<b>: i<2>}"},
           {"b: 2\n<<: {b: 1}", "{s<b>: i<1>}"},
           {"<<: [{b: 1, c: 1}, {c: 2, d: 2}]\ne: 3",
            "{s<d>: i<2>, s<b>: i<1>, s<c>: i<1>, s<e>: i<3>}"},
           {"a: &x {b: 1}\nc:\n  <<: *x\n  d: 2",
            "{s<a>: {s<b>: i<1>}, s<c>: {s<b>: i<1>, s<d>: "
            "i<2>}}"},
           {"'<<': 1", "{s\"<<<>: i<1>}"},
       }) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.yaml", row.text);
    CHECK(DumpDiagnostics(file) == "");
    CHECK(DumpDocuments(file, false) == row.tree);
  }
}

TEST_CASE("keys have Kubernetes' spelling") {
  ParsedFile file = ParseText(
      "t.yaml",
      "yes: 1\noff: 1\nn: 1\n0x10: 1\n-0b11: 1\n1.50: 1\n1e30: 1\n.INF: 1\n'on': 1\n010: 1\n"
      "1e6: 1\n100000.0: 1\n0.5: 1");
  std::vector<std::string_view> keys;
  REQUIRE(file.documents.size() == 1);
  for (const Entry& entry : file.documents[0].root()->entries()) keys.push_back(entry.key.text);
  // `n` and `off` are one key, false.
  CHECK(keys == std::vector<std::string_view>{"true", "false", "false", "16", "-3", "1.5", "1e+30",
                                              ".inf", "on", "8", "1e+06", "100000", "0.5"});
  CHECK(DumpDiagnostics(file) ==
        "14-15 warning: key `false` stands on line 2 already; the last one counts");
}

TEST_CASE("documents are read one by one") {
  CheckTrees({
      {"", ""},
      {" \n\n", ""},
      {"# only\n", ""},
      {"---\n---\na: 1\n---\n# c\n", "8-12{8-9s<a>: 11-12i<1>}"},
      {"a: 1\n---\nb: 2\n...\n---\nc\n",
       "0-4{0-1s<a>: 3-4i<1>}; 9-13{9-10s<b>: 12-13i<2>}; 22-23s<c>"},
      {"%YAML 1.1\n# c\n---\na: 1\n...\n", "18-22{18-19s<a>: 21-22i<1>}"},
      {"# c\n---\na: 1", "8-12{8-9s<a>: 11-12i<1>}"},
      {"--- {a: 1}\n--- b", "4-10{5-6s<a>: 8-9i<1>}; 15-16s<b>"},
      {"a: |\n  x\n---\nb: 1", "0-8{0-1s<a>: 3-8s|<x\n>}; 13-17{13-14s<b>: 16-17i<1>}"},
      {"a: b---\n---c: d\n", "0-15{0-1s<a>: 3-7s<b--->, 8-12s<---c>: 14-15s<d>}"},
      {"\xEF\xBB\xBF"
       "a: 1",
       "3-7{3-4s<a>: 6-7i<1>}"},
      {"a: b\n---\n{\"c\": 1}\n---\n[1]\n",
       "0-4{0-1s<a>: 3-4s<b>}; 9-17{10-13s\"<c>: 15-16i<1>}; 22-25[23-24i<1>]"},
      {"a: 1\r\n---\r\nb: 2\r\n", "0-4{0-1s<a>: 3-4i<1>}; 11-15{11-12s<b>: 14-15i<2>}"},
  });
}

TEST_CASE("a document that cannot be read costs only itself") {
  for (std::string_view broken :
       {"b: [", "b: \"x", "b: 'x", "\"x", "b: }", "b: *x", "b\n- c: d: e", "\tb: 1", "b: {{ .x }}",
        "b: \xFF", "b: \x01", "b:\n  c\nd", "? [a]\n: b", "b: !!int x", "{\"b\": "}) {
    CAPTURE(broken);
    std::string text = "a: 1\n---\n" + std::string(broken) + "\n---\nc: 1\n";
    ParsedFile file = ParseText("t.yaml", text);
    CHECK(DumpDocuments(file, false) == "{s<a>: i<1>}; {s<c>: i<1>}");
    REQUIRE(file.diagnostics.size() == 1);
    CHECK(file.diagnostics[0].severity == Severity::kError);
    CHECK(file.diagnostics[0].span.begin >= 9);
    CHECK(file.diagnostics[0].span.begin <= 9 + broken.size());
  }
}

TEST_CASE("errors are said at their place") {
  for (const Row& row : std::vector<Row>{
           {"a:\n\tb: 1", "3-4 error: a tab in the indentation"},
           {"a:\n  b: 1\n \tc: 2", "11-12 error: a tab in the indentation"},
           {"a:\n\tb\nc: 1", "3-4 error: a tab in the indentation"},
           {"-\tb", "1-2 error: a tab in the indentation"},
           {"  a: 1\n b: 2", "8-9 error: content behind the end of the document"},
           {"[1,,2]", "3-4 error: nothing stands in front of this `,`"},
           {"{,}", "1-2 error: nothing stands in front of this `,`"},
           {"a: [1, 2\nb: 3",
            "10-11 error: expected `,` or `]` of the list that starts on line 1, found `:`"},
           {"a: [1, 2", "3-4 error: this list is not closed by `]`"},
           {"[1, 2", "0-1 error: this list is not closed by `]`"},
           {"{\"a\": [1, {\"b\": 2}", "0-1 error: this mapping is not closed by `}`"},
           {"a: \"x", "3-4 error: the quoted text that starts here is not closed"},
           {"a: \"x\n", "3-4 error: the quoted text that starts here is not closed"},
           {"\"x\n---\n", "0-1 error: the quoted text that starts here is not closed"},
           {": x", "0-1 error: a key is missing here"},
           {"~: x", "0-1 error: a key must not be null"},
           {"[a]: b", "0-1 error: a key must be plain text, not a mapping or a list"},
           {"a: 1\n- b",
            "5-6 error: expected a key of the mapping that starts on line 1, found `-`"},
           {"- a\nb: 1\n", "4-5 error: content behind the end of the document"},
           {"a: b\n c: d", "7-8 error: a `:` where no key stands in front of it"},
           {"a: b: c", "4-5 error: a `:` where no key stands in front of it"},
           {"a: b\nc d", "5-8 error: expected a `:` behind this key"},
           {"- a: 1\n  ~ b\n- c", "9-12 error: expected a `:` behind this key"},
           {"l:\nm", "3-4 error: expected a `:` behind this key"},
           {"l:\nm # c\n", "3-8 error: expected a `:` behind this key"},
           {"a:\n  l:\n  \"m\" # c\n", "10-17 error: expected a `:` behind this key"},
           {"l:\n[m] # c\n", "3-10 error: expected a `:` behind this key"},
           {"\"a\" \"b\"", "4-5 error: content behind the end of the document"},
           {"[a] b", "4-5 error: content behind the end of the document"},
           {"a: *b", "3-4 error: alias `*b` has no anchor before it"},
           {"a: &a [*a]", "7-9 error: alias `*a` stands inside its own anchor"},
           {"a: *", "3-4 error: a `*` that is no alias"},
           {"a: &x &y b", "6-7 error: a value with two anchors"},
           {"a: \"x\\qy\"", "5-6 error: unknown escape `\\q`"},
           {"@a", "0-1 error: `@` cannot start a value"},
           {"a: `b`", "3-4 error: \"`\" cannot start a value"},
           {"a: }", "3-4 error: `}` closes nothing that is open"},
           {"a: - b", "3-4 error: a `-` where no list item can start"},
           {"a: | x\n  b", "5-6 error: text behind the `|` or `>` of a block of text"},
           {"a: !!int x", "9-10 error: this is no int, as its tag says"},
           {"a: !!binary a", "12-13 error: this is no binary, as its tag says"},
           {"<<: 1", "4-5 error: `<<` takes a mapping or a list of mappings"},
           {"%YAML 9.1\n---\na: 1", "0-1 error: bad directive: YAML major version too large"},
           {"%foo\na: 1", "0-4 error: a directive without a `---` behind it"},
           {"a: 1\n%foo\n", "5-9 error: a directive without a `---` behind it"},
           {"a: \xC3(", "3-4 error: byte 0xC3 is not UTF-8"},
           {"a: \x7F", "3-4 error: control character U+007F"},
           {"a: \x04 b", "3-4 error: control character U+0004"},
       }) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.yaml", row.text);
    CHECK(file.documents.empty());
    CHECK(DumpDiagnostics(file) == row.expected);
  }
}

TEST_CASE("text that is no YAML at all is named as what it is") {
  using namespace std::string_literals;
  for (const Row& row : std::vector<Row>{
           {"\xFF\xFE"
            "a\0:\0"s,
            "0-0 error: the file is UTF-16, not UTF-8"},
           {"\xFE\xFF\0a\0:"s, "0-0 error: the file is UTF-16, not UTF-8"},
           {"a\0:\0 \0b\0"s, "0-0 error: the file is UTF-16, not UTF-8"},
           {"\0\0\xFE\xFF\0\0\0a"s, "0-0 error: the file is UTF-32, not UTF-8"},
           {"\x7F"
            "ELF\0\0\0"s,
            "0-0 error: the file is binary"},
       }) {
    ParsedFile file = ParseText("t.yaml", row.text);
    CHECK(file.documents.empty());
    CHECK(DumpDiagnostics(file) == row.expected);
    CHECK(file.diagnostics.at(0).trouble == Trouble::kUnreadable);
  }
  // Far inside a file a NUL costs its document only.
  std::string text = "a: 1\n---\nb: " + std::string(5000, 'x') + '\0' + "\n---\nc: 1\n";
  ParsedFile file = ParseText("t.yaml", text);
  CHECK(DumpDocuments(file, false) == "{s<a>: i<1>}; {s<c>: i<1>}");
  CHECK(DumpDiagnostics(file) == "5012-5013 error: a NUL byte");
}

TEST_CASE("unrendered Helm templates are named once a document") {
  struct Template {
    std::string text;
    std::string expected;
  };
  for (const Template& row : std::vector<Template>{
           {"a: {{ .Values.x }}\nb: {{ .y }}",
            "3-18 error: an unrendered Helm template: `{{ .Values.x }}`"},
           {"a:\n  {{- if .x }}\n  b: 1\n  {{- end }}",
            "5-17 error: an unrendered Helm template: `{{- if .x }}`"},
           {"a:\n  {{ toYaml .x | nindent 2 }}",
            "5-32 error: an unrendered Helm template: `{{ toYaml .x | nindent 2 }}`"},
           {"{{ if .x }}\na: b", "0-11 error: an unrendered Helm template: `{{ if .x }}`"},
           {"- {{ .x }}", "2-10 error: an unrendered Helm template: `{{ .x }}`"},
           {"a: [{{ .x }}]", "4-12 error: an unrendered Helm template: `{{ .x }}`"},
           {"{{ .k }}: v", "0-8 error: an unrendered Helm template: `{{ .k }}`"},
           {"a: |\n  {{ x }}\nb: {{ y }}", "18-25 error: an unrendered Helm template: `{{ y }}`"},
           // Braces in data do not make a broken document a template.
           {"a: |\n  {{ x }}\nb: [", "18-19 error: this list is not closed by `]`"},
           {"- k: |\n    {{ x }}\n  l: >-\n    {{ y }}\n  m: [",
            "44-45 error: this list is not closed by `]`"},
           {"# {{ x }}\na: \"{{ y }}\"\nb: [", "26-27 error: this list is not closed by `]`"},
           {"a: b{{ y }}\nb: [", "15-16 error: this list is not closed by `]`"},
       }) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.yaml", row.text);
    CHECK(file.documents.empty());
    CHECK(DumpDiagnostics(file) == row.expected);
    bool named = row.expected.find("Helm") != std::string::npos;
    CHECK((file.diagnostics.at(0).trouble == Trouble::kTemplate) == named);
  }
}

TEST_CASE("keys that stand twice are warned of") {
  CHECK(DumpDiagnostics(ParseText("t", "a: 1\nb:\n  c: 1\n  'c': 2\na: 3")) ==
        "17-20 warning: key `c` stands on line 3 already; the last one counts\n"
        "24-25 warning: key `a` stands on line 1 already; the last one counts");
  CHECK(DumpDiagnostics(ParseText("t", "{\"a\": 1, \"a\": 2}")) ==
        "9-12 warning: key `a` stands on line 1 already; the last one counts");
  std::string many;
  for (int i = 0; i < 40; ++i) many += "k" + std::to_string(i % 39) + ": 1\n";
  CHECK(DumpDiagnostics(ParseText("t", many))
            .ends_with("warning: key `k0` stands on line 1 already; the last one counts"));
  CHECK(ParseText("t", many).diagnostics.size() == 1);
  // What a merge key brings in may be overridden.
  CHECK(DumpDiagnostics(ParseText("t", "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2")) == "");
  CHECK(DumpDiagnostics(ParseText("t", "a: &x {b: 1}\nc:\n  <<: *x\n  b: 2\n  b: 3")) ==
        "34-35 warning: key `b` stands on line 4 already; the last one counts");
}

TEST_CASE("comments are found outside scalars") {
  struct Comments {
    std::string text;
    std::string expected;
  };
  for (const Comments& row : std::vector<Comments>{
           {"# a", "0-3 alone"},
           {"a: b # c\n# d\n", "5-8, 9-12 alone"},
           {"a: b#c\nd: 'x # y' # z", "18-21"},
           {"a: |  # h\n  # data\n# c", "6-9, 19-22 alone"},
           {"a: | # c\nb: 1", "5-8"},
           {"a: [ # x\n  1, # y\n ] # z\n", "5-8, 14-17, 21-24"},
           {"a: \"m\n  # n\" # o", "13-16"},
           {"#x\n#y\n---\n#z\na: 1 #w\n...\n#v",
            "0-2 alone, 3-5 alone, 10-12 alone, 18-20, 25-27 alone"},
           {"a: &x#y b # c", "10-13"},
           {"a: 1 # \xC3\xA9\r\n", "5-9"},
           {"- # c\n  a", "2-5"},
           {"a:\n # c\n - b", "4-7 alone"},
           {"{\"a\": 1} # c", "9-12"},
       }) {
    CAPTURE(row.text);
    ParsedFile file = ParseText("t.yaml", row.text);
    CHECK(DumpDiagnostics(file) == "");
    std::string found;
    for (const Comment& comment : file.comments) {
      if (!found.empty()) found += ", ";
      found += std::to_string(comment.begin) + "-" + std::to_string(comment.end);
      if (comment.alone) found += " alone";
    }
    CHECK(found == row.expected);
  }
}

TEST_CASE("aliases and depth are bounded") {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    std::string last = "*a" + std::to_string(i - 1) + ", ";
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + Repeat(last, 9) + "]\n";
  }
  ParsedFile file = ParseText("t", bomb + "---\nok: 1\n");
  CHECK(DumpDocuments(file, false) == "{s<ok>: i<1>}");
  REQUIRE(file.diagnostics.size() == 1);
  CHECK(file.diagnostics[0].message == "an alias bomb: aliases repeat more than 1000000 values");

  // A chain of aliases is as deep as what it stands for.
  std::string chain = "a0: &a0 [x]\n";
  for (int i = 1; i < 300; ++i) {
    chain += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [*a" + std::to_string(i - 1) +
             "]\n";
  }
  file = ParseText("t", chain);
  CHECK(file.documents.empty());
  CHECK(file.diagnostics.at(0).message ==
        "the document is nested too deeply: more than 256 levels");

  for (int depth : {255, 256, 257, 5000, 100000}) {
    for (const auto& [open, close] : std::vector<std::pair<std::string, std::string>>{
             {"[", "]"}, {"{\"a\":", "}"}, {"[\n", "]\n"}, {"- ", ""}, {"- [", "]"}}) {
      if (open == "- [" && depth != 5000) continue;
      if (open == "- " && depth > 5000) continue;
      CAPTURE(open);
      CAPTURE(depth);
      std::string text = Repeat(open, depth) + "1" + Repeat(close, depth);
      file = ParseText("t", text);
      bool fits = depth <= kMaxDepth && open != "- [";
      CHECK(file.documents.size() == (fits ? 1 : 0));
      REQUIRE(file.diagnostics.size() == (fits ? 0 : 1));
      if (open == "- [") continue;
      if (!fits) {
        CHECK(file.diagnostics[0].message ==
              "the document is nested too deeply: more than 256 levels");
      }
    }
  }
}

}  // namespace meshproof::yaml_reader_test
