#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace meshproof {

// Makes documents as Kubernetes' tools print them, and documents that almost look like that, for
// tests. The same seed makes the same documents.
class DocumentMaker {
 public:
  explicit DocumentMaker(uint64_t seed) : random_(seed) {}

  std::string Next() {
    text_.clear();
    tame_ = Chance(70);
    if (Chance(20)) text_ += Pick({"---\n", "--- # first\n", "# head\n---\n", "\n---  \n"});
    if (Chance(10)) MakeComment(0);
    deepest_ = static_cast<int>(Below(6)) + 1;
    if (Chance(12)) {
      MakeSequence(0, 0);
    } else {
      MakeMapping(0, 0, false);
    }
    if (Chance(5)) text_ += Pick({"...\n", "# end", "---\n", "  ", "\n\n", "... \n", "---\n# c\n"});
    if (Chance(10) && text_.ends_with('\n')) text_.pop_back();
    size_t changes = Chance(40) ? Below(4) : 0;
    for (size_t i = 0; i < changes; ++i) Mutate();
    return text_;
  }

 private:
  size_t Below(size_t limit) { return random_() % limit; }
  bool Chance(unsigned percent) { return Below(100) < percent; }
  std::string_view Pick(std::initializer_list<std::string_view> words) {
    return words.begin()[Below(words.size())];
  }

  // What tools do not print is left out of tame documents.
  bool Oddly(unsigned percent) { return !tame_ && Chance(percent); }
  std::string_view PickWord(std::initializer_list<std::string_view> tame,
                            std::initializer_list<std::string_view> odd) {
    return Oddly(40) ? Pick(odd) : Pick(tame);
  }

  void Indent(size_t columns) { text_.append(columns, ' '); }

  void MakeComment(size_t column) {
    Indent(column);
    text_ +=
        Pick({"# why\n", "#\n", "#! meshproof: ignore MP001\n", "# \xC3\xA9 #x\n", "#\ttab\n"});
  }

  std::string_view Key() {
    return PickWord(
        {"apiVersion",
         "kind",
         "metadata",
         "name",
         "namespace",
         "labels",
         "app",
         "spec",
         "selector",
         "matchLabels",
         "app.kubernetes.io/name",
         "from",
         "source",
         "principals",
         "rules",
         "to",
         "operation",
         "paths",
         "ports",
         "when",
         "key",
         "values",
         "mtls",
         "mode",
         "hosts",
         "http",
         "route",
         "destination",
         "annotations",
         "data",
         "config.yaml",
         "a b",
         "a-b_c",
         "-x",
         "x#y",
         "\"8080\"",
         "'quoted'",
         "\"a\\tb\"",
         "$ref",
         "a:b",
         ".dockerconfigjson",
         "8080",
         "0",
         "\xC3\xA9t\xC3\xA9",
         "nullable",
         "onto"},
        {"010",    "y",    "on",   "null", "~x",   "<<",      "1.5",       "\"\"", "<<x",
         "- a",    "?",    "? a",  "&a b", "x ",   "'it''s'", "\"\\x41\"", ":x",   "[a]",
         "{a: b}", "!t a", "0x1F", ".inf", "Null", "~",       "-1"});
  }

  std::string_view Word() {
    return PickWord({"v1",         "Service",
                     "foo",        "bar-baz",
                     "80",         "8080",
                     "0x1F",       "010",
                     "1.5",        "1e3",
                     "true",       "yes",
                     "off",        "null",
                     "~",          "Null",
                     "nullable",   "-1",
                     "-x",         ":80",
                     "a:b",        "http://x:80/y",
                     "a b  c",     "x # y",
                     "x #",        "a#b",
                     "50%",        "cluster.local/ns/a/sa/b",
                     "100m",       "128Mi",
                     "2024-01-01", "a\\b",
                     "\xC3\xA9",   "1_000",
                     ".5",         "+1",
                     ".inf",       "=x",
                     "^a$",        "(a|b)",
                     "a;b",        "<none>"},
                    {"*",
                     "- ",
                     "-",
                     "http://x:80/y?z=1#f",
                     "%x",
                     "@x",
                     "`x`",
                     "&a x",
                     "*a",
                     "!t x",
                     "!!str 5",
                     "{{ .x }}",
                     "a, b",
                     "[x",
                     "x]",
                     "a}",
                     "?x",
                     "?",
                     "? y",
                     "=",
                     "<<",
                     "it's",
                     "say \"hi\"",
                     "request.headers[x-tenant]",
                     "\xEF\xBB\xBFx",
                     "\xE2\x80\xA8",
                     "x\xC2\x85y",
                     "a: b",
                     "a:",
                     "x  ",
                     "...",
                     "---",
                     "--- x",
                     "\tx",
                     "x\ty",
                     "|",
                     ">",
                     "|x",
                     "~x",
                     ":",
                     ": x",
                     "#",
                     "\\"});
  }

