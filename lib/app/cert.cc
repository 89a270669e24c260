#include "app/cert.h"

#include <algorithm>

#include "app/jwt.h"
#include "base/text.h"
#include "proxy/dump_input.h"
#include "proxy/trust_domain.h"
#include "report/certificate_report.h"

namespace meshproof {
namespace {

struct Found {
  std::vector<CertificateBundle> bundles;
  std::vector<ParsedFile> files;  // what the bundles' places point into
  bool broken = false;
};

// What is wrong with a document matters where no certificate comes out of the file.
void ReadDocuments(ParsedFile file, const Host& host, size_t* next_group, Found* found) {
  for (const auto& diagnostic : file.diagnostics) {
    if (!IsBroken(diagnostic)) continue;
    host.err << ToString(diagnostic) << "\n";
    found->broken = true;
  }
  auto bundles = ReadCertificates(file, next_group);
  std::move(bundles.begin(), bundles.end(), std::back_inserter(found->bundles));
  found->files.push_back(std::move(file));
}

// Files are told by content; of directories manifests and dumps are read.
Result<Found> FindCertificates(const std::vector<std::string>& paths, const Settings& settings,
                               const Host& host) {
  Found found;
  size_t next_group = 0;
  std::vector<std::string> directories;
  for (const auto& path : paths) {
    if (host.files.Stat(path) == FileSystem::Kind::kDirectory) {
      directories.push_back(path);
      continue;
    }
    auto text = host.files.Read(path);
    if (!text.ok()) {
      return Error{"`" + path + "` cannot be read: " + text.error().message};
    }
    std::string name = path == "-" ? "(standard input)" : path;
    if (LooksLikePem(text.value()) || LooksLikeDer(text.value())) {
      auto bundle = ReadCertificateFile(name, text.value());
      bundle.group = next_group++;
      found.bundles.push_back(std::move(bundle));
    } else {
      ReadDocuments(ParseText(name, text.Take()), host, &next_group, &found);
    }
  }
  if (directories.empty()) return found;
  LoadOptions options;
  options.ignore = settings.ignore;
  auto load = LoadPaths(directories, host.files, options);
  if (!load.ok()) return load.error();
  for (const auto& diagnostic : load.value().diagnostics) {
    host.err << ToString(diagnostic) << "\n";
    found.broken = true;
  }
  for (auto& file : load.value().files) ReadDocuments(std::move(file), host, &next_group, &found);
  return found;
}

// What the manifests among the PATHs say of identities.
struct MeshFacts {
  std::vector<std::string> trust_domains;
  std::string identity, identity_from;
};

Result<MeshFacts> ReadMeshFacts(const CertOptions& options, const std::vector<std::string>& paths,
                                const Settings& settings, const Host& host) {
  MeshFacts facts;
  if (options.input.trust_domain) facts.trust_domains.push_back(*options.input.trust_domain);
  std::vector<InputPath> manifests;
  for (const auto& path : paths) {
    if (path == "-") continue;
    auto text = host.files.Stat(path) == FileSystem::Kind::kFile ? host.files.Read(path)
                                                                 : Result<std::string>("");
    bool certificate = text.ok() && (LooksLikePem(text.value()) || LooksLikeDer(text.value()));
    if (!certificate) manifests.push_back({path, ""});
  }
  std::vector<std::string> notes;
  if (manifests.empty()) {
    if (options.workload) return Error{"`--workload` needs manifests among the PATHs"};
    return facts;
  }
  auto input = LoadMesh(manifests, options.input, settings, host.files, 0, &notes);
  if (!input.ok()) {
    if (options.workload) return input.error();
    return facts;
  }
  const Mesh& mesh = *input.value().mesh;
  // Secrets and dumps alone say nothing of the mesh's trust domains.
  bool written = !std::all_of(mesh.workloads().begin(), mesh.workloads().end(), IsFromDump);
  if (written || mesh.config().object != nullptr) {
    facts.trust_domains = AcceptedTrustDomains(mesh.config());
  }
  if (options.workload) {
    auto workload = FindWorkload(mesh, *options.workload);
    if (!workload.ok()) return workload.error();
    facts.identity = workload.value()->identity;
    facts.identity_from = "the service account of " + *options.workload;
    if (facts.identity.empty()) {
      return Error{*options.workload + " (" + workload.value()->mode_reason +
                   ") has no identity of the mesh"};
    }
  }
  return facts;
}

// Who may have signed the certificates of a bundle: `--root`, else the authorities beside it, else
// those of the whole input.
void FindRoots(const std::vector<CertificateBundle>& bundles, const CertificateBundle& of,
               CertificateContext* context) {
  auto add = [&](const CertificateBundle& bundle) {
    for (const auto& certificate : bundle.certificates) context->roots.push_back(certificate);
    if (context->roots_from.empty()) context->roots_from = bundle.source;
  };
  for (const auto& bundle : bundles) {
    bool beside = bundle.group == of.group && &bundle != &of;
    if (beside && bundle.role == CertificateRole::kAuthority) add(bundle);
  }
  if (context->roots.empty()) {
    for (const auto& certificate : of.certificates) {
      if (certificate.is_root) context->roots.push_back(certificate);
    }
    if (!context->roots.empty()) context->roots_from = "the root beside it";
  }
  if (!context->roots.empty()) return;
  for (const auto& bundle : bundles) {
    if (&bundle != &of && bundle.role == CertificateRole::kAuthority) add(bundle);
  }
}

void CheckBundle(const std::vector<CertificateBundle>& bundles, const CertificateBundle& bundle,
                 const MeshFacts& facts, const CertificateContext& given,
                 CertificateReport* report) {
  CertificateContext context = given;
  if (context.roots.empty()) FindRoots(bundles, bundle, &context);
  context.trust_domains = facts.trust_domains;
  context.others = bundle.certificates;
  if (!facts.identity.empty()) {
    context.identity = facts.identity;
    context.identity_from = facts.identity_from;
  } else if (!bundle.identity.empty()) {
    context.identity = bundle.identity;
    context.identity_from = bundle.identity.starts_with('/')
                                ? "the service account of the proxy's node"
                                : "the identity that ztunnel has it for";
  }
  for (size_t i = 0; i < bundle.certificates.size(); ++i) {
    CertificateRow row;
    row.source = bundle.source;
    if (bundle.certificates.size() > 1) {
      row.source +=
          " [" + std::to_string(i + 1) + "/" + std::to_string(bundle.certificates.size()) + "]";
    }
    row.span = bundle.span;
    row.certificate = bundle.certificates[i];
    // Behind the leaf stand those that signed it.
    row.role = i == 0 ? bundle.role : CertificateRole::kAuthority;
    row.checks = CheckCertificate(row.certificate, row.role, context);
    report->rows.push_back(std::move(row));
  }
  if (!bundle.note.empty()) report->missing.emplace_back(bundle.source, bundle.note);
  if (bundle.unreadable > 0) {
    report->missing.emplace_back(bundle.source, std::to_string(bundle.unreadable) +
                                                    " CERTIFICATE blocks that cannot be read");
  }
}

}  // namespace

Exit RunCert(const CertOptions& options, const Host& host) {
  auto now = NowOf(options.now);
  if (!now.ok()) return Fail(host, now.error());
  auto settings = LoadSettings(host, options.input.config);
  if (!settings.ok()) return Fail(host, settings.error());
  std::vector<std::string> paths = EffectivePaths(options.input, settings.value());
  CertificateContext context;
  context.now = now.value();
  if (options.root) {
    auto text = host.files.Read(*options.root);
    if (!text.ok()) {
      return Fail(host, Error{"`" + *options.root + "` cannot be read: " + text.error().message});
    }
    context.roots = ReadCertificateFile(*options.root, text.value()).certificates;
    context.roots_from = *options.root;
    if (context.roots.empty()) {
      return Fail(host, Error{*options.root + " holds no certificate that can be read"});
    }
  }
  auto found = FindCertificates(paths, settings.value(), host);
  if (!found.ok()) return Fail(host, found.error());
  auto facts = ReadMeshFacts(options, paths, settings.value(), host);
  if (!facts.ok()) return Fail(host, facts.error());

  CertificateReport report;
  for (const auto& bundle : found.value().bundles) {
    CheckBundle(found.value().bundles, bundle, facts.value(), context, &report);
  }
  if (report.rows.empty() && report.missing.empty() && !found.value().broken) {
    return Fail(host, Error{"no certificate in " + Join(paths, ", ")});
  }
  if (options.format == "json") {
    host.out << WriteJson(CertificateReportJson(report), 2) << "\n";
  } else {
    host.out << CertificateReportText(report, Style{host.colour});
  }
  bool unreadable = std::any_of(found.value().bundles.begin(), found.value().bundles.end(),
                                [](const CertificateBundle& one) { return one.unreadable > 0; });
  if (found.value().broken || unreadable) return Exit::kUnusable;
  bool bad = std::any_of(report.rows.begin(), report.rows.end(),
                         [](const CertificateRow& row) { return !row.ok(); });
  return bad ? Exit::kRefused : Exit::kOk;
}

}  // namespace meshproof
