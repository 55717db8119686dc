#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/context.h"
#include "config/config.h"
#include "models/olmo.h"
#include "optim/clipping.h"
#include "optim/optimizer.h"
#include "optim/parameter_metrics.h"
#include "train/arenas.h"
#include "train/memory_plan.h"

namespace coat {

/// What a micro-batch's objective is weighted with.
struct LossWeights {
  double loss = 1.0;  // 1 / predicted positions of the step
  double z = 0.0;     // auxiliary_loss_multiplier / predicted positions of the step, or 0
};

/// Sums over the predicted positions of a micro-batch, in double.
struct LossSums {
  double cross_entropy = 0.0;
  double z_squared = 0.0;
};

/// A model, its optimizer and all their memory on one device: what a step is made of, without the loop around it.
///
/// The constructor measures what a step needs by running it on kMeta, binds exactly that, and allocates nothing later.
class Engine {
 public:
  /// The memory plan of a configuration. Executes nothing and allocates no tensor.
  static MemoryPlan Measure(const TrainConfig& config);

  /// Throws Error when the plan does not fit into memory, with the plan's table. `threads` 0: one a core.
  Engine(const TrainConfig& config, int threads);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Olmo& model() const { return *model_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  const GradientClipping& clipping() const { return *clipping_; }
  int threads() const { return ctx_.threads(); }
  /// The plan that this run's arenas show: equal to Measure's once a step and an evaluation have run.
  MemoryPlan Used() const;
  /// Bytes of the threads' workspaces, which depend on the machine and are no part of the plan.
  std::int64_t workspace_bytes() const { return ctx_.workspace_bytes(); }

  void InitializeParameters(std::uint64_t seed);
  void ZeroGradients();
  /// Adds a micro-batch's gradients. ids and labels are [B, T]; `first` of a step refreshes the weights' operands.
  LossSums TrainMicroBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                           std::int64_t sequences, const LossWeights& weights, bool first);
  /// Norms of the gradients and coefficients for the update; see GradientClipping.
  ClippingResult MeasureGradients(const ClippingLimits& limits);
  /// OLMo's metrics of every parameter, its gradient and its moments; before the update.
  std::vector<ParameterMetrics::Metric> MeasureParameters() { return parameter_metrics_->Measure(ctx_); }
  /// One update, with the coefficients of the last MeasureGradients.
  void Update(double learning_rate, std::int64_t step);

  /// Before the evaluation batches of one evaluation.
  void PrepareEvaluation();
  /// The loss of each position [B, T] in the plain recipe, 0 where the label is negative. Valid until the next call.
  std::span<const float> EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                       std::int64_t sequences);

 private:
  Engine(const TrainConfig& config, Context ctx, RunArenas arenas);
  void RunOnMeta();
  MicroBatch LoadBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                       std::int64_t sequences) const;

  TrainConfig config_;
  Context ctx_;
  RunArenas arenas_;
  std::unique_ptr<Olmo> model_;
  std::unique_ptr<Olmo> evaluation_model_;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientClipping> clipping_;
  std::unique_ptr<ParameterMetrics> parameter_metrics_;
  TensorView ids_, labels_, loss_, z_squared_;
};

}  // namespace coat
