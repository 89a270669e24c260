// Reads the pieces of a dump into one proxy: bootstrap, listeners, routes, clusters, secrets and
// filters that are discovered, with the states in which Envoy keeps them.

#include "proxy/proxy_builder.h"

#include <algorithm>

#include "proxy/piece_reader.h"

namespace meshproof {
namespace {

// Builds one proxy from its pieces.
class ProxyBuilder {
 public:
  explicit ProxyBuilder(const DumpTarget& target)
      : context_(*target.context),
        proxy_(*target.proxy),
        ztunnels_(*target.ztunnels),
        diagnostics_(*target.diagnostics) {}

  // What says whose the dump is, and which sections it has.
  void ReadIdentity(const DumpSource& source) {
    Open(source);
    for (Section section : source.parts.sections) NoteSection(section);
    const Parts& parts = source.parts;
    if (!parts.listeners_version.empty()) proxy_.listeners_version = parts.listeners_version;
    if (!parts.clusters_version.empty()) proxy_.clusters_version = parts.clusters_version;
    ReadAll(source, [](PieceKind kind) {
      return kind == PieceKind::kBootstrap || kind == PieceKind::kZtunnel;
    });
  }

  // Everything else; what others refer to first.
  bool ReadRest(const std::vector<DumpSource>& sources) {
    Reserve(sources);
    for (const DumpSource& source : sources) {
      ReadAll(source, [](PieceKind kind) { return kind == PieceKind::kEcds; });
    }
    for (const DumpSource& source : sources) {
      ReadAll(source, [](PieceKind kind) {
        return kind != PieceKind::kBootstrap && kind != PieceKind::kEcds &&
               kind != PieceKind::kZtunnel;
      });
    }
    context_.discovered.clear();
    kept_.clear();
    return all_listeners_;
  }

 private:
  void NoteSection(Section section) {
    proxy_.has_listeners |= section == Section::kListeners;
    proxy_.has_routes |= section == Section::kRoutes;
    proxy_.has_clusters |= section == Section::kClusters;
    proxy_.has_secrets |= section == Section::kSecrets;
  }

  // Listeners are large: none is moved because one more comes.
  void Reserve(const std::vector<DumpSource>& sources) {
    size_t listeners = 0, routes = 0, clusters = 0;
    for (const DumpSource& source : sources) {
      for (const Piece& piece : source.parts.pieces) {
        const Section section = SectionOf(piece.kind);
        listeners += section == Section::kListeners ? 1 : 0;
        routes += section == Section::kRoutes ? 1 : 0;
        clusters += section == Section::kClusters ? 1 : 0;
      }
    }
    proxy_.config->listeners.reserve(listeners);
    proxy_.config->routes.reserve(routes);
    proxy_.config->clusters.reserve(clusters);
    proxy_.clusters.reserve(clusters);
  }

  void Open(const DumpSource& source) {
    file_ = source.file;
    context_.proxy = &proxy_;
    context_.file = file_.get();
  }

  template <typename Wanted>
  void ReadAll(const DumpSource& source, Wanted wanted) {
    Open(source);
    std::vector<const Piece*> texts;
    for (const Piece& piece : source.parts.pieces) {
      if (!wanted(piece.kind)) continue;
      if (piece.node != nullptr) {
        ReadPiece(piece.kind, *piece.node);
      } else if (piece.kind == PieceKind::kEndpoints) {
        ++proxy_.endpoints;  // nothing of them is asked for
      } else {
        texts.push_back(&piece);
      }
    }
    PieceReader reader(file_, std::move(texts));
    for (auto* batch = &reader.Next(); !batch->empty(); batch = &reader.Next()) {
      for (PieceTree& piece : *batch) ReadTree(&piece);
    }
  }

  void ReadTree(PieceTree* piece) {
    const PieceKind kind = piece->piece->kind;
    if (!piece->tree) {
      if (SectionOf(kind) == Section::kListeners) all_listeners_ = false;
      diagnostics_.push_back({Severity::kError,
                              Trouble::kSyntax,
                              "this part of the dump is not JSON; it is left out",
                              Span{file_.get(), piece->piece->begin, piece->piece->end},
                              "",
                              {}});
      return;
    }
    const Node* root = piece->tree->root();
    if (root != nullptr) ReadPiece(kind, *root);
    // Discovered filters are looked into when their listeners are read.
    if (kind == PieceKind::kEcds) kept_.push_back(std::move(*piece->tree));
  }

