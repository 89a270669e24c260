#pragma once

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "mesh/mesh.h"
#include "source/source.h"

// For tests alone: reading inputs and comparing configurations by meaning.
namespace meshproof {

inline std::string ReadTestFile(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

inline std::filesystem::path SharedDirectory() {
  if (const char* given = std::getenv("MESHPROOF_SHARED")) return given;
  return std::filesystem::path(MESHPROOF_ROOT).parent_path() / "shared";
}

inline std::shared_ptr<const Mesh> TestMesh(std::string text, const ModelOptions& options = {},
                                            const MeshOptions& mesh_options = {}) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", std::move(text)));
  return Mesh::Build(DecodeModel(std::move(load), options), mesh_options);
}

// Keys of every object sorted.
inline Json SortKeys(const Json& value) {
  if (value.is_array()) {
    Json out = Json::MakeArray();
    for (const Json& child : value.as_array()) out.Append(SortKeys(child));
    return out;
  }
  if (!value.is_object()) return value;
  Json::Object fields;
  for (const auto& [key, child] : value.as_object()) fields.emplace_back(key, SortKeys(child));
  std::sort(fields.begin(), fields.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  return Json(std::move(fields));
}

// The first place where two values differ, with what stands there; "" where they are equal.
inline std::string FirstDifference(const Json& expected, const Json& got,
                                   const std::string& path = "") {
  const auto describe = [&] {
    return path + ": expected " + WriteJson(expected) + ", got " + WriteJson(got);
  };
  if (expected.is_array() && got.is_array()) {
    const auto& a = expected.as_array();
    const auto& b = got.as_array();
    for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
      std::string found = FirstDifference(a[i], b[i], path + "[" + std::to_string(i) + "]");
      if (!found.empty()) return found;
    }
    return a.size() == b.size() ? "" : describe();
  }
  if (expected.is_object() && got.is_object()) {
    for (const auto& [key, value] : expected.as_object()) {
      const Json* other = got.Find(key);
      const std::string below = path + "." + key;
      if (other == nullptr) return below + ": expected " + WriteJson(value) + ", got nothing";
      std::string found = FirstDifference(value, *other, below);
      if (!found.empty()) return found;
    }
    for (const auto& [key, value] : got.as_object()) {
      if (expected.Find(key) == nullptr) {
        return path + "." + key + ": expected nothing, got " + WriteJson(value);
      }
    }
    return "";
  }
  if (expected == got) return "";
  return describe();
}

inline Json CopyOnly(const Json& object, const std::set<std::string_view>& keys) {
  Json out = Json::MakeObject();
  for (const auto& [key, value] : object.as_object()) {
    if (keys.count(key) != 0) out.Set(key, value);
  }
  return out;
}

inline Json CopyWithout(const Json& object, const std::set<std::string_view>& keys) {
  Json out = Json::MakeObject();
  for (const auto& [key, value] : object.as_object()) {
    if (keys.count(key) == 0) out.Set(key, value);
  }
  return out;
}

inline std::string TextOf(const Json* value) {
  return value != nullptr && value->is_string() ? value->as_string() : "";
}

inline const Json* FindPath(const Json* value, std::initializer_list<std::string_view> keys) {
  for (const std::string_view key : keys) value = value == nullptr ? nullptr : value->Find(key);
  return value;
}

// Brings what istiod pushed (as recorded, security part only) and what meshproof emits to the same
// form: everything that a recording leaves out or that decides no verdict is dropped, TLS contexts
// are summed up under `tls`, lists whose order is free are sorted.
class Canonical {
 public:
  static Json Proxy(const Json& proxy) {
    Json out = CopyOnly(proxy, {"namespace", "workload", "mode"});
    out.Set("listeners", Each(proxy.Find("listeners"), Listener));
    out.Set("routes", Each(proxy.Find("routes"), Routes));
    return SortKeys(out);
  }

  static Json Listener(const Json& listener) {
    Json out = CopyOnly(listener, {"name", "address"});
    Json filters = Json::MakeArray();
    if (const Json* own = listener.Find("listener_filters")) {
      for (const Json& filter : own->as_array()) {
        filters.Append(CopyOnly(filter, {"name", "filter_disabled"}));
      }
    }
    out.Set("listener_filters", std::move(filters));
    out.Set("filter_chains", Each(listener.Find("filter_chains"), Chain));
    return out;
  }

