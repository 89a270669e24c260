#include "app/can.h"

#include <algorithm>

#include "app/curl.h"
#include "base/text.h"
#include "report/request_text.h"
#include "report/verdict_json.h"
#include "report/verdict_text.h"
#include "simulate/fields.h"
#include "simulate/meshtest.h"

namespace meshproof {
namespace {

// Blanks and control characters would end the request line or the header.
bool HasControl(std::string_view text, bool blanks_too) {
  return std::any_of(text.begin(), text.end(), [&](char c) {
    auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F || (blanks_too && byte == ' ');
  });
}

// "*", "*.example.com" or a name, with an optional "namespace/" in front (Gateway servers).
bool ServerHostMatches(std::string_view pattern, std::string_view host) {
  if (size_t slash = pattern.find('/'); slash != std::string_view::npos) {
    pattern.remove_prefix(slash + 1);
  }
  if (pattern == "*") return true;
  if (pattern.starts_with("*.")) return EndsWithIgnoreCase(host, pattern.substr(1));
  return EqualsIgnoreCase(pattern, host);
}

struct GatewayPort {
  const Workload* workload = nullptr;
  int port = 0;
};

// The gateways that serve a host on a port, as a client outside sees it (the Service's port).
std::vector<GatewayPort> GatewaysFor(const Mesh& mesh, std::string_view host, int port) {
  std::vector<GatewayPort> found;
  for (const auto& workload : mesh.workloads()) {
    if (workload.mode != ProxyMode::kGateway) continue;
    for (const auto& bound : mesh.GatewayServersFor(workload)) {
      auto service = mesh.ServiceForPort(workload, bound.listen_port);
      bool same_port = bound.server->port == port || (service && service->second->port == port);
      const auto& hosts = bound.server->hosts.values;
      bool same_host = std::any_of(hosts.begin(), hosts.end(), [&](const Text& pattern) {
        return ServerHostMatches(pattern.value, host);
      });
      if (!same_port || !same_host) continue;
      if (found.empty() || found.back().workload != &workload) {
        found.push_back({&workload, bound.listen_port});
      }
    }
  }
  return found;
}

// Builds the question step by step; the first error ends it.
class Asker {
 public:
  Asker(const CanOptions& options, const Mesh& mesh, const Settings& settings, const Host& host)
      : options_(options), mesh_(mesh), settings_(settings), host_(host) {}

  Result<Case> Ask() {
    question_.follow = true;
    for (auto step : {&Asker::From, &Asker::Request, &Asker::To, &Asker::Options, &Asker::Tls,
                      &Asker::Token, &Asker::Authorizers, &Asker::Check}) {
      (this->*step)();
      if (!error_.empty()) return Error{error_};
    }
    return question_;
  }

 private:
  void Refuse(std::string message) {
    if (error_.empty()) error_ = std::move(message);
  }

  template <typename T>
  bool Ok(const Result<T>& result) {
    if (!result.ok()) Refuse(result.error().message);
    return result.ok();
  }

  void From() {
    const std::string& from = options_.from;
    if (from.empty()) return Refuse("say who calls: --from NAMESPACE/WORKLOAD, an IP or outside");
    if (from == "outside") {
      question_.from_outside = true;
    } else if (auto address = ParseIpAddress(from)) {
      caller_ = mesh_.FindWorkloadByAddress(*address);
      question_.from_outside = caller_ == nullptr;
      question_.from_ip = *address;
    } else {
      auto workload = FindWorkload(mesh_, from);
      if (!Ok(workload)) return;
      caller_ = workload.value();
    }
    if (caller_ != nullptr) question_.from_workload = caller_->ns + "/" + caller_->name;
    if (options_.source_ip) {
      question_.from_ip = ParseIpAddress(*options_.source_ip);
      if (!question_.from_ip)
        Refuse("`--source-ip` is no IP address: `" + *options_.source_ip + "`");
    }
    if (options_.principal) {
      if (!options_.principal->starts_with("spiffe://")) {
        return Refuse("`--principal` is a SPIFFE identity such as spiffe://cluster.local/ns/shop/" +
                      std::string("sa/web, not `") + *options_.principal + "`");
      }
      question_.from_identity = options_.principal;
    }
  }

