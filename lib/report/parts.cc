#include "report/parts.h"

#include <algorithm>
#include <vector>

#include "base/parallel.h"

namespace meshproof {

Json ObjectJson(const ObjectMeta* object) {
  if (object == nullptr) return nullptr;
  return Json::MakeObject(
      {{"kind", object->kind}, {"namespace", object->ns}, {"name", object->name}});
}

Json LocationJson(const Span& span) {
  if (!span) return nullptr;
  Location place = Locate(span);
  return Json::MakeObject({{"file", place.file},
                           {"line", place.line},
                           {"column", place.column},
                           {"end_line", place.end_line},
                           {"end_column", place.end_column}});
}

Span PlaceOf(const Origin& origin) {
  if (origin.span || origin.object == nullptr) return origin.span;
  return origin.object->span;
}

Json RuleJson(const Origin& origin) {
  if (origin.rule < 0) return nullptr;
  return origin.rule;
}

std::string NameText(const ObjectMeta& object) {
  std::string name(object.name);
  return object.ns.empty() ? name : object.ns + "/" + name;
}

std::string ObjectText(const ObjectMeta& object) {
  return std::string(object.kind) + " " + NameText(object);
}

std::string PlaceText(const Span& span) {
  return span ? ToString(Locate(span)) : std::string();
}

std::string OriginText(const Origin& origin) {
  if (origin.object == nullptr) return "";
  std::string text = ObjectText(*origin.object);
  if (origin.rule >= 0) text += " rule " + std::to_string(origin.rule);
  std::string place = PlaceText(PlaceOf(origin));
  if (!place.empty()) text += " (" + place + ")";
  return text;
}

std::string Padded(std::string text, size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

std::string Counted(size_t count, const std::string& noun) {
  return std::to_string(count) + " " + noun + (count == 1 ? "" : "s");
}

std::string TextOfEach(size_t count, const std::function<void(size_t, std::string*)>& append) {
  constexpr size_t kRun = 256;   // fewer are not worth a thread
  constexpr size_t kParts = 16;  // at a time, so that little is held twice
  std::string out;
  std::vector<std::string> parts(kParts);
  for (size_t from = 0; from < count; from += kRun * kParts) {
    const size_t left = count - from;
    ParallelFor(std::min(kParts, (left + kRun - 1) / kRun), [&](size_t part) {
      const size_t end = std::min(count, from + (part + 1) * kRun);
      for (size_t i = from + part * kRun; i < end; ++i) append(i, &parts[part]);
    });
    for (std::string& part : parts) {
      out += part;
      part.clear();
    }
  }
  return out;
}

}  // namespace meshproof
