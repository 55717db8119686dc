// Times the ops of a training step on the GPU, one by one, at the sizes of OLMo-1B with 8 sequences of 2048 tokens.
//
//   build/release/bench/kernel_bench [NAME] [--fast_attention]        only the ops whose name contains NAME
//
// An op is recorded as one graph of 12 calls that take turns on three sets of operands, so that nothing stays in the
// cache; the time is the median of 9 replays. Bytes are what an op cannot do without: inputs once, outputs once, twice
// where a largest magnitude has to be known first. The share is that of a copy of 1 GiB measured in the same run.

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/arena.h"
#include "cuda/open_device.h"
#include "ops/adamw.h"
#include "ops/attention.h"
#include "ops/cast.h"
#include "ops/coat_adamw.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/fill_normal.h"
#include "ops/gemm.h"
#include "ops/layer_norm.h"
#include "ops/qk_norm_rope.h"
#include "ops/quantize.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/statistics.h"
#include "ops/swiglu.h"

namespace coat {
namespace {

constexpr std::int64_t kTokens = 16384;  // N
constexpr std::int64_t kLength = 2048;   // T
constexpr std::int64_t kModel = 2048;    // D
constexpr std::int64_t kHidden = 8192;   // h
constexpr std::int64_t kHeads = 16;
constexpr std::int64_t kVocabulary = 50304;
constexpr int kSets = 3;
constexpr int kCalls = 12;
constexpr int kReplays = 9;
const Format kForward = Format::PerTensor(DType::kE4M3);
const Format kGradient = Format::PerTensor(DType::kE5M2);

/// The device, memory for operands, and the copy bandwidth that shares are of.
class Bench {
 public:
  Bench(std::string filter, const cuda::CudaOptions& options)
      : ctx(cuda::OpenCudaDevice(options)),
        filter_(std::move(filter)),
        arena_(Arena::Bound("operands", ctx, std::int64_t{40} << 30)) {
    const Arena::Scope scope(arena_);
    const TensorView from = Normal({1 << 28});
    const TensorView to = arena_.Tensor("to", {1 << 28}, DType::kF32);
    copy_bandwidth_ = 2.0 * static_cast<double>(from.bytes()) / Median([&] {
                        for (int i = 0; i < kCalls; ++i) ctx.Copy(from, to);
                      });
    fmt::print("{}: a copy of 1 GiB moves {:.2f} TB/s, read and written\n", ctx.backend()->Name(),
               copy_bandwidth_ * 1e-12);
    fmt::print("{:44} {:>10} {:>10} {:>9} {:>7}\n", "op", "us", "MB", "TB/s", "share");
  }

  /// Operands of an op for one set: `make` lays them out and gives the call.
  using Make = std::function<std::function<void()>()>;

  void Bytes(const std::string& name, double bytes, const Make& make, int sets = kSets) {
    const double seconds = Time(name, make, sets);
    if (seconds == 0.0) return;
    fmt::print("{:44} {:10.1f} {:10.1f} {:9.2f} {:6.1f}%\n", name, seconds * 1e6, bytes * 1e-6, bytes / seconds * 1e-12,
               100.0 * bytes / seconds / copy_bandwidth_);
  }

  void Flops(const std::string& name, double flops, const Make& make) {
    const double seconds = Time(name, make);
    if (seconds == 0.0) return;
    fmt::print("{:44} {:10.1f} {:10} {:6.0f} TFLOP/s\n", name, seconds * 1e6, "", flops / seconds * 1e-12);
  }

  TensorView Tensor(Shape shape, DType dtype) { return arena_.Tensor("operand", shape, dtype); }
  QuantizedView Quantized(Shape shape, Format format) { return arena_.Quantized("operand", shape, format); }
  TensorView Normal(Shape shape, DType dtype = DType::kF32, float std = 1.0f) {
    const TensorView x = Tensor(shape, dtype);
    if (dtype == DType::kF32) {
      FillNormal(ctx, {.x = x, .seed = 1, .tensor_id = next_++, .std = std, .cutoff = 0.0f});
      return x;
    }
    const Arena::Scope scope(arena_);
    Cast(ctx, {.x = Normal(shape, DType::kF32, std), .y = x});
    return x;
  }
  TensorView AbsMaxOf(ConstTensorView x) {
    const TensorView absmax = Tensor({1}, DType::kF32);
    AbsMax(ctx, {.x = x, .absmax = absmax});
    return absmax;
  }
  /// Random values in a format.
  QuantizedView Coded(Shape shape, Format format) {
    const QuantizedView codes = Quantized(shape, format);
    const TensorView absmax = Tensor({1}, DType::kF32);
    const Arena::Scope scope(arena_);
    const TensorView x = Normal(shape);
    if (format.scaling == Scaling::kTensor) AbsMax(ctx, {.x = x, .absmax = absmax});
    const bool per_tensor = format.scaling == Scaling::kTensor;
    Quantize(ctx, {.x = x, .absmax = per_tensor ? ConstTensorView(absmax) : ConstTensorView(), .y = codes});
    ctx.Synchronize();
    return codes;
  }

