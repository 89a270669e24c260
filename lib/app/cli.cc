// The command line. Which options a command has is said once, in its Declare function; parsing,
// help and the nearest name for what is unknown follow from it.

#include "app/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <functional>
#include <memory>

#include "app/version.h"
#include "base/text.h"
#include "simulate/enforcement.h"

namespace meshproof {
namespace {

constexpr size_t kWidth = 80;

struct Command {
  const char* name;
  const char* summary;
  const char* usage;  // a line each
  const char* about;
  const char* examples;
  const char* statuses;
  std::function<void(CLI::App*, CommandLine*)> declare;
};

CLI::Option* Hint(CLI::Option* option, const char* metavar) {
  option->option_text(metavar);
  return option;
}

void AddText(CLI::App* app, const char* names, std::optional<std::string>* value,
             const char* metavar, const char* help) {
  Hint(app->add_option(names, *value, help), metavar);
}

// An option that may stand several times, each with one value.
void AddTexts(CLI::App* app, const char* names, std::vector<std::string>* values,
              const char* metavar, const char* help) {
  Hint(app->add_option(names, *values, help)->allow_extra_args(false), metavar);
}

void AddChoice(CLI::App* app, const char* names, std::string* value,
               const std::vector<std::string>& choices, const char* help) {
  std::string metavar = Join(choices, "|");
  app->add_option(names, *value, help)->check(CLI::IsMember(choices))->option_text(metavar);
}

void AddChoice(CLI::App* app, const char* names, std::optional<std::string>* value,
               const std::vector<std::string>& choices, const char* help) {
  std::string metavar = Join(choices, "|");
  app->add_option(names, *value, help)->check(CLI::IsMember(choices))->option_text(metavar);
}

void AddSettings(CLI::App* app, InputOptions* input) {
  AddText(app, "-n,--namespace", &input->ns, "NAMESPACE",
          "namespace of objects that name none (as kubectl -n); default: default");
  AddText(app, "--mesh-config", &input->mesh_config, "FILE",
          "a MeshConfig, in place of the ConfigMap istio");
  AddText(app, "--root-namespace", &input->root_namespace, "NAMESPACE",
          "Istio's root namespace, whatever the mesh config says");
  AddText(app, "--trust-domain", &input->trust_domain, "DOMAIN",
          "the trust domain, whatever the mesh config says");
  AddText(app, "--istio-version", &input->istio_version, "VERSION",
          "the release in use; noted, but only the current istiod is modelled");
  AddText(app, "--config", &input->config, "FILE",
          "settings, in place of the nearest .meshproof.yaml");
  AddTexts(
      app, "--dump", &input->dumps, "FILE",
      "what a proxy runs: Envoy's config dump, istioctl proxy-config's output or a ztunnel's "
      "dump, in place of what istiod would push; NS/WORKLOAD=FILE where it does not say whose; "
      "repeatable");
  app->add_flag("--keep-invalid", input->keep_invalid,
                "compile objects that the API server would refuse");
}

void AddInput(CLI::App* app, InputOptions* input) {
  Hint(app->add_option("PATH", input->paths,
                       "files, directories (recursively .yaml, .yml, .json), or - for standard "
                       "input; default: the current directory"),
       "");
  AddSettings(app, input);
}

void DeclareCan(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<CanOptions>();
  AddInput(app, &options.input);
  Hint(app->add_option("--from", options.from, "who calls: a workload, an address, or outside"),
       "NS/WORKLOAD|IP|outside");
  Hint(app->add_option("--to", options.to,
                       "what is called: a Service or another host, a workload, or a URL"),
       "HOST[:PORT]|NS/WORKLOAD[:PORT]|URL");
  AddText(app, "-X,--method", &options.method, "METHOD", "default: GET; gRPC: POST");
  AddText(app, "--path", &options.path, "PATH", "path and query, as sent; default: /");
  AddText(app, "--host", &options.authority, "HOST", "the Host header; default: the target's");
  AddTexts(app, "-H,--header", &options.headers, "'NAME: VALUE'", "a header; repeatable");
  AddText(app, "--jwt", &options.jwt, "FILE|TOKEN", "a token, sent as Authorization: Bearer");
  AddChoice(app, "--tls", &options.tls, {"auto", "mtls", "plaintext"},
            "how the caller connects; auto: as its own proxy would");
  AddText(app, "--principal", &options.principal, "SPIFFE",
          "the identity that the caller presents, spiffe://...");
  AddText(app, "--source-ip", &options.source_ip, "IP", "the caller's address");
  AddTexts(app, "--ext-authz", &options.ext_authz, "PROVIDER=allow|deny",
           "what an external authorizer answers; repeatable");
  AddText(app, "--now", &options.now, "RFC3339", "the time that tokens are checked against");
  AddChoice(app, "--protocol", &options.protocol, {"http", "grpc", "tcp"},
            "HTTP/1.1, gRPC, or bytes; default: http");
  AddText(app, "--sni", &options.sni, "NAME", "the server name of the TLS handshake");
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareAnalyze(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<AnalyzeCommandOptions>();
  AddInput(app, &options.input);
  AddTexts(app, "--format", &options.formats, "FORMAT[=FILE]",
           "text, concise, json, sarif, github, junit, gitlab or markdown, to FILE or standard "
           "output; repeatable; default: text");
  AddChoice(app, "--fail-on", &options.fail_on, {"error", "warning", "info", "never"},
            "the least severity that makes the status 1; default: warning");
  AddChoice(app, "--min-severity", &options.min_severity, {"error", "warning", "info"},
            "the least severity that is reported; default: info");
  AddTexts(app, "--only", &options.only, "RULE[,RULE]",
           "run these rules only: codes, names or groups (MP03); repeatable");
  AddTexts(app, "--skip", &options.skip, "RULE[,RULE]", "do not run these rules; repeatable");
  app->add_flag("--istioctl-codes", options.istioctl_codes,
                "show the codes of istioctl analyze that a rule stands for");
  AddText(app, "--baseline", &options.baseline, "FILE",
          "report only findings that are not in FILE");
  AddText(app, "--write-baseline", &options.write_baseline, "FILE",
          "write all findings to FILE, and accept them");
  app->add_flag("--prune-baseline", options.prune_baseline,
                "take what is not found any more out of the baseline");
  app->add_flag("--show-suppressed", options.show_suppressed,
                "report suppressed findings too, marked as such");
  AddText(app, "--now", &options.now, "RFC3339",
          "the time that certificates, tokens and expiring suppressions are checked against");
}

void DeclareExplain(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<ExplainOptions>();
  Hint(app->add_option("RULE", options.rule,
                       "a code (MP0201), a name (permissive-mtls), or a code of istioctl (IST0127)")
           ->required(),
       "");
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareRules(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<RulesOptions>();
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

// What every command that reads logs has.
void AddLog(CLI::App* app, std::optional<std::string>* format,
            std::optional<std::string>* workload) {
  AddText(
      app, "--log-format", format, "FORMAT",
      "the log's format, as Envoy's format string or JSON object; default: Istio's own, text or "
      "JSON");
  AddText(app, "--workload", workload, "NS/WORKLOAD",
          "whose proxy wrote the log; default: as each line tells");
}

void DeclareTest(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<TestOptions>();
  AddInput(app, &options.input);
  AddChoice(app, "--format", &options.format, {"text", "json", "junit", "tap"}, "default: text");
  app->add_flag("--coverage", options.coverage, "name the policy rules that no case exercised");
  AddText(app, "--record", &options.record, "LOG",
          "run nothing: draft tests from an access log (- for standard input), on standard output");
  AddLog(app, &options.log_format, &options.workload);
}

void DeclareCompile(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<CompileOptions>();
  Hint(app->add_option("WORKLOAD", options.workload, "NAMESPACE/NAME"), "");
  AddInput(app, &options.input);
  AddText(app, "--from-dump", &options.from_dump, "FILE",
          "print what this config dump holds, in the same form");
  AddChoice(app, "--format", &options.format, {"yaml", "json"}, "default: yaml");
}

void DeclareDescribe(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<DescribeOptions>();
  Hint(app->add_option("WORKLOAD", options.workload, "NAMESPACE/NAME or NAMESPACE/NAME:PORT")
           ->required(),
       "");
  AddInput(app, &options.input);
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareGraph(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<GraphOptions>();
  AddInput(app, &options.input);
  AddChoice(app, "--format", &options.format, {"dot", "mermaid", "json"}, "default: dot");
}

void DeclareExposure(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<AccessOptions>();
  options.question = AccessOptions::Question::kExposure;
  AddInput(app, &options.input);
  AddChoice(app, "--format", &options.format, {"text", "json", "csv", "markdown"}, "default: text");
}

void DeclareWhoCan(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<AccessOptions>();
  options.question = AccessOptions::Question::kWhoCan;
  Hint(app->add_option("METHOD", options.method, "the request's method; * = any")->required(), "");
  Hint(app->add_option("HOST/PATH", options.target,
                       "a Service with its port, or a host that gateways serve, and the path")
           ->required(),
       "");
  AddInput(app, &options.input);
  AddChoice(app, "--format", &options.format, {"text", "json", "csv", "markdown"}, "default: text");
}

void DeclareWhatCan(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<AccessOptions>();
  options.question = AccessOptions::Question::kWhatCan;
  AddInput(app, &options.input);
  AddText(app, "--as", &options.as, "IDENTITY",
          "a caller by its identity, spiffe://..., in place of WORKLOAD");
  AddChoice(app, "--format", &options.format, {"text", "json", "csv", "markdown"}, "default: text");
}

void DeclareDiff(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<DiffOptions>();
  Hint(app->add_option("OLD", options.old_path, "a file, a directory, git:REV or git:REV:PATH")
           ->required(),
       "");
  Hint(app->add_option("NEW", options.new_path, "the same")->required(), "");
  AddSettings(app, &options.input);
  app->add_flag("--fail-on-new-access", options.fail_on_new_access,
                "status 1 only where requests are newly allowed");
  AddChoice(app, "--format", &options.format, {"text", "json", "markdown", "sarif"},
            "default: text");
}

void DeclareProve(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<ProveOptions>();
  Hint(app->add_option("INVARIANTS", options.invariants, "the file of invariants")->required(), "");
  AddInput(app, &options.input);
  AddChoice(app, "--format", &options.format, {"text", "json", "sarif"}, "default: text");
}

void DeclareJwt(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<JwtOptions>();
  Hint(app->add_option("TOKEN", options.token,
                       "the token, a file that holds it, or - for standard input")
           ->required(),
       "");
  AddInput(app, &options.input);
  AddText(app, "--jwks", &options.jwks, "FILE",
          "a key set: verify against it, and use it where a rule's own is behind a URI");
  AddText(app, "--workload", &options.workload, "NS/WORKLOAD",
          "ask this workload's proxy, with all the rules that reach it");
  AddText(app, "--now", &options.now, "RFC3339", "the time that the token is checked against");
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareCert(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<CertOptions>();
  AddInput(app, &options.input);
  AddText(app, "--root", &options.root, "FILE", "the root that the certificates have to chain to");
  AddText(app, "--workload", &options.workload, "NS/WORKLOAD",
          "whose certificate it is: its service account has to be the identity");
  AddText(app, "--now", &options.now, "RFC3339", "the time that validity is checked against");
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareExplainLog(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<ExplainLogOptions>();
  Hint(app->add_option("LOG", options.log,
                       "a log, or - for standard input; files among the PATHs that are logs by "
                       "their content are read too")
           ->required(),
       "");
  AddInput(app, &options.input);
  AddLog(app, &options.log_format, &options.workload);
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareReplay(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<ReplayOptions>();
  Hint(app->add_option("LOG", options.log, "an access log, or - for standard input")->required(),
       "");
  AddInput(app, &options.input);
  AddTexts(app, "--against", &options.against, "NEW",
           "compare the answers of the PATHs with those of these manifests; repeatable; default: "
           "compare the log with the PATHs");
  AddLog(app, &options.log_format, &options.workload);
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

void DeclareDrift(CLI::App* app, CommandLine* line) {
  auto& options = line->command.emplace<DriftOptions>();
  AddInput(app, &options.input);
  AddText(app, "--now", &options.now, "RFC3339", "the time that certificates are checked against");
  AddChoice(app, "--format", &options.format, {"text", "json"}, "default: text");
}

constexpr char kDriftStatuses[] =
    "0 the proxies run what the manifests say, 1 they do not, 2 the input or the command line "
    "could\n"
    "not be used\n";
constexpr char kVerdictStatuses[] =
    "0 allowed, 1 refused, 2 the input or the command line could not be used (a document that\n"
    "cannot be read counts, even where the rest gives an answer), 3 undetermined\n";
constexpr char kAnalyzeStatuses[] =
    "0 no finding at or above --fail-on, 1 there is one, 2 the input or the command line could "
    "not\n"
    "be used, or a file could not be written\n";
constexpr char kReferenceStatuses[] = "0 printed, 2 the command line could not be used\n";
constexpr char kTestStatuses[] =
    "0 every case passed, 1 a case failed, 2 a case could not be run, or the input or the command\n"
    "line could not be used\n";
constexpr char kTokenStatuses[] =
    "0 the token is accepted, 1 it is refused, 2 the input or the command line could not be used,\n"
    "3 undetermined: nothing was given to verify it with\n";
constexpr char kCertificateStatuses[] =
    "0 every certificate is good, 1 one is not, 2 one cannot be read, or the input or the command\n"
    "line could not be used\n";
constexpr char kLogStatuses[] =
    "0 explained, 2 the log has lines that are cut off, or the input or the command line could "
    "not\n"
    "be used\n";
constexpr char kReplayStatuses[] =
    "0 no answer changes, 1 one does, 2 the log has lines that are cut off, or the input or the\n"
    "command line could not be used, 3 a request could not be decided\n";
constexpr char kPrintStatuses[] =
    "0 printed, 2 the input or the command line could not be used (a document that cannot be read\n"
    "counts)\n";

constexpr char kQuestionStatuses[] =
    "0 answered, 2 the input or the command line could not be used (a document that cannot be "
    "read\n"
    "counts), 3 some answer is undetermined\n";
constexpr char kDiffStatuses[] =
    "0 nothing changes, 1 requests are newly allowed or denied (--fail-on-new-access: newly\n"
    "allowed), 2 the input or the command line could not be used, 3 undetermined\n";
constexpr char kProveStatuses[] =
    "0 every invariant holds, 1 one is refuted, 2 the input or the command line could not be "
    "used,\n"
    "3 undetermined\n";

const std::vector<Command>& Commands() {
  static const auto& commands = *new std::vector<Command>{
      {"can", "would this request be allowed, and why",
       "meshproof can [PATH...] --from WHO --to WHAT [OPTION...]\n"
       "meshproof can [PATH...] --from WHO [--to WHAT] [OPTION...] -- curl ...\n",
       "Walks one request through the proxies on its way and prints the verdict, the status that "
       "a client would see, the rule that decided with its line, and the rules that came nearest. "
       "A gateway's routes are followed to the workload behind. Addresses that nobody states are "
       "unknown: a rule that needs one makes the answer undetermined.",
       "meshproof can mesh/ --from shop/web --to orders.shop:80 -X POST --path /api/orders\n"
       "meshproof can mesh/ --from outside --to istio-system/istio-ingressgateway:8080 \\\n"
       "    --host shop.example.com --path /admin --jwt admin.jwt\n"
       "meshproof can mesh/ --from default/sleep -- curl -H 'x-team: a' http://orders.shop/api\n"
       "kubectl get -A -o yaml ns,svc,pod,authorizationpolicy | \\\n"
       "    meshproof can - --from shop/web --to orders.shop:80 --format json\n",
       kVerdictStatuses, DeclareCan},
      {"analyze", "what is wrong with this mesh", "meshproof analyze [PATH...] [OPTION...]\n",
       "Reports misconfigurations with the exact line, a request that shows the harm where there "
       "is one, and the fix. The rule stands in brackets: `meshproof explain RULE` prints its "
       "page. A "
       "document that cannot be read is a finding. A comment `# meshproof: ignore[RULE] REASON "
       "until=YYYY-MM-DD` on the line or the one above silences a finding, and so does the "
       "annotation `meshproof/ignore: \"[RULE] REASON\"` of its object.",
       "meshproof analyze mesh/\n"
       "meshproof analyze mesh/ --format github --format sarif=meshproof.sarif --fail-on error\n"
       "helm template ./chart | meshproof analyze - --skip MP05\n"
       "meshproof analyze --write-baseline baseline.json && meshproof analyze --baseline "
       "baseline.json\n",
       kAnalyzeStatuses, DeclareAnalyze},
      {"explain", "the page of a rule", "meshproof explain RULE [OPTION...]\n",
       "Prints what a rule finds, why it matters, an example, what to write instead, and its "
       "limits: as Markdown, or laid out on a terminal.",
       "meshproof explain permissive-mtls\n"
       "meshproof explain IST0127\n",
       kReferenceStatuses, DeclareExplain},
      {"rules", "the rules of analyze", "meshproof rules [OPTION...]\n",
       "Lists every rule with its code, severity, name and what it finds.",
       "meshproof rules\n"
       "meshproof rules --format json\n",
       kReferenceStatuses, DeclareRules},
      {"test", "run policy unit tests", "meshproof test [PATH...] [OPTION...]\n",
       "Runs the cases of the *.meshtest.yaml files among the PATHs. A file that names no `mesh` "
       "is run against the other PATHs. What nobody states of addresses is taken from the mesh's "
       "ranges (pod_cidrs, service_cidrs).",
       "meshproof test mesh/\n"
       "meshproof test mesh/ tests/orders.meshtest.yaml --coverage\n"
       "meshproof test --format junit > results.xml\n"
       "meshproof test mesh/ --record access.log > drafts.meshtest.yaml\n",
       kTestStatuses, DeclareTest},
      {"compile", "print the configuration that istiod would push",
       "meshproof compile WORKLOAD [PATH...] [OPTION...]\n"
       "meshproof compile [WORKLOAD] --from-dump FILE [OPTION...]\n",
       "Prints the security part of one proxy's configuration as istiod would push it: listeners, "
       "filter chains, jwt_authn, RBAC, ext_authz, routes, in Envoy's own form. WORKLOAD `ztunnel` "
       "prints what istiod sends to every ztunnel of an ambient mesh. Addresses that the input "
       "does "
       "not state and that a configuration needs are stand-ins from the mesh's ranges.",
       "meshproof compile shop/orders mesh/\n"
       "meshproof compile ztunnel mesh/\n"
       "meshproof compile istio-system/istio-ingressgateway mesh/ --format json | jq .routes\n",
       kPrintStatuses, DeclareCompile},
      {"drift", "is the proxy running what the manifests say",
       "meshproof drift --dump FILE... [PATH...] [OPTION...]\n",
       "Compares config dumps of proxies with the manifests, by meaning: policies that are "
       "missing, "
       "extra or decide otherwise (with a request that gets two verdicts), the order of the "
       "security filters, settings of paths and addresses, plaintext where STRICT is meant, "
       "certificates, refused updates, replicas that disagree.",
       "kubectl exec web-1 -c istio-proxy -- pilot-agent request GET config_dump > web.json\n"
       "meshproof drift --dump web.json mesh/\n"
       "meshproof drift --dump a.json --dump b.json mesh/ --format json\n",
       kDriftStatuses, DeclareDrift},
      {"describe", "one workload's security on one screen",
       "meshproof describe WORKLOAD [PATH...] [OPTION...]\n",
       "Prints identity, sidecar or not, the effective mTLS of each port with the object that set "
       "it, JWT issuers, policies in evaluation order, the routes that lead there, and what stands "
       "open; in an ambient mesh also the waypoints, what ztunnel makes of each policy, what only "
       "a "
       "waypoint enforces, and who gets past it.",
       "meshproof describe shop/orders mesh/\n"
       "meshproof describe shop/orders:8080 mesh/ --format json\n",
       kPrintStatuses, DeclareDescribe},
      {"graph", "the effective-policy graph", "meshproof graph [WORKLOAD] [PATH...] [OPTION...]\n",
       "Draws which policy reaches which workload, whom its rules name, and what leads there: of "
       "the whole mesh, or around one workload (NAMESPACE/NAME; an existing path of that name is a "
       "path).",
       "meshproof graph mesh/ | dot -Tsvg > mesh.svg\n"
       "meshproof graph shop/orders mesh/ --format mermaid\n",
       kPrintStatuses, DeclareGraph},
      {"exposure", "who can reach what, over all requests",
       "meshproof exposure [WORKLOAD] [PATH...] [OPTION...]\n",
       "Prints for every workload and port (or one: NAMESPACE/NAME, NAMESPACE/NAME:PORT) what is "
       "let in, in the words of the rules that let it in: who, what is needed, except what DENY "
       "rules take away. Not by sampling: the rows are proved to be complete, or it is said that "
       "they are not.",
       "meshproof exposure mesh/\n"
       "meshproof exposure shop/orders:8080 mesh/ --format json\n"
       "meshproof exposure mesh/ --format markdown > access.md\n",
       kQuestionStatuses, DeclareExposure},
      {"who-can", "who can send one kind of request",
       "meshproof who-can METHOD HOST/PATH [PATH...] [OPTION...]\n",
       "Prints the rows of exposure that admit this method and path at the workloads of a Service, "
       "or at the gateways that serve the host.",
       "meshproof who-can POST orders.shop:80/api/orders mesh/\n"
       "meshproof who-can '*' 'shop.example.com/admin/*' mesh/\n",
       kQuestionStatuses, DeclareWhoCan},
      {"what-can", "what one caller can reach",
       "meshproof what-can WORKLOAD [PATH...] [OPTION...]\n"
       "meshproof what-can --as IDENTITY [PATH...] [OPTION...]\n",
       "Prints the rows of exposure that a caller with this identity gets through, those that ask "
       "for no identity among them.",
       "meshproof what-can shop/web mesh/\n"
       "meshproof what-can --as spiffe://cluster.local/ns/shop/sa/web mesh/\n",
       kQuestionStatuses, DeclareWhatCan},
      {"diff", "what a change lets in and shuts out", "meshproof diff OLD NEW [OPTION...]\n",
       "Compares two versions of a mesh over all requests: what is newly allowed and newly denied "
       "at each workload, each with a request, and the rule on both sides. Text that changes "
       "without meaning changes nothing here.",
       "meshproof diff git:main mesh/\n"
       "meshproof diff git:v1:mesh git:v2:mesh --format markdown\n"
       "meshproof diff old/ new/ --fail-on-new-access --format sarif > access.sarif\n",
       kDiffStatuses, DeclareDiff},
      {"prove", "do the mesh's promises hold, over all requests",
       "meshproof prove INVARIANTS [PATH...] [OPTION...]\n",
       "Proves each invariant of the file over all requests, or refutes it with a request. An "
       "invariant is a `name` and one of `forbid: REGION` (nothing of it is allowed), `allow: "
       "REGION` (all of it is), `on: REGION` with `require: REGION` (what is allowed of the first "
       "lies in the second); meshproof(1) has the keys of a region.",
       "meshproof prove invariants.yaml mesh/\n"
       "meshproof prove invariants.yaml mesh/ --format json\n",
       kProveStatuses, DeclareProve},
      {"jwt", "what is in this token, and would Envoy take it",
       "meshproof jwt TOKEN|FILE [PATH...] [OPTION...]\n",
       "Decodes a token, verifies it against every RequestAuthentication of the mesh, those of one "
       "workload, or a key set, and prints what Envoy would answer and why: status, body and "
       "response code details, the request principal, the claims. Service-account tokens too.",
       "meshproof jwt user.jwt mesh/\n"
       "meshproof jwt user.jwt mesh/ --workload istio-system/istio-ingressgateway\n"
       "meshproof jwt \"$TOKEN\" --jwks keys.json --format json | jq .request_principal\n",
       kTokenStatuses, DeclareJwt},
      {"cert", "are these certificates good for what they are used for",
       "meshproof cert [PATH...] [OPTION...]\n",
       "Checks X.509 certificates in PEM or DER files, in Secrets of manifests and in the secrets "
       "of proxies' config dumps: the SPIFFE identity, validity, CA flag, usages, signature and "
       "key, the chain to the root, and, where the input says it, the service account and the "
       "trust domain.",
       "meshproof cert cert-chain.pem --root root-cert.pem\n"
       "istioctl proxy-config secret deploy/web -o json | meshproof cert -\n"
       "meshproof cert config_dump.json mesh/ --workload shop/web\n",
       kCertificateStatuses, DeclareCert},
      {"explain-log", "what the refused lines of a log mean",
       "meshproof explain-log LOG [LOG...] [PATH...] [OPTION...]\n",
       "Explains every request of an access log that was refused or failed in one sentence: who "
       "answered, why, which line of the manifests did it, and what would let it through. Lines "
       "that are alike are counted. Istio's text and JSON access logs and others with "
       "--log-format, rbac debug lines and ztunnel's access log.",
       "kubectl logs deploy/orders -c istio-proxy | meshproof explain-log - mesh/\n"
       "meshproof explain-log gateway.log mesh/ --workload istio-system/istio-ingressgateway\n"
       "meshproof explain-log access.log --log-format '[%START_TIME%] %REQ(:METHOD)% "
       "%RESPONSE_CODE%'\n",
       kLogStatuses, DeclareExplainLog},
      {"replay", "what would other policies have answered",
       "meshproof replay LOG [PATH...] [--against NEW] [OPTION...]\n",
       "Runs the requests of an access log through the policies and reports what would change "
       "against the log, or from the PATHs to NEW. What a log does not hold (the token, most "
       "headers, who called unless the format has %DOWNSTREAM_PEER_URI_SAN%) is not guessed: where "
       "it decides, the request is undecided and the report says so. Of ztunnel's lines each "
       "connection is asked again at the destination's ztunnel.",
       "meshproof replay access.log mesh/\n"
       "meshproof replay access.log mesh/ --against changed/ --format json | jq .changes\n",
       kReplayStatuses, DeclareReplay},
  };
  return commands;
}

const Command* FindCommand(const std::string& name) {
  for (const auto& command : Commands()) {
    if (name == command.name) return &command;
  }
  return nullptr;
}

std::vector<std::string> Spellings(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const auto& name : option->get_snames()) names.push_back("-" + name);
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// `text` in lines of `width`, all but the first with `indent` blanks in front.
std::string Wrap(std::string_view text, size_t indent, size_t width) {
  std::string out;
  size_t column = indent;
  for (std::string_view word : Split(text, ' ')) {
    if (!out.empty()) {
      if (column + 1 + word.size() > width) {
        out += "\n" + std::string(indent, ' ');
        column = indent;
      } else {
        out += " ";
        ++column;
      }
    }
    out += word;
    column += word.size();
  }
  return out;
}

std::string Indented(std::string_view lines, size_t indent) {
  std::string out;
  for (std::string_view line : Split(lines, '\n')) {
    if (!line.empty()) out += std::string(indent, ' ') + std::string(line) + "\n";
  }
  return out;
}

std::string OptionLine(const CLI::Option& option) {
  constexpr size_t kColumn = 26;
  std::vector<std::string> names;
  for (const auto& name : option.get_snames()) names.push_back("-" + name);
  for (const auto& name : option.get_lnames()) names.push_back("--" + name);
  std::string left = "  " + (option.get_positional() ? option.get_name(true) : Join(names, ", "));
  if (!option.get_option_text().empty()) left += " " + option.get_option_text();
  if (left.size() + 2 > kColumn) {
    left += "\n" + std::string(kColumn, ' ');
  } else {
    left.resize(kColumn, ' ');
  }
  return left + Wrap(option.get_description(), kColumn, kWidth) + "\n";
}

std::string Help(const Command& command, const CLI::App& app) {
  std::string out = "Usage:\n" + Indented(command.usage, 2) + "\n";
  out += Wrap(command.about, 0, kWidth) + "\n\nOptions:\n";
  for (const CLI::Option* option : app.get_options()) out += OptionLine(*option);
  out += "\nExamples:\n" + Indented(command.examples, 2);
  out += "\nExit status:\n" + Indented(command.statuses, 2);
  if (std::string_view(command.name) == "describe") {
    out += "\nWhere a policy is enforced in an ambient mesh, by caller and destination:\n" +
           Indented(ToText(BuildEnforcementTable()), 2);
  }
  return out;
}

std::string GeneralHelp() {
  std::string out =
      "meshproof answers, offline, what an Istio mesh's security lets through, and why.\n\n"
      "Usage:\n  meshproof COMMAND [PATH...] [OPTION...]\n\nCommands:\n";
  for (const auto& command : Commands()) {
    std::string name = command.name;
    name.resize(13, ' ');
    out += "  " + name + command.summary + "\n";
  }
  return out +
         "\nOptions:\n"
         "  -h, --help    this text; behind a command, that command's\n"
         "  --version     the version\n\n"
         "Exit status:\n"
         "  0 nothing to report or allowed, 1 findings, refused or failed, 2 the input or the "
         "command line\n"
         "  could not be used, 3 undetermined\n";
}

CommandLine Wrong(std::string message) {
  CommandLine line;
  line.error = std::move(message);
  return line;
}

std::unique_ptr<CLI::App> MakeApp(const Command& command, CommandLine* line) {
  auto app = std::make_unique<CLI::App>(command.about, std::string("meshproof ") + command.name);
  app->set_help_flag("-h,--help", "this text");
  app->allow_extras();
  command.declare(app.get(), line);
  return app;
}

// CLI11's messages begin with capitals and name its own terms; the ones that people meet are said
// in meshproof's.
std::string Message(const CLI::ParseError& error) {
  std::string text = error.what();
  for (char& c : text) {
    if (c == '\n') c = ' ';
  }
  return text;
}

std::string UnknownOption(const std::string& argument, const CLI::App& app) {
  std::string name = argument.substr(0, argument.find('='));
  std::string message = "unknown option `" + name + "`";
  if (auto near = Nearest(name, Spellings(app))) message += "; did you mean `" + *near + "`?";
  return message;
}

CommandLine ParseCommand(const Command& command, std::vector<std::string> arguments) {
  CommandLine line;
  auto app = MakeApp(command, &line);
  auto* can = std::get_if<CanOptions>(&line.command);
  if (can != nullptr) {
    auto separator = std::find(arguments.begin(), arguments.end(), "--");
    if (separator != arguments.end()) {
      can->curl.assign(separator + 1, arguments.end());
      arguments.erase(separator, arguments.end());
      if (can->curl.empty()) return Wrong("behind `--` stands a curl command line");
    }
  }
  std::string in = std::string(command.name) + ": ";
  std::string see = "; see meshproof " + std::string(command.name) + " --help";
  std::reverse(arguments.begin(), arguments.end());
  try {
    app->parse(arguments);
  } catch (const CLI::CallForHelp&) {
    line.command.emplace<std::monostate>();
    CommandLine fresh;
    line.text = Help(command, *MakeApp(command, &fresh));
    return line;
  } catch (const CLI::ParseError& error) {
    return Wrong(in + Message(error) + see);
  }
  for (const auto& extra : app->remaining()) {
    if (extra.starts_with('-')) return Wrong(in + UnknownOption(extra, *app) + see);
  }
  if (!app->remaining().empty()) {
    return Wrong(in + "unexpected argument `" + app->remaining().front() + "`" + see);
  }
  return line;
}

}  // namespace

CommandLine ParseCommandLine(const std::vector<std::string>& arguments) {
  CommandLine line;
  if (arguments.empty()) return Wrong("no command; see meshproof --help");
  const std::string& first = arguments[0];
  if (first == "-h" || first == "--help" || first == "help") {
    const Command* command = arguments.size() > 1 ? FindCommand(arguments[1]) : nullptr;
    if (command != nullptr) return ParseCommand(*command, {"--help"});
    line.text = GeneralHelp();
    return line;
  }
  if (first == "--version") {
    line.text = std::string("meshproof ") + kVersion + "\n";
    return line;
  }
  if (const Command* command = FindCommand(first)) {
    return ParseCommand(*command, {arguments.begin() + 1, arguments.end()});
  }
  bool option = first.starts_with('-');
  std::string message = (option ? "unknown option `" : "unknown command `") + first + "`";
  std::vector<std::string> names = CommandNames();
  names.insert(names.end(), {"--help", "--version"});
  if (auto near = Nearest(first, names)) message += "; did you mean `" + *near + "`?";
  return Wrong(message + "; see meshproof --help");
}

std::vector<std::string> CommandNames() {
  std::vector<std::string> names;
  for (const auto& command : Commands()) names.emplace_back(command.name);
  return names;
}

std::vector<std::string> OptionNames(const std::string& name) {
  const Command* command = FindCommand(name);
  MESHPROOF_CHECK(command != nullptr);
  CommandLine line;
  return Spellings(*MakeApp(*command, &line));
}

Exit RunMeshproof(const std::vector<std::string>& arguments, const Host& host) {
  CommandLine line = ParseCommandLine(arguments);
  if (!line.error.empty()) return Fail(host, Error{line.error});
  struct Runner {
    const Host& host;
    const std::string& text;
    Exit operator()(std::monostate) const {
      host.out << text;
      return Exit::kOk;
    }
    Exit operator()(const AnalyzeCommandOptions& options) const {
      return RunAnalyze(options, host);
    }
    Exit operator()(const ExplainOptions& options) const { return RunExplain(options, host); }
    Exit operator()(const RulesOptions& options) const { return RunRules(options, host); }
    Exit operator()(const CanOptions& options) const { return RunCan(options, host); }
    Exit operator()(const TestOptions& options) const { return RunTest(options, host); }
    Exit operator()(const CompileOptions& options) const { return RunCompile(options, host); }
    Exit operator()(const DriftOptions& options) const { return RunDrift(options, host); }
    Exit operator()(const DescribeOptions& options) const { return RunDescribe(options, host); }
    Exit operator()(const GraphOptions& options) const { return RunGraph(options, host); }
    Exit operator()(const AccessOptions& options) const { return RunAccess(options, host); }
    Exit operator()(const DiffOptions& options) const { return RunDiff(options, host); }
    Exit operator()(const ProveOptions& options) const { return RunProve(options, host); }
    Exit operator()(const JwtOptions& options) const { return RunJwt(options, host); }
    Exit operator()(const CertOptions& options) const { return RunCert(options, host); }
    Exit operator()(const ExplainLogOptions& options) const { return RunExplainLog(options, host); }
    Exit operator()(const ReplayOptions& options) const { return RunReplay(options, host); }
  };
  return std::visit(Runner{host, line.text}, line.command);
}

}  // namespace meshproof
