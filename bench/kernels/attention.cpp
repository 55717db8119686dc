// Rotary positions and attention.

#include <fmt/core.h>

#include <vector>

#include "bench/kernels/bench.h"
#include "ops/attention.h"
#include "ops/rope.h"

namespace coat::bench {

namespace {

void RopeOps(Bench& b) {
  const double of_rotated = 2.0 * 2.0 * 2.0 * kND;  // read and write queries and keys
  const TensorView table = b.Normal({kLength, kModel / kHeads});
  b.Bytes("RopeForward", of_rotated, [&] {
    const TensorView qkv = b.Normal({kTokens, 3 * kModel}, DType::kBF16);
    return [=, &b] { RopeForward(b.ctx, {.qkv = qkv, .table = table, .heads = kHeads, .kv_heads = kHeads}); };
  });
  b.Bytes("RopeBackward", of_rotated + 2 * kND, [&] {
    const TensorView d_qkv = b.Normal({kTokens, 3 * kModel}, DType::kBF16);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] {
      RopeBackward(b.ctx, {.d_qkv = d_qkv, .table = table, .absmax = absmax, .heads = kHeads, .kv_heads = kHeads});
    };
  });
}

/// Attention of whole sequences, or within documents of `document` tokens where that is not 0.
void AttentionOfDocuments(Bench& b, std::int64_t document) {
  const std::int64_t sequences = kTokens / kLength;
  const std::int64_t seen = document > 0 ? document : kLength;
  const double product = static_cast<double>(kTokens) * static_cast<double>(seen) * kModel;  // one of two, half masked
  const std::string suffix = document > 0 ? fmt::format(", documents of {}", document) : "";
  const auto documents = [=, &b] {
    if (document == 0) return ConstTensorView();
    std::vector<std::int32_t> starts;
    for (std::int64_t i = 0; i < kTokens; ++i) {
      starts.push_back(static_cast<std::int32_t>(i % kLength / document * document));
    }
    const TensorView of_device = b.Tensor({kTokens}, DType::kI32);
    b.ctx.Upload(starts.data(), of_device);
    return ConstTensorView(of_device);
  };
  b.Flops("AttentionForward" + suffix, 2 * product, [&] {
    const TensorView out = b.Tensor({kTokens, kModel}, DType::kBF16);
    const AttentionForwardArgs args = {.qkv = b.Normal({kTokens, 3 * kModel}, DType::kBF16),
                                       .out = out,
                                       .lse = b.Tensor({sequences, kHeads, kLength}, DType::kF32),
                                       .documents = documents(),
                                       .heads = kHeads,
                                       .kv_heads = kHeads};
    return [=, &b] { AttentionForward(b.ctx, args); };
  });
  b.Flops("AttentionBackward" + suffix, 5 * product, [&] {
    const TensorView qkv = b.Normal({kTokens, 3 * kModel}, DType::kBF16);
    const TensorView out = b.Tensor({kTokens, kModel}, DType::kBF16);
    const TensorView lse = b.Tensor({sequences, kHeads, kLength}, DType::kF32);
    const ConstTensorView starts = documents();
    AttentionForward(b.ctx,
                     {.qkv = qkv, .out = out, .lse = lse, .documents = starts, .heads = kHeads, .kv_heads = kHeads});
    const AttentionBackwardArgs args = {.qkv = qkv,
                                        .out = out,
                                        .lse = lse,
                                        .d_out = b.Normal({kTokens, kModel}, DType::kBF16),
                                        .d_qkv = b.Tensor({kTokens, 3 * kModel}, DType::kBF16),
                                        .documents = starts,
                                        .heads = kHeads,
                                        .kv_heads = kHeads};
    return [=, &b] { AttentionBackward(b.ctx, args); };
  });
}

}  // namespace

void TimeAttention(Bench& b) {
  RopeOps(b);
  for (const std::int64_t document : {0, 2048, 512}) AttentionOfDocuments(b, document);
}

}  // namespace coat::bench
