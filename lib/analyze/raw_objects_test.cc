#include "analyze/raw_objects.h"

#include <doctest/doctest.h>

#include "source/source.h"

namespace meshproof::raw_objects_test {
namespace {

constexpr const char* kText =
    "apiVersion: v1\n"
    "kind: List\n"
    "items:\n"
    "- apiVersion: v1\n"
    "  kind: Service\n"
    "  metadata: {name: web, namespace: shop}\n"
    "  spec:\n"
    "    ports:\n"
    "    - port: 80\n"
    "      name: http\n"
    "- apiVersion: example.org/v1\n"
    "  kind: Thing\n"
    "  metadata: {name: one}\n";

std::shared_ptr<const Model> Decode(const char* text) {
  Load load;
  load.files.push_back(ParseText("a.yaml", text));
  return DecodeModel(std::move(load), {});
}

uint32_t At(std::string_view what) {
  return static_cast<uint32_t>(std::string_view(kText).find(what));
}

}  // namespace

TEST_CASE("items of lists are objects, known or not") {
  auto model = Decode(kText);
  std::vector<RawObject> all = ReadRawObjects(*model);
  REQUIRE(all.size() == 2);
  CHECK(NameOf(all[0]) == ObjectName{"Service", "shop", "web"});
  CHECK(NameOf(all[1]) == ObjectName{"Thing", "", "one"});
  CHECK(ObjectsOf(all, {"Thing"}).size() == 1);
}

TEST_CASE("an object is found by any place in it") {
  auto model = Decode(kText);
  RawObjectIndex index(ReadRawObjects(*model));
  const SourceFile* file = model->files[0].file.get();
  const auto name_at = [&](uint32_t offset) {
    const RawObject* object = index.At({file, offset, offset});
    return object == nullptr ? std::string("none") : std::string(object->name);
  };
  CHECK(name_at(At("port: 80")) == "web");
  CHECK(name_at(At("kind: Thing")) == "one");
  CHECK(name_at(0) == "none");
}

TEST_CASE("paths of fields") {
  auto model = Decode(kText);
  std::vector<RawObject> all = ReadRawObjects(*model);
  const Node& service = *all[0].node;
  CHECK(FieldPathAt(service, At("80")) == "spec.ports[0].port");
  CHECK(FieldPathAt(service, At("http")) == "spec.ports[0].name");
  CHECK(FieldPathAt(service, At("shop")) == "metadata.namespace");
  const Node& port = NodeAt(&service, {"spec", "ports"})->items()[0];
  // The item starts where its first key does; its span tells the two apart.
  CHECK(FieldPathOf(service, SpanOf(all[0].file, port)) == "spec.ports[0]");
  CHECK(FieldPathOf(service, SpanOf(all[0].file, port.entries()[0].key)) == "spec.ports[0].port");
  CHECK(FieldPathOf(service, SpanOf(all[0].file, port.entries()[1].value)) == "spec.ports[0].name");
}

TEST_CASE("content is the same whatever the order of keys") {
  auto a = Decode("kind: A\nspec: {a: 1, b: [x, y]}\n");
  auto b = Decode("kind: A\nspec: {b: [x, y], a: 1}\n");
  auto c = Decode("kind: A\nspec: {b: [y, x], a: 1}\n");
  auto d = Decode("kind: A\nspec: {b: [x, y], a: '1'}\n");
  const auto root = [](const std::shared_ptr<const Model>& model) -> const Node& {
    return *model->files[0].documents[0].root();
  };
  CHECK(SameContent(root(a), root(b)));
  CHECK_FALSE(SameContent(root(a), root(c)));
  CHECK_FALSE(SameContent(root(a), root(d)));
}

}  // namespace meshproof::raw_objects_test
