// Who may write Istio or Gateway API objects decides what every proxy enforces. Kubernetes RBAC
// adds up: a subject has what any of its bindings gives, a ClusterRole with an aggregationRule has
// the rules of all that its selectors match, and the built-in `admin` and `edit` those that are
// labelled for them. Also credentials that outlive their use: first-party tokens, which istiod
// takes from any holder without an audience or an end, and tokens of accounts that never expire.
#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "analyze/names.h"
#include "analyze/pod_fields.h"
#include "analyze/raw_objects.h"
#include "analyze/rule.h"

namespace meshproof::writable_istio_config {
namespace {

constexpr std::array kGroups = {"security.istio.io",         "networking.istio.io",
                                "extensions.istio.io",       "telemetry.istio.io",
                                "gateway.networking.k8s.io", "gateway.networking.x-k8s.io",
                                "install.istio.io"};
constexpr std::array kWriting = {"create", "update", "patch", "delete", "deletecollection", "*"};
constexpr int64_t kDay = 86400;  // seconds

std::string_view TextAt(const Node* node, std::initializer_list<std::string_view> path) {
  const Node* value = NodeAt(node, path);
  return value != nullptr && value->kind == NodeKind::kScalar ? value->text : std::string_view();
}

std::span<const Node> ItemsAt(const Node* node, std::initializer_list<std::string_view> path) {
  const Node* value = NodeAt(node, path);
  return value == nullptr || !value->IsSequence() ? std::span<const Node>() : value->items();
}

// A rule of a role that lets its subjects write objects of ours.
struct Grant {
  const RawObject* role = nullptr;  // null: built in
  const Node* rule = nullptr;
  std::string verbs, objects;  // for people
};

std::optional<Grant> ReadGrant(const RawObject& role, const Node& rule) {
  Grant grant{&role, &rule, {}, {}};
  std::vector<std::string> verbs, groups, resources;
  for (const Node& verb : ItemsAt(&rule, {"verbs"})) {
    if (std::find(kWriting.begin(), kWriting.end(), verb.text) != kWriting.end()) {
      verbs.emplace_back(verb.text == "*" ? "do everything with" : verb.text);
    }
  }
  for (const Node& group : ItemsAt(&rule, {"apiGroups"})) {
    if (group.text == "*") {
      groups.emplace_back("every API group");
    } else if (std::find(kGroups.begin(), kGroups.end(), group.text) != kGroups.end()) {
      groups.emplace_back(group.text);
    }
  }
  for (const Node& resource : ItemsAt(&rule, {"resources"})) {
    // A subresource (`virtualservices/status`) does not hold the spec.
    if (resource.text.find('/') != std::string_view::npos) continue;
    resources.emplace_back(resource.text == "*" ? "all objects" : resource.text);
  }
  if (verbs.empty() || groups.empty() || resources.empty()) return std::nullopt;
  grant.verbs = ListNames(verbs, 6);
  grant.objects = ListNames(resources) + " of " + ListNames(groups);
  return grant;
}

class Roles {
 public:
  explicit Roles(const std::vector<RawObject>& objects) {
    for (const RawObject& role : objects) {
      if (role.kind == "Role") {
        roles_[Key(NamespaceOf(role), role.name)] = &role;
      } else {
        roles_[Key("", role.name)] = &role;
        cluster_roles_.push_back(&role);
      }
    }
  }

  static std::string NamespaceOf(const RawObject& object) {
    return object.ns.empty() ? "default" : std::string(object.ns);
  }

  // The first rule that lets the holders of this role write; nothing where none does or the role is
  // not in the input.
  const std::optional<Grant>& GrantOf(std::string_view kind, std::string_view ns,
                                      std::string_view name) {
    std::string key = Key(kind == "Role" ? ns : std::string_view(), name);
    auto [it, added] = grants_.try_emplace(key);
    if (added) it->second = Find(key, name, kind == "Role");
    return it->second;
  }

 private:
  static std::string Key(std::string_view ns, std::string_view name) {
    return std::string(ns) + "/" + std::string(name);
  }

