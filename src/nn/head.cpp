#include "nn/head.h"

#include <algorithm>

#include "base/divide.h"
#include "ops/cross_entropy.h"
#include "ops/gemm.h"

namespace coat {

namespace {

/// The most tokens at a time: whole 128s whose logits are within 512 MiB.
std::int64_t MostTokens(std::int64_t row_bytes) {
  constexpr std::int64_t kLogitsBytes = 512 << 20;
  return std::max<std::int64_t>(kLogitsBytes / row_bytes / 128, 1) * 128;
}

/// Tokens at a time for training: equal parts of whole 128s. Each part reads and writes the gradient of the whole
/// weight, so fewer are faster.
std::int64_t ChunkOf(std::int64_t tokens, std::int64_t row_bytes) {
  const std::int64_t most = MostTokens(row_bytes);
  const std::int64_t parts = DivideUp(tokens, most);
  const std::int64_t of_each = DivideUp(tokens, parts);
  return std::min(tokens, RoundUp(of_each, 128));
}

}  // namespace

void Head::ForwardBackward(Context& ctx, ConstTensorView x, const LossTerms& terms, TensorView d_x,
                           Arena& scratch) const {
  Run(ctx, x, terms, d_x, scratch);
}

void Head::Forward(Context& ctx, ConstTensorView x, const LossTerms& terms, Arena& scratch) const {
  Run(ctx, x, terms, {}, scratch);
}

void Head::Logits(Context& ctx, ConstTensorView x, TensorView logits, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  Gemm(ctx, {.a = AsPlain(x), .b = weight_.ForOutput(ctx, scratch), .d = logits});
}

void Head::Run(Context& ctx, ConstTensorView x, const LossTerms& terms, TensorView d_x, Arena& scratch) const {
  const Arena::Scope scope(scratch);
  const std::int64_t tokens = x.shape()[0];
  const std::int64_t vocabulary = weight_.parameter().shape[0];
  const std::int64_t row_bytes = vocabulary * SizeOf(compute_);
  // Without gradients a smaller batch must need no more memory than a larger one: evaluations have batches of all
  // sizes.
  const std::int64_t chunk = d_x ? ChunkOf(tokens, row_bytes) : std::min(tokens, MostTokens(row_bytes));
  const TensorView all_logits = scratch.Tensor("logits", {chunk, vocabulary}, compute_);
  const ConstQuantizedView weight = weight_.ForOutput(ctx, scratch);
  for (std::int64_t begin = 0; begin < tokens; begin += chunk) {
    const std::int64_t count = std::min(chunk, tokens - begin);
    const TensorView logits = all_logits.Rows(0, count);
    const ConstQuantizedView rows = AsPlain(x.Rows(begin, count));
    Gemm(ctx, {.a = rows, .b = weight, .d = logits});
    CrossEntropy(ctx, {.logits = logits,
                       .labels = terms.labels.Rows(begin, count),
                       .loss = terms.loss.Rows(begin, count),
                       .z_squared = terms.z_squared.Rows(begin, count),
                       .logit_scale = logit_scale_,
                       .weights = terms.weights,
                       .gradient = static_cast<bool>(d_x)});
    if (!d_x) continue;
    const ConstQuantizedView d_logits = AsPlain(ConstTensorView(logits));
    Gemm(ctx, {.a = d_logits, .b = weight, .d = d_x.Rows(begin, count), .layout = GemmLayout::kNN});
    Gemm(ctx, {.a = d_logits,
               .b = rows,
               .d = weight_.parameter().local_grad,
               .layout = GemmLayout::kTN,
               .accumulate = begin > 0 || weight_.accumulates()});
  }
}

}  // namespace coat