  Context ctx;

 private:
  double Time(const std::string& name, const Make& make, int set_count = kSets) {
    if (name.find(filter_) == std::string::npos) return 0.0;
    const Arena::Scope scope(arena_);
    std::vector<std::function<void()>> sets;
    for (int set = 0; set < set_count; ++set) sets.push_back(make());
    return Seconds(name, [&](int call) { sets[static_cast<std::size_t>(call % set_count)](); });
  }

  double Seconds(const std::string& name, const std::function<void(int)>& call) const {
    return Median([&] {
      ctx.Recorded(name, 0, [&] {
        for (int i = 0; i < kCalls; ++i) call(i);
      });
    });
  }

  /// Of one of the kCalls calls that `work` makes; the first two runs, of which the second records, do not count.
  double Median(const std::function<void()>& work) const {
    std::vector<double> seconds;
    for (int replay = 0; replay < kReplays + 2; ++replay) {
      ctx.Synchronize();
      const auto start = std::chrono::steady_clock::now();
      work();
      ctx.Synchronize();
      if (replay >= 2) {
        seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kCalls);
      }
    }
    std::nth_element(seconds.begin(), seconds.begin() + kReplays / 2, seconds.end());
    return seconds[kReplays / 2];
  }

  std::string filter_;
  Arena arena_;
  std::uint64_t next_ = 0;
  double copy_bandwidth_ = 1.0;
};

constexpr double kND = static_cast<double>(kTokens) * kModel;
constexpr double kNH = static_cast<double>(kTokens) * kHidden;

void Norms(Bench& b) {
  b.Bytes("AddLayerNorm", 6 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView branch = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView mean = b.Tensor({kTokens}, DType::kF32);
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { AddLayerNorm(b.ctx, {.x = x, .branch = branch, .mean = mean, .rstd = rstd, .absmax = absmax}); };
  });
  b.Bytes("NormalizeQuantize", 3 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView mean = b.Normal({kTokens}, DType::kF32, 0.1f);
    const TensorView rstd = b.Normal({kTokens});
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y = b.Quantized({kTokens, kModel}, kForward);
    return [=, &b] { NormalizeQuantize(b.ctx, {.x = x, .mean = mean, .rstd = rstd, .absmax = absmax, .y = y}); };
  });
  b.Bytes("LayerNormBackward", 7 * kND, [&] {
    const QuantizedView y = b.Coded({kTokens, kModel}, kForward);
    const TensorView rstd = b.Normal({kTokens});
    const TensorView d_y = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView d_x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { LayerNormBackward(b.ctx, {.y = y, .rstd = rstd, .d_y = d_y, .d_x = d_x, .absmax = absmax}); };
  });
}

/// Of OLMo 2, at the widths of its 1B and its 7B.
void RmsNorms(Bench& b, std::int64_t width) {
  const double elements = static_cast<double>(kTokens) * static_cast<double>(width);
  const Shape shape = {kTokens, width};
  const Format kept = Format::PerGroup(DType::kE4M3, 16);
  b.Bytes(fmt::format("RmsNorm {}", width), 4 * elements, [&] {
    const TensorView x = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView y = b.Tensor(shape, DType::kBF16);
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    return [=, &b] { RmsNorm(b.ctx, {.x = x, .weight = weight, .y = y, .rstd = rstd}); };
  });
  b.Bytes(fmt::format("AddRmsNorm /g16 {}", width), 7.125 * elements, [&] {
    const TensorView x = b.Normal(shape, DType::kBF16);
    const TensorView branch = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    const QuantizedView codes = b.Quantized(shape, kept);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] {
      AddRmsNorm(b.ctx,
                 {.x = x, .branch = branch, .weight = weight, .y = x, .rstd = rstd, .kept = codes, .absmax = absmax});
    };
  });
  for (const Format& format : {Format::Plain(DType::kBF16), kept}) {
    const bool plain = format.scaling == Scaling::kNone;
    const double of_x = plain ? 2.0 : 1.125;
    b.Bytes(fmt::format("RmsNormBackward {} {}", format.ToString(), width), (4.0 + of_x) * elements, [&] {
      const QuantizedView x = plain ? AsPlain(b.Normal(shape, DType::kBF16)) : b.Coded(shape, format);
      const TensorView weight = b.Normal({width});
      const TensorView rstd = b.Normal({kTokens});
      const TensorView d_y = b.Normal(shape, DType::kBF16);
      const TensorView d_x = b.Tensor(shape, DType::kBF16);
      const TensorView d_weight = b.Tensor({width}, DType::kF32);
      const TensorView absmax = b.Tensor({1}, DType::kF32);
      return [=, &b] {
        RmsNormBackward(
            b.ctx,
            {.x = x, .weight = weight, .rstd = rstd, .d_y = d_y, .d_x = d_x, .d_weight = d_weight, .absmax = absmax});
      };
    });
  }
}

