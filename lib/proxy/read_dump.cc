// Reads dumps (envoy-facts section 6). A JSON text is walked once without building a tree: what
// stands in the lists of a section becomes a piece, and only one piece at a time is read into a
// tree and from there into the configuration, so that memory stays near the size of the text.

#include <algorithm>
#include <deque>
#include <set>

#include "base/text.h"
#include "proxy/dump_certificates.h"
#include "proxy/made_objects.h"
#include "proxy/proxy_builder.h"

namespace meshproof {

const DumpSecret* ProxyDump::FindSecret(std::string_view name) const {
  for (const DumpSecret& secret : secrets) {
    if (secret.name == name) return &secret;
  }
  return nullptr;
}

namespace {

std::string FolderOf(const std::string& path) {
  size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

bool HasListener(const ProxyConfig& config, std::string_view name) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [&](const Listener& listener) { return listener.name == name; });
}

ProxyMode ModeByListeners(const ProxyConfig& config) {
  if (HasListener(config, "virtualInbound")) return ProxyMode::kSidecar;
  return HasListener(config, "main_internal") || HasListener(config, "connect_terminate")
             ? ProxyMode::kWaypoint
             : ProxyMode::kGateway;
}

// The SPIFFE name of the proxy's own certificate; "" where the dump does not hold it.
std::string IdentityOf(const ProxyDump& proxy) {
  const DumpSecret* own = proxy.FindSecret("default");
  if (own == nullptr || own->pem.empty()) return "";
  const std::vector<DumpCertificate> chain = ReadDumpCertificates(own->pem);
  if (chain.empty() || chain.front().uris.size() != 1) return "";
  const std::string& name = chain.front().uris.front();
  return name.starts_with("spiffe://") ? name : "";
}

// Of a sidecar and a waypoint requests meet the inbound listeners alone.
void SortListeners(ProxyConfig* config) {
  if (config->mode == ProxyMode::kGateway) return;
  auto is_outbound = [](const Listener& listener) {
    const bool main = listener.name == "main_internal" || listener.name == "connect_terminate";
    return listener.direction == Listener::Direction::kOutbound && !main;
  };
  std::vector<Listener> inbound;
  config->outbound.reserve(static_cast<size_t>(
      std::count_if(config->listeners.begin(), config->listeners.end(), is_outbound)));
  for (Listener& listener : config->listeners) {
    (is_outbound(listener) ? config->outbound : inbound).push_back(std::move(listener));
  }
  config->listeners = std::move(inbound);
}

// Of a proxy that takes everything on one listener the others do not matter; where that one, or a
// gateway's, may be among those that the dump lost, nobody knows who is let in.
void NoteLostListeners(const std::string& file, ProxyConfig* config) {
  const char* main = config->mode == ProxyMode::kWaypoint ? "main_internal" : "virtualInbound";
  if (config->mode != ProxyMode::kGateway && HasListener(*config, main)) return;
  Listener lost;
  lost.name = main;
  lost.original_dst = true;
  lost.opaque.push_back("listeners that the dump " + file + " lost: it is not whole");
  config->listeners.push_back(std::move(lost));
}

// The trust domain that the proxy's own chains ask for: "spiffe://td/" among the names of mTLS.
std::string TrustDomainOf(const ProxyConfig& config) {
  constexpr std::string_view kScheme = "spiffe://";
  for (const Listener& listener : config.listeners) {
    for (const FilterChain& chain : listener.filter_chains) {
      if (!chain.tls) continue;
      for (const StringMatcher& name : chain.tls->subject_alt_names) {
        if (name.kind != StringMatcher::Kind::kPrefix || !name.value.starts_with(kScheme)) continue;
        std::string_view rest = std::string_view(name.value).substr(kScheme.size());
        if (rest.ends_with('/')) return std::string(rest.substr(0, rest.size() - 1));
      }
    }
  }
  return "";
}

void AddServices(const WaypointMatcher& matcher, DumpedWaypoint* waypoint) {
  for (const WaypointMatcher::Vip& vip : matcher.services) {
    DumpedWaypoint::Service service;
    service.addresses = vip.addresses;
    for (const WaypointMatcher::Port& port : vip.ports) {
      const std::string& chain = port.http_chain.empty() ? port.tcp_chain : port.http_chain;
      if (service.host.empty()) service.host = std::string(WaypointHostOf(chain));
      service.ports.push_back(static_cast<int>(port.port));
    }
    if (!service.host.empty()) waypoint->services.push_back(std::move(service));
  }
}

// Where a dump begins: the first one of a file with the file.
Span StartOf(const Parts& parts, bool first, const SourceFile* file) {
  if (first || parts.pieces.empty()) return {file, 0, 0};
  const Piece& piece = parts.pieces.front();
  if (piece.node != nullptr) return {file, piece.node->begin, piece.node->begin};
  return {file, piece.begin, piece.begin};
}

Diagnostic NothingIn(Span span, const char* what = "nothing of a proxy's dump is in it") {
  return {Severity::kError, Trouble::kUnreadable, what, span, "", {}};
}

// Of a file that says nothing of a proxy: what it holds all the same.
const char* WhatIsIn(const std::vector<DumpSource>& sources) {
  for (const DumpSource& source : sources) {
    for (const Piece& piece : source.parts.pieces) {
      if (piece.kind == PieceKind::kEcds) {
        return "filters of ECDS alone say nothing of a proxy: put its listeners beside them";
      }
    }
  }
  return "nothing of a proxy's dump is in it";
}

}  // namespace