  // What the curl command line, or a URL in `--to`, says.
  void Request() {
    bool to_is_url = options_.to.find("://") != std::string::npos;
    if (options_.curl.empty() && !to_is_url) return;
    if (!options_.curl.empty() && to_is_url) {
      return Refuse("the URL stands in `--to` or in the curl command line, not in both");
    }
    auto parsed =
        ParseCurl(to_is_url ? std::vector<std::string>{"curl", options_.to} : options_.curl);
    if (!Ok(parsed)) return;
    url_ = parsed.value();
    for (const auto& note : url_->notes) host_.err << "note: " << note << "\n";
    question_.path = url_->path;
    question_.host = url_->authority;
    if (to_is_url) return;  // nothing says that curl sends it
    question_.method = url_->method;
    question_.headers = url_->headers;
    question_.protocol = url_->protocol;
  }

  void To() {
    bool to_is_url = url_ && options_.curl.empty();
    if (!options_.to.empty() && !to_is_url) return ToAddress(options_.to);
    if (!url_) {
      return Refuse(
          "say what is called: --to HOST[:PORT] or --to NAMESPACE/WORKLOAD[:PORT], or "
          "a curl command line behind `--`");
    }
    ToHost(url_->connect_host.value_or(url_->host), url_->connect_port.value_or(url_->port));
  }

  void ToAddress(const std::string& to) {
    if (to.find('/') != std::string::npos) {
      auto name = ParseWorkloadName(to);
      if (!Ok(name)) return;
      auto workload = FindWorkload(mesh_, name.value().name);
      if (!Ok(workload)) return;
      question_.to_workload = workload.value()->ns + "/" + workload.value()->name;
      question_.to_port = name.value().port;
      return;
    }
    if (ParseIpAddress(to)) return ToHost(to, 0);
    size_t colon = to.rfind(':');
    if (colon == std::string::npos) return ToHost(to, 0);
    auto port = ParsePort(std::string_view(to).substr(colon + 1));
    if (!Ok(port)) return;
    std::string host = to.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    ToHost(host, port.value());
  }

  // A Service as the caller names it, an address, or a host that a gateway serves.
  void ToHost(const std::string& host, int port) {
    std::string_view ns = caller_ == nullptr ? std::string_view() : caller_->ns;
    if (ParseIpAddress(host) || mesh_.ResolveHost(host, ns) != nullptr) {
      question_.to_host = host;
      question_.to_port = port;
      return;
    }
    auto gateways = GatewaysFor(mesh_, host, port == 0 ? 80 : port);
    if (gateways.empty() && port == 0) gateways = GatewaysFor(mesh_, host, port = 443);
    if (gateways.empty()) return RefuseHost(host);
    if (gateways.size() > 1) {
      std::vector<std::string> names;
      for (const auto& gateway : gateways) {
        names.push_back(gateway.workload->ns + "/" + gateway.workload->name + ":" +
                        std::to_string(gateway.port));
      }
      return Refuse("several gateways serve `" + host +
                    "`; say which with --to: " + Join(names, ", "));
    }
    question_.to_workload = gateways[0].workload->ns + "/" + gateways[0].workload->name;
    question_.to_port = gateways[0].port;
    bool default_port = port == 0 || port == 80 || port == 443;
    if (!question_.host) {
      question_.host = default_port ? host : host + ":" + std::to_string(port);
    }
  }

  void RefuseHost(const std::string& host) {
    std::vector<std::string> names;
    for (const auto& service : mesh_.services()) {
      names.push_back(service.host);
      if (service.kubernetes) {
        names.push_back(service.name + "." + service.ns);
        if (caller_ != nullptr && caller_->ns == service.ns) names.push_back(service.name);
      }
    }
    for (const auto& gateway : mesh_.model().gateways) {
      for (const auto& server : gateway.servers) {
        for (const auto& served : server.hosts.values) names.emplace_back(served.value);
      }
    }
    for (const auto& gateway : mesh_.model().k8s_gateways) {
      for (const auto& listener : gateway.listeners) names.emplace_back(listener.hostname.value);
    }
    for (const auto& route : mesh_.model().k8s_routes) {
      for (const auto& served : route.hostnames.values) names.emplace_back(served.value);
    }
    std::string message = "`" + host + "` is no Service of the input, and no gateway serves it";
    if (caller_ == nullptr && host.find('.') == std::string::npos) {
      message += " (a caller outside names Services with their namespace)";
    }
    if (auto near = Nearest(host, names)) message += "; did you mean `" + *near + "`?";
    Refuse(message);
  }

