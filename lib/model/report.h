#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/span.h"
#include "model/model.h"
#include "source/node.h"

namespace meshproof {

// Collects what is wrong with one object while it is checked and decoded, and what becomes of it.
class Report {
 public:
  // `meta` may still be filled in while the report lives; it names the object in messages.
  Report(const SourceFile* file, const ObjectMeta* meta, std::vector<Diagnostic>* diagnostics)
      : file_(file), meta_(meta), diagnostics_(diagnostics) {}

  Span SpanOf(const Node& node) const { return {file_, node.begin, node.end}; }
  const SourceFile* file() const { return file_; }

  // The API server drops a field that the schema does not know (structural schemas without
  // preserve-unknown-fields). `known` are the names that it does.
  void UnknownField(const Node& key, const std::vector<std::string>& known);
  // A value of another type than the API's. The API server cannot store such an object.
  void WrongType(const Node& value, std::string_view field, std::string_view wanted);
  // The same in an object whose other fields are still used.
  void IgnoredType(const Node& value, std::string_view field, std::string_view wanted);
  // Admission refuses the object, or warns.
  void Refuse(Span span, std::string_view reason, std::string help = {});
  void Warn(Span span, std::string_view reason, std::string help = {});
  // Said of the input itself, whatever becomes of it.
  void set_meta(const ObjectMeta* meta) { meta_ = meta; }
  void Add(Severity severity, Trouble trouble, Span span, std::string message,
           std::string help = {});

  bool refused() const { return refused_; }
  // Not even an object stored without admission can look like this.
  bool impossible() const { return impossible_; }

 private:
  std::string Subject() const;

  const SourceFile* file_;
  const ObjectMeta* meta_;
  std::vector<Diagnostic>* diagnostics_;
  bool refused_ = false;
  bool impossible_ = false;
};

// "the number 80", "a list": what stands there, for messages.
std::string Describe(const Node& value);

// `text` in backquotes, cut where it is long.
std::string Quote(std::string_view text);

}  // namespace meshproof