struct DumpReader::Impl {
  struct Slot {
    ProxyDump proxy;
    std::string folder;
    std::pair<std::string, std::string> owner;  // as the user says; namespace, workload
    bool whole = false;
    bool mode_known = false;
    bool learned = false;
    bool lost_listeners = false, lost_clusters = false;
    bool ztunnel = false;
    std::vector<std::pair<std::string, std::string>> labels;
    std::vector<DumpSource> sources;
  };

  static ProxyDump NewProxy() {
    ProxyDump proxy;
    proxy.config = std::make_shared<ProxyConfig>();
    proxy.config->from_dump = true;
    return proxy;
  }

  void Add(Collector collected, const std::shared_ptr<const SourceFile>& file) {
    dumps.files.push_back(file);
    std::string folder = FolderOf(file->name());
    ReadContext context(nullptr);
    bool first = true;
    for (Parts& parts : collected.parts) {
      // What istioctl prints of one proxy comes in several files, as does what the admin interface
      // says of one resource (`?resource=`).
      const bool whole = collected.whole && (parts.cut || SaysItself(parts));
      Slot* slot = whole ? nullptr : PartialOf(folder, parts);
      if (slot == nullptr) {
        slot = &slots.emplace_back();
        slot->proxy = NewProxy();
        slot->folder = folder;
        slot->owner = owner;
        slot->whole = whole;
      }
      if (parts.cut && !parts.sections.empty()) {
        slot->lost_listeners |= parts.sections.back() == Section::kListeners;
        slot->lost_clusters |= parts.sections.back() == Section::kClusters;
      }
      DumpSource source{std::move(parts), file};
      const size_t ztunnels = dumps.ztunnels.size();
      NodeFacts facts =
          ReadIdentity(source, {&context, &slot->proxy, &dumps.ztunnels, &dumps.diagnostics});
      slot->ztunnel |= dumps.ztunnels.size() > ztunnels;
      slot->sources.push_back(std::move(source));
      slot->mode_known |= facts.mode_known;
      for (auto& label : facts.labels) slot->labels.push_back(std::move(label));
      ProxyDump& proxy = slot->proxy;
      proxy.file += (proxy.file.empty() ? "" : ", ") + file->name();
      if (!proxy.span) proxy.span = StartOf(slot->sources.back().parts, first, file.get());
      first = false;
      proxy.config->files.push_back(file);
      if (!owner.second.empty()) TakeOwner(slot);
    }
  }

  // The dump's own word counts before the user's.
  void TakeOwner(Slot* slot) {
    ProxyConfig& config = *slot->proxy.config;
    if (slot->ztunnel) return;
    if (config.workload.empty()) {
      config.ns = owner.first;
      config.workload = owner.second;
      return;
    }
    if (config.ns == owner.first && config.workload == owner.second) return;
    dumps.diagnostics.push_back({Severity::kError,
                                 Trouble::kUnreadable,
                                 "the dump says that it is of " + config.ns + "/" +
                                     config.workload + ", not of " + owner.first + "/" +
                                     owner.second,
                                 slot->proxy.span,
                                 "",
                                 {}});
  }

  // What the listeners and the certificate of a proxy say of it, whose node is not in the dump.
  std::string Learn(Slot* slot) const {
    slot->learned = true;
    ReadContext context(nullptr);
    ProxyDump scratch = NewProxy();
    std::vector<ZtunnelDump> none;
    std::vector<Diagnostic> unused;
    ReadRest(slot->sources, {&context, &scratch, &none, &unused});
    ProxyConfig& config = *slot->proxy.config;
    if (!slot->mode_known && slot->proxy.has_listeners) {
      config.mode = ModeByListeners(*scratch.config);
      slot->mode_known = true;
    }
    return IdentityOf(scratch);
  }

  void LearnOwned() {
    for (Slot& slot : slots) {
      if (slot.learned || slot.mode_known || slot.proxy.config->workload.empty()) continue;
      const std::string identity = Learn(&slot);
      const std::vector<std::string_view> parts = Split(identity, '/');
      if (parts.size() == 7 && slot.proxy.service_account.empty() &&
          parts[4] == slot.proxy.config->ns) {
        slot.proxy.service_account = std::string(parts[6]);
      }
    }
  }

