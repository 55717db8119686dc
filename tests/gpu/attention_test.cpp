// Attention without documents by our own tensor-core kernels, which GPUs take whose cuDNN has no deterministic backward
// pass.

#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "cuda/attention/attention_extents.h"
#include "cuda/attention/document_attention.h"
#include "ops/attention.h"
#include "tests/gpu/device_tensors.h"

namespace coat {
namespace {

constexpr cuda::AttentionExtents kExtents = {
    .sequences = 3, .positions = 197, .heads = 4, .kv_heads = 2, .head_size = 72};

TEST(AttentionOnGpu, WithoutDocumentsIsThatOfOneDocumentASequence) {
  DeviceTensors gpu;
  const cuda::AttentionExtents& x = kExtents;
  const TensorView qkv = gpu.Normal({x.tokens(), x.width()}, 1);
  const TensorView d_out = gpu.Normal({x.tokens(), x.out_width()}, 2);
  const TensorView documents = gpu.Tensor({x.tokens()}, DType::kI32);
  const std::vector<std::int32_t> starts(static_cast<std::size_t>(x.tokens()), 0);
  gpu.ctx().Upload(starts.data(), documents);
  std::vector<std::vector<std::uint16_t>> outs, d_qkvs;
  std::vector<std::vector<float>> lses;
  for (const ConstTensorView of : {ConstTensorView(), ConstTensorView(documents)}) {
    const TensorView out = gpu.Tensor({x.tokens(), x.out_width()}, DType::kBF16);
    const TensorView lse = gpu.Tensor({x.sequences, x.heads, x.positions}, DType::kF32);
    const TensorView d_qkv = gpu.Tensor({x.tokens(), x.width()}, DType::kBF16);
    cuda::DocumentAttentionForward(
        gpu.device(), {.qkv = qkv, .out = out, .lse = lse, .documents = of, .heads = x.heads, .kv_heads = x.kv_heads},
        x);
    cuda::DocumentAttentionBackward(gpu.device(),
                                    {.qkv = qkv,
                                     .out = out,
                                     .lse = lse,
                                     .d_out = d_out,
                                     .d_qkv = d_qkv,
                                     .documents = of,
                                     .heads = x.heads,
                                     .kv_heads = x.kv_heads},
                                    x);
    outs.push_back(gpu.Values<std::uint16_t>(out));
    lses.push_back(gpu.Values<float>(lse));
    d_qkvs.push_back(gpu.Values<std::uint16_t>(d_qkv));
  }
  EXPECT_EQ(outs[0], outs[1]);
  EXPECT_EQ(lses[0], lses[1]);
  EXPECT_EQ(d_qkvs[0], d_qkvs[1]);

  // The forward pass may be cuDNN's: what it leaves for backward means the same.
  const TensorView out = gpu.Tensor({x.tokens(), x.out_width()}, DType::kBF16);
  const TensorView lse = gpu.Tensor({x.sequences, x.heads, x.positions}, DType::kF32);
  AttentionForward(gpu.ctx(), {.qkv = qkv, .out = out, .lse = lse, .heads = x.heads, .kv_heads = x.kv_heads});
  const std::vector<float> other = gpu.Values<float>(lse);
  // Each is within (T + (K + 2) S + 16) eps of the exact one, where sums of |q k| / sqrt(K) are below S = 8.
  for (std::size_t i = 0; i < other.size(); ++i) EXPECT_NEAR(other[i], lses[0][i], 1e-4) << i;
}

/// The rows of a tensor behind its first `rows`.
std::vector<std::uint16_t> Behind(const DeviceTensors& gpu, const TensorView& tensor, std::int64_t rows) {
  return gpu.Values<std::uint16_t>(tensor.Rows(rows, tensor.shape()[0] - rows));
}

// cuDNN takes 65,535 sequences at a time.
TEST(AttentionOnGpu, OfMoreSequencesThanOneCallTakesStaysWithinItsTensors) {
  DeviceTensors gpu;
  const cuda::AttentionExtents x = {.sequences = 65538, .positions = 2, .heads = 1, .kv_heads = 1, .head_size = 8};
  const std::int64_t room = 2 * x.tokens();
  const TensorView qkv = gpu.Normal({x.tokens(), x.width()}, 1);
  const TensorView d_out = gpu.Normal({x.tokens(), x.out_width()}, 2);
  const TensorView out = gpu.Normal({room, x.out_width()}, 3);
  const TensorView d_qkv = gpu.Normal({room, x.width()}, 4);
  const std::vector<std::uint16_t> behind_out = Behind(gpu, out, x.tokens());
  const std::vector<std::uint16_t> behind_d_qkv = Behind(gpu, d_qkv, x.tokens());
  const TensorView lse = gpu.Tensor({x.sequences, x.heads, x.positions}, DType::kF32);
  AttentionForward(gpu.ctx(), {.qkv = qkv, .out = out.Rows(0, x.tokens()), .lse = lse, .heads = 1, .kv_heads = 1});
  AttentionBackward(gpu.ctx(), {.qkv = qkv,
                                .out = out.Rows(0, x.tokens()),
                                .lse = lse,
                                .d_out = d_out,
                                .d_qkv = d_qkv.Rows(0, x.tokens()),
                                .heads = 1,
                                .kv_heads = 1});
  EXPECT_EQ(Behind(gpu, out, x.tokens()), behind_out);
  EXPECT_EQ(Behind(gpu, d_qkv, x.tokens()), behind_d_qkv);

  // A sequence's first position sees itself alone: its output is its value, and the gradient of its query is zero but
  // for rounding: a difference of two sums of 8 products below 32, each off by at most 8 * 256 * 2^-24, times a key.
  const auto values = gpu.Values<std::uint16_t>(qkv);
  const auto outs = gpu.Values<std::uint16_t>(out);
  const auto d_qkvs = gpu.Values<std::uint16_t>(d_qkv);
  for (std::int64_t sequence = 0; sequence < x.sequences; ++sequence) {
    const auto first = static_cast<std::size_t>(sequence * x.positions);
    for (std::size_t column = 0; column < 8; ++column) {
      ASSERT_EQ(outs[first * 8 + column], values[first * 24 + 16 + column]) << sequence;
      ASSERT_NEAR(ToFloat(BFloat16{d_qkvs[first * 24 + column]}), 0.0f, 1e-2f) << sequence;
    }
  }
}

}  // namespace
}  // namespace coat
