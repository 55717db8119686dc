#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "base/arena.h"
#include "base/context.h"
#include "base/tensor.h"
#include "comm/partition.h"
#include "config/optimizer_config.h"
#include "config/quantize_config.h"
#include "nn/parameter.h"

namespace coat {

/// What changes from one update to the next.
struct UpdateScalars {
  double learning_rate = 0.0;
  std::int64_t step = 1;       // updates counting this one, for the bias corrections
  ConstTensorView grad_scale;  // [P] f32, by which each parameter's gradient is multiplied: the clipping coefficients
  TensorView absmax = {};      // [P] f32, written: the largest magnitude of each updated parameter; may be missing
};

/// One tensor of an optimizer's state under its checkpoint name: "{parameter}.exp_avg", "{parameter}.exp_avg.absmax".
/// A rank may have only a part of it: then `tensor` is these elements, [part.count].
struct StateTensor {
  std::string name;
  TensorView tensor;
  Shape whole = tensor.shape();
  Part part = {.first = 0, .count = tensor.elements()};
};

/// Updates the parameters from their gradients. States lie in two arenas: moments, and the metadata of FP8 moments.
class Optimizer {
 public:
  virtual ~Optimizer() = default;

  /// Lays out the states of all parameters, zero at the start. Once, before anything else.
  virtual void LayOut(Arena& moments, Arena& metadata) = 0;
  /// One update of every parameter. Gradients must be finite: see clipping.
  virtual void Update(Context& ctx, const UpdateScalars& scalars) = 0;
  /// Visits every state tensor, in an order that depends on the parameters only.
  virtual void ForEachState(const std::function<void(const StateTensor&)>& visit) const = 0;
};

/// The optimizer that a validated configuration asks for: AdamW, LionW or CoatAdamW. `parameters` must stay valid.
std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerConfig& optimizer, const QuantizeOptimizerConfig& quantize,
                                         std::span<const Parameter> parameters);

}  // namespace coat
