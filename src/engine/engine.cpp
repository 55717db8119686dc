#include "engine/engine.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "comm/solo.h"
#include "engine/bind_arenas.h"
#include "engine/device_limits.h"
#include "recipes/recipe.h"

namespace coat {

namespace {

constexpr std::string_view kAdvice =
    "a smaller device_train_microbatch_size shrinks saved and scratch; "
    "activation_checkpointing: whole_layer and quantize_model.use_quantize_model: coat_real "
    "shrink saved; quantize_optimizer.use_quantize_optimizer: coat_fp8_adamw shrinks moments; "
    "gradient_precision: bf16 shrinks gradients; more ranks with fsdp.sharding_strategy: FULL_SHARD shrink masters, "
    "gradients, moments and weights; quantize_model.weight_cache: codes or none shrinks "
    "weights";

double BetaForClipping(const OptimizerConfig& config) {
  return std::max(config.betas[0], config.betas[1]);
}

/// What distinguishes the recorded work of micro-batches.
std::string NameOf(std::string_view work, const MicroBatch& batch) {
  return fmt::format("{} {} tokens of {} sequences{}", work, batch.ids.elements(), batch.sequences,
                     batch.documents ? " by documents" : "");
}

double SumOf(std::span<const float> values) {
  double sum = 0.0;
  for (const float value : values) sum += value;
  return sum;
}

}  // namespace

MemoryPlan Engine::Measure(const TrainConfig& config, int rank, int ranks) {
  Engine engine(config, Context(DeviceKind::kMeta), nullptr, std::make_unique<RankGroups>(config, rank, ranks),
                [](const Context&) { return MeasuringArenas(); });
  engine.RunOnMeta();
  return engine.Used();
}

Engine::Engine(const TrainConfig& config, Context ctx)
    : Engine(config, std::move(ctx), nullptr, std::make_unique<RankGroups>(config, 0, 1), [&](const Context& of_run) {
        return BoundArenas(Measure(config), of_run, WorkspaceGrowth(config, of_run), kAdvice);
      }) {}

Engine::Engine(const TrainConfig& config, Context ctx, Communicator& ranks)
    : Engine(config, std::move(ctx), &ranks, std::make_unique<RankGroups>(config, ranks), [&](const Context& of_run) {
        return BoundArenas(Measure(config, ranks.rank(), ranks.size()), of_run, WorkspaceGrowth(config, of_run),
                           kAdvice, &ranks);
      }) {}

Engine::Engine(const TrainConfig& config, Context ctx, Communicator* ranks, std::unique_ptr<RankGroups> groups,
               const std::function<RunArenas(const Context&)>& make_arenas)
    : config_(config),
      ctx_(std::move(ctx)),
      own_ranks_(ranks == nullptr ? MakeSolo() : nullptr),
      ranks_(ranks == nullptr ? own_ranks_.get() : ranks),
      groups_(std::move(groups)),
      arenas_(make_arenas(ctx_)) {
  const Recipe recipe = MakeRecipe(config);
  const Sharding sharding = groups_->sharding();
  model_ = std::make_unique<Olmo>(config.model, recipe);
  const EvaluationNeeds evaluation = EvaluationNeedsOf(config);
  {
    // The two models are used in turn.
    std::optional<Arena::Scope> turn;
    if (evaluation.plain) turn.emplace(arenas_.exchange);
    model_->LayOut(ctx_, sharding, arenas_.masters, arenas_.gradients, arenas_.weights, arenas_.exchange);
  }
  if (evaluation.plain) {
    plain_model_ =
        std::make_unique<Olmo>(config.model, PlainRecipe(recipe.compute, recipe.gradient, WeightCache::kNone));
    plain_model_->ShareParameters(ctx_, *model_, arenas_.weights, arenas_.exchange);
  }
  Communicator* const shards = sharding.shards;
  optimizer_ = MakeOptimizer(config.optimizer, config.quantize_optimizer, model_->parameters());
  optimizer_->LayOut(arenas_.moments, arenas_.metadata);
  clipping_ = std::make_unique<GradientClipping>(model_->parameters(), BetaForClipping(config.optimizer), shards);
  clipping_->LayOut(arenas_.metadata);
  parameter_metrics_ = std::make_unique<ParameterMetrics>(model_->parameters(), *optimizer_, shards);
  parameter_metrics_->LayOut(arenas_.metadata);
  if (config.optimizer.record_update_metrics) {
    update_metrics_ = std::make_unique<UpdateMetrics>(config_.optimizer, model_->parameters(), *optimizer_, shards);
  }
  const std::int64_t sequences = std::max(config.MicroBatch(), evaluation.sequences);
  buffers_.LayOut(sequences * config.model.max_sequence_length,
                  config.data.generate_doc_lengths || evaluation.documents, arenas_.batch);
  if (ctx_.backend() && ranks_->size() > 1) {
    ctx_.backend()->ReserveWorkspace(ctx_.workspace_bytes() + WorkspaceGrowth(config, ctx_));
  }
}

void Engine::RunOnMeta() {
  const auto whole_batch = [&](std::int64_t sequences) {
    return buffers_.Of(sequences, sequences * config_.model.max_sequence_length, buffers_.has_documents());
  };
  model_->RefreshWeights(ctx_);
  // The head cuts the last, smaller micro-batch of a step into parts of its own, which may be larger.
  for (const std::int64_t sequences : {config_.MicroBatch(), config_.DeviceBatch() % config_.MicroBatch()}) {
    if (sequences == 0) continue;
    model_->ForwardBackward(ctx_, whole_batch(sequences), arenas_.saved, arenas_.scratch);
  }
  MeasureUpdate(0.0, 1);
  const EvaluationNeeds evaluation = EvaluationNeedsOf(config_);
  if (evaluation.training) {
    model_->Forward(ctx_, whole_batch(evaluation.sequences), arenas_.saved, arenas_.scratch);
  }
  if (evaluation.plain) {
    plain_model_->RefreshWeights(ctx_);
    plain_model_->Forward(ctx_, whole_batch(evaluation.sequences), arenas_.saved, arenas_.scratch);
  }
}

MemoryPlan Engine::Used() const {
  Arena saved = Arena::Measuring("saved");
  model_->LayOutSaved(config_.MicroBatch(), config_.model.max_sequence_length, saved);
  return PlanOf(config_, arenas_, saved.entries());
}

void Engine::InitializeParameters(std::uint64_t seed) {
  model_->Initialize(ctx_, seed);
  ParametersReplaced();
}

void Engine::RefreshWeights() {
  ctx_.Recorded(magnitudes_known_ ? "refresh weights" : "measure and refresh weights", 0,
                [&] { model_->RefreshWeights(ctx_, magnitudes_known_); });
}

LossSums Engine::TrainMicroBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                 std::int64_t sequences, const LossWeights& weights, bool first,
                                 std::span<const std::int32_t> documents) {
  const ProfileSpan span(ctx_, "micro-batch");
  if (ctx_.backend()) ctx_.backend()->SetTrials(Device::Trials::kLong);
  if (first) RefreshWeights();
  MicroBatch batch = buffers_.Load(ctx_, ids, labels, sequences, documents);
  buffers_.LoadWeights(ctx_, static_cast<float>(weights.loss), static_cast<float>(weights.z));
  batch.accumulate_gradients = !first;
  ctx_.Recorded(NameOf(first ? "begin a step with" : "train on", batch), 0,
                [&] { model_->ForwardBackward(ctx_, batch, arenas_.saved, arenas_.scratch); });
  const ProfileSpan losses(ctx_, "losses to the host");
  LossSums sums;
  sums.cross_entropy = SumOf(buffers_.Download(ctx_, batch.terms.loss));
  sums.z_squared = SumOf(buffers_.Download(ctx_, batch.terms.z_squared));
  return sums;
}