  void NameByCertificate(Slot* slot, const Mesh& mesh) const {
    const std::string identity = Learn(slot);
    if (identity.empty()) return;
    const Workload* only = nullptr;
    for (const Workload& workload : mesh.workloads()) {
      const bool proxy = workload.mode == slot->proxy.config->mode;
      if (!proxy || workload.identity != identity) continue;
      if (only != nullptr) return;
      only = &workload;
    }
    if (only == nullptr) return;
    slot->proxy.config->ns = only->ns;
    slot->proxy.config->workload = only->name;
    slot->proxy.service_account = only->service_account;
    slot->proxy.named_by_certificate = true;
  }

  // Whether it holds whose it is and whom it lets in.
  static bool SaysItself(const Parts& parts) {
    bool node = false, listeners = false;
    for (const Piece& piece : parts.pieces) {
      node |= piece.kind == PieceKind::kBootstrap;
      listeners |= SectionOf(piece.kind) == Section::kListeners;
    }
    return node && listeners;
  }

  // The partial proxy of this folder that does not have these sections yet.
  Slot* PartialOf(const std::string& folder, const Parts& parts) {
    for (Slot& slot : slots) {
      if (slot.whole || slot.folder != folder || slot.owner != owner) continue;
      const ProxyDump& proxy = slot.proxy;
      bool taken = false;
      for (const Piece& piece : parts.pieces) {
        Section section = SectionOf(piece.kind);
        taken |= (section == Section::kListeners && proxy.has_listeners) ||
                 (section == Section::kRoutes && proxy.has_routes) ||
                 (section == Section::kClusters && proxy.has_clusters) ||
                 (section == Section::kSecrets && proxy.has_secrets) ||
                 (piece.kind == PieceKind::kBootstrap && proxy.has_bootstrap);
      }
      if (!taken) return &slot;
    }
    return nullptr;
  }

  void FinishProxy(Slot* slot) const {
    ProxyDump& proxy = slot->proxy;
    ProxyConfig& config = *proxy.config;
    if (!slot->mode_known) {
      config.mode = ModeByListeners(config);
    }
    proxy.labels = Labels(slot->labels.begin(), slot->labels.end());
    SortListeners(&config);
    config.clusters_known = proxy.has_clusters && !slot->lost_clusters;
    config.trust_domain = TrustDomainOf(config);
    if (config.trust_domain.empty() && !proxy.mesh_id.empty()) config.trust_domain = proxy.mesh_id;
    if (config.trust_domain.empty()) config.trust_domain = "cluster.local";
    if (slot->lost_listeners) NoteLostListeners(proxy.file, &config);
    if (!proxy.service_account.empty()) {
      config.principal =
          "spiffe://" + config.trust_domain + "/ns/" + config.ns + "/sa/" + proxy.service_account;
    }
  }

  std::pair<std::string, std::string> owner;  // of what is added
  std::vector<Slot> slots;
  std::deque<ParsedFile> parsed;  // whose nodes the slots point into
  Dumps dumps;
};

DumpReader::DumpReader() : impl_(std::make_unique<Impl>()) {}
DumpReader::~DumpReader() = default;

void DumpReader::SetOwner(std::string ns, std::string workload) {
  impl_->owner = {std::move(ns), std::move(workload)};
}

std::vector<DumpIdentity> DumpReader::Identities() const {
  impl_->LearnOwned();
  std::vector<DumpIdentity> identities;
  for (const auto& slot : impl_->slots) {
    const ProxyDump& proxy = slot.proxy;
    DumpIdentity identity;
    identity.ns = proxy.config->ns;
    identity.workload = proxy.config->workload;
    identity.pod = proxy.pod;
    identity.service_account = proxy.service_account;
    identity.mode = proxy.config->mode;
    identity.labels = slot.labels;
    identity.ips = proxy.ips;
    identities.push_back(std::move(identity));
  }
  return identities;
}

std::vector<DumpedWaypoint> DumpReader::Waypoints() const {
  impl_->LearnOwned();
  std::vector<DumpedWaypoint> waypoints;
  for (const auto& slot : impl_->slots) {
    const ProxyConfig& config = *slot.proxy.config;
    if (config.mode != ProxyMode::kWaypoint || !slot.mode_known) continue;
    DumpedWaypoint waypoint;
    waypoint.ns = config.ns;
    for (const auto& [key, value] : slot.labels) {
      if (key == kGatewayNameLabel) waypoint.gateway = value;
    }
    if (waypoint.gateway.empty()) waypoint.gateway = config.workload;
    // Read for this alone: the mesh that the rest is linked with is made of it.
    ReadContext context(nullptr);
    ProxyDump scratch = Impl::NewProxy();
    std::vector<ZtunnelDump> none;
    std::vector<Diagnostic> unused;
    ReadRest(slot.sources, {&context, &scratch, &none, &unused});
    waypoint.trust_domain = TrustDomainOf(*scratch.config);
    for (const Listener& listener : scratch.config->listeners) {
      if (listener.waypoint) AddServices(*listener.waypoint, &waypoint);
    }
    waypoints.push_back(std::move(waypoint));
  }
  return waypoints;
}