  void MakeQuoted() {
    bool once = Chance(50);
    text_ += once ? '\'' : '"';
    for (size_t i = Below(4); i > 0; --i) {
      text_ += Pick({"a", " ", "#", " # ", ": ", "yes", "80", "/api/*", "\t", "{{ x }}", "[", ",",
                     "\xC3\xA9", "*", "'", "-"});
      text_ += once ? PickWord({"''", "", "", "\\", "\\n", "\""}, {"'", "\r", "\n "})
                    : PickWord({"\\\"", "\\n", "", "", "\\t", "\\\\", "\\u00e9", "\\u2028", "\\/"},
                               {"\\x41", "\\ud83d\\ude00", "\\0", "\\e", "\\N", "\\ ", "\\", "\\q",
                                "\n ", "\\\n"});
    }
    if (!Oddly(6)) text_ += once ? '\'' : '"';
  }

  void MakeFlow(int depth) {
    bool mapping = Chance(40);
    text_ += mapping ? '{' : '[';
    if (Chance(20)) text_ += ' ';
    for (size_t i = Below(4); i > 0; --i) {
      if (mapping) {
        text_ += Chance(20) ? "\"k\"" : Key();
        text_ += Oddly(20) ? Pick({":", " : ", "", " "}) : ": ";
      }
      if (depth < 3 && Chance(15)) {
        MakeFlow(depth + 1);
      } else if (Chance(40)) {
        MakeQuoted();
      } else {
        text_ += Word();
      }
      if (i > 1 || Chance(10))
        text_ += Oddly(20) ? Pick({",", " , ", " ", ",,", ", # c", ",\n "}) : ", ";
    }
    if (Chance(10)) text_ += ' ';
    text_ += mapping != Oddly(4) ? '}' : ']';
  }

  void MakeBlockScalar(size_t column) {
    text_ += PickWord({"|", "|", "|-", "|+", ">", ">-", ">+", "|2", "|-2", ">1-"},
                      {"|0", "|+-", "|22", "|x", "||"});
    if (Chance(10)) text_ += PickWord({" # c", " ", "  #"}, {"#", " x", "\t"});
    text_ += '\n';
    for (size_t i = Chance(10) ? 2 : 0; i > 0; --i) text_ += PickWord({"\n"}, {"  \n", "\t\n"});
    size_t indent = column + 1 + Below(4);
    for (size_t i = Below(6); i > 0; --i) {
      if (Chance(15)) {
        text_ += PickWord({"\n", "\n\n"}, {" \n", "        \n", "\t\n"});
        continue;
      }
      Indent(Oddly(10) ? Below(8) : indent);
      text_ += Pick({"set -e", "exec a \\", "# no comment", "a: b", "- x", "  deeper", "x\ty",
                     "\ttab", "x  ", "{{ x }}", "\"", "\xC3\xA9", "---", "...", "%x"});
      text_ += '\n';
    }
  }

  void EndLine() {
    if (Chance(6)) {
      text_ +=
          PickWord({" # c", " #", "  # c: d", " ", "  ", " #\t"}, {"#x", "\t", "\r", " x", " \t#"});
    }
    text_ += '\n';
    if (Chance(4)) text_ += PickWord({"\n", "  \n", "\n\n"}, {"\t\n", " \t \n", "x\n"});
    if (Chance(4)) MakeComment(Below(8));
  }

  void MakeScalarLine(size_t column) {
    size_t kind = Below(100);
    text_ += Oddly(10) ? Pick({"", "  ", "\t", "   "}) : " ";
    if (kind < 62) {
      text_ += Chance(30) ? Key() : Word();
    } else if (kind < 80) {
      MakeQuoted();
    } else if (kind < 90) {
      MakeFlow(0);
    } else {
      MakeBlockScalar(column);
      return;
    }
    if (Chance(6)) MakeContinuation(column);
    EndLine();
  }

