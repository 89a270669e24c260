#include "report/parts.h"

#include <algorithm>

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

}  // namespace meshproof
