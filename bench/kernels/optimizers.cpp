// Updates and norms of all parameters.

#include <fmt/core.h>

#include <vector>

#include "bench/kernels/bench.h"
#include "ops/adamw.h"
#include "ops/coat_adamw.h"
#include "ops/statistics.h"

namespace coat::bench {

/// All parameters of OLMo-1B in one call: far more than a cache holds, so one set of operands is enough.
void TimeOptimizers(Bench& b) {
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

}  // namespace coat::bench
