// Matrix products of the linear layers and of the head.

#include <string>

#include "bench/kernels/bench.h"
#include "ops/gemm.h"

namespace coat::bench {

namespace {

struct Product {
  std::string name;
  std::int64_t m, n, k;
  Format a, b;
  DType d;
  GemmLayout layout = GemmLayout::kNT;
  bool accumulate = false;
  bool fast = false;
};

void Multiply(Bench& b, const Product& p) {
  const double flops = 2.0 * static_cast<double>(p.m) * static_cast<double>(p.n) * static_cast<double>(p.k);
  b.Flops("Gemm " + p.name, flops, [&] {
    const bool a_turned = p.layout == GemmLayout::kTN;
    const bool b_turned = p.layout != GemmLayout::kNT;
    const auto operand = [&](Shape shape, Format format) {
      return format.scaling == Scaling::kNone ? AsPlain(b.Normal(shape, format.dtype)) : b.Coded(shape, format);
    };
    const QuantizedView left = operand(a_turned ? Shape{p.k, p.m} : Shape{p.m, p.k}, p.a);
    const QuantizedView right = operand(b_turned ? Shape{p.k, p.n} : Shape{p.n, p.k}, p.b);
    const TensorView d = b.Tensor({p.m, p.n}, p.d);
    const GemmArgs args = {
        .a = left, .b = right, .d = d, .layout = p.layout, .accumulate = p.accumulate, .fast_accumulation = p.fast};
    return [=, &b] { Gemm(b.ctx, args); };
  });
}

}  // namespace

void TimeProducts(Bench& b) {
  struct Layer {
    const char* name;
    std::int64_t out, in;
  };
  const Format plain = Format::Plain(DType::kBF16);
  const Format group = Format::PerGroup(DType::kE4M3, 128, DType::kF32);
  const Format block = Format::PerBlock128(DType::kE4M3);
  for (const Layer& layer : {Layer{"qkv", 3 * kModel, kModel}, Layer{"out", kModel, kModel},
                             Layer{"ff_in", 2 * kHidden, kModel}, Layer{"ff_out", kModel, kHidden}}) {
    const std::string name = layer.name;
    for (const bool fast : {false, true}) {
      const std::string how = fast ? " fp8 fast" : " fp8 precise";
      Multiply(b, {name + " forward" + how, kTokens, layer.out, layer.in, kForward, kForward, DType::kBF16,
                   GemmLayout::kNT, false, fast});
      Multiply(b, {name + " input gradient" + how, kTokens, layer.in, layer.out, kGradient, kForward, DType::kBF16,
                   GemmLayout::kNT, false, fast});
      Multiply(b, {name + " weight gradient, f32 +=" + how, layer.out, layer.in, kTokens, kGradient, kForward,
                   DType::kF32, GemmLayout::kNT, true, fast});
      Multiply(b, {name + " weight gradient, bf16 +=" + how, layer.out, layer.in, kTokens, kGradient, kForward,
                   DType::kBF16, GemmLayout::kNT, true, fast});
    }
    Multiply(b, {name + " forward bf16", kTokens, layer.out, layer.in, plain, plain, DType::kBF16});
    Multiply(
        b, {name + " input gradient bf16", kTokens, layer.in, layer.out, plain, plain, DType::kBF16, GemmLayout::kNN});
    Multiply(b, {name + " weight gradient, f32 += bf16", layer.out, layer.in, kTokens, plain, plain, DType::kF32,
                 GemmLayout::kTN, true});
    Multiply(b, {name + " forward /g128 x /b128", kTokens, layer.out, layer.in, group, block, DType::kBF16});
    Multiply(b, {name + " weight gradient /g128 x /g128", layer.out, layer.in, kTokens, group, group, DType::kF32,
                 GemmLayout::kNT, true});
  }
  constexpr std::int64_t kChunk = 4096;  // of the head
  Multiply(b, {"head forward bf16", kChunk, kVocabulary, kModel, plain, plain, DType::kBF16});
  Multiply(b, {"head input gradient bf16", kChunk, kModel, kVocabulary, plain, plain, DType::kBF16, GemmLayout::kNN});
  Multiply(b, {"head weight gradient, f32 += bf16", kVocabulary, kModel, kChunk, plain, plain, DType::kF32,
               GemmLayout::kTN, true});
  Multiply(b, {"head weight gradient, bf16 += bf16", kVocabulary, kModel, kChunk, plain, plain, DType::kBF16,
               GemmLayout::kTN, true});
}

}  // namespace coat::bench
