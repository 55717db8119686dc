#include "ops/cross_entropy.h"

#include <cstdint>

#include "ops/visit.h"
#include "cpu/lanes.h"
#include "cpu/log_of_sum.h"
#include "numerics/elementary.h"

namespace coat::cpu {

namespace {

/// Rows of a parallel block.
constexpr std::int64_t kGrain = 4;

template <class T>
void CrossEntropyOfRow(const CrossEntropyArgs& args, std::int64_t n) {
  const std::int64_t columns = args.logits.shape()[1];
  const float scale = args.logit_scale;
  T* row = args.logits.As<T>() + n * columns;
  const std::int32_t label = args.labels.As<std::int32_t>()[n];
  float& loss = args.loss.As<float>()[n];
  float& z_squared = args.z_squared.As<float>()[n];
  if (label < 0) {
    loss = z_squared = 0.0f;
    if (args.gradient) {
      for (std::int64_t i = 0; i < columns; ++i) row[i] = T{};
    }
    return;
  }
  const auto z = [row, scale](std::int64_t i) { return scale * ToFloat(row[i]); };
  const float largest = LaneMax(columns, z);
  const float sum = LaneSum(columns, [&](std::int64_t i) { return Exp(z(i) - largest); });
  const float log_sum = LogOfSum(sum);
  const float log_sum_exp = largest + log_sum;
  const float label_z = z(label);
  loss = log_sum + (largest - label_z);
  z_squared = log_sum_exp * log_sum_exp;
  if (!args.gradient) return;

  const float loss_weight = args.weights.As<float>()[0];
  const float z_weight = args.weights.As<float>()[1];
  const float softmax_weight = scale * (loss_weight + 2.0f * z_weight * log_sum_exp);
  const float per_exp = softmax_weight / sum;
  for (std::int64_t i = 0; i < columns; ++i) row[i] = RoundTo<T>(per_exp * Exp(z(i) - largest));
  row[label] = RoundTo<T>(per_exp * Exp(label_z - largest) - scale * loss_weight);
}

}  // namespace

void CrossEntropy(Context& ctx, const CrossEntropyArgs& args) {
  VisitPlain(args.logits.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.logits.shape()[0], kGrain, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t n = begin; n < end; ++n) CrossEntropyOfRow<T>(args, n);
    });
  });
}

}  // namespace coat::cpu
