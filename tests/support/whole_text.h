#pragma once
// Logits of a text that is computed at once, without what generation keeps.

#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

#include "models/olmo.h"

namespace coat {

/// Logits [E] in float32 of the token behind each of these of a text's tokens, one after the other; without
/// scale_logits.
inline std::vector<float> LogitsBehind(std::span<const std::int64_t> tokens, std::span<const std::int32_t> text,
                                       Olmo& model, Context& ctx) {
  const auto arena = [](const char* name) { return Arena::Bound(name, Context(DeviceKind::kCpu, 1), 16 << 20); };
  Arena batch = arena("batch"), saved = arena("saved"), scratch = arena("scratch");
  const auto length = static_cast<std::int64_t>(text.size());
  std::vector<std::int32_t> all_positions(text.size());
  std::iota(all_positions.begin(), all_positions.end(), 0);
  const TensorView ids = batch.Tensor("ids", {length}, DType::kI32);
  const TensorView positions = batch.Tensor("positions", {length}, DType::kI32);
  const TensorView logits = batch.Tensor("logits", {1, model.config().EmbeddingRows()}, DType::kF32);
  ctx.Upload(text.data(), ids);
  ctx.Upload(all_positions.data(), positions);
  std::vector<float> all;
  for (const std::int64_t token : tokens) {
    model.NextLogits(ctx, {.ids = ids, .positions = positions, .row = token}, logits, saved, scratch);
    all.insert(all.end(), logits.As<float>(), logits.As<float>() + logits.elements());
  }
  return all;
}

}  // namespace coat