  std::optional<Grant> Find(const std::string& key, std::string_view name, bool namespaced) const {
    auto found = roles_.find(key);
    if (found != roles_.end()) {
      if (auto grant = OwnGrant(*found->second)) return grant;
      for (const Node& selector :
           ItemsAt(found->second->node, {"aggregationRule", "clusterRoleSelectors"})) {
        const Node* labels = NodeAt(&selector, {"matchLabels"});
        if (labels == nullptr || !labels->IsMapping()) continue;
        for (const RawObject* role : cluster_roles_) {
          bool all = std::all_of(
              labels->entries().begin(), labels->entries().end(), [&](const Entry& label) {
                return TextAt(role->node, {"metadata", "labels", label.key.text}) ==
                       label.value.text;
              });
          if (!all || role == found->second) continue;
          if (auto grant = OwnGrant(*role)) return grant;
        }
      }
      return std::nullopt;
    }
    if (namespaced) return std::nullopt;
    if (name == "cluster-admin")
      return Grant{nullptr, nullptr, "do everything with", "all objects"};
    // Kubernetes' own roles, which are seldom in the input; admin has what edit has.
    if (name != "admin" && name != "edit") return std::nullopt;
    for (const RawObject* role : cluster_roles_) {
      const Node* labels = NodeAt(role->node, {"metadata", "labels"});
      bool taken = TextAt(labels, {"rbac.authorization.k8s.io/aggregate-to-edit"}) == "true" ||
                   (name == "admin" &&
                    TextAt(labels, {"rbac.authorization.k8s.io/aggregate-to-admin"}) == "true");
      if (!taken) continue;
      if (auto grant = OwnGrant(*role)) return grant;
    }
    return std::nullopt;
  }

  static std::optional<Grant> OwnGrant(const RawObject& role) {
    for (const Node& rule : ItemsAt(role.node, {"rules"})) {
      if (auto grant = ReadGrant(role, rule)) return grant;
    }
    return std::nullopt;
  }

  std::map<std::string, const RawObject*> roles_;
  std::vector<const RawObject*> cluster_roles_;
  std::map<std::string, std::optional<Grant>> grants_;
};

class Checker {
 public:
  Checker(const Analysis& analysis, Reporter& reporter)
      : analysis_(analysis),
        reporter_(reporter),
        role_objects_(ObjectsOf(analysis.objects, {"Role", "ClusterRole"})),
        roles_(role_objects_) {
    for (const Workload& workload : analysis.mesh.workloads()) {
      if (workload.mode != ProxyMode::kSidecar && workload.mode != ProxyMode::kAmbient) continue;
      if (IsPlatformNamespace(workload.ns, analysis.mesh.config())) continue;
      in_mesh_.try_emplace(workload.ns + "/" + workload.service_account, &workload);
    }
  }

  void CheckBinding(const RawObject& binding) {
    const bool whole_cluster = binding.kind == "ClusterRoleBinding";
    const std::string ns = whole_cluster ? "" : Roles::NamespaceOf(binding);
    std::string_view role_kind = TextAt(binding.node, {"roleRef", "kind"});
    std::string_view role_name = TextAt(binding.node, {"roleRef", "name"});
    const std::optional<Grant>& grant = roles_.GrantOf(role_kind, ns, role_name);
    if (!grant) return;
    for (const Node& subject : ItemsAt(binding.node, {"subjects"})) {
      NoteWriter(subject, ns);
      const Workload* workload = nullptr;
      std::string who = Unprivileged(subject, ns, &workload);
      if (who.empty()) continue;
      const Node* place = NodeAt(&subject, {"name"});
      Span span = SpanOf(binding.file, place == nullptr ? subject : *place);
      Finding& finding = reporter_.Report(
          NameOf(binding), span,
          who + " may " + grant->verbs + " " + grant->objects +
              (whole_cluster ? " in every namespace" : " in namespace " + ns) + " through " +
              std::string(role_kind) + " `" + std::string(role_name) +
              "`, so it can open, reroute or switch off what the mesh enforces; bind the role to "
              "the people and pipelines that manage the mesh");
      finding.fix = "Bind the role to a group of administrators, or leave reading verbs only.";
      finding.field_path = FieldPathOf(*binding.node, span);
      finding.detail = who;
      if (grant->role != nullptr) {
        finding.related.push_back(
            {SpanOf(grant->role->file, *grant->rule), "the rule that allows to write"});
      }
      if (workload != nullptr && workload->object != nullptr) {
        finding.related.push_back({workload->object->span, "runs as this account"});
      }
    }
  }

