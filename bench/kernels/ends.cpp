// Embedding and loss.

#include <vector>

#include "bench/kernels/bench.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"

namespace coat::bench {

void TimeEnds(Bench& b) {
  constexpr std::int64_t kChunk = 4096;  // of the head
  const double logits_bytes = 2.0 * static_cast<double>(kChunk) * kVocabulary;
  b.Bytes("CrossEntropy", 2 * logits_bytes, [&] {
    const TensorView logits = b.Normal({kChunk, kVocabulary}, DType::kBF16);
    const TensorView labels = b.Tensor({kChunk}, DType::kI32);
    const TensorView loss = b.Tensor({kChunk}, DType::kF32);
    const TensorView z_squared = b.Tensor({kChunk}, DType::kF32);
    const TensorView weights = b.Tensor({2}, DType::kF32);
    return [=, &b] {
      CrossEntropy(
          b.ctx, {.logits = logits, .labels = labels, .loss = loss, .z_squared = z_squared, .weights = weights});
    };
  });
  const std::vector<std::int32_t> ids = [] {
    std::vector<std::int32_t> some(kTokens);
    for (std::size_t i = 0; i < some.size(); ++i) {
      some[i] = static_cast<std::int32_t>(i % 20 == 0 ? 187 : i * 7919 % kVocabulary);  // one in twenty is the same
    }
    return some;
  }();
  b.Bytes("EmbeddingForward", 6 * kND, [&] {
    const TensorView weight = b.Normal({kVocabulary, kModel});
    const TensorView of_ids = b.Tensor({kTokens}, DType::kI32);
    b.ctx.Upload(ids.data(), of_ids);
    const TensorView x = b.Tensor({kTokens, kModel}, DType::kBF16);
    return [=, &b] { EmbeddingForward(b.ctx, {.weight = weight, .ids = of_ids, .x = x}); };
  });
  b.Bytes("EmbeddingBackward", 10 * kND, [&] {
    const TensorView d_weight = b.Tensor({kVocabulary, kModel}, DType::kF32);
    const TensorView of_ids = b.Tensor({kTokens}, DType::kI32);
    b.ctx.Upload(ids.data(), of_ids);
    const TensorView d_x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView order = b.Tensor({kTokens}, DType::kI32);
    return [=, &b] { EmbeddingBackward(b.ctx, {.ids = of_ids, .d_x = d_x, .d_weight = d_weight, .order = order}); };
  });
}

}  // namespace coat::bench
