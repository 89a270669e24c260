// What a server's own TLS settings become. Unlike inbound mesh mTLS nothing restricts the trust
// domain of ISTIO_MUTUAL clients; only `subjectAltNames` does.

#include "proxy/server_tls.h"

namespace meshproof {
namespace {

bool AsksForClientCertificate(TlsSettings::Mode mode) {
  return mode == TlsSettings::Mode::kMutual || mode == TlsSettings::Mode::kIstioMutual ||
         mode == TlsSettings::Mode::kOptionalMutual;
}

std::string KubernetesSecret(std::string_view name) {
  for (const std::string_view scheme : {"kubernetes://", "configmap://", "builtin://", "sds://"}) {
    if (name.starts_with(scheme)) return std::string(name);
  }
  return "kubernetes://" + std::string(name);
}

void SetSecrets(const TlsSettings& settings, TlsContext* context) {
  const bool client = AsksForClientCertificate(settings.mode);
  if (settings.mode == TlsSettings::Mode::kIstioMutual) {
    context->certificate_secret = "default";
    context->ca_secret = "ROOTCA";
  } else if (!settings.credential_name.value.empty()) {
    context->certificate_secret = KubernetesSecret(settings.credential_name.value);
    if (client) context->ca_secret = context->certificate_secret + "-cacert";
  } else {
    context->certificate_secret = "file-cert:" + std::string(settings.server_certificate.value) +
                                  "~" + std::string(settings.private_key.value);
    if (client && !settings.ca_certificates.value.empty()) {
      context->ca_secret = "file-root:" + std::string(settings.ca_certificates.value);
    }
  }
}

std::string MinVersion(std::string_view version) {
  if (version == "TLSV1_0") return "TLSv1_0";
  if (version == "TLSV1_1") return "TLSv1_1";
  if (version == "TLSV1_3") return "TLSv1_3";
  return "";
}

}  // namespace

TlsContext ServerTlsContext(const TlsSettings& settings, bool tcp) {
  TlsContext context;
  context.require_client_certificate = settings.mode == TlsSettings::Mode::kMutual ||
                                       settings.mode == TlsSettings::Mode::kIstioMutual;
  context.alpn = {"h2", "http/1.1"};
  if (tcp && settings.mode == TlsSettings::Mode::kIstioMutual) {
    context.alpn.insert(context.alpn.begin(), "istio-peer-exchange");
  }
  if (AsksForClientCertificate(settings.mode)) {
    for (const Text& name : settings.subject_alt_names.values) {
      context.subject_alt_names.push_back(StringMatcher::Exact(std::string(name.value)));
    }
  }
  context.min_version = MinVersion(settings.min_version);
  SetSecrets(settings, &context);
  return context;
}

}  // namespace meshproof