/// Of OLMo 2, with as many heads of keys and values as of queries.
void QkNormRope(Bench& b, std::int64_t width) {
  const double elements = static_cast<double>(kTokens) * static_cast<double>(width);
  const Shape shape = {kTokens, 3 * width};
  constexpr std::int64_t kHeadSize = 128;
  const std::int64_t heads = width / kHeadSize;
  const TensorView table = b.Normal({kLength, kHeadSize});
  b.Bytes(fmt::format("QkNormRopeForward {}", width), 12 * elements, [&] {
    const TensorView qkv = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView rotated = b.Tensor(shape, DType::kBF16);
    const TensorView rstd = b.Tensor({kTokens}, DType::kF32);
    return [=, &b] {
      QkNormRopeForward(b.ctx, {.qkv = qkv,
                                .q_weight = weight,
                                .k_weight = weight,
                                .table = table,
                                .rotated = rotated,
                                .q_rstd = rstd,
                                .k_rstd = rstd,
                                .heads = heads,
                                .kv_heads = heads});
    };
  });
  b.Bytes(fmt::format("QkNormRopeBackward {}", width), 14 * elements, [&] {
    const TensorView qkv = b.Normal(shape, DType::kBF16);
    const TensorView weight = b.Normal({width});
    const TensorView rstd = b.Normal({kTokens});
    const TensorView d_qkv = b.Normal(shape, DType::kBF16);
    const TensorView d_weight = b.Tensor({width}, DType::kF32);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] {
      QkNormRopeBackward(b.ctx, {.qkv = qkv,
                                 .q_weight = weight,
                                 .k_weight = weight,
                                 .q_rstd = rstd,
                                 .k_rstd = rstd,
                                 .table = table,
                                 .d_qkv = d_qkv,
                                 .d_q_weight = d_weight,
                                 .d_k_weight = d_weight,
                                 .absmax = absmax,
                                 .heads = heads,
                                 .kv_heads = heads});
    };
  });
}

void Quantization(Bench& b) {
  for (const std::int64_t width : {kModel, 3 * kModel}) {
    const double elements = static_cast<double>(kTokens) * static_cast<double>(width);
    b.Bytes(fmt::format("Quantize and transpose {} bf16", width), 4 * elements, [&, width] {
      const TensorView x = b.Normal({kTokens, width}, DType::kBF16);
      const TensorView absmax = b.AbsMaxOf(x);
      const QuantizedView y = b.Quantized({kTokens, width}, kGradient);
      const QuantizedView y_t = b.Quantized({width, kTokens}, kGradient);
      return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y = y, .y_t = y_t}); };
    });
  }
  b.Bytes("AbsMax bf16", 2 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { AbsMax(b.ctx, {.x = x, .absmax = absmax}); };
  });
  b.Bytes("Quantize bf16", 3 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y = b.Quantized({kTokens, kModel}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y = y}); };
  });
  b.Bytes("Quantize transposed bf16", 3 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y_t = b.Quantized({kModel, kTokens}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y_t = y_t}); };
  });
  b.Bytes("TransposeCodes", 2 * kND, [&] {
    const QuantizedView x = b.Coded({kTokens, kModel}, kForward);
    const QuantizedView y = b.Quantized({kModel, kTokens}, kForward);
    return [=, &b] { TransposeCodes(b.ctx, {.x = x.codes, .y = y.codes}); };
  });
  const Format group = Format::PerGroup(DType::kE4M3, 128, DType::kF32);
  b.Bytes("Quantize /g128 and transpose bf16", 4.0625 * kND, [&] {
    const TensorView x = b.Normal({kTokens, kModel}, DType::kBF16);
    const QuantizedView y = b.Quantized({kTokens, kModel}, group);
    const QuantizedView y_t = b.Quantized({kModel, kTokens}, group);
    return [=, &b] { Quantize(b.ctx, {.x = x, .y = y, .y_t = y_t}); };
  });
  const double weight = 2.0 * static_cast<double>(kHidden) * kModel;
  b.Bytes("weight AbsMax f32", 4 * weight, [&] {
    const TensorView x = b.Normal({2 * kHidden, kModel});
    const TensorView absmax = b.Tensor({1}, DType::kF32);
    return [=, &b] { AbsMax(b.ctx, {.x = x, .absmax = absmax}); };
  });
  b.Bytes("weight Quantize and transpose f32", 6 * weight, [&] {
    const TensorView x = b.Normal({2 * kHidden, kModel});
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y = b.Quantized({2 * kHidden, kModel}, kForward);
    const QuantizedView y_t = b.Quantized({kModel, 2 * kHidden}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y = y, .y_t = y_t}); };
  });
  b.Bytes("weight Quantize transposed f32", 5 * weight, [&] {
    const TensorView x = b.Normal({2 * kHidden, kModel});
    const TensorView absmax = b.AbsMaxOf(x);
    const QuantizedView y_t = b.Quantized({kModel, 2 * kHidden}, kForward);
    return [=, &b] { Quantize(b.ctx, {.x = x, .absmax = absmax, .y_t = y_t}); };
  });
}

