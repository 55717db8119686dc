#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/arena.h"
#include "base/context.h"
#include "models/olmo.h"

namespace coat {

/// Token ids, labels, documents, losses and their weights on the device, for batches up to a size.
class BatchBuffers {
 public:
  /// Room for `tokens` tokens, and for their documents where attention is to stay within them.
  void LayOut(std::int64_t tokens, bool has_documents, Arena& batch);
  bool has_documents() const { return static_cast<bool>(documents_); }
  /// The first `tokens` of the buffers, as a micro-batch.
  MicroBatch Of(std::int64_t sequences, std::int64_t tokens, bool has_documents) const;
  /// A micro-batch with these ids and labels, [B, T], and `documents` (data/documents.h), likewise or empty. Throws
  /// ArgumentError if there is no room for it.
  MicroBatch Load(const Context& ctx, std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                  std::int64_t sequences, std::span<const std::int32_t> documents) const;
  /// What losses count from here on (CrossEntropy).
  void LoadWeights(const Context& ctx, float of_loss, float of_z_squared);
  /// Waits for losses to be there. Valid until the next call.
  std::span<const float> Download(const Context& ctx, ConstTensorView losses);

 private:
  TensorView ids_, labels_, documents_, loss_, z_squared_, weights_;
  std::optional<std::array<float, 2>> loaded_weights_;
  std::vector<float> host_losses_;
};

}  // namespace coat