ClippingResult Engine::MeasureGradients(const ClippingLimits& limits) {
  const ProfileSpan span(ctx_, "gradient norms");
  model_->ReduceGradients(ctx_);
  return clipping_->Measure(ctx_, limits);
}

std::vector<ParameterMetrics::Metric> Engine::MeasureUpdate(double learning_rate, std::int64_t step) {
  if (!update_metrics_) return {};
  return update_metrics_->Measure(ctx_, ScalarsOf(learning_rate, step), arenas_.scratch);
}

UpdateScalars Engine::ScalarsOf(double learning_rate, std::int64_t step) const {
  return {.learning_rate = learning_rate,
          .step = step,
          .grad_scale = clipping_->coefficients(),
          .absmax = model_->magnitudes()};
}

void Engine::Update(double learning_rate, std::int64_t step) {
  const ProfileSpan span(ctx_, "optimizer");
  const UpdateScalars scalars = ScalarsOf(learning_rate, step);
  // Another version at every step: the recorded work is changed in place.
  const std::uint64_t version = std::bit_cast<std::uint64_t>(learning_rate) * 31 + static_cast<std::uint64_t>(step);
  ctx_.Recorded("update", version, [&] { optimizer_->Update(ctx_, scalars); });
  magnitudes_known_ = true;
}

void Engine::PrepareEvaluation(EvaluationRecipe recipe) {
  const bool plain = recipe == EvaluationRecipe::kPlain;
  COAT_REQUIRE(!plain || plain_model_, "no evaluator of the configuration has the recipe plain");
  prepared_ = recipe;
  if (plain) {
    ctx_.Recorded("refresh weights for evaluation", 0, [&] { plain_model_->RefreshWeights(ctx_); });
  } else {
    RefreshWeights();
  }
}

std::span<const float> Engine::EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                             std::int64_t sequences, std::span<const std::int32_t> documents) {
  const ProfileSpan span(ctx_, "evaluation batch");
  if (ctx_.backend()) ctx_.backend()->SetTrials(Device::Trials::kShort);
  const MicroBatch batch = buffers_.Load(ctx_, ids, labels, sequences, documents);
  const auto forward = [&] { ModelIn(prepared_).Forward(ctx_, batch, arenas_.saved, arenas_.scratch); };
  if (groups_->sharding().InParts()) {
    forward();  // batches of other ranks may have other shapes, and all ranks record what gathers alike
  } else {
    ctx_.Recorded(NameOf(prepared_ == EvaluationRecipe::kPlain ? "evaluate" : "evaluate as in training", batch), 0,
                  forward);
  }
  return buffers_.Download(ctx_, batch.terms.loss);
}

}  // namespace coat
