#include "analyze/drift_comparison.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "simulate/filter_chain.h"

namespace meshproof {
namespace {

class InboundComparer {
 public:
  explicit InboundComparer(DriftComparison& comparison) : c_(comparison) {}

  // MP0903: TLS that the manifests want from a peer of the mesh and the proxy takes from others.
  void ComparePeers() {
    std::map<std::string, std::pair<std::set<std::string>, Span>> found;
    for (const ChainPair& pair : c_.pairs) {
      const auto& expected = pair.expected.chain->tls;
      const auto& got = pair.got.chain->tls;
      if (!expected || !got || !expected->require_client_certificate || !got->opaque.empty()) {
        continue;
      }
      std::string message;
      if (!got->require_client_certificate) {
        message = "TLS without a client certificate";
      } else if (std::set<std::string> wider = Wider(*expected, *got); !wider.empty()) {
        message = "certificates of " + ListText(wider);
      }
      if (message.empty()) continue;
      auto& [ports, span] = found[message];
      ports.insert(PortText(*pair.got.chain));
      if (!span) span = pair.got.chain->span;
    }
    for (const auto& [message, where] : found) {
      auto& difference =
          c_.Add("MP0903", where.second,
                 "the proxy of " + c_.who + " takes " + message + " on " + ListText(where.first) +
                     ", which by the manifests and the mesh's trust domains it must " +
                     "not; restart the proxy and see what changes its chains");
      difference.detail = c_.who + " peers " + message;
    }
  }

  // MP0903: a port that takes plaintext in the dump and not by the manifests.
  void ComparePlaintext() {
    for (const Listener& expected : c_.expected->listeners) {
      const Listener* got = FindLike(*c_.dump.config, expected);
      if (got == nullptr || c_.expected->mode != ProxyMode::kSidecar) continue;
      struct Open {
        std::set<std::string> ports;
        const FilterChain* chain = nullptr;
        const EffectiveMode* mode = nullptr;
      };
      std::map<const PeerAuthentication*, Open> found;  // by who wants it otherwise
      std::set<uint32_t> ports = {0};
      for (const FilterChain& chain : got->filter_chains)
        ports.insert(chain.match.destination_port);
      FilterChainIndex expected_chains(expected), got_chains(*got);
      for (uint32_t port : ports) {
        if (port == kCapturePort) continue;
        const FilterChain* open = Plaintext(got_chains, port);
        if (open == nullptr || Plaintext(expected_chains, port) != nullptr) continue;
        // A port of the dump alone falls under the chains for every other port.
        const EffectiveMode& mode = ModeOf(expected, port);
        Open& entry = found[mode.source];
        entry.ports.insert(PortText(*open));
        if (entry.chain == nullptr) {
          entry.chain = open;
          entry.mode = &mode;
        }
      }
      for (const auto& [source, open] : found) {
        auto& difference =
            c_.Add("MP0903", open.chain->span,
                   "the proxy of " + c_.who + " takes plaintext on " + ListText(open.ports) +
                       " (filter chain `" + open.chain->name +
                       "`), and the manifests say STRICT: whoever reaches the pod comes in without "
                       "an identity; apply the PeerAuthentication again or restart the proxy");
        difference.detail = c_.who + " plaintext " + ListText(open.ports);
        if (source == nullptr) continue;
        difference.object = &source->meta;
        difference.related.push_back({open.mode->span, "the mode that is wanted"});
      }
    }
  }

 private:
  // Names that a certificate may bear in the dump and not by the manifests.
  static std::set<std::string> Wider(const TlsContext& expected, const TlsContext& got) {
    // None at all is PILOT_SKIP_VALIDATE_TRUST_DOMAIN, of which manifests say nothing.
    if (expected.subject_alt_names.empty()) return {};
    std::set<std::string> wider;
    for (const StringMatcher& matcher : got.subject_alt_names) {
      bool known = std::any_of(
          expected.subject_alt_names.begin(), expected.subject_alt_names.end(),
          [&](const StringMatcher& wanted) {
            return (wanted.kind == matcher.kind && wanted.value == matcher.value) ||
                   (matcher.kind != StringMatcher::Kind::kRegex && wanted.Matches(matcher.value));
          });
      if (!known) wider.insert("`" + matcher.value + "`");
    }
    return wider;
  }

  static constexpr uint32_t kCapturePort = 15006;

  static const EffectiveMode& ModeOf(const Listener& listener, uint32_t port) {
    static const EffectiveMode kNone;
    for (uint32_t wanted : {port, 0U}) {
      for (const FilterChain& chain : listener.filter_chains) {
        if (chain.match.destination_port == wanted) return chain.mtls;
      }
    }
    return kNone;
  }

  // The chain that takes plaintext HTTP or bytes on a port; null: none.
  const FilterChain* Plaintext(const FilterChainIndex& chains, uint32_t port) const {
    for (std::string_view protocol : {"", "http/1.1"}) {
      ConnectionFacts facts;
      facts.source = Address{*ParseIpAddress("198.51.100.77")};
      facts.destination = Address{*ParseIpAddress("10.244.0.1")};
      facts.destination_port = port == 0 ? kOtherPort : port;
      facts.transport = "raw_buffer";
      if (!protocol.empty()) facts.protocols.push_back(protocol);
      ChainChoice choice = chains.Find(facts);
      if (choice.chain != nullptr && !choice.chain->tls) return choice.chain;
    }
    return nullptr;
  }
  static constexpr uint32_t kOtherPort = 64999;

  DriftComparison& c_;
};

}  // namespace

void CompareInbound(DriftComparison& comparison) {
  InboundComparer inbound(comparison);
  inbound.ComparePlaintext();
  inbound.ComparePeers();
}

}  // namespace meshproof