  Span SpanOf(const Node& node) const { return {file_.get(), node.begin, node.end}; }

  void ReadPiece(PieceKind kind, const Node& node) {
    switch (kind) {
      case PieceKind::kBootstrap:
        return ReadBootstrap(node);
      case PieceKind::kStaticListener:
      case PieceKind::kDynamicListener:
        return ReadListenerEntry(node);
      case PieceKind::kListener:
        return AddListener(node);
      case PieceKind::kStaticRoutes:
      case PieceKind::kDynamicRoutes:
        return ReadRoutesEntry(node, kind == PieceKind::kStaticRoutes);
      case PieceKind::kRoutes:
        return AddRoutes(node, false);
      case PieceKind::kStaticCluster:
      case PieceKind::kWarmingCluster:
      case PieceKind::kCluster:
        return ReadCluster(node, kind);
      case PieceKind::kSecret:
      case PieceKind::kStaticSecret:
      case PieceKind::kWarmingSecret:
        return ReadSecret(node, kind);
      case PieceKind::kEcds:
        return ReadEcds(node);
      case PieceKind::kEndpoints:
        ++proxy_.endpoints;
        return;
      case PieceKind::kZtunnel:
        ztunnels_.push_back(ReadZtunnel(node, *file_));
        return;
      case PieceKind::kOther:
        return ReadOther(node);
    }
  }

  void ReadOther(const Node& node) {
    std::string type = TextOf(node.Find("@type"));
    // Envoy's own empty sections, the bootstrap in other clothes.
    if (type.ends_with("BootstrapConfigDump")) return ReadBootstrap(node);
    if (type.ends_with("ScopedRoutesConfigDump") || node.entries().empty()) return;
    size_t slash = type.rfind('/');
    type = slash == std::string::npos ? type : type.substr(slash + 1);
    context_.NoteOpaque(type.empty() ? UntypedText(node) : "section " + type, node);
  }

  void ReadBootstrap(const Node& node) {
    const Node* bootstrap = Field(&node, "bootstrap");
    if (bootstrap == nullptr) return;
    proxy_.has_bootstrap = true;
    const Node* own = Field(bootstrap, "node");
    proxy_.node_id = TextField(own, "id");
    const Node* metadata = Field(own, "metadata");
    auto text = [&](std::string_view key) {
      return TextOf(metadata == nullptr ? nullptr : metadata->Find(key));
    };
    proxy_.pod = text("NAME");
    proxy_.service_account = text("SERVICE_ACCOUNT");
    proxy_.istio_version = text("ISTIO_VERSION");
    proxy_.mesh_id = text("MESH_ID");
    ReadNode(text("NAMESPACE"), text("WORKLOAD_NAME"));
    const Node* labels = metadata == nullptr ? nullptr : metadata->Find("LABELS");
    if (labels != nullptr && labels->IsMapping()) {
      for (const auto& [key, value] : labels->entries()) labels_.emplace_back(key.text, value.text);
    }
    ReadAddresses(text("INSTANCE_IPS"));
    if (const Node* admin = Field(Field(bootstrap, "admin"), "address")) {
      const Node* socket = Field(admin, "socket_address");
      proxy_.admin_span = SpanOf(*admin);
      proxy_.admin_address =
          socket != nullptr ? TextField(socket, "address") + ":" + TextField(socket, "port_value")
                            : "unix:" + TextField(Field(admin, "pipe"), "path");
    }
  }

  // "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".
  void ReadNode(std::string ns, const std::string& workload) {
    ProxyConfig& config = *proxy_.config;
    std::vector<std::string> parts;
    size_t from = 0;
    for (size_t tilde = proxy_.node_id.find('~'); tilde != std::string::npos;
         tilde = proxy_.node_id.find('~', from)) {
      parts.push_back(proxy_.node_id.substr(from, tilde - from));
      from = tilde + 1;
    }
    parts.push_back(proxy_.node_id.substr(from));
    if (parts.size() >= 3) {
      if (parts[0] == "router") config.mode = ProxyMode::kGateway;
      if (parts[0] == "sidecar") config.mode = ProxyMode::kSidecar;
      if (parts[0] == "waypoint") config.mode = ProxyMode::kWaypoint;
      mode_known_ = true;
      size_t dot = parts[2].rfind('.');
      if (dot != std::string::npos) {
        if (ns.empty()) ns = parts[2].substr(dot + 1);
        if (proxy_.pod.empty()) proxy_.pod = parts[2].substr(0, dot);
      }
      ReadAddresses(parts[1]);
    }
    config.ns = ns;
    config.workload = !workload.empty() ? workload : proxy_.pod;
  }

