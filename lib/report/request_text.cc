#include "report/request_text.h"

#include <algorithm>

#include "base/text.h"

namespace meshproof {
namespace {

bool IsPlain(std::string_view text) {
  constexpr std::string_view kPlain = "-_./:=@%+,";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kPlain.find(c) != std::string_view::npos;
  });
}

// One shell word. Variables (`$POD_IP`, `$TOKEN`) are kept where `expands` is set.
std::string Word(std::string_view text, bool expands = false) {
  if (IsPlain(text)) return std::string(text);
  std::string out;
  if (expands) {
    for (char c : text) {
      if (c == '"' || c == '\\' || c == '`') out += '\\';
      out += c;
    }
    return "\"" + out + "\"";
  }
  for (char c : text) {
    if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return "'" + out + "'";
}

std::string Target(const Case& question) {
  std::string target = question.to_workload.empty() ? question.to_host : question.to_workload;
  if (question.to_port != 0) target += ":" + std::to_string(question.to_port);
  return target;
}

// The authority without its port.
std::string_view HostOf(std::string_view authority) {
  size_t colon = authority.rfind(':');
  if (colon == std::string_view::npos || authority.find(']', colon) != std::string_view::npos) {
    return authority;
  }
  return authority.substr(0, colon);
}

void AddTokens(const Case& question, std::vector<std::string>* words) {
  for (const auto& token : question.tokens) {
    if (!token.header.empty()) {
      words->push_back("-H " + Word(token.header + ": " + token.prefix.value_or("") + token.text));
    } else if (!token.cookie.empty()) {
      words->push_back("-b " + Word(token.cookie + "=" + token.text));
    } else if (token.param.empty()) {
      words->push_back("-H " + Word("Authorization: Bearer " + token.text));
    }
  }
  if (question.claims) words->push_back("-H \"Authorization: Bearer $TOKEN\"");
}

std::string PathOf(const Case& question) {
  std::string path = question.path;
  for (const auto& token : question.tokens) {
    if (token.param.empty()) continue;
    path += (path.find('?') == std::string::npos ? "?" : "&") + token.param + "=" + token.text;
  }
  return path;
}

}  // namespace

std::string QuestionText(const Case& question) {
  std::string text;
  std::string target = Target(question);
  if (question.protocol == WireProtocol::kTcp) {
    text = "bytes";
  } else {
    bool grpc = question.protocol == WireProtocol::kGrpc;
    text = question.method.value_or(grpc ? "POST" : "GET") + " ";
    text += question.host.value_or(target) + question.path;
    if (grpc) text += " (gRPC)";
  }
  text += "  from ";
  if (!question.from_workload.empty()) {
    text += question.from_workload;
  } else {
    text += question.from_identity.value_or("outside");
  }
  if (question.from_ip) text += " at " + ToString(*question.from_ip);
  return text + "  to " + target;
}

std::string CurlText(const Case& question) {
  std::string address = question.to_ip ? ToString(*question.to_ip) : question.to_host;
  bool unknown = address.empty();
  if (unknown) address = "$POD_IP";
  if (question.to_ip && address.find(':') != std::string::npos) address = "[" + address + "]";
  std::string port = question.to_port != 0 ? ":" + std::to_string(question.to_port) : "";
  if (question.protocol == WireProtocol::kTcp) {
    return "curl " + Word("telnet://" + address + port, unknown);
  }
  // A sidecar makes its own TLS; a caller without one has to bring a certificate.
  bool certificate = question.from_outside && question.tls == CaseTls::kMtls;
  bool tls = certificate || (question.from_outside && question.sni.has_value());
  std::vector<std::string> words = {"curl"};
  bool grpc = question.protocol == WireProtocol::kGrpc;
  if (grpc || question.protocol == WireProtocol::kHttp2) {
    words.push_back(tls ? "--http2" : "--http2-prior-knowledge");
  }
  if (question.protocol == WireProtocol::kHttp10) words.push_back("--http1.0");
  std::string method = question.method.value_or(grpc ? "POST" : "GET");
  if (method == "HEAD") {
    words.push_back("--head");
  } else if (method != "GET") {
    words.push_back("-X " + Word(method));
  }
  if (certificate) words.push_back("-k --cert client.pem --key client.key");
  if (grpc) words.push_back("-H 'content-type: application/grpc'");
  for (const auto& [name, value] : question.headers) {
    // curl leaves out a header that ends in a colon; a semicolon sends it empty.
    words.push_back("-H " + Word(value.empty() ? name + ";" : name + ": " + value));
  }
  AddTokens(question, &words);
  std::string url_host = address + port;
  if (tls && question.sni) {
    // The URL names the server of the handshake; the connection goes where the request goes.
    words.push_back("--connect-to " + Word("::" + url_host, unknown));
    if (!certificate) words.push_back("-k");
    url_host = *question.sni + port;
    unknown = false;
  }
  if (question.host && (*question.host != url_host || HostOf(*question.host) != address)) {
    words.push_back("-H " + Word("Host: " + *question.host));
  }
  std::string path = PathOf(question);
  // curl would tidy up `..` and reads `{}[]` as patterns.
  if (path.find("/.") != std::string::npos) words.push_back("--path-as-is");
  if (path.find_first_of("{}[]") != std::string::npos) words.push_back("-g");
  if (path.find('$') != std::string::npos && unknown) {
    words.push_back(Word((tls ? "https://" : "http://") + url_host, true) + Word(path));
  } else {
    words.push_back(Word((tls ? "https://" : "http://") + url_host + path, unknown));
  }
  return Join(words, " ");
}

}  // namespace meshproof