  void Options() {
    if (options_.method) question_.method = options_.method;
    if (options_.path) question_.path = *options_.path;
    if (options_.authority) question_.host = options_.authority;
    if (options_.sni) question_.sni = options_.sni;
    if (options_.protocol == "grpc") question_.protocol = WireProtocol::kGrpc;
    if (options_.protocol == "tcp") question_.protocol = WireProtocol::kTcp;
    if (options_.protocol == "http" && !url_) question_.protocol = WireProtocol::kHttp1;
    for (const auto& line : options_.headers) {
      size_t colon = line.find(':');
      if (colon == std::string::npos || colon == 0) {
        return Refuse("a header is written `name: value`, not `" + line + "`");
      }
      std::string name = line.substr(0, colon);
      std::string value(TrimSpace(std::string_view(line).substr(colon + 1)));
      if (EqualsIgnoreCase(name, "host")) {
        question_.host = value;
      } else {
        question_.headers.emplace_back(std::move(name), std::move(value));
      }
    }
    if (options_.now) {
      question_.now = ParseTime(*options_.now);
      if (!question_.now) {
        Refuse("`--now` is a time such as 2026-03-01T12:00:00Z, not `" + *options_.now + "`");
      }
    }
  }

  void Tls() {
    if (options_.tls == "plaintext") {
      question_.tls = CaseTls::kPlaintext;
    } else if (options_.tls == "mtls") {
      question_.tls = CaseTls::kMtls;
      bool has_identity =
          question_.from_identity || (caller_ != nullptr && !caller_->identity.empty());
      if (!has_identity) {
        Refuse("`--tls mtls` needs an identity, and " +
               (caller_ == nullptr ? std::string("a caller outside")
                                   : question_.from_workload + " (" + caller_->mode_reason + ")") +
               " has none; give one with --principal spiffe://...");
      }
    } else if (url_ && !options_.tls) {
      SchemeTls();
    }
  }

  // The scheme of a URL decides where a gateway answers; between workloads the proxies do.
  void SchemeTls() {
    const Workload* gateway = TargetGateway();
    if (gateway == nullptr) {
      if (url_->https) {
        Refuse("https:// to a workload is bytes to its proxy: ask with --protocol tcp and http://");
      }
      return;
    }
    bool any = false, tls = false;
    for (const auto& bound : mesh_.GatewayServersFor(*gateway)) {
      if (bound.listen_port != question_.to_port) continue;
      any = true;
      tls |= bound.server->tls.has_value() && !bound.server->tls->https_redirect;
    }
    if (any && url_->https && !tls) {
      return Refuse("the gateway speaks plain HTTP on port " + std::to_string(question_.to_port) +
                    ": an https:// request gets no answer there");
    }
    if (!url_->https) question_.tls = CaseTls::kPlaintext;
    if (url_->https && !question_.sni) question_.sni = url_->host;
  }

  const Workload* TargetGateway() const {
    if (question_.to_workload.empty()) return nullptr;
    size_t slash = question_.to_workload.find('/');
    std::string_view name = question_.to_workload;
    const Workload* workload = mesh_.FindWorkload(name.substr(0, slash), name.substr(slash + 1));
    return workload != nullptr && workload->mode == ProxyMode::kGateway ? workload : nullptr;
  }

  // A file, or the token itself.
  void Token() {
    if (!options_.jwt) return;
    const std::string& jwt = *options_.jwt;
    Case::Token token;
    if (host_.files.Stat(jwt) == FileSystem::Kind::kFile) {
      auto text = host_.files.Read(jwt);
      if (!text.ok()) return Refuse("the token cannot be read: " + text.error().message);
      token.text = std::string(TrimSpace(text.value()));
      if (token.text.empty()) return Refuse("the token file `" + jwt + "` is empty");
    } else if (std::count(jwt.begin(), jwt.end(), '.') == 2 && jwt.find('/') == std::string::npos) {
      token.text = jwt;
    } else {
      return Refuse("`--jwt " + jwt + "` is neither a file nor a token (header.payload.signature)");
    }
    if (HasControl(token.text, true)) {
      return Refuse("the token of `--jwt` has blanks or line breaks in it");
    }
    question_.tokens.push_back(std::move(token));
  }

