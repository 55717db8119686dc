// Attention without documents by our own tensor-core kernels, which GPUs take whose cuDNN has no deterministic backward
// pass.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "cuda/attention_extents.h"
#include "cuda/device.h"
#include "cuda/document_attention.h"
#include "numerics/bfloat16.h"
#include "ops/attention.h"
#include "tests/gpu/gpu.h"

namespace coat {
namespace {

constexpr cuda::AttentionExtents kExtents = {
    .sequences = 3, .positions = 197, .heads = 4, .kv_heads = 2, .head_size = 72};

class AttentionOnGpu : public testing::Test {
 protected:
  /// A tensor of the device that goes with the test.
  TensorView Tensor(const Shape& shape, DType dtype) {
    const TensorView whole({nullptr, shape, dtype, DeviceKind::kCuda});
    blocks_.push_back(device_.Allocate(whole.bytes()));
    return {blocks_.back(), shape, dtype, DeviceKind::kCuda};
  }
  TensorView Normal(const Shape& shape, unsigned seed) {
    const TensorView tensor = Tensor(shape, DType::kBF16);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<BFloat16> values(static_cast<std::size_t>(tensor.elements()));
    for (BFloat16& value : values) value = ToBFloat16(normal(generator));
    ctx_.Upload(values.data(), tensor);
    return tensor;
  }
  template <class T>
  std::vector<T> Values(const TensorView& tensor) const {
    std::vector<T> values(static_cast<std::size_t>(tensor.elements()));
    ctx_.Download(tensor, values.data());
    return values;
  }
  ~AttentionOnGpu() override {
    for (std::byte* block : blocks_) device_.Free(block);
  }

  Context ctx_ = OpenGpu();
  cuda::CudaDevice& device_ = cuda::DeviceOf(ctx_);
  std::vector<std::byte*> blocks_;
};

TEST_F(AttentionOnGpu, WithoutDocumentsIsThatOfOneDocumentASequence) {
  const cuda::AttentionExtents& x = kExtents;
  const TensorView qkv = Normal({x.tokens(), x.width()}, 1);
  const TensorView d_out = Normal({x.tokens(), x.out_width()}, 2);
  const TensorView documents = Tensor({x.tokens()}, DType::kI32);
  const std::vector<std::int32_t> starts(static_cast<std::size_t>(x.tokens()), 0);
  ctx_.Upload(starts.data(), documents);
  std::vector<std::vector<std::uint16_t>> outs, d_qkvs;
  std::vector<std::vector<float>> lses;
  for (const ConstTensorView of : {ConstTensorView(), ConstTensorView(documents)}) {
    const TensorView out = Tensor({x.tokens(), x.out_width()}, DType::kBF16);
    const TensorView lse = Tensor({x.sequences, x.heads, x.positions}, DType::kF32);
    const TensorView d_qkv = Tensor({x.tokens(), x.width()}, DType::kBF16);
    cuda::DocumentAttentionForward(
        device_, {.qkv = qkv, .out = out, .lse = lse, .documents = of, .heads = x.heads, .kv_heads = x.kv_heads}, x);
    cuda::DocumentAttentionBackward(device_,
                                    {.qkv = qkv,
                                     .out = out,
                                     .lse = lse,
                                     .d_out = d_out,
                                     .d_qkv = d_qkv,
                                     .documents = of,
                                     .heads = x.heads,
                                     .kv_heads = x.kv_heads},
                                    x);
    outs.push_back(Values<std::uint16_t>(out));
    lses.push_back(Values<float>(lse));
    d_qkvs.push_back(Values<std::uint16_t>(d_qkv));
  }
  EXPECT_EQ(outs[0], outs[1]);
  EXPECT_EQ(lses[0], lses[1]);
  EXPECT_EQ(d_qkvs[0], d_qkvs[1]);

  // The forward pass may be cuDNN's: what it leaves for backward means the same.
  const TensorView out = Tensor({x.tokens(), x.out_width()}, DType::kBF16);
  const TensorView lse = Tensor({x.sequences, x.heads, x.positions}, DType::kF32);
  AttentionForward(ctx_, {.qkv = qkv, .out = out, .lse = lse, .heads = x.heads, .kv_heads = x.kv_heads});
  const std::vector<float> other = Values<float>(lse);
  for (std::size_t i = 0; i < other.size(); ++i) EXPECT_NEAR(other[i], lses[0][i], 1e-4) << i;
}

}  // namespace
}  // namespace coat
