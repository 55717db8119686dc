#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/context.h"
#include "base/profile.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "engine/arenas.h"
#include "engine/batch_buffers.h"
#include "engine/loss_model.h"
#include "engine/memory_plan.h"
#include "engine/rank_groups.h"
#include "models/olmo.h"
#include "optim/clipping.h"
#include "optim/optimizer.h"
#include "optim/parameter_metrics.h"
#include "optim/update_metrics.h"

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

/// A model, its optimizer and all their memory on one device: what a step is made of, without the loop around it. Where
/// ranks share the model, this is one rank's part, and a micro-batch is its own.
///
/// The constructor measures what a step needs by running it on kMeta, binds exactly that, and allocates nothing later.
class Engine final : public LossModel {
 public:
  /// The memory plan of a configuration, of rank `rank` of `ranks`. Executes nothing and allocates no tensor.
  static MemoryPlan Measure(const TrainConfig& config, int rank = 0, int ranks = 1);

  /// On cpu or cuda. Throws Error when the plan, and what the workspace may grow by, does not fit into memory,
  /// with the table and what to change.
  Engine(const TrainConfig& config, Context ctx);
  /// One rank's engine. `ranks` must stay valid; all ranks make the same calls in the same order.
  Engine(const TrainConfig& config, Context ctx, Communicator& ranks);
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  const Olmo& model() const { return *model_; }
  const Optimizer& optimizer() const { return *optimizer_; }
  const GradientClipping& clipping() const { return *clipping_; }
  const Context& context() const { return ctx_; }
  Communicator& ranks() const { return *ranks_; }
  /// The plan that this run's arenas show: equal to Measure's once a step and an evaluation have run.
  MemoryPlan Used() const;

  /// Where the spans of the steps from now on go; null: nowhere. It must stay valid.
  void SetProfile(Profile* profile) { ctx_.set_profile(profile); }

  /// What sees the parts of micro-batches from now on; null: nobody. It must stay valid.
  void SetObserver(TensorObserver* observer) { ctx_.set_observer(observer); }

  void InitializeParameters(std::uint64_t seed);
  /// Whoever writes the masters by other ways than this class calls it before the next micro-batch.
  void ParametersReplaced() { magnitudes_known_ = false; }
  /// Computes a micro-batch's gradients: the `first` of a step starts them anew and refreshes the weights' operands,
  /// the others add to them. ids and labels are [B, T], and so are `documents` (data/documents.h), which are empty
  /// unless attention is to stay within documents; the configuration must have data.generate_doc_lengths for it.
  /// Where ranks share the model, nothing but this may be called from the first micro-batch of a step to
  /// MeasureGradients: weights and gradients stay in memory that an evaluation uses too.
  LossSums TrainMicroBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                           std::int64_t sequences, const LossWeights& weights, bool first,
                           std::span<const std::int32_t> documents = {});
  /// Sums over the ranks what the micro-batches have left of the gradients, then their norms and the coefficients
  /// for the update; see GradientClipping. Once a step.
  ClippingResult MeasureGradients(const ClippingLimits& limits);
  /// OLMo's metrics of every parameter, its gradient and its moments; before the update.
  std::vector<ParameterMetrics::Metric> MeasureParameters() { return parameter_metrics_->Measure(ctx_); }
  /// OLMo's metrics of the update that these would make; empty unless record_update_metrics.
  std::vector<ParameterMetrics::Metric> MeasureUpdate(double learning_rate, std::int64_t step);
  /// One update, with the coefficients of the last MeasureGradients.
  void Update(double learning_rate, std::int64_t step);

  /// In the training's recipe the losses are those that a micro-batch of training with these parameters has.
  void PrepareEvaluation(EvaluationRecipe recipe) override;
  std::span<const float> EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                       std::int64_t sequences, std::span<const std::int32_t> documents = {}) override;

 private:
  Engine(const TrainConfig& config, Context ctx, Communicator* ranks, std::unique_ptr<RankGroups> groups,
         const std::function<RunArenas(const Context&)>& make_arenas);
  void RunOnMeta();
  /// Makes the training model's operands; measures the masters' largest magnitudes where no update has left them.
  void RefreshWeights();
  Olmo& ModelIn(EvaluationRecipe recipe) { return recipe == EvaluationRecipe::kPlain ? *plain_model_ : *model_; }
  UpdateScalars ScalarsOf(double learning_rate, std::int64_t step) const;
  TrainConfig config_;
  Context ctx_;
  std::unique_ptr<Communicator> own_ranks_;  // where none were given
  Communicator* ranks_;
  std::unique_ptr<RankGroups> groups_;
  RunArenas arenas_;
  std::unique_ptr<Olmo> model_;
  std::unique_ptr<Olmo> plain_model_;  // if an evaluator asks for it
  EvaluationRecipe prepared_ = EvaluationRecipe::kTraining;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<GradientClipping> clipping_;
  std::unique_ptr<ParameterMetrics> parameter_metrics_;
  std::unique_ptr<UpdateMetrics> update_metrics_;  // with record_update_metrics
  BatchBuffers buffers_;
  bool magnitudes_known_ = false;  // the last update has left the masters' largest magnitudes
};

}  // namespace coat
