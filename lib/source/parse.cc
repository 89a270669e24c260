// From the text of a file to its documents: what is no text at all is refused whole; else the
// stream is cut at its markers and each document is read on its own, so that a broken one costs
// only itself: as JSON first where it starts like JSON, else as plain YAML, else as any YAML.

#include "source/parse.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "base/parallel.h"
#include "base/text.h"
#include "source/json_reader.h"
#include "source/plain_yaml.h"
#include "source/yaml_reader.h"

namespace meshproof {
namespace {

// yaml-cpp counts positions in an int.
constexpr size_t kMaxFileSize = (size_t{1} << 31) - 2;
// Documents are handed to threads in stretches of about this many bytes.
constexpr size_t kChunk = size_t{1} << 17;

bool IsControl(char c) {
  auto byte = static_cast<unsigned char>(c);
  return (byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F;
}

// Sixteen bytes at a time: all of the input comes by here.
bool HasControl(std::string_view text) {
  typedef uint8_t Lane __attribute__((vector_size(16)));
  Lane found = {};
  size_t at = 0;
  for (; at + sizeof(Lane) <= text.size(); at += sizeof(Lane)) {
    Lane bytes;
    std::memcpy(&bytes, text.data() + at, sizeof(Lane));
    found |= static_cast<Lane>(
        ((bytes < 0x20) & (bytes != '\t') & (bytes != '\n') & (bytes != '\r')) | (bytes == 0x7F));
  }
  for (size_t i = 0; i < sizeof(Lane); ++i) {
    if (found[i] != 0) return true;
  }
  return std::any_of(text.begin() + static_cast<std::ptrdiff_t>(at), text.end(), IsControl);
}

// Why the text as a whole cannot be YAML or JSON; empty where it may be.
std::string WhyNotText(std::string_view text) {
  if (text.size() > kMaxFileSize) return "the file is larger than 2 GiB";
  auto starts = [&](std::string_view bytes) { return text.starts_with(bytes); };
  constexpr std::string_view kUtf16 = "the file is UTF-16, not UTF-8";
  if (starts("\xFF\xFE") || starts("\xFE\xFF")) return std::string(kUtf16);
  if (starts(std::string_view("\0\0\xFE\xFF", 4))) return "the file is UTF-32, not UTF-8";
  if (text.size() >= 4 && (text[0] == 0) != (text[1] == 0) && (text[0] == 0) == (text[2] == 0) &&
      (text[1] == 0) == (text[3] == 0)) {
    return std::string(kUtf16);
  }
  constexpr size_t kLook = 4096;
  if (text.substr(0, kLook).find('\0') != std::string_view::npos) return "the file is binary";
  return "";
}

// YAML 1.1 takes a lone carriage return for a line break; yaml-cpp 0.7 does not.
void BreakAtCarriageReturns(std::string* text) {
  for (size_t at = text->find('\r'); at != std::string::npos; at = text->find('\r', at + 1)) {
    if (at + 1 == text->size() || (*text)[at + 1] != '\n') (*text)[at] = '\n';
  }
}

// The diagnostic for the first byte that YAML does not allow; nothing where there is none.
bool ReportBadBytes(const SourceFile& file, DocumentText where,
                    std::vector<Diagnostic>* diagnostics) {
  std::string_view text = file.text().substr(where.begin, where.end - where.begin);
  size_t bad = FindInvalidUtf8(text);
  auto control = std::find_if(text.begin(), text.end(), IsControl);
  auto control_at = static_cast<size_t>(control - text.begin());
  if (bad == std::string_view::npos && control == text.end()) return false;
  bool encoding = bad < control_at;
  uint32_t at = where.begin + static_cast<uint32_t>(encoding ? bad : control_at);
  auto byte = static_cast<unsigned char>(file.text()[at]);
  diagnostics->push_back(
      {Severity::kError,
       Trouble::kSyntax,
       encoding    ? fmt::format("byte 0x{:02X} is not UTF-8", byte)
       : byte == 0 ? std::string("a NUL byte")
                   : fmt::format("control character U+{:04X}", byte),
       {&file, at, at + 1},
       encoding ? "save the file as UTF-8" : "write it as an escape in double quotes"});
  return true;
}

class DocumentReader {
 public:
  explicit DocumentReader(const PreparedFile& prepared) : prepared_(prepared) {}

  void Read(DocumentText where, ReadResult* result) {
    if (!prepared_.clean && ReportBadBytes(*prepared_.file, where, &result->diagnostics)) {
      return;
    }
    std::string_view text = prepared_.file->text();
    uint32_t start = ContentStart(text, where);
    if (start < where.end && (text[start] == '{' || text[start] == '[')) {
      ReadBrackets(where, start, result);
    } else if (!plain_.Read(prepared_.file, where, result)) {
      yaml_.Read(prepared_.file, where, result);
    }
  }

 private:
  // Behind blanks and the `---` line's marker.
  static uint32_t ContentStart(std::string_view text, DocumentText where) {
    auto skip = [&](uint32_t at) {
      size_t found = text.find_first_not_of(" \t\r\n", at);
      return static_cast<uint32_t>(std::min<size_t>(found, where.end));
    };
    uint32_t at = skip(where.begin);
    if (text.substr(at, where.end - at).starts_with("---")) at = skip(at + 3);
    return at;
  }

  void ReadBrackets(DocumentText where, uint32_t start, ReadResult* result) {
    JsonSplit split = SplitJson(prepared_.file->text(), start, where.end, kMaxDepth);
    if (split.values.size() == 1) {
      const JsonText& value = split.values[0];
      if (value.too_deep) {
        result->diagnostics.push_back(TooDeep(*prepared_.file, value.deepest));
      } else if (!split.only_values || !json_.Read(prepared_.file, value.text, result)) {
        yaml_.Read(prepared_.file, where, result);
      }
      return;
    }
    if (!split.only_values) {
      // Flow YAML, or values with rubbish between them: whole where that is possible.
      ReadResult whole;
      if (std::none_of(split.values.begin(), split.values.end(),
                       [](const JsonText& value) { return value.too_deep; })) {
        yaml_.Read(prepared_.file, where, &whole);
      }
      bool failed = whole.documents.empty();
      Append(std::move(whole), result);
      if (!failed) return;
    }
    ReadValues(where, split, result);
  }

  // Values one by one; those that are not JSON as YAML, but if none is JSON this is no stream of
  // it.
  void ReadValues(DocumentText where, const JsonSplit& split, ReadResult* result) {
    ReadResult values;
    bool any = false;
    for (const JsonText& value : split.values) {
      if (value.too_deep) {
        values.diagnostics.push_back(TooDeep(*prepared_.file, value.deepest));
        any = true;
      } else if (json_.Read(prepared_.file, value.text, &values)) {
        any = true;
      } else if (split.only_values) {
        yaml_.Read(prepared_.file, value.text, &values);
      }
    }
    if (any || !split.only_values) {
      Append(std::move(values), result);
    } else {
      yaml_.Read(prepared_.file, where, result);
    }
  }

  static void Append(ReadResult from, ReadResult* to) {
    std::move(from.documents.begin(), from.documents.end(), std::back_inserter(to->documents));
    std::move(from.diagnostics.begin(), from.diagnostics.end(),
              std::back_inserter(to->diagnostics));
    to->comments.insert(to->comments.end(), from.comments.begin(), from.comments.end());
  }

  const PreparedFile& prepared_;
  PlainYamlReader plain_;
  YamlReader yaml_;
  JsonReader json_;
};

}  // namespace

PreparedFile PrepareText(std::string name, std::string text) {
  PreparedFile prepared;
  std::string why_not = WhyNotText(text);
  if (why_not.empty()) BreakAtCarriageReturns(&text);
  prepared.file = std::make_shared<const SourceFile>(std::move(name), std::move(text));
  std::string_view whole = prepared.file->text();
  if (!why_not.empty()) {
    prepared.diagnostics.push_back(
        {Severity::kError,
         Trouble::kUnreadable,
         why_not,
         {prepared.file.get(), 0, 0},
         why_not.find("UTF") == std::string::npos ? "" : "save it as UTF-8"});
    return prepared;
  }
  prepared.clean = simdjson::validate_utf8(whole.data(), whole.size()) && !HasControl(whole);
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  uint32_t from = whole.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
  prepared.documents = SplitStream(whole, from);
  return prepared;
}

ReadResult ReadDocuments(const PreparedFile& prepared, size_t from, size_t to) {
  ReadResult result;
  DocumentReader reader(prepared);
  for (size_t i = from; i < to; ++i) reader.Read(prepared.documents[i], &result);
  return result;
}

std::vector<ParsedFile> ReadAll(std::vector<PreparedFile> prepared, unsigned threads) {
  struct Chunk {
    size_t file, from, to;
    ReadResult result;
  };
  std::vector<Chunk> chunks;
  for (size_t file = 0; file < prepared.size(); ++file) {
    const auto& documents = prepared[file].documents;
    for (size_t from = 0, to = 0; from < documents.size(); from = to) {
      while (to < documents.size() && documents[to].end - documents[from].begin < kChunk) ++to;
      to = std::max(to, from + 1);
      chunks.push_back({file, from, to, {}});
    }
  }
  ParallelFor(
      chunks.size(),
      [&](size_t i) {
        Chunk& chunk = chunks[i];
        chunk.result = ReadDocuments(prepared[chunk.file], chunk.from, chunk.to);
      },
      threads);
  std::vector<ParsedFile> files;
  files.reserve(prepared.size());
  for (PreparedFile& one : prepared) {
    files.push_back({one.file, {}, std::move(one.diagnostics), {}});
  }
  for (Chunk& chunk : chunks) {
    ParsedFile& file = files[chunk.file];
    std::move(chunk.result.documents.begin(), chunk.result.documents.end(),
              std::back_inserter(file.documents));
    std::move(chunk.result.diagnostics.begin(), chunk.result.diagnostics.end(),
              std::back_inserter(file.diagnostics));
    file.comments.insert(file.comments.end(), chunk.result.comments.begin(),
                         chunk.result.comments.end());
  }
  for (ParsedFile& file : files) SortDiagnostics(&file.diagnostics);
  return files;
}

ParsedFile ParseText(std::string name, std::string text, unsigned threads) {
  std::vector<PreparedFile> prepared;
  prepared.push_back(PrepareText(std::move(name), std::move(text)));
  return std::move(ReadAll(std::move(prepared), threads)[0]);
}

}  // namespace meshproof