void Mlp(Bench& b) {
  b.Bytes("SwigluForward", 6 * kNH, [&] {
    const TensorView up_gate = b.Normal({kTokens, 2 * kHidden}, DType::kBF16);
    const TensorView product = b.Tensor({kTokens, kHidden}, DType::kBF16);
    return [=, &b] { SwigluForward(b.ctx, {.up_gate = up_gate, .product = product}); };
  });
  b.Bytes("SwigluBackward", 12 * kNH, [&] {
    const TensorView up_gate = b.Normal({kTokens, 2 * kHidden}, DType::kBF16);
    const TensorView d_product = b.Normal({kTokens, kHidden}, DType::kBF16);
    const TensorView d_up_gate = b.Tensor({kTokens, 2 * kHidden}, DType::kBF16);
    const TensorView product = b.Tensor({kTokens, kHidden}, DType::kBF16);
    return [=, &b] {
      SwigluBackward(b.ctx, {.up_gate = up_gate, .d_product = d_product, .d_up_gate = d_up_gate, .product = product});
    };
  });
  for (const int group : {16, 128}) {
    const Format kept = Format::PerGroup(DType::kE4M3, group);
    const double of_kept = 2.0 + 4.0 / group;
    b.Bytes(fmt::format("SwigluQuantizeForward /g{}", group), (9 + of_kept) * kNH, [&] {
      const TensorView up_gate = b.Normal({kTokens, 2 * kHidden}, DType::kBF16);
      const QuantizedView saved = b.Quantized({kTokens, 2 * kHidden}, kept);
      const QuantizedView product = b.Quantized({kTokens, kHidden}, kForward);
      const TensorView absmax = b.Tensor({1}, DType::kF32);
      return [=, &b] {
        SwigluQuantizeForward(b.ctx,
                              {.up_gate = up_gate, .saved_up_gate = saved, .product = product, .absmax = absmax});
      };
    });
    b.Bytes(fmt::format("SwigluQuantizeBackward /g{}", group), (9 + 2 * of_kept) * kNH, [&] {
      const QuantizedView up_gate = b.Coded({kTokens, 2 * kHidden}, kept);
      const TensorView d_product = b.Normal({kTokens, kHidden}, DType::kBF16);
      const QuantizedView d_up_gate = b.Quantized({kTokens, 2 * kHidden}, kGradient);
      const QuantizedView d_up_gate_t = b.Quantized({2 * kHidden, kTokens}, kGradient);
      const QuantizedView product_t = b.Quantized({kHidden, kTokens}, kForward);
      const TensorView absmax = b.Tensor({2}, DType::kF32);
      return [=, &b] {
        SwigluQuantizeBackward(b.ctx, {.up_gate = up_gate,
                                       .d_product = d_product,
                                       .d_up_gate = d_up_gate,
                                       .d_up_gate_t = d_up_gate_t,
                                       .product_t = product_t,
                                       .absmax = absmax});
      };
    });
  }
}

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