  void ReadAddresses(std::string_view list) {
    while (!list.empty()) {
      size_t comma = list.find(',');
      auto ip = ParseIpAddress(list.substr(0, comma));
      if (ip && std::find(proxy_.ips.begin(), proxy_.ips.end(), *ip) == proxy_.ips.end()) {
        proxy_.ips.push_back(*ip);
      }
      list = comma == std::string_view::npos ? std::string_view() : list.substr(comma + 1);
    }
  }

  // Each state of a listener; the active one counts.
  void ReadListenerEntry(const Node& node) {
    std::string name = TextField(&node, "name");
    if (const Node* error = Field(&node, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "listener " + name,
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
    const Node* active = Field(Field(&node, "active_state"), "listener");
    if (active == nullptr && Field(&node, "active_state") == nullptr) {
      active = Field(&node, "listener");
    }
    for (const char* state : {"warming_state", "draining_state"}) {
      const Node* other = Field(&node, state);
      if (other == nullptr) continue;
      bool warming = state == std::string_view("warming_state");
      proxy_.troubles.push_back(
          {warming ? DumpTrouble::Kind::kWarming : DumpTrouble::Kind::kDraining, "listener " + name,
           "", TextField(other, "last_updated"), SpanOf(*other)});
    }
    if (active != nullptr) AddListener(*active);
  }

  void AddListener(const Node& node) {
    TypedNode typed = OpenTyped(&node);
    const Node& message = typed.value != nullptr ? *typed.value : node;
    proxy_.config->listeners.push_back(ReadListener(message, &context_));
  }

  void ReadRoutesEntry(const Node& node, bool is_static) {
    if (const Node* error = Field(&node, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "route configuration",
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
    if (const Node* routes = Field(&node, "route_config")) AddRoutes(*routes, is_static);
  }

  // Inline route configurations show up as static ones; their managers hold them already.
  void AddRoutes(const Node& node, bool is_static) {
    if (is_static && TextField(&node, "name").empty()) return;
    context_.where = "route configuration " + TextField(&node, "name");
    auto routes = ReadRoutes(node, &context_);
    context_.where.clear();
    if (is_static && proxy_.config->FindRoutes(routes->name) != nullptr) return;
    proxy_.config->routes.push_back(std::move(routes));
  }

  void ReadCluster(const Node& entry, PieceKind kind) {
    const Node* message = Field(&entry, "cluster");
    const Node& node = kind != PieceKind::kCluster && message != nullptr ? *message : entry;
    DumpCluster cluster;
    cluster.name = TextField(&node, "name");
    cluster.span = SpanOf(node);
    cluster.type = TextField(&node, "type");
    cluster.tls = OpenTyped(Field(Field(&node, "transport_socket"), "typed_config"))
                      .type.ends_with("UpstreamTlsContext") ||
                  Field(&node, "tls_context") != nullptr;
    for (const Node& match : ItemsField(&node, "transport_socket_matches")) {
      TypedNode typed = OpenTyped(Field(Field(&match, "transport_socket"), "typed_config"));
      cluster.tls_by_endpoint |= typed.type.ends_with("UpstreamTlsContext");
    }
    if (kind == PieceKind::kWarmingCluster) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kWarming, "cluster " + cluster.name, "",
                                 TextField(&entry, "last_updated"), SpanOf(entry)});
    } else {
      proxy_.config->clusters.push_back(cluster.name);
    }
    if (const Node* error = Field(&entry, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "cluster " + cluster.name,
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
    proxy_.clusters.push_back(std::move(cluster));
  }

  void ReadSecret(const Node& entry, PieceKind kind) {
    const Node* message = Field(&entry, "secret");
    DumpSecret secret;
    secret.name = TextField(&entry, "name");
    if (secret.name.empty()) secret.name = TextField(message, "name");
    secret.state = kind == PieceKind::kWarmingSecret  ? DumpSecret::State::kWarming
                   : kind == PieceKind::kStaticSecret ? DumpSecret::State::kStatic
                                                      : DumpSecret::State::kActive;
    secret.version = TextField(&entry, "version_info");
    secret.last_updated = TextField(&entry, "last_updated");
    secret.span = SpanOf(entry);
    const Node* body = message != nullptr ? message : &entry;
    if (const Node* certificate = Field(body, "tls_certificate")) {
      secret.kind = DumpSecret::Kind::kCertificate;
      SetPem(Field(certificate, "certificate_chain"), &secret);
    } else if (const Node* roots = Field(body, "validation_context")) {
      secret.kind = DumpSecret::Kind::kRoots;
      SetPem(Field(roots, "trusted_ca"), &secret);
      ReadBundles(OpenTyped(Field(Field(roots, "custom_validator_config"), "typed_config")),
                  secret);
    }
    proxy_.secrets.push_back(std::move(secret));
  }

  static void SetPem(const Node* source, DumpSecret* secret) {
    std::string bytes = TextField(source, "inline_bytes");
    secret->redacted =
        bytes == "W3JlZGFjdGVkXQ==" || TextField(source, "inline_string") == "[redacted]";
    if (secret->redacted) return;
    secret->pem = bytes.empty() ? TextField(source, "inline_string")
                                : DecodeBytes(bytes).value_or(std::string());
  }

  // A SPIFFE validator has a bundle for each trust domain.
  void ReadBundles(const TypedNode& typed, const DumpSecret& secret) {
    for (const Node& domain : ItemsField(typed.value, "trust_domains")) {
      DumpSecret bundle = secret;
      bundle.trust_domain = TextField(&domain, "name");
      SetPem(Field(&domain, "trust_bundle"), &bundle);
      proxy_.secrets.push_back(std::move(bundle));
    }
  }

  // What somebody took for a dump that says of itself what it is.
  static std::string UntypedText(const Node& node) {
    for (const char* key : {"workloadIps", "vips", "authorizationPolicies", "certChain"}) {
      if (Field(&node, key) != nullptr) return kPartOfZtunnel;
    }
    if (Field(&node, "scope") != nullptr && Field(&node, "rules") != nullptr) {
      return kPartOfZtunnel;
    }
    const Node* workloads = Field(&node, "workloads");
    if (workloads != nullptr && workloads->kind != NodeKind::kScalar) return kPartOfZtunnel;
    if (Field(&node, "apiVersion") != nullptr && Field(&node, "kind") != nullptr) {
      return "a Kubernetes object (" + TextField(&node, "kind") +
             "), which belongs among the PATHs";
    }
    return "section without a type";
  }

  static constexpr char kPartOfZtunnel[] =
      "one section of a ztunnel's dump; take the whole (istioctl ztunnel-config all -o json)";

  void ReadEcds(const Node& node) {
    const Node* filter = Field(&node, "ecds_filter");
    if (filter == nullptr) filter = &node;
    std::string name = TextField(filter, "name");
    if (const Node* config = Field(filter, "typed_config")) context_.discovered[name] = config;
    if (const Node* error = Field(&node, "error_state")) {
      proxy_.troubles.push_back({DumpTrouble::Kind::kRejected, "filter " + name,
                                 TextField(error, "details"),
                                 TextField(error, "last_update_attempt"), SpanOf(*error)});
    }
  }

 public:
  NodeFacts TakeFacts() { return {mode_known_, std::move(labels_)}; }

 private:
  ReadContext& context_;
  ProxyDump& proxy_;
  std::vector<ZtunnelDump>& ztunnels_;
  std::vector<Diagnostic>& diagnostics_;
  std::shared_ptr<const SourceFile> file_;
  std::vector<Document> kept_;
  std::vector<std::pair<std::string, std::string>> labels_;
  bool mode_known_ = false;
  bool all_listeners_ = true;
};

}  // namespace

NodeFacts ReadIdentity(const DumpSource& source, const DumpTarget& target) {
  ProxyBuilder builder(target);
  builder.ReadIdentity(source);
  return builder.TakeFacts();
}

bool ReadRest(const std::vector<DumpSource>& sources, const DumpTarget& target) {
  return ProxyBuilder(target).ReadRest(sources);
}

}  // namespace meshproof
