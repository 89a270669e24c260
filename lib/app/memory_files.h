#pragma once

#include <map>
#include <set>
#include <sstream>
#include <string>

#include "app/cli.h"

// A disk and a terminal in memory, for tests.
namespace meshproof {

class MemoryFiles : public FileSystem {
 public:
  void Put(const std::string& path, std::string text) { files_[path] = std::move(text); }
  // A file that is there and cannot be read.
  void Lock(const std::string& path) { locked_.insert(path); }

  Result<std::string> Read(const std::string& path) const override {
    auto file = files_.find(Plain(path));
    if (locked_.contains(Plain(path))) return Error{path + ": permission denied"};
    if (file == files_.end()) return Error{path + ": no such file"};
    return file->second;
  }

  Kind Stat(const std::string& path) const override {
    if (path == "-" || files_.contains(Plain(path))) return Kind::kFile;
    return Names(path).empty() ? Kind::kMissing : Kind::kDirectory;
  }

  Result<std::vector<std::string>> List(const std::string& path) const override {
    auto names = Names(path);
    if (names.empty()) return Error{path + ": no such directory"};
    return std::vector<std::string>(names.begin(), names.end());
  }

 private:
  static std::string Plain(std::string path) {
    while (path.starts_with("./")) path.erase(0, 2);
    while (path.size() > 1 && path.ends_with('/')) path.pop_back();
    return path == "." ? "" : path;
  }

  std::set<std::string> Names(const std::string& path) const {
    std::string prefix = Plain(path);
    if (!prefix.empty()) prefix += "/";
    std::set<std::string> names;
    for (const auto& [name, text] : files_) {
      if (!name.starts_with(prefix) || (prefix.empty() && name.starts_with("../"))) continue;
      names.insert(name.substr(prefix.size(), name.find('/', prefix.size()) - prefix.size()));
    }
    return names;
  }

  std::map<std::string, std::string> files_;
  std::set<std::string> locked_;
};

// One run of the program in memory.
struct Ran {
  int status = 0;
  std::string out, err;
  std::map<std::string, std::string> written;  // files, by path
};

inline Ran Run(const std::vector<std::string>& arguments, const FileSystem& files,
               const std::string& directory = "/home/me/repo") {
  std::ostringstream out, err;
  Ran ran;
  Host host{files, out, err, directory, false, {}};
  host.write = [&ran](const std::string& path, const std::string& text) -> Result<bool> {
    if (path.starts_with("readonly/")) return Error{path + " cannot be written"};
    ran.written[path] = text;
    return true;
  };
  ran.status = static_cast<int>(RunMeshproof(arguments, host));
  ran.out = out.str();
  ran.err = err.str();
  return ran;
}

// Two workloads with sidecars, one without, a gateway; orders admits GET /api* of shop/web.
inline constexpr char kSmallMesh[] = R"(apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Namespace
metadata: {name: legacy}
---
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: Service
metadata: {name: orders, namespace: shop}
spec:
  selector: {app: orders}
  ports: [{name: http, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  template:
    metadata: {labels: {app: orders}}
    spec: {serviceAccountName: orders, containers: [{name: app, image: a}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {serviceAccountName: web, containers: [{name: app, image: a}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: probe, namespace: legacy}
spec:
  selector: {matchLabels: {app: probe}}
  template:
    metadata: {labels: {app: probe}}
    spec: {containers: [{name: app, image: a}]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: istio-system}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: orders, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
  - from: [{source: {principals: [cluster.local/ns/shop/sa/web]}}]
    to: [{operation: {methods: [GET], paths: [/api*]}}]
  - to: [{operation: {methods: [DELETE], hosts: [never.example.com]}}]
---
apiVersion: v1
kind: Service
metadata: {name: gate, namespace: istio-system}
spec:
  selector: {istio: gate}
  ports: [{name: http2, port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gate, namespace: istio-system}
spec:
  selector: {matchLabels: {istio: gate}}
  template:
    metadata:
      labels: {istio: gate, sidecar.istio.io/inject: "true"}
      annotations: {inject.istio.io/templates: gateway}
    spec: {serviceAccountName: gate, containers: [{name: istio-proxy, image: auto}]}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: shop, namespace: istio-system}
spec:
  selector: {istio: gate}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: shop, namespace: shop}
spec:
  hosts: [shop.example.com]
  gateways: [istio-system/shop]
  http:
  - match: [{uri: {prefix: /api}}]
    route: [{destination: {host: orders, port: {number: 80}}}]
)";

}  // namespace meshproof