const std::vector<ZtunnelDump>& DumpReader::Ztunnels() const {
  return impl_->dumps.ztunnels;
}

void DumpReader::AddText(std::string name, std::string text) {
  size_t first = text.find_first_not_of(" \t\r\n");
  bool json = first != std::string::npos && (text[first] == '{' || text[first] == '[');
  if (!json) {
    ParsedFile parsed = ParseText(std::move(name), std::move(text));
    auto& diagnostics = impl_->dumps.diagnostics;
    diagnostics.insert(diagnostics.end(), parsed.diagnostics.begin(), parsed.diagnostics.end());
    impl_->dumps.files.push_back(parsed.file);
    impl_->parsed.push_back(std::move(parsed));
    const ParsedFile& kept = impl_->parsed.back();
    for (const Document& document : kept.documents) AddDocument(document);
    if (kept.documents.empty() && kept.diagnostics.empty()) {
      diagnostics.push_back({Severity::kError,
                             Trouble::kSyntax,
                             "the dump is empty",
                             Span{kept.file.get(), 0, 0},
                             "",
                             {}});
    }
    return;
  }
  auto file = std::make_shared<const SourceFile>(std::move(name), std::move(text));
  if (file->text().size() >= UINT32_MAX) {
    impl_->dumps.diagnostics.push_back({Severity::kError,
                                        Trouble::kUnreadable,
                                        file->name() + ": a dump beyond 4 GB cannot be read",
                                        Span{},
                                        "",
                                        {}});
    return;
  }
  Collector collected;
  const TextError error = WalkText(file->text(), &collected);
  if (error.at != std::string_view::npos) {
    auto at = static_cast<uint32_t>(error.at);
    impl_->dumps.diagnostics.push_back(
        {Severity::kError,
         Trouble::kSyntax,
         std::string("not a complete dump: ") + error.message + "; what stands before is used",
         Span{file.get(), at, at},
         "",
         {}});
    if (!collected.parts.empty()) collected.parts.back().cut = true;
  } else if (collected.parts.empty()) {
    impl_->dumps.diagnostics.push_back(NothingIn(Span{file.get(), 0, 0}));
  }
  impl_->Add(std::move(collected), file);
}

void DumpReader::AddDocument(const Document& document) {
  if (document.root() == nullptr) return;
  Collector collected;
  WalkTree(*document.root(), &collected);
  if (collected.parts.empty()) {
    impl_->dumps.diagnostics.push_back(NothingIn(document.SpanOf(*document.root())));
  }
  impl_->Add(std::move(collected), document.shared_file());
}

Dumps DumpReader::Finish(const std::shared_ptr<const Mesh>& mesh) {
  ReadContext context(mesh);
  for (auto& slot : impl_->slots) {
    const ProxyDump& proxy = slot.proxy;
    if (mesh != nullptr && !slot.ztunnel && proxy.config->workload.empty()) {
      impl_->NameByCertificate(&slot, *mesh);
    }
    context.workload = context.FindWorkload(proxy.config->ns, proxy.config->workload);
    const bool all = ReadRest(
        slot.sources, {&context, &slot.proxy, &impl_->dumps.ztunnels, &impl_->dumps.diagnostics});
    slot.lost_listeners |= !all;
    if (slot.ztunnel) continue;
    // A file of another kind leaves nothing but what it is called.
    bool nothing = !proxy.has_bootstrap && !proxy.has_listeners && !proxy.has_routes &&
                   !proxy.has_clusters && !proxy.has_secrets;
    if (nothing) {
      std::set<std::string> said;
      for (const DumpOpaque& part : proxy.opaque) {
        if (!said.insert(part.what).second) continue;
        impl_->dumps.diagnostics.push_back({Severity::kError,
                                            Trouble::kUnreadable,
                                            "no part of a proxy's dump that is known: " + part.what,
                                            part.span,
                                            "",
                                            {}});
      }
      if (proxy.opaque.empty() && proxy.endpoints == 0) {
        impl_->dumps.diagnostics.push_back(NothingIn(proxy.span, WhatIsIn(slot.sources)));
      }
      continue;
    }
    impl_->FinishProxy(&slot);
    impl_->dumps.proxies.push_back(std::move(slot.proxy));
  }
  impl_->slots.clear();
  return std::move(impl_->dumps);
}

}  // namespace meshproof
