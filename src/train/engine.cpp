#include "train/engine.h"

#include <algorithm>
#include <new>
#include <utility>

#include "base/error.h"
#include "ops/fill_normal.h"
#include "recipes/recipe.h"

namespace coat {

namespace {

RunArenas MeasuringArenas() {
  return {Arena::Measuring("masters"), Arena::Measuring("gradients"), Arena::Measuring("weights"),
          Arena::Measuring("moments"), Arena::Measuring("metadata"),  Arena::Measuring("saved"),
          Arena::Measuring("batch"),   Arena::Measuring("scratch")};
}

/// Arenas on `device` with exactly the bytes of a plan.
RunArenas BoundArenas(const MemoryPlan& plan, DeviceKind device) {
  try {
    const auto bound = [&](const char* name) { return Arena::Bound(name, device, plan.Bytes(name)); };
    return {bound("masters"),  bound("gradients"), bound("weights"), bound("moments"),
            bound("metadata"), bound("saved"),     bound("batch"),   bound("scratch")};
  } catch (const std::bad_alloc&) {
    std::string table;
    for (const MemoryPlan::Line& line : plan.categories) {
      table += fmt::format("\n  {:10} {:>12}", line.name, InBinaryUnits(line.bytes));
    }
    throw Error(
        fmt::format("this run needs {} of memory and the system does not give it:{}\n"
                    "a smaller device_train_microbatch_size shrinks saved and scratch; "
                    "quantize_model.use_quantize_model: coat_real shrinks saved; "
                    "quantize_optimizer.use_quantize_optimizer: coat_fp8_adamw shrinks moments",
                    InBinaryUnits(plan.Total()), table));
  }
}

double BetaForClipping(const OptimizerConfig& config) {
  return std::max(config.betas[0], config.betas[1]);
}

std::int64_t EvaluationBatch(const TrainConfig& config) {
  std::int64_t largest = 0;
  for (const EvaluatorConfig& evaluator : config.evaluators) {
    largest = std::max(largest, evaluator.device_eval_batch_size.value_or(config.device_eval_batch_size));
  }
  return largest;
}

double SumOf(ConstTensorView x) {
  double sum = 0.0;
  for (std::int64_t i = 0; i < x.elements(); ++i) sum += x.As<float>()[i];
  return sum;
}

}  // namespace

MemoryPlan Engine::Measure(const TrainConfig& config) {
  Engine engine(config, Context(DeviceKind::kMeta), MeasuringArenas());
  engine.RunOnMeta();
  return engine.Used();
}

Engine::Engine(const TrainConfig& config, int threads)
    : Engine(config, Context(DeviceKind::kCpu, threads), BoundArenas(Measure(config), DeviceKind::kCpu)) {}

Engine::Engine(const TrainConfig& config, Context ctx, RunArenas arenas)
    : config_(config), ctx_(std::move(ctx)), arenas_(std::move(arenas)) {
  const Recipe recipe = MakeRecipe(config);
  model_ = std::make_unique<Olmo>(config.model, recipe);
  model_->LayOut(arenas_.masters, arenas_.gradients, arenas_.weights);
  if (!config.evaluators.empty()) {
    evaluation_model_ =
        std::make_unique<Olmo>(config.model, PlainRecipe(recipe.compute, recipe.gradient, /*cache_weights=*/false));
    evaluation_model_->ShareParameters(*model_, arenas_.weights);
  }
  optimizer_ = MakeOptimizer(config.optimizer, config.quantize_optimizer, model_->parameters());
  optimizer_->LayOut(arenas_.moments, arenas_.metadata);
  clipping_ = std::make_unique<GradientClipping>(model_->parameters(), BetaForClipping(config.optimizer));
  clipping_->LayOut(arenas_.metadata);
  parameter_metrics_ = std::make_unique<ParameterMetrics>(model_->parameters(), *optimizer_);
  parameter_metrics_->LayOut(arenas_.metadata);
  const std::int64_t sequences = std::max(config.device_train_microbatch_size, EvaluationBatch(config));
  const std::int64_t tokens = sequences * config.model.max_sequence_length;
  ids_ = arenas_.batch.Tensor("ids", {tokens}, DType::kI32);
  labels_ = arenas_.batch.Tensor("labels", {tokens}, DType::kI32);
  loss_ = arenas_.batch.Tensor("loss", {tokens}, DType::kF32);
  z_squared_ = arenas_.batch.Tensor("z_squared", {tokens}, DType::kF32);
}

void Engine::RunOnMeta() {
  const std::int64_t length = config_.model.max_sequence_length;
  const auto batch_of = [&](std::int64_t sequences) {
    const std::int64_t tokens = sequences * length;
    return MicroBatch{
        ids_.Rows(0, tokens),
        sequences,
        {.labels = labels_.Rows(0, tokens), .loss = loss_.Rows(0, tokens), .z_squared = z_squared_.Rows(0, tokens)}};
  };
  model_->RefreshWeights(ctx_);
  model_->ForwardBackward(ctx_, batch_of(config_.device_train_microbatch_size), arenas_.saved, arenas_.scratch);
  if (evaluation_model_) {
    evaluation_model_->RefreshWeights(ctx_);
    evaluation_model_->Forward(ctx_, batch_of(EvaluationBatch(config_)), arenas_.saved, arenas_.scratch);
  }
}

MemoryPlan Engine::Used() const {
  Arena saved = Arena::Measuring("saved");
  model_->LayOutSaved(config_.device_train_microbatch_size, config_.model.max_sequence_length, saved);
  return PlanOf(config_, arenas_, saved.entries());
}

void Engine::InitializeParameters(std::uint64_t seed) {
  model_->Initialize(ctx_, seed);
}

void Engine::ZeroGradients() {
  for (const Parameter& parameter : model_->parameters()) Fill(ctx_, {.x = parameter.grad, .value = 0.0f});
}

MicroBatch Engine::LoadBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                             std::int64_t sequences) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  COAT_REQUIRE(tokens <= ids_.elements() && labels.size() == ids.size(),
               "a batch of {} ids and {} labels does not fit the {} that the run was laid out for", ids.size(),
               labels.size(), ids_.elements());
  const MicroBatch batch = {
      ids_.Rows(0, tokens),
      sequences,
      {.labels = labels_.Rows(0, tokens), .loss = loss_.Rows(0, tokens), .z_squared = z_squared_.Rows(0, tokens)}};
  std::copy(ids.begin(), ids.end(), ids_.As<std::int32_t>());
  std::copy(labels.begin(), labels.end(), labels_.As<std::int32_t>());
  return batch;
}

