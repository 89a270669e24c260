// Reads a curl command line as curl itself would (short options joined, `-XPOST`, `--long=value`
// is no curl form but is accepted), and keeps what a proxy gets to see: method, path after curl's
// own dot-segment removal, authority, headers, HTTP version, and where the connection goes.

#include "app/curl.h"

#include <algorithm>

#include "app/input.h"
#include "base/text.h"

namespace meshproof {
namespace {

enum class Take {
  kIgnore,  // changes nothing that a proxy sees
  kMethod,
  kHeader,
  kData,
  kDataUrlencode,
  kJson,
  kForm,
  kGet,
  kHead,
  kUser,
  kBearer,
  kAgent,
  kCookie,
  kReferer,
  kRange,
  kCompressed,
  kUpload,
  kUrl,
  kPathAsIs,
  kRequestTarget,
  kHttp10,
  kHttp11,
  kHttp2,
  kHttp2Plain,
  kResolve,
  kConnectTo,
  kLocation,
  kRefuse,  // changes the request in a way that cannot be told here
};

struct CurlOption {
  const char* name;
  char letter;  // 0 = none
  bool value;
  Take take;
};

constexpr CurlOption kOptions[] = {
    {"request", 'X', true, Take::kMethod},
    {"header", 'H', true, Take::kHeader},
    {"data", 'd', true, Take::kData},
    {"data-ascii", 0, true, Take::kData},
    {"data-raw", 0, true, Take::kData},
    {"data-binary", 0, true, Take::kData},
    {"data-urlencode", 0, true, Take::kDataUrlencode},
    {"json", 0, true, Take::kJson},
    {"form", 'F', true, Take::kForm},
    {"form-string", 0, true, Take::kForm},
    {"get", 'G', false, Take::kGet},
    {"head", 'I', false, Take::kHead},
    {"user", 'u', true, Take::kUser},
    {"basic", 0, false, Take::kIgnore},
    {"oauth2-bearer", 0, true, Take::kBearer},
    {"user-agent", 'A', true, Take::kAgent},
    {"cookie", 'b', true, Take::kCookie},
    {"referer", 'e', true, Take::kReferer},
    {"range", 'r', true, Take::kRange},
    {"compressed", 0, false, Take::kCompressed},
    {"upload-file", 'T', true, Take::kUpload},
    {"url", 0, true, Take::kUrl},
    {"path-as-is", 0, false, Take::kPathAsIs},
    {"request-target", 0, true, Take::kRequestTarget},
    {"http1.0", '0', false, Take::kHttp10},
    {"http1.1", 0, false, Take::kHttp11},
    {"http2", 0, false, Take::kHttp2},
    {"http2-prior-knowledge", 0, false, Take::kHttp2Plain},
    {"resolve", 0, true, Take::kResolve},
    {"connect-to", 0, true, Take::kConnectTo},
    {"location", 'L', false, Take::kLocation},
    {"location-trusted", 0, false, Take::kLocation},
    {"insecure", 'k', false, Take::kIgnore},
    {"silent", 's', false, Take::kIgnore},
    {"show-error", 'S', false, Take::kIgnore},
    {"verbose", 'v', false, Take::kIgnore},
    {"include", 'i', false, Take::kIgnore},
    {"fail", 'f', false, Take::kIgnore},
    {"fail-with-body", 0, false, Take::kIgnore},
    {"output", 'o', true, Take::kIgnore},
    {"remote-name", 'O', false, Take::kIgnore},
    {"write-out", 'w', true, Take::kIgnore},
    {"dump-header", 'D', true, Take::kIgnore},
    {"max-time", 'm', true, Take::kIgnore},
    {"connect-timeout", 0, true, Take::kIgnore},
    {"retry", 0, true, Take::kIgnore},
    {"retry-delay", 0, true, Take::kIgnore},
    {"retry-connrefused", 0, false, Take::kIgnore},
    {"retry-all-errors", 0, false, Take::kIgnore},
    {"progress-bar", '#', false, Take::kIgnore},
    {"no-progress-meter", 0, false, Take::kIgnore},
    {"no-buffer", 'N', false, Take::kIgnore},
    {"globoff", 'g', false, Take::kIgnore},
    {"ipv4", '4', false, Take::kIgnore},
    {"ipv6", '6', false, Take::kIgnore},
    {"cookie-jar", 'c', true, Take::kIgnore},
    {"cacert", 0, true, Take::kIgnore},
    {"capath", 0, true, Take::kIgnore},
    {"max-redirs", 0, true, Take::kIgnore},
    {"trace-ascii", 0, true, Take::kIgnore},
    {"tlsv1.2", 0, false, Take::kIgnore},
    {"tlsv1.3", 0, false, Take::kIgnore},
    {"cert", 'E', true, Take::kRefuse},
    {"key", 0, true, Take::kRefuse},
    {"proxy", 'x', true, Take::kRefuse},
    {"interface", 0, true, Take::kRefuse},
    {"config", 'K', true, Take::kRefuse},
    {"http3", 0, false, Take::kRefuse},
    {"unix-socket", 0, true, Take::kRefuse},
    {"haproxy-protocol", 0, false, Take::kRefuse},
    {"digest", 0, false, Take::kRefuse},
    {"negotiate", 0, false, Take::kRefuse},
    {"ntlm", 0, false, Take::kRefuse},
};

std::string EncodeBase64(std::string_view text) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (size_t i = 0; i < text.size(); i += 3) {
    uint32_t group = 0;
    size_t bytes = std::min<size_t>(3, text.size() - i);
    for (size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < bytes ? static_cast<unsigned char>(text[i + j]) : 0U);
    }
    for (size_t j = 0; j < 4; ++j) {
      out += j <= bytes ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return out;
}

std::string PercentEncode(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~';
    if (plain) {
      out += c;
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

// RFC 3986 section 5.2.4, which curl applies to the path of a URL unless --path-as-is is given.
std::string RemoveDotSegments(std::string_view path) {
  std::vector<std::string_view> kept;
  auto parts = Split(path.substr(1), '/');
  for (size_t i = 0; i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    if (parts[i] == "." || parts[i] == "..") {
      if (parts[i] == ".." && !kept.empty()) kept.pop_back();
      if (last) kept.emplace_back();
    } else {
      kept.push_back(parts[i]);
    }
  }
  std::string out;
  for (std::string_view part : kept) out += "/" + std::string(part);
  return out.empty() ? "/" : out;
}

class Parser {
 public:
  explicit Parser(const std::vector<std::string>& arguments) : arguments_(arguments) {}

  Result<CurlRequest> Parse() {
    if (arguments_.empty() || arguments_[0] != "curl") {
      return Error{"behind `--` stands a curl command line, beginning with `curl`"};
    }
    for (at_ = 1; at_ < arguments_.size() && error_.empty(); ++at_) {
      const std::string& argument = arguments_[at_];
      if (argument.starts_with("--") && argument.size() > 2) {
        ParseLong(argument.substr(2));
      } else if (argument.size() > 1 && argument[0] == '-') {
        ParseShort(argument);
      } else {
        SetUrl(argument);
      }
    }
    if (error_.empty()) Finish();
    if (!error_.empty()) return Error{error_};
    return out_;
  }

 private:
  void Refuse(const std::string& message) {
    if (error_.empty()) error_ = "curl argument " + std::to_string(at_) + ": " + message;
  }

  void ParseLong(std::string_view text) {
    size_t equals = text.find('=');
    std::string_view name = text.substr(0, equals);
    std::optional<std::string> value;
    if (equals != std::string_view::npos) value = std::string(text.substr(equals + 1));
    std::vector<std::string> names;
    for (const auto& option : kOptions) {
      if (name == option.name) return ApplyLong(option, std::move(value));
      names.emplace_back(option.name);
    }
    std::string message = "unknown option `--" + std::string(name) + "`";
    if (auto near = Nearest(name, names)) message += "; did you mean `--" + *near + "`?";
    Refuse(message);
  }

  void ApplyLong(const CurlOption& option, std::optional<std::string> value) {
    if (!option.value) {
      if (value) return Refuse("`--" + std::string(option.name) + "` takes no value");
      return Apply(option, "");
    }
    if (!value) value = NextValue(std::string("--") + option.name);
    if (value) Apply(option, *value);
  }

  void ParseShort(const std::string& argument) {
    for (size_t i = 1; i < argument.size() && error_.empty(); ++i) {
      char letter = argument[i];
      const auto* option = std::find_if(std::begin(kOptions), std::end(kOptions),
                                        [&](const auto& o) { return o.letter == letter; });
      if (option == std::end(kOptions)) {
        return Refuse(std::string("unknown option `-") + letter + "`");
      }
      if (!option->value) {
        Apply(*option, "");
        continue;
      }
      std::optional<std::string> value;
      if (i + 1 < argument.size()) {
        value = argument.substr(i + 1);
      } else {
        value = NextValue(std::string("-") + letter);
      }
      if (value) Apply(*option, *value);
      return;
    }
  }

  std::optional<std::string> NextValue(const std::string& option) {
    if (at_ + 1 == arguments_.size()) {
      Refuse("`" + option + "` needs a value");
      return std::nullopt;
    }
    return arguments_[++at_];
  }

  void Apply(const CurlOption& option, const std::string& value) {
    switch (option.take) {
      case Take::kIgnore:
        return;
      case Take::kMethod:
        method_ = value;
        return;
      case Take::kHeader:
        return AddHeader(value);
      case Take::kData:
        return AddData(value, option.name == std::string_view("data-raw"));
      case Take::kDataUrlencode:
        return AddUrlencoded(value);
      case Take::kJson:
        AddData(value, false);
        json_ = true;
        return;
      case Take::kForm:
        form_ = true;
        return;
      case Take::kGet:
        get_ = true;
        return;
      case Take::kHead:
        head_ = true;
        return;
      case Take::kUser:
        user_ = value;
        return;
      case Take::kBearer:
        return SetDefault("Authorization", "Bearer " + value);
      case Take::kAgent:
        return SetDefault("User-Agent", value);
      case Take::kCookie:
        if (value.find('=') == std::string::npos) {
          return Refuse("a file of cookies (`-b " + value +
                        "`) is not read; write `-b NAME=VALUE`");
        }
        cookie_ += (cookie_.empty() ? "" : "; ") + value;
        return;
      case Take::kReferer:
        return SetDefault("Referer", value);
      case Take::kRange:
        return SetDefault("Range", "bytes=" + value);
      case Take::kCompressed:
        return SetDefault("Accept-Encoding", "deflate, gzip, br, zstd");
      case Take::kUpload:
        upload_ = value;
        return;
      case Take::kUrl:
        return SetUrl(value);
      case Take::kPathAsIs:
        path_as_is_ = true;
        return;
      case Take::kRequestTarget:
        request_target_ = value;
        return;
      case Take::kHttp10:
        out_.protocol = WireProtocol::kHttp10;
        return;
      case Take::kHttp11:
        out_.protocol = WireProtocol::kHttp1;
        return;
      case Take::kHttp2:
        http2_ = true;
        return;
      case Take::kHttp2Plain:
        out_.protocol = WireProtocol::kHttp2;
        return;
      case Take::kResolve:
        resolves_.push_back({value, at_});
        return;
      case Take::kConnectTo:
        connects_.push_back({value, at_});
        return;
      case Take::kLocation:
        out_.notes.emplace_back("redirects are not followed (`-L`)");
        return;
      case Take::kRefuse:
        return Refuse("`--" + std::string(option.name) +
                      "` is not supported: say what it means with meshproof's own options");
    }
  }

  void AddHeader(const std::string& line) {
    if (line.starts_with('@')) return Refuse("headers from a file (`" + line + "`) are not read");
    size_t colon = line.find(':');
    if (colon == std::string::npos) {
      if (line.ends_with(';') && line.size() > 1) {  // curl's way to send an empty header
        given_.emplace_back(line.substr(0, line.size() - 1), "");
        return;
      }
      return Refuse("a header is written `Name: value`, not `" + line + "`");
    }
    std::string name = line.substr(0, colon);
    std::string value(TrimSpace(std::string_view(line).substr(colon + 1)));
    if (name.empty()) return Refuse("the header `" + line + "` has no name");
    if (value.empty()) {
      removed_.push_back(ToLower(name));  // curl's way to leave a header out
    } else {
      given_.emplace_back(std::move(name), std::move(value));
    }
  }

  void AddData(const std::string& value, bool raw) {
    bool from_file = !raw && value.starts_with('@');
    data_from_file_ |= from_file;
    if (has_data_) data_ += "&";
    has_data_ = true;
    if (!from_file) data_ += value;
  }

  void AddUrlencoded(const std::string& value) {
    size_t equals = value.find('=');
    size_t at = value.find('@');
    if (at < equals) {
      AddData("@" + value.substr(at + 1), false);
    } else if (equals == std::string::npos) {
      AddData(PercentEncode(value), true);
    } else {
      std::string name = value.substr(0, equals);
      AddData((name.empty() ? "" : name + "=") + PercentEncode(value.substr(equals + 1)), true);
    }
  }

  // What an option sets unless `-H` says otherwise; the last one counts.
  void SetDefault(const std::string& name, const std::string& value) {
    for (auto& [known, old] : defaults_) {
      if (known != name) continue;
      old = value;
      return;
    }
    defaults_.emplace_back(name, value);
  }

  void SetUrl(const std::string& url) {
    if (url_) return Refuse("a second URL `" + url + "`: ask about one request at a time");
    url_ = url;
    url_at_ = at_;
  }

  void ParseUrl() {
    at_ = url_at_;
    std::string_view rest = *url_;
    if (size_t scheme = rest.find("://"); scheme != std::string_view::npos) {
      std::string name = ToLower(rest.substr(0, scheme));
      if (name != "http" && name != "https") return Refuse("`" + name + "://` is not HTTP");
      out_.https = name == "https";
      rest.remove_prefix(scheme + 3);
    }
    if (rest.find_first_of(" \t\r\n") != std::string_view::npos) {
      return Refuse("curl sends no URL with blanks");
    }
    rest = rest.substr(0, rest.find('#'));
    size_t end = std::min(rest.find('/'), rest.find('?'));
    std::string_view authority = rest.substr(0, end);
    std::string_view target = end == std::string_view::npos ? "" : rest.substr(end);
    if (size_t at = authority.rfind('@'); at != std::string_view::npos) {
      if (!user_) user_ = std::string(authority.substr(0, at));
      authority.remove_prefix(at + 1);
    }
    ParseAuthority(authority);
    size_t query = target.find('?');
    std::string path(target.substr(0, query));
    query_ = query == std::string_view::npos ? "" : std::string(target.substr(query + 1));
    has_query_ = query != std::string_view::npos;
    if (path.empty()) path = "/";
    out_.path = path_as_is_ ? path : RemoveDotSegments(path);
  }

  void ParseAuthority(std::string_view authority) {
    std::string_view host = authority;
    out_.port = out_.https ? 443 : 80;
    size_t colon = authority.rfind(':');
    if (colon != std::string_view::npos && !authority.ends_with(']')) {
      host = authority.substr(0, colon);
      auto port = ParsePort(authority.substr(colon + 1));
      if (!port.ok()) return Refuse(port.error().message);
      out_.port = port.value();
    }
    if (host.empty()) return Refuse("the URL `" + *url_ + "` has no host");
    // The port is not sent where it is the scheme's own.
    bool default_port = out_.port == (out_.https ? 443 : 80);
    out_.authority = std::string(host) + (default_port ? "" : ":" + std::to_string(out_.port));
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    out_.host = std::string(host);
  }

  void ApplyResolves() {
    for (const auto& [value, at] : resolves_) {
      at_ = at;
      std::string_view text = value;
      if (text.starts_with('+')) text.remove_prefix(1);
      auto parts = Split(text, ':');
      if (parts.size() < 3) return Refuse("`--resolve` is HOST:PORT:ADDRESS, not `" + value + "`");
      if (parts[0] != "*" && !EqualsIgnoreCase(parts[0], out_.host)) continue;
      if (parts[1] != std::to_string(out_.port)) continue;
      size_t address = parts[0].size() + parts[1].size() + 2;
      std::string first(Split(text.substr(address), ',')[0]);
      if (first.starts_with('[') && first.ends_with(']')) first = first.substr(1, first.size() - 2);
      out_.connect_host = first;
    }
    for (const auto& [value, at] : connects_) {
      at_ = at;
      auto parts = Split(value, ':');
      if (parts.size() != 4) {
        return Refuse("`--connect-to` is HOST1:PORT1:HOST2:PORT2, not `" + value + "`");
      }
      if (!parts[0].empty() && !EqualsIgnoreCase(parts[0], out_.host)) continue;
      if (!parts[1].empty() && parts[1] != std::to_string(out_.port)) continue;
      if (!parts[2].empty()) out_.connect_host = std::string(parts[2]);
      if (!parts[3].empty()) {
        auto port = ParsePort(parts[3]);
        if (!port.ok()) return Refuse(port.error().message);
        out_.connect_port = port.value();
      }
    }
  }

  bool Given(std::string_view name) const {
    return std::any_of(given_.begin(), given_.end(),
                       [&](const auto& header) { return EqualsIgnoreCase(header.first, name); });
  }

  void AddDefault(const std::string& name, const std::string& value) {
    if (Given(name)) return;
    if (std::find(removed_.begin(), removed_.end(), ToLower(name)) != removed_.end()) return;
    if (value.empty()) return;
    out_.headers.emplace_back(name, value);
  }

  void Finish() {
    if (!url_) {
      error_ = "the curl command line has no URL";
      return;
    }
    ParseUrl();
    if (!error_.empty()) return;
    ApplyResolves();
    if (http2_ && out_.https) out_.protocol = WireProtocol::kHttp2;
    if (get_ && has_data_) {
      if (data_from_file_) {
        error_ = "data from a file becomes no query here: write it out";
        return;
      }
      query_ += (query_.empty() ? "" : "&") + data_;
      has_query_ = true;
    }
    if (has_query_) out_.path += "?" + query_;
    if (request_target_) out_.path = *request_target_;
    if (upload_ && url_->ends_with('/')) {
      out_.path += upload_->substr(upload_->rfind('/') + 1);
    }
    bool posts = (has_data_ && !get_) || form_;
    out_.method = method_.value_or(head_ ? "HEAD" : upload_ ? "PUT" : posts ? "POST" : "GET");
    AddHeaders(posts);
  }

  void AddHeaders(bool posts) {
    if (user_) {
      std::string user = *user_;
      if (user.find(':') == std::string::npos) user += ":";
      AddDefault("Authorization", "Basic " + EncodeBase64(user));
    }
    for (const auto& [name, value] : defaults_) AddDefault(name, value);
    if (std::none_of(defaults_.begin(), defaults_.end(),
                     [](const auto& header) { return header.first == "User-Agent"; })) {
      AddDefault("User-Agent", "curl/8.0.0");
    }
    AddDefault("Accept", json_ ? "application/json" : "*/*");
    AddDefault("Cookie", cookie_);
    for (const auto& [name, value] : given_) {
      if (EqualsIgnoreCase(name, "host")) {
        out_.authority = value;
      } else {
        out_.headers.emplace_back(name, value);
      }
    }
    if (std::find(removed_.begin(), removed_.end(), "host") != removed_.end()) {
      error_ = "a request without a Host header cannot be asked about";
    }
    if (!posts) return;
    if (!data_from_file_ && !form_) AddDefault("Content-Length", std::to_string(data_.size()));
    AddDefault("Content-Type", form_   ? "multipart/form-data; boundary=boundary"
                               : json_ ? "application/json"
                                       : "application/x-www-form-urlencoded");
  }

  const std::vector<std::string>& arguments_;
  size_t at_ = 0;
  std::string error_;
  CurlRequest out_;
  std::optional<std::string> url_, method_, user_, upload_, request_target_;
  size_t url_at_ = 0;
  std::string query_, data_, cookie_;
  bool has_query_ = false, has_data_ = false, data_from_file_ = false, json_ = false, form_ = false;
  bool get_ = false, head_ = false, http2_ = false, path_as_is_ = false;
  std::vector<std::pair<std::string, std::string>> given_, defaults_;
  std::vector<std::string> removed_;  // in lower case
  std::vector<std::pair<std::string, size_t>> resolves_, connects_;
};

}  // namespace

Result<CurlRequest> ParseCurl(const std::vector<std::string>& arguments) {
  return Parser(arguments).Parse();
}

}  // namespace meshproof
