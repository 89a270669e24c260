#include "proxy/piece_reader.h"

#include <array>
#include <future>
#include <thread>
#include <utility>

#include "source/json_reader.h"

namespace meshproof {
namespace {

// Large parts of what istiod and Envoy write, in both spellings, that say nothing of security.
const UnreadKeys* UnreadOf(PieceKind kind) {
  static const UnreadKeys kOfListeners = {"access_log",
                                          "accessLog",
                                          "tracing",
                                          "request_id_extension",
                                          "requestIdExtension",
                                          "alpn_override",
                                          "alpnOverride",
                                          "retry_policy",
                                          "retryPolicy",
                                          "decorator",
                                          "rate_limits",
                                          "rateLimits",
                                          "hash_policy",
                                          "hashPolicy",
                                          "max_stream_duration",
                                          "maxStreamDuration",
                                          "filter_metadata",
                                          "filterMetadata",
                                          "http2_protocol_options",
                                          "http2ProtocolOptions"};
  static const UnreadKeys kOfClusters = {"load_assignment",
                                         "loadAssignment",
                                         "filters",
                                         "metadata",
                                         "circuit_breakers",
                                         "circuitBreakers",
                                         "outlier_detection",
                                         "outlierDetection",
                                         "eds_cluster_config",
                                         "edsClusterConfig",
                                         "common_lb_config",
                                         "commonLbConfig",
                                         "common_tls_context",
                                         "commonTlsContext",
                                         "upstream_bind_config",
                                         "upstreamBindConfig",
                                         "upstream_connection_options",
                                         "upstreamConnectionOptions",
                                         "typed_extension_protocol_options",
                                         "typedExtensionProtocolOptions"};
  switch (SectionOf(kind)) {
    case Section::kListeners:
    case Section::kRoutes:
      return &kOfListeners;
    case Section::kClusters:
      return &kOfClusters;
    default:
      return nullptr;
  }
}

}  // namespace

struct PieceReader::Impl {
  static constexpr size_t kBatch = size_t{256} << 10;  // bytes of text

  struct Batch {
    JsonReader reader;
    std::vector<PieceTree> trees;
  };

  // The piece behind the last of the batch that begins with `first`.
  size_t EndOf(size_t first) const {
    size_t bytes = 0, end = first;
    while (end < pieces.size() && bytes < kBatch) {
      bytes += pieces[end]->end - pieces[end]->begin;
      ++end;
    }
    return end;
  }

  void Read(size_t first, size_t end, Batch* batch) const {
    batch->trees.clear();
    ReadResult result;
    for (size_t i = first; i < end; ++i) {
      const Piece& piece = *pieces[i];
      PieceTree tree{&piece, std::nullopt};
      result.documents.clear();
      if (batch->reader.Read(file, DocumentText{piece.begin, piece.end}, &result,
                             UnreadOf(piece.kind)) &&
          !result.documents.empty()) {
        tree.tree = std::move(result.documents.front());
      }
      batch->trees.push_back(std::move(tree));
    }
  }

  std::vector<PieceTree>& Next() {
    Batch& batch = batches[turn];
    turn = 1 - turn;
    if (ahead.valid()) {
      ahead.get();
    } else {
      Read(next, EndOf(next), &batch);
    }
    next = EndOf(next);
    if (next < pieces.size()) Start(&batches[turn]);
    return batch.trees;
  }

  void Start(Batch* batch) {
    // One core has nothing to gain.
    static const bool parallel = std::thread::hardware_concurrency() > 1;
    if (!parallel) return;
    ahead = std::async(std::launch::async,
                       [this, batch, first = next] { Read(first, EndOf(first), batch); });
  }

  std::shared_ptr<const SourceFile> file;
  std::vector<const Piece*> pieces;
  std::array<Batch, 2> batches;
  size_t turn = 0;
  size_t next = 0;          // the first piece of the next batch
  std::future<void> ahead;  // the last member: it uses the others
};

PieceReader::PieceReader(std::shared_ptr<const SourceFile> file, std::vector<const Piece*> pieces)
    : impl_(std::make_unique<Impl>()) {
  impl_->file = std::move(file);
  impl_->pieces = std::move(pieces);
}
PieceReader::~PieceReader() = default;

std::vector<PieceTree>& PieceReader::Next() {
  return impl_->Next();
}

}  // namespace meshproof