LossSums Engine::TrainMicroBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                 std::int64_t sequences, const LossWeights& weights, bool first) {
  if (first) model_->RefreshWeights(ctx_);
  MicroBatch batch = LoadBatch(ids, labels, sequences);
  batch.terms.loss_weight = static_cast<float>(weights.loss);
  batch.terms.z_weight = static_cast<float>(weights.z);
  model_->ForwardBackward(ctx_, batch, arenas_.saved, arenas_.scratch);
  return {SumOf(batch.terms.loss), SumOf(batch.terms.z_squared)};
}

ClippingResult Engine::MeasureGradients(const ClippingLimits& limits) {
  return clipping_->Measure(ctx_, limits);
}

void Engine::Update(double learning_rate, std::int64_t step) {
  optimizer_->Update(ctx_, {.learning_rate = learning_rate, .step = step, .grad_scale = clipping_->coefficients()});
}

void Engine::PrepareEvaluation() {
  evaluation_model_->RefreshWeights(ctx_);
}

std::span<const float> Engine::EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                             std::int64_t sequences) {
  const MicroBatch batch = LoadBatch(ids, labels, sequences);
  evaluation_model_->Forward(ctx_, batch, arenas_.saved, arenas_.scratch);
  return {batch.terms.loss.As<float>(), ids.size()};
}

}  // namespace coat
