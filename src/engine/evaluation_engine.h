#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/context.h"
#include "config/config.h"
#include "engine/arenas.h"
#include "engine/batch_buffers.h"
#include "engine/loss_model.h"
#include "engine/memory_plan.h"
#include "models/olmo.h"

namespace coat {

/// A model that is evaluated and not trained: parameters without gradients and optimizer, and the memory of a forward
/// pass. Its losses are those of a training run's evaluation of the same parameters, bit for bit.
class EvaluationEngine final : public LossModel {
 public:
  /// The memory that the evaluators of a configuration take. Executes nothing and allocates no tensor.
  static MemoryPlan Measure(const TrainConfig& config);

  /// On cpu or cuda, for the recipes and batches of config.evaluators. Throws Error when the plan does not fit into
  /// memory.
  EvaluationEngine(const TrainConfig& config, Context ctx);
  EvaluationEngine(const EvaluationEngine&) = delete;
  EvaluationEngine& operator=(const EvaluationEngine&) = delete;

  /// Its parameters are to be filled: LoadParameters.
  const Olmo& model() const { return *models_.front(); }
  /// The one of a recipe. Throws ArgumentError unless an evaluator asks for it.
  const Olmo& ModelIn(EvaluationRecipe recipe) const { return *models_[IndexOf(recipe)]; }
  const Context& context() const { return ctx_; }
  MemoryPlan Used() const { return PlanOf(config_, arenas_, {}); }

  void PrepareEvaluation(EvaluationRecipe recipe) override;
  std::span<const float> EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                       std::int64_t sequences, std::span<const std::int32_t> documents = {}) override;

 private:
  EvaluationEngine(const TrainConfig& config, Context ctx, const std::function<RunArenas(const Context&)>& make_arenas);
  void AddModel(EvaluationRecipe recipe);
  void RunOnMeta();
  std::size_t IndexOf(EvaluationRecipe recipe) const;

  TrainConfig config_;
  Context ctx_;
  RunArenas arenas_;
  std::vector<EvaluationRecipe> recipes_;
  std::vector<std::unique_ptr<Olmo>> models_;  // one for each of recipes_, over the parameters of the first
  std::size_t prepared_ = 0;                   // into models_
  BatchBuffers buffers_;
};

}  // namespace coat
