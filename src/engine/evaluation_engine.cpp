#include "engine/evaluation_engine.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "engine/bind_arenas.h"
#include "engine/device_limits.h"
#include "recipes/recipe.h"

namespace coat {

namespace {

constexpr std::string_view kAdvice =
    "a smaller device_eval_batch_size shrinks saved and scratch; quantize_model.weight_cache: none shrinks weights";

/// Keeps one operand a weight, the one that forward takes, unless the configuration wants none kept.
Recipe RecipeFor(const TrainConfig& config, EvaluationRecipe recipe) {
  Recipe result = MakeRecipe(config);
  if (recipe == EvaluationRecipe::kPlain) result = PlainRecipe(result.compute, result.gradient, result.weight_cache);
  if (result.weight_cache != WeightCache::kNone) {
    result.weight_cache = result.Fp8() ? WeightCache::kCodes : WeightCache::kBoth;
  }
  return result;
}

}  // namespace

MemoryPlan EvaluationEngine::Measure(const TrainConfig& config) {
  EvaluationEngine engine(config, Context(DeviceKind::kMeta), [](const Context&) { return MeasuringArenas(); });
  engine.RunOnMeta();
  return engine.Used();
}

EvaluationEngine::EvaluationEngine(const TrainConfig& config, Context ctx)
    : EvaluationEngine(config, std::move(ctx), [&](const Context& of_run) {
        return BoundArenas(Measure(config), of_run, EvaluationWorkspaceGrowth(config, of_run), kAdvice);
      }) {}

EvaluationEngine::EvaluationEngine(const TrainConfig& config, Context ctx,
                                   const std::function<RunArenas(const Context&)>& make_arenas)
    : config_(config), ctx_(std::move(ctx)), arenas_(make_arenas(ctx_)) {
  const EvaluationNeeds needs = EvaluationNeedsOf(config);
  COAT_REQUIRE(needs.sequences > 0, "an EvaluationEngine needs an evaluator in its configuration");
  if (needs.training) AddModel(EvaluationRecipe::kTraining);
  if (needs.plain) AddModel(EvaluationRecipe::kPlain);
  buffers_.LayOut(needs.sequences * config.model.max_sequence_length, needs.documents, arenas_.batch);
}

void EvaluationEngine::AddModel(EvaluationRecipe recipe) {
  auto model = std::make_unique<Olmo>(config_.model, RecipeFor(config_, recipe));
  if (models_.empty()) {
    model->LayOutForInference(ctx_, arenas_.masters, arenas_.weights);
  } else {
    model->ShareParameters(ctx_, *models_.front(), arenas_.weights);
  }
  recipes_.push_back(recipe);
  models_.push_back(std::move(model));
}

void EvaluationEngine::RunOnMeta() {
  const std::int64_t sequences = EvaluationNeedsOf(config_).sequences;
  for (const std::unique_ptr<Olmo>& model : models_) {
    model->RefreshWeights(ctx_);
    const std::int64_t tokens = sequences * config_.model.max_sequence_length;
    model->Forward(ctx_, buffers_.Of(sequences, tokens, buffers_.has_documents()), arenas_.saved, arenas_.scratch);
  }
}

std::size_t EvaluationEngine::IndexOf(EvaluationRecipe recipe) const {
  const auto found = std::find(recipes_.begin(), recipes_.end(), recipe);
  COAT_REQUIRE(found != recipes_.end(), "no evaluator of the configuration has the recipe {}", NameOf(recipe));
  return static_cast<std::size_t>(found - recipes_.begin());
}

void EvaluationEngine::PrepareEvaluation(EvaluationRecipe recipe) {
  prepared_ = IndexOf(recipe);
  models_[prepared_]->RefreshWeights(ctx_);
}

std::span<const float> EvaluationEngine::EvaluateBatch(std::span<const std::int32_t> ids,
                                                       std::span<const std::int32_t> labels, std::int64_t sequences,
                                                       std::span<const std::int32_t> documents) {
  const MicroBatch batch = buffers_.Load(ctx_, ids, labels, sequences, documents);
  ctx_.Recorded(fmt::format("evaluate {} tokens of {} sequences{}, {}", ids.size(), sequences,
                            batch.documents ? " by documents" : "", NameOf(recipes_[prepared_])),
                0, [&] { models_[prepared_]->Forward(ctx_, batch, arenas_.saved, arenas_.scratch); });
  return buffers_.Download(ctx_, batch.terms.loss);
}

}  // namespace coat
