#pragma once

#include <fmt/format.h>

#include <string>

#include "source/parse.h"
#include "source/plain_yaml.h"
#include "source/tree_dump.h"
#include "source/yaml_reader.h"

// The plain reader against the general one, for tests.

namespace meshproof {

inline std::string DumpReading(const ReadResult& result) {
  std::string text;
  for (const Document& document : result.documents) text += DumpTree(*document.root()) + "\n";
  for (const Comment& comment : result.comments) {
    text +=
        fmt::format("comment {}-{}{}\n", comment.begin, comment.end, comment.alone ? " alone" : "");
  }
  for (const Diagnostic& diagnostic : result.diagnostics) {
    text +=
        fmt::format("{} {}: {}\n", diagnostic.span.begin, diagnostic.span.end, diagnostic.message);
  }
  return text;
}

struct PlainYamlCount {
  size_t documents = 0;
  size_t plain = 0;  // that the plain reader took
  size_t bytes = 0;
  size_t plain_bytes = 0;
};

// Reads each document of `text` with both readers. How they differ; empty where they agree
// wherever the plain one takes a document.
class PlainYamlComparison {
 public:
  std::string Compare(const std::string& text, PlainYamlCount* count) {
    PreparedFile prepared = PrepareText("t.yaml", text);
    if (!prepared.clean) return "";
    for (DocumentText where : prepared.documents) {
      std::string difference = CompareDocument(prepared.file, where, count);
      if (!difference.empty()) return difference;
    }
    return "";
  }

 private:
  std::string CompareDocument(const std::shared_ptr<const SourceFile>& file, DocumentText where,
                              PlainYamlCount* count) {
    ++count->documents;
    count->bytes += where.end - where.begin;
    ReadResult plain;
    if (!plain_.Read(file, where, &plain)) {
      bool left = plain.documents.empty() && plain.comments.empty() && plain.diagnostics.empty();
      return left ? "" : "refused, and left something";
    }
    ++count->plain;
    count->plain_bytes += where.end - where.begin;
    ReadResult general;
    general_.Read(file, where, &general);
    std::string a = DumpReading(plain);
    std::string b = DumpReading(general);
    if (a == b) return "";
    return fmt::format("document:\n{}\nplain reader:\n{}\ngeneral reader:\n{}",
                       file->text().substr(where.begin, where.end - where.begin), a, b);
  }

  PlainYamlReader plain_;
  YamlReader general_;
};

}  // namespace meshproof