  void Authorizers() {
    question_.ext_authz_by_provider = settings_.ext_authz;
    std::vector<std::string> known;
    for (const auto& provider : mesh_.config().providers) known.emplace_back(provider.name.value);
    for (const auto& text : options_.ext_authz) {
      size_t equals = text.find('=');
      std::string name = text.substr(0, equals);
      std::string answer = equals == std::string::npos ? "" : text.substr(equals + 1);
      if (answer != "allow" && answer != "deny") {
        return Refuse("`--ext-authz` is PROVIDER=allow or PROVIDER=deny, not `" + text + "`");
      }
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        std::string message = "no extension provider `" + name + "` in the mesh config";
        if (auto near = Nearest(name, known)) message += "; did you mean `" + *near + "`?";
        return Refuse(message);
      }
      question_.ext_authz_by_provider[name] =
          answer == "allow" ? ExtAuthzAnswer::kAllow : ExtAuthzAnswer::kDeny;
    }
  }

  // What no client can send.
  void Check() {
    if (question_.method && (question_.method->empty() || HasControl(*question_.method, true))) {
      return Refuse("`" + *question_.method + "` is no HTTP method");
    }
    if (question_.path.empty() || HasControl(question_.path, true)) {
      return Refuse("a path has no blanks and is not empty: write %20, not `" + question_.path +
                    "`");
    }
    if (question_.host && HasControl(*question_.host, true)) {
      return Refuse("`" + *question_.host + "` is no host");
    }
    for (const auto& [name, value] : question_.headers) {
      if (HasControl(name, true) || HasControl(value, false)) {
        return Refuse("the header `" + name + "` has characters that no client can send");
      }
      if (name.starts_with(':')) {
        return Refuse("`" + name + "` is no header: use -X, --path and --host");
      }
    }
  }

  const CanOptions& options_;
  const Mesh& mesh_;
  const Settings& settings_;
  const Host& host_;
  Case question_;
  const Workload* caller_ = nullptr;
  std::optional<CurlRequest> url_;
  std::string error_;
};

// The question on one line.
Exit ExitOf(Outcome outcome) {
  switch (outcome) {
    case Outcome::kAllow:
      return Exit::kOk;
    case Outcome::kDeny:
    case Outcome::kReject:
      return Exit::kRefused;
    case Outcome::kUndetermined:
      return Exit::kUndetermined;
  }
  return Exit::kUndetermined;
}

}  // namespace

Result<Case> MakeCase(const CanOptions& options, const Mesh& mesh, const Settings& settings,
                      const Host& host) {
  return Asker(options, mesh, settings, host).Ask();
}

Exit RunCan(const CanOptions& options, const Host& host) {
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  auto input = LoadInput(options.input, settings.value(), host);
  if (!input.ok()) return Fail(host, input.error());
  auto question = MakeCase(options, *input.value().mesh, settings.value(), host);
  if (!question.ok()) {
    return Fail(host, WithNamelessDumps(question.error(), input.value()));
  }
  World world(input.value().mesh, FromDumps(input.value()));
  auto verdict = world.Run(question.value(), World::Addresses::kUnknown, Detail::kTrace);
  if (!verdict.ok()) return Fail(host, verdict.error());
  if (options.format == "json") {
    Json out = Json::MakeObject({{"version", 1}});
    Json answer = VerdictJson(verdict.value());
    for (auto& [key, value] : answer.as_object()) out.Set(key, std::move(value));
    out.Set("skipped", SkippedJson(*input.value().model));
    out.Set("request", CaseToJson(question.value()));
    host.out << WriteJson(out, 2) << "\n";
  } else {
    host.out << VerdictText(verdict.value(), QuestionText(question.value()), Style{host.colour});
  }
  Exit exit = ExitOf(verdict.value().outcome);
  return input.value().broken ? Worse(exit, Exit::kUnusable) : exit;
}

}  // namespace meshproof
