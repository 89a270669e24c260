#pragma once

#include <doctest/doctest.h>

#include <memory>
#include <string>

#include "mesh/mesh.h"

namespace meshproof {

// A mesh from the text of manifests. Nothing of it may be broken.
inline std::shared_ptr<const Mesh> MeshOf(const std::string& yaml,
                                          const MeshOptions& options = {}) {
  Load load;
  load.files.push_back(ParseText("mesh.yaml", yaml));
  for (const Diagnostic& diagnostic : load.files.back().diagnostics) {
    FAIL_CHECK(ToString(diagnostic));
  }
  std::shared_ptr<const Model> model = DecodeModel(std::move(load), {});
  for (const Diagnostic& diagnostic : model->diagnostics) {
    if (diagnostic.severity == Severity::kError) FAIL_CHECK(ToString(diagnostic));
  }
  return Mesh::Build(model, options);
}

inline std::string NamespaceYaml(const std::string& name, const std::string& labels = "") {
  return "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: " + name + ", labels: {" + labels +
         "}}\n";
}

// `labels`, `annotations` and `spec` in flow style, without braces.
inline std::string DeploymentYaml(const std::string& ns, const std::string& name,
                                  const std::string& labels = "",
                                  const std::string& annotations = "",
                                  const std::string& spec = "") {
  return "---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: " + name +
         ", namespace: " + ns + "}\nspec:\n  selector: {matchLabels: {app: " + name +
         "}}\n  template:\n    metadata:\n      labels: {app: " + name +
         (labels.empty() ? "" : ", " + labels) + "}\n      annotations: {" + annotations +
         "}\n    spec:\n      serviceAccountName: " + name + "-sa\n" +
         (spec.empty() ? "      containers: [{name: app, image: a, ports: [{name: web, "
                         "containerPort: 8080}]}]\n"
                       : spec);
}

// `ports` and `more` (of the spec) in flow style.
inline std::string ServiceYaml(const std::string& ns, const std::string& name,
                               const std::string& ports, const std::string& selector = "",
                               const std::string& created = "", const std::string& more = "") {
  return "---\napiVersion: v1\nkind: Service\nmetadata: {name: " + name + ", namespace: " + ns +
         (created.empty() ? "" : ", creationTimestamp: '" + created + "'") +
         "}\nspec: {selector: {" + (selector.empty() ? "app: " + name : selector) + "}, ports: [" +
         ports + "]" + (more.empty() ? "" : ", " + more) + "}\n";
}

inline std::string PeerYaml(const std::string& ns, const std::string& name, const std::string& spec,
                            const std::string& created = "") {
  return "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: " +
         name + ", namespace: " + ns +
         (created.empty() ? "" : ", creationTimestamp: '" + created + "'") + "}\nspec: {" + spec +
         "}\n";
}

inline std::string RuleYaml(const std::string& ns, const std::string& name, const std::string& spec,
                            const std::string& created = "") {
  return "---\napiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: " +
         name + ", namespace: " + ns +
         (created.empty() ? "" : ", creationTimestamp: '" + created + "'") + "}\nspec: {" + spec +
         "}\n";
}

inline const Workload& Find(const Mesh& mesh, const std::string& ns, const std::string& name) {
  const Workload* workload = mesh.FindWorkload(ns, name);
  REQUIRE_MESSAGE(workload != nullptr, ns, "/", name);
  return *workload;
}

}  // namespace meshproof