  // A scalar that goes on below.
  void MakeContinuation(size_t column) {
    bool quoted = text_.ends_with('"') || text_.ends_with('\'');
    char quote = text_.back();
    if (quoted) text_.pop_back();
    for (size_t i = 1 + Below(2); i > 0; --i) {
      if (Chance(20)) text_ += Oddly(50) ? Pick({"\t", "\r", "\\"}) : Pick({" ", "  "});
      if (quoted && quote == '"' && Chance(25)) text_ += '\\';
      text_ += '\n';
      if (Oddly(20)) text_ += Pick({"\n", "  \n", "# c\n"});
      Indent(Oddly(20) ? Below(8) : column + 1 + Below(4));
      if (quoted && quote == '"' && Chance(25)) text_ += "\\ ";
      text_ += Chance(50) ? Word() : Pick({"and so on", "- x", "# c", "x", "\"", "null", "80"});
    }
    if (quoted) text_ += quote;
  }

  void MakeValue(size_t column, int depth) {
    size_t kind = Below(100);
    if (depth < deepest_ && kind < 25) {
      EndLine();
      size_t inner = column + (Chance(85) ? 2 : 1 + Below(4));
      Indent(inner);
      MakeMapping(inner, depth + 1, true);
    } else if (depth < deepest_ && kind < 40) {
      EndLine();
      MakeSequence(column + (Chance(60) ? 0 : 2), depth + 1);
    } else if (kind < 45) {
      EndLine();
    } else {
      MakeScalarLine(column);
    }
  }

  // `started`: the first line's blanks are there.
  void MakeMapping(size_t column, int depth, bool started) {
    std::vector<std::string_view> used;
    for (size_t i = 1 + Below(4); i > 0; --i) {
      if (!started) Indent(Oddly(3) ? Below(8) : column);
      started = false;
      std::string_view key = Key();
      while (tame_ && std::find(used.begin(), used.end(), key) != used.end()) key = Key();
      used.push_back(key);
      text_ += key;
      text_ += Oddly(5) ? Pick({" :", "", ": ", "::"}) : ":";
      MakeValue(column, depth);
    }
  }

  void MakeSequence(size_t column, int depth) {
    for (size_t i = 1 + Below(3); i > 0; --i) {
      Indent(Oddly(3) ? Below(8) : column);
      text_ += '-';
      size_t kind = Below(100);
      if (depth < deepest_ && kind < 35) {
        size_t blanks = Chance(92) ? 1 : 1 + Below(4);
        Indent(blanks);
        MakeMapping(column + 1 + blanks, depth + 1, true);
      } else if (depth < deepest_ && kind < 42) {
        text_ += " -";
        MakeScalarLine(column + 2);
      } else if (kind < 50) {
        MakeValue(column, depth);
      } else {
        MakeScalarLine(column);
      }
    }
  }

  void Mutate() {
    if (text_.empty()) return;
    size_t at = Below(text_.size());
    switch (Below(6)) {
      case 0:
        text_.erase(at, 1 + Below(3));
        break;
      case 1:
        text_.insert(at,
                     Pick({" ", "\n",    ":",    "- ", "#",  "\"",       "'", "\t",  ": ",  " #",
                           "[", "]",     "{",    "}",  ",",  "|",        ">", "&a ", "*a",  "!",
                           "%", "---\n", "\r\n", "?",  "\\", "\xC3\xA9", "x", "0",   "\n  "}));
        break;
      case 2:
        text_[at] = Pick({" ", "\n", ":", "-", "#", "\"", "'", "a", "~", ",", "]"})[0];
        break;
      case 3: {
        size_t other = Below(text_.size());
        std::swap(text_[at], text_[other]);
        break;
      }
      case 4: {  // a line twice, or out of its place
        size_t begin = text_.rfind('\n', at) + 1;
        size_t end = text_.find('\n', at);
        std::string line = text_.substr(begin, end == std::string::npos ? end : end + 1 - begin);
        if (Chance(50)) text_.erase(begin, line.size());
        size_t target = text_.empty() ? 0 : text_.rfind('\n', Below(text_.size())) + 1;
        text_.insert(target, line);
        break;
      }
      default: {  // a line further left or right
        size_t begin = text_.rfind('\n', at) + 1;
        if (Chance(50) || text_[begin] != ' ') {
          text_.insert(begin, 1 + Below(2), ' ');
        } else {
          text_.erase(begin, 1);
        }
      }
    }
  }

  std::mt19937_64 random_;
  std::string text_;
  bool tame_ = true;
  int deepest_ = 1;
};

}  // namespace meshproof