  void CheckTokenSecret(const Secret& secret) {
    if (secret.type != "kubernetes.io/service-account-token") return;
    const std::string* account =
        FindLabel(secret.meta.annotations, "kubernetes.io/service-account.name");
    if (account == nullptr) return;
    const std::string key = secret.meta.ns + "/" + *account;
    const bool writes = writers_.count(key) > 0;
    auto workload = in_mesh_.find(key);
    const Node* place = NodeAt(secret.meta.node, {"type"});
    Finding& finding = reporter_.Report(
        secret.meta, place == nullptr ? secret.meta.span : SpanOf(secret.meta.file, *place),
        "this Secret holds a token of service account " + key + " that never expires" +
            (writes ? " and may write Istio or Gateway API objects"
             : workload != in_mesh_.end()
                 ? ", the account of " + Describe(*workload->second) + " in the mesh"
                 : "") +
            ", so one reader of the Secret holds the identity for good; use tokens that "
            "`kubectl create token` or a projected volume makes for a short time");
    if (!writes && workload == in_mesh_.end()) finding.severity = Severity::kInfo;
    finding.field_path = "type";
    finding.fix = "Delete the Secret and use bound tokens.";
    finding.detail = "token";
  }

  // istiod, gateways and sidecars that are written out say which tokens they use.
  void CheckPod(const PodWorkload& pod) {
    for (const PodContainer& container : ContainersOf(pod.meta)) {
      for (const Node& variable : ItemsAt(container.node, {"env"})) {
        if (TextAt(&variable, {"name"}) != "JWT_POLICY") continue;
        const Node* value = NodeAt(&variable, {"value"});
        if (value == nullptr || value->text != "first-party-jwt") continue;
        FirstParty(NameOf(pod.meta), pod.meta.node, SpanOf(pod.meta.file, *value),
                   Describe(pod.meta) + " sets JWT_POLICY to `first-party-jwt`");
      }
    }
    for (const Node& volume : ItemsAt(PodSpec(pod.meta), {"volumes"})) {
      for (const Node& source : ItemsAt(&volume, {"projected", "sources"})) {
        CheckProjected(pod, NodeAt(&source, {"serviceAccountToken"}));
      }
    }
  }

  void CheckOperator(const RawObject& object) {
    const Node* value = NodeAt(object.node, {"spec", "values", "global", "jwtPolicy"});
    if (value == nullptr || value->text != "first-party-jwt") return;
    FirstParty(NameOf(object), object.node, SpanOf(object.file, *value),
               "the installation sets jwtPolicy to `first-party-jwt`");
  }

 private:
  // Accounts that may write, whoever they are.
  void NoteWriter(const Node& subject, const std::string& binding_ns) {
    if (TextAt(&subject, {"kind"}) != "ServiceAccount") return;
    writers_.insert(SubjectNamespace(subject, binding_ns) + "/" +
                    std::string(TextAt(&subject, {"name"})));
  }

  static std::string SubjectNamespace(const Node& subject, const std::string& binding_ns) {
    std::string_view written = TextAt(&subject, {"namespace"});
    return written.empty() ? binding_ns : std::string(written);
  }