  static Json Routes(const Json& routes) {
    Json out = CopyOnly(routes, {"name", "validate_clusters", "ignore_port_in_host_matching"});
    out.Set("virtual_hosts", Each(routes.Find("virtual_hosts"), VirtualHost));
    return out;
  }

 private:
  template <typename Function>
  static Json Each(const Json* array, Function function) {
    std::vector<std::pair<std::string, Json>> entries;
    if (array != nullptr) {
      for (const Json& entry : array->as_array()) {
        Json canonical = SortKeys(function(entry));
        entries.emplace_back(WriteJson(canonical), std::move(canonical));
      }
    }
    // By what tells entries apart first, so that a difference is shown between the right ones.
    std::stable_sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
      const auto key = [](const Json& value) {
        const Json* match = value.Find("filter_chain_match");
        return TextOf(value.Find("name")) + (match == nullptr ? "" : WriteJson(*match));
      };
      const std::string x = key(a.second), y = key(b.second);
      return x != y ? x < y : a.first < b.first;
    });
    Json out = Json::MakeArray();
    for (auto& entry : entries) out.Append(std::move(entry.second));
    return out;
  }

  static Json Chain(const Json& chain) {
    Json out = CopyOnly(chain, {"name", "filter_chain_match", "tls"});
    if (const Json* socket = chain.Find("transport_socket")) out.Set("tls", Tls(*socket));
    Json filters = Json::MakeArray();
    for (const Json& filter : chain.Find("filters")->as_array()) filters.Append(Filter(filter));
    out.Set("filters", std::move(filters));
    return out;
  }

  static Json Tls(const Json& socket) {
    const Json* context = socket.Find("typed_config");
    const Json* common = context->Find("common_tls_context");
    Json out = Json::MakeObject();
    if (const Json* required = context->Find("require_client_certificate")) {
      if (required->as_bool()) out.Set("require_client_certificate", true);
    }
    if (const Json* alpn = common->Find("alpn_protocols")) out.Set("alpn_protocols", *alpn);
    if (const Json* names =
            FindPath(common, {"combined_validation_context", "default_validation_context",
                              "match_subject_alt_names"})) {
      out.Set("match_subject_alt_names", *names);
    }
    return out;
  }

  static Json Filter(const Json& filter) {
    const std::string name = TextOf(filter.Find("name"));
    const Json& config = *filter.Find("typed_config");
    if (name == "envoy.filters.network.tcp_proxy") {
      return Json::MakeObject(
          {{"name", name}, {"typed_config", CopyOnly(config, {"cluster", "weighted_clusters"})}});
    }
    if (name != "envoy.filters.network.http_connection_manager") return filter;
    Json out = CopyWithout(
        config, {"stat_prefix", "route_config", "upgrade_configs", "rds", "http_filters"});
    if (const Json* rds = config.Find("rds")) {
      out.Set("rds", CopyOnly(*rds, {"route_config_name"}));
    }
    Json filters = Json::MakeArray();
    if (const Json* own = config.Find("http_filters")) {
      for (const Json& each : own->as_array()) {
        if (TextOf(each.Find("name")) != "envoy.filters.http.router") filters.Append(each);
      }
    }
    out.Set("http_filters", std::move(filters));
    return Json::MakeObject({{"name", name}, {"typed_config", std::move(out)}});
  }

  static Json VirtualHost(const Json& host) {
    Json out = CopyOnly(host, {"name", "domains", "require_tls"});
    Json routes = Json::MakeArray();
    if (const Json* own = host.Find("routes")) {
      for (const Json& route : own->as_array()) routes.Append(Route(route));
    }
    out.Set("routes", std::move(routes));
    return out;
  }

  static Json Route(const Json& route) {
    Json out = CopyOnly(route, {"name", "redirect", "direct_response"});
    Json match = *route.Find("match");
    if (const Json* sensitive = match.Find("case_sensitive")) {
      if (sensitive->as_bool()) match = CopyWithout(match, {"case_sensitive"});
    }
    out.Set("match", std::move(match));
    if (const Json* action = route.Find("route")) {
      out.Set("route", CopyOnly(*action, {"cluster", "weighted_clusters", "prefix_rewrite",
                                          "regex_rewrite", "host_rewrite_literal"}));
    }
    return out;
  }
};

}  // namespace meshproof