void Ends(Bench& b) {
  constexpr std::int64_t kChunk = 4096;  // of the head
  const double logits_bytes = 2.0 * static_cast<double>(kChunk) * kVocabulary;
  b.Bytes("CrossEntropy", 2 * logits_bytes, [&] {
    const TensorView logits = b.Normal({kChunk, kVocabulary}, DType::kBF16);
    const TensorView labels = b.Tensor({kChunk}, DType::kI32);
    const TensorView loss = b.Tensor({kChunk}, DType::kF32);
    const TensorView z_squared = b.Tensor({kChunk}, DType::kF32);
    return [=, &b] { CrossEntropy(b.ctx, {.logits = logits, .labels = labels, .loss = loss, .z_squared = z_squared}); };
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

/// All parameters of OLMo-1B in one call: far more than a cache holds, so one set of operands is enough.
void Optimizers(Bench& b) {
  std::vector<Shape> shapes = {{kVocabulary, kModel}};
  for (int layer = 0; layer < 16; ++layer) {
    shapes.insert(shapes.end(), {{3 * kModel, kModel}, {kModel, kModel}, {2 * kHidden, kModel}, {kModel, kHidden}});
  }
  double parameters = 0.0;
  for (const Shape& shape : shapes) parameters += static_cast<double>(shape.elements());
  const AdamWSettings settings = {.learning_rate = 1e-4, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .step = 10};
  constexpr std::int64_t kGroup = 128;
  for (const DType gradient : {DType::kBF16, DType::kF32}) {
    const double of_gradient = static_cast<double>(SizeOf(gradient));
    const auto moment = [&](const Shape& shape) {
      const Shape groups = {shape.elements() / kGroup};
      return ExpandedMoment{b.Tensor(shape, DType::kE4M3), b.Tensor(groups, DType::kF32),
                            b.Tensor(groups, DType::kF32)};
    };
    b.Bytes(
        fmt::format("CoatAdamW, gradients {}", NameOf(gradient)), (12.0 + of_gradient + 32.0 / kGroup) * parameters,
        [&] {
          std::vector<CoatAdamWTensor> tensors;
          for (const Shape& shape : shapes) {
            tensors.push_back({.param = b.Normal(shape, DType::kF32, 0.02f),
                               .grad = b.Normal(shape, gradient, 1e-3f),
                               .exp_avg = moment(shape),
                               .exp_avg_sq = moment(shape),
                               .weight_decay = 0.1});
          }
          return [=, &b] { CoatAdamW(b.ctx, {.tensors = tensors, .group = kGroup, .settings = settings}); };
        },
        1);
    b.Bytes(
        fmt::format("AdamW, gradients {}", NameOf(gradient)), (24.0 + of_gradient) * parameters,
        [&] {
          std::vector<AdamWTensor> tensors;
          for (const Shape& shape : shapes) {
            tensors.push_back({.param = b.Normal(shape, DType::kF32, 0.02f),
                               .grad = b.Normal(shape, gradient, 1e-3f),
                               .exp_avg = b.Tensor(shape, DType::kF32),
                               .exp_avg_sq = b.Tensor(shape, DType::kF32),
                               .weight_decay = 0.1});
          }
          return [=, &b] { AdamW(b.ctx, {.tensors = tensors, .settings = settings}); };
        },
        1);
    b.Bytes(
        fmt::format("L2Norms, gradients {}", NameOf(gradient)), of_gradient * parameters,
        [&] {
          std::vector<ConstTensorView> gradients;
          for (const Shape& shape : shapes) gradients.push_back(b.Normal(shape, gradient, 1e-3f));
          const TensorView norms = b.Tensor({static_cast<std::int64_t>(shapes.size())}, DType::kF32);
          return [=, &b] { L2Norms(b.ctx, {.tensors = gradients, .norms = norms}); };
        },
        1);
  }
}

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

void Products(Bench& b) {
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

}  // namespace
}  // namespace coat

int main(int argc, char** argv) {
  const coat::cuda::CudaStatus status = coat::cuda::CheckCudaDevice();
  if (!status.usable) {
    fmt::print(stderr, "kernel_bench: {}\n", status.reason);
    return 1;
  }
  coat::cuda::CudaOptions options;
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--fast_attention") {
      options.deterministic_attention = false;
    } else {
      filter = argument;
    }
  }
  coat::Bench bench(filter, options);
  coat::Norms(bench);
  for (const std::int64_t width : {2048, 4096}) {
    coat::RmsNorms(bench, width);
    coat::QkNormRope(bench, width);
  }
  coat::Quantization(bench);
  coat::Mlp(bench);
  coat::RopeOps(bench);
  for (const std::int64_t document : {0, 2048, 512}) coat::AttentionOfDocuments(bench, document);
  coat::Ends(bench);
  coat::Optimizers(bench);
  coat::Products(bench);
  return 0;
}