  // Who the subject is, as text; "" where it may well be an administrator.
  std::string Unprivileged(const Node& subject, const std::string& binding_ns,
                           const Workload** workload) const {
    constexpr std::string_view kAccountsOf = "system:serviceaccounts:";
    std::string_view kind = TextAt(&subject, {"kind"});
    std::string_view name = TextAt(&subject, {"name"});
    if (kind == "Group" && name == "system:authenticated") return "every authenticated user";
    if (kind == "Group" && name == "system:unauthenticated") return "everybody, without a login,";
    if (kind == "Group" && name == "system:serviceaccounts") return "every service account";
    if (kind == "Group" && name.starts_with(kAccountsOf)) {
      std::string ns(name.substr(kAccountsOf.size()));
      if (IsPlatformNamespace(ns, analysis_.mesh.config())) return "";
      return "every service account of namespace " + ns;
    }
    if (kind == "User" && name == "system:anonymous") return "everybody, without a login,";
    std::string account;
    if (kind == "ServiceAccount") {
      account = SubjectNamespace(subject, binding_ns) + "/" + std::string(name);
    } else if (kind == "User" && name.starts_with("system:serviceaccount:")) {
      account = std::string(name.substr(std::string_view("system:serviceaccount:").size()));
      std::replace(account.begin(), account.end(), ':', '/');
    } else {
      return "";
    }
    auto found = in_mesh_.find(account);
    if (found != in_mesh_.end()) {
      *workload = found->second;
      return "service account " + account + " of the application " + Describe(*found->second);
    }
    const std::string ns = account.substr(0, account.find('/'));
    if (account.ends_with("/default") && !IsPlatformNamespace(ns, analysis_.mesh.config())) {
      return "service account " + account + ", which every pod without an account of its own uses,";
    }
    return "";
  }

  void FirstParty(const ObjectName& object, const Node* root, const Span& span,
                  const std::string& what) {
    Finding& finding = reporter_.Report(
        object, span,
        what +
            ", so istiod takes tokens that are bound to no audience, which any service that was "
            "once sent one can use to get the workload's certificate; use `third-party-jwt`");
    finding.fix = "Use third-party-jwt.";
    finding.detail = "first-party";
    finding.field_path = FieldPathOf(*root, span);
  }

  void CheckProjected(const PodWorkload& pod, const Node* token) {
    const Node* seconds = NodeAt(token, {"expirationSeconds"});
    if (TextAt(token, {"audience"}) != "istio-ca" || seconds == nullptr) return;
    std::optional<int64_t> lifetime = seconds->AsInt();
    if (!lifetime || *lifetime <= kDay) return;
    Span span = SpanOf(pod.meta.file, *seconds);
    Finding& finding = reporter_.Report(pod.meta, span,
                                        "the token for istiod lives " + std::to_string(*lifetime) +
                                            " seconds, so a stolen one gives certificates of " +
                                            pod.meta.ns + "/" + std::string(pod.service_account) +
                                            " for longer than a day; use 43200 or less");
    finding.fix = "Write `expirationSeconds: 43200`.";
    finding.edits.push_back({span, "43200"});
    finding.field_path = FieldPathOf(*pod.meta.node, span);
    finding.detail = "lifetime";
  }

  const Analysis& analysis_;
  Reporter& reporter_;
  std::vector<RawObject> role_objects_;
  Roles roles_;
  std::map<std::string, const Workload*, std::less<>> in_mesh_;  // by "ns/account"
  std::set<std::string, std::less<>> writers_;
};

}  // namespace

void Check(const Analysis& analysis, Reporter& reporter) {
  Checker checker(analysis, reporter);
  for (const RawObject& binding :
       ObjectsOf(analysis.objects, {"RoleBinding", "ClusterRoleBinding"})) {
    checker.CheckBinding(binding);
  }
  for (const Secret& secret : analysis.model.secrets) checker.CheckTokenSecret(secret);
  for (const PodWorkload& pod : analysis.model.pod_workloads) checker.CheckPod(pod);
  for (const RawObject& object : ObjectsOf(analysis.objects, {"IstioOperator", "Istio"})) {
    checker.CheckOperator(object);
  }
}

}  // namespace meshproof::writable_istio_config
