#include "train/engine.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <new>
#include <string>
#include <utility>

#include "base/error.h"
#include "recipes/recipe.h"

namespace coat {

namespace {

RunArenas MeasuringArenas() {
  return {Arena::Measuring("masters"), Arena::Measuring("gradients"), Arena::Measuring("weights"),
          Arena::Measuring("moments"), Arena::Measuring("metadata"),  Arena::Measuring("saved"),
          Arena::Measuring("batch"),   Arena::Measuring("scratch")};
}

[[noreturn]] void ThrowOutOfMemory(const MemoryPlan& plan, const std::string& found) {
  std::string table;
  for (const MemoryPlan::Line& line : plan.categories) {
    table += fmt::format("\n  {:10} {:>12}", line.name, InBinaryUnits(line.bytes));
  }
  throw Error(
      fmt::format("this run needs {} of memory and {}:{}\n"
                  "a smaller device_train_microbatch_size shrinks saved and scratch; "
                  "activation_checkpointing: whole_layer and quantize_model.use_quantize_model: coat_real "
                  "shrink saved; quantize_optimizer.use_quantize_optimizer: coat_fp8_adamw shrinks moments; "
                  "gradient_precision: bf16 shrinks gradients; quantize_model.weight_cache: codes or none shrinks "
                  "weights",
                  InBinaryUnits(plan.Total()), found, table));
}

/// Arenas on the context's device with exactly the bytes of a plan.
RunArenas BoundArenas(const MemoryPlan& plan, const Context& ctx) {
  if (ctx.backend()) {
    const Device::Memory memory = ctx.backend()->ReadMemory();
    if (plan.Total() > memory.free_bytes) {
      ThrowOutOfMemory(plan, fmt::format("{} has {} free of {}", ctx.backend()->Name(),
                                         InBinaryUnits(memory.free_bytes), InBinaryUnits(memory.total_bytes)));
    }
  }
  try {
    const auto bound = [&](const char* name) { return Arena::Bound(name, ctx, plan.Bytes(name)); };
    return {bound("masters"),  bound("gradients"), bound("weights"), bound("moments"),
            bound("metadata"), bound("saved"),     bound("batch"),   bound("scratch")};
  } catch (const std::bad_alloc&) {
    ThrowOutOfMemory(plan, ctx.backend() ? "the driver does not give it" : "the system does not give it");
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

/// Whether attention stays within documents in training or in an evaluation.
bool HasDocuments(const TrainConfig& config) {
  const auto of_evaluator = [](const EvaluatorConfig& evaluator) { return evaluator.data.generate_doc_lengths; };
  return config.data.generate_doc_lengths ||
         std::any_of(config.evaluators.begin(), config.evaluators.end(), of_evaluator);
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

/// The weights' bits: what a recorded micro-batch depends on besides its tensors.
std::uint64_t VersionOf(const LossTerms& terms) {
  return static_cast<std::uint64_t>(std::bit_cast<std::uint32_t>(terms.loss_weight)) << 32 |
         std::bit_cast<std::uint32_t>(terms.z_weight);
}

}  // namespace

MemoryPlan Engine::Measure(const TrainConfig& config) {
  Engine engine(config, Context(DeviceKind::kMeta), [](const Context&) { return MeasuringArenas(); });
  engine.RunOnMeta();
  return engine.Used();
}

Engine::Engine(const TrainConfig& config, Context ctx)
    : Engine(config, std::move(ctx), [&](const Context& of_run) { return BoundArenas(Measure(config), of_run); }) {}

Engine::Engine(const TrainConfig& config, Context ctx, const std::function<RunArenas(const Context&)>& make_arenas)
    : config_(config), ctx_(std::move(ctx)), arenas_(make_arenas(ctx_)) {
  const Recipe recipe = MakeRecipe(config);
  model_ = std::make_unique<Olmo>(config.model, recipe);
  model_->LayOut(ctx_, arenas_.masters, arenas_.gradients, arenas_.weights);
  if (!config.evaluators.empty()) {
    evaluation_model_ =
        std::make_unique<Olmo>(config.model, PlainRecipe(recipe.compute, recipe.gradient, WeightCache::kNone));
    evaluation_model_->ShareParameters(ctx_, *model_, arenas_.weights);
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
  if (HasDocuments(config)) documents_ = arenas_.batch.Tensor("documents", {tokens}, DType::kI32);
  loss_ = arenas_.batch.Tensor("loss", {tokens}, DType::kF32);
  z_squared_ = arenas_.batch.Tensor("z_squared", {tokens}, DType::kF32);
}

MicroBatch Engine::BatchOf(std::int64_t sequences, std::int64_t tokens, bool has_documents) const {
  return {ids_.Rows(0, tokens),
          has_documents ? documents_.Rows(0, tokens) : TensorView(),
          sequences,
          {.labels = labels_.Rows(0, tokens), .loss = loss_.Rows(0, tokens), .z_squared = z_squared_.Rows(0, tokens)}};
}

void Engine::RunOnMeta() {
  const auto whole_batch = [&](std::int64_t sequences) {
    return BatchOf(sequences, sequences * config_.model.max_sequence_length, static_cast<bool>(documents_));
  };
  model_->RefreshWeights(ctx_);
  model_->ForwardBackward(ctx_, whole_batch(config_.device_train_microbatch_size), arenas_.saved, arenas_.scratch);
  if (evaluation_model_) {
    evaluation_model_->RefreshWeights(ctx_);
    evaluation_model_->Forward(ctx_, whole_batch(EvaluationBatch(config_)), arenas_.saved, arenas_.scratch);
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

MicroBatch Engine::LoadBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                             std::int64_t sequences, std::span<const std::int32_t> documents) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  COAT_REQUIRE(tokens <= ids_.elements() && labels.size() == ids.size(),
               "a batch of {} ids and {} labels does not fit the {} that the run was laid out for", ids.size(),
               labels.size(), ids_.elements());
  COAT_REQUIRE(documents.empty() || (documents_ && documents.size() == ids.size()),
               "a batch of {} ids has the documents of {}; accepted: as many, or none, and none unless "
               "generate_doc_lengths is set",
               ids.size(), documents.size());
  const MicroBatch batch = BatchOf(sequences, tokens, !documents.empty());
  ctx_.Upload(ids.data(), ids_.Rows(0, tokens));
  ctx_.Upload(labels.data(), labels_.Rows(0, tokens));
  if (!documents.empty()) ctx_.Upload(documents.data(), documents_.Rows(0, tokens));
  return batch;
}

std::span<const float> Engine::Download(ConstTensorView losses) {
  host_losses_.resize(static_cast<std::size_t>(losses.elements()));
  ctx_.Download(losses, host_losses_.data());
  return host_losses_;
}

LossSums Engine::TrainMicroBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                 std::int64_t sequences, const LossWeights& weights, bool first,
                                 std::span<const std::int32_t> documents) {
  if (first) ctx_.Recorded("refresh weights", 0, [&] { model_->RefreshWeights(ctx_); });
  MicroBatch batch = LoadBatch(ids, labels, sequences, documents);
  batch.terms.loss_weight = static_cast<float>(weights.loss);
  batch.terms.z_weight = static_cast<float>(weights.z);
  batch.accumulate_gradients = !first;
  ctx_.Recorded(NameOf(first ? "begin a step with" : "train on", batch), VersionOf(batch.terms),
                [&] { model_->ForwardBackward(ctx_, batch, arenas_.saved, arenas_.scratch); });
  LossSums sums;
  sums.cross_entropy = SumOf(Download(batch.terms.loss));
  sums.z_squared = SumOf(Download(batch.terms.z_squared));
  return sums;
}

ClippingResult Engine::MeasureGradients(const ClippingLimits& limits) {
  return clipping_->Measure(ctx_, limits);
}

void Engine::Update(double learning_rate, std::int64_t step) {
  const UpdateScalars scalars = {.learning_rate = learning_rate, .step = step, .grad_scale = clipping_->coefficients()};
  // Another version at every step: the recorded work is changed in place.
  const std::uint64_t version = std::bit_cast<std::uint64_t>(learning_rate) * 31 + static_cast<std::uint64_t>(step);
  ctx_.Recorded("update", version, [&] { optimizer_->Update(ctx_, scalars); });
}

void Engine::PrepareEvaluation() {
  ctx_.Recorded("refresh weights for evaluation", 0, [&] { evaluation_model_->RefreshWeights(ctx_); });
}

std::span<const float> Engine::EvaluateBatch(std::span<const std::int32_t> ids, std::span<const std::int32_t> labels,
                                             std::int64_t sequences, std::span<const std::int32_t> documents) {
  const MicroBatch batch = LoadBatch(ids, labels, sequences, documents);
  ctx_.Recorded(NameOf("evaluate", batch), VersionOf(batch.terms),
                [&] { evaluation_model_->Forward(ctx_, batch, arenas_.saved, arenas_.scratch); });
  return Download(batch.terms.loss);
}

}  // namespace coat
