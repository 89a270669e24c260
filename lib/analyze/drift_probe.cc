#include "analyze/drift_probe.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/json.h"
#include "base/text.h"

namespace meshproof {
namespace {

constexpr ptrdiff_t kSeeds = 2;
constexpr size_t kMost = 600, kFew = 48;

// Istio's own patterns; whatever else is tried as it stands.
std::vector<std::string> ExamplesOfRegex(const StringMatcher& matcher) {
  std::string plain = matcher.value;
  auto replace = [&plain](std::string_view from, std::string_view to) {
    for (size_t at = plain.find(from); at != std::string::npos; at = plain.find(from, at)) {
      plain.replace(at, from.size(), to);
      at += to.size();
    }
  };
  replace("(.+/|)", "");
  replace("(/.+)?", "");
  replace(".*/ns/", "spiffe://cluster.local/ns/");
  if (plain.ends_with("/.*")) replace("/.*", "/sa/x");
  replace(".*", "x");
  replace(".+", "x");
  std::erase(plain, '\\');
  std::vector<std::string> found;
  for (const std::string& text : {plain, std::string("x"), std::string("/x")}) {
    if (matcher.Matches(text)) found.push_back(text);
  }
  return found;
}

std::vector<std::string> Examples(const StringMatcher& matcher) {
  using Kind = StringMatcher::Kind;
  switch (matcher.kind) {
    case Kind::kExact:
      return {matcher.value};
    case Kind::kPrefix:
      return {matcher.value, matcher.value + "x"};
    case Kind::kSuffix:
      return {matcher.value, "x" + matcher.value};
    case Kind::kContains:
      return {"x" + matcher.value + "x"};
    case Kind::kRegex:
      return ExamplesOfRegex(matcher);
  }
  return {};
}

void SetPeer(ProxyRequest* request, const std::string& name) {
  if (!request->connection.certificate) return;
  request->connection.certificate->uri_sans = {name};
}

const StringMatcher* AnyString(const ValueMatcher& value) {
  if (value.kind == ValueMatcher::Kind::kString) return &value.string;
  for (const ValueMatcher& child : value.children) {
    if (const StringMatcher* found = AnyString(child)) return found;
  }
  return nullptr;
}

void MeetClaim(const MetadataPredicate& metadata, const ProxyRequest& request,
               std::vector<ProxyRequest>* out) {
  const StringMatcher* matcher = AnyString(metadata.value);
  if (metadata.path.size() < 2 || matcher == nullptr) return;
  for (const std::string& value : Examples(*matcher)) {
    ProxyRequest changed = request;
    Json claims = changed.claims.value_or(Json::MakeObject());
    Json leaf = value;
    for (size_t i = metadata.path.size() - 1; i > 1; --i) {
      leaf = Json::MakeObject({{metadata.path[i], std::move(leaf)}});
    }
    if (claims.Find(metadata.path[1]) == nullptr) claims.Set(metadata.path[1], std::move(leaf));
    changed.claims = std::move(claims);
    out->push_back(std::move(changed));
  }
}

std::vector<ProxyRequest> Leaf(const Predicate& predicate, const ProxyRequest& request) {
  std::vector<ProxyRequest> out;
  auto each = [&](const std::vector<std::string>& values, auto set) {
    for (const std::string& value : values) {
      ProxyRequest changed = request;
      set(&changed, value);
      out.push_back(std::move(changed));
    }
  };
  if (const auto* path = std::get_if<UrlPathPredicate>(&predicate.match)) {
    each(Examples(path->path),
         [](ProxyRequest* r, const std::string& v) { r->path = v.starts_with('/') ? v : "/" + v; });
  } else if (const auto* pattern = std::get_if<PathTemplatePredicate>(&predicate.match)) {
    std::string filled;
    for (char c : pattern->path_template) filled += c == '*' ? std::string("x") : std::string(1, c);
    each({filled}, [](ProxyRequest* r, const std::string& v) { r->path = v; });
  } else if (const auto* header = std::get_if<HeaderPredicate>(&predicate.match)) {
    const HeaderMatcher& matcher = header->header;
    std::vector<std::string> values = matcher.kind == HeaderMatcher::Kind::kString
                                          ? Examples(matcher.string)
                                          : std::vector<std::string>{"x"};
    std::string name = ToLower(matcher.name);
    each(values, [&](ProxyRequest* r, const std::string& v) {
      if (name == ":method") {
        r->method = v;
      } else if (name == ":authority" || name == "host") {
        r->authority = v;
      } else if (name == ":path") {
        r->path = v;
      } else {
        r->headers.emplace_back(matcher.name, v);
      }
    });
  } else if (const auto* peer = std::get_if<AuthenticatedPredicate>(&predicate.match)) {
    std::vector<std::string> values =
        peer->principal_name ? Examples(*peer->principal_name) : std::vector<std::string>{};
    each(values, SetPeer);
  } else if (const auto* state = std::get_if<FilterStatePredicate>(&predicate.match)) {
    each(Examples(state->value), SetPeer);
  } else if (const auto* address = std::get_if<AddressPredicate>(&predicate.match)) {
    ProxyRequest changed = request;
    if (address->field == AddressField::kDestination) {
      changed.connection.destination = Address{address->range.address};
    } else {
      changed.connection.source = Address{address->range.address};
    }
    out.push_back(std::move(changed));
  } else if (const auto* metadata = std::get_if<MetadataPredicate>(&predicate.match)) {
    MeetClaim(*metadata, request, &out);
  } else if (const auto* name = std::get_if<ServerNamePredicate>(&predicate.match)) {
    each(Examples(name->name),
         [](ProxyRequest* r, const std::string& v) { r->connection.sni = v; });
  }
  return out;
}

std::vector<ProxyRequest> Meet(const Predicate& predicate, std::vector<ProxyRequest> from) {
  std::vector<ProxyRequest> out;
  if (const auto* both = std::get_if<AndPredicate>(&predicate.match)) {
    for (const Predicate& child : both->all) {
      from = Meet(child, std::move(from));
      if (from.size() > kFew) from.resize(kFew);
    }
    return from;
  }
  if (const auto* either = std::get_if<OrPredicate>(&predicate.match)) {
    for (const Predicate& child : either->any) {
      for (ProxyRequest& request : Meet(child, from)) out.push_back(std::move(request));
      if (out.size() > kFew) break;
    }
    return out;
  }
  if (const auto* negated = std::get_if<NotPredicate>(&predicate.match)) {
    // Left as it is, and with what is forbidden.
    out = from;
    if (!negated->inner.empty()) {
      for (ProxyRequest& request : Meet(negated->inner.front(), from)) {
        out.push_back(std::move(request));
      }
    }
    return out;
  }
  for (const ProxyRequest& request : from) {
    for (ProxyRequest& met : Leaf(predicate, request)) out.push_back(std::move(met));
  }
  return out.empty() ? from : out;
}

}  // namespace

void Prober::Add(const RbacPolicy& policy) {
  std::vector<ProxyRequest> out;
  std::vector<ProxyRequest> base(
      requests_.begin(),
      requests_.begin() + std::min<ptrdiff_t>(kSeeds, static_cast<ptrdiff_t>(requests_.size())));
  for (const ProxyRequest& seed : base) {
    for (const Predicate& permission : policy.permissions) {
      for (ProxyRequest& met : Meet(permission, {seed})) {
        for (const Predicate& principal : policy.principals) {
          for (ProxyRequest& both : Meet(principal, {met})) out.push_back(std::move(both));
          if (out.size() > kMost) break;
        }
        if (out.size() > kMost) break;
      }
    }
  }
  requests_.insert(requests_.end(), out.begin(), out.end());
}

}  // namespace meshproof
