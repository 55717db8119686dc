#include "generate/generator.h"

#include <algorithm>
#include <cmath>
#include <new>
#include <numeric>
#include <utility>

#include "base/divide.h"
#include "base/error.h"
#include "base/number_text.h"
#include "recipes/recipe.h"

namespace coat {

namespace {

/// Tokens that are computed together come in multiples of this, so that few shapes of products occur.
constexpr std::int64_t kUnit = 64;

std::int64_t InUnits(std::int64_t tokens, std::int64_t most) {
  return std::min(RoundUp(tokens, kUnit), most);
}

}  // namespace

Generator::Generator(const ModelConfig& model, const GeneratorOptions& options, Context ctx)
    : Generator(model, options, std::move(ctx),
                [&](const Context& of_run) { return BoundArenas(model, options, of_run); }) {}

Generator::Generator(const ModelConfig& model, const GeneratorOptions& options, Context ctx,
                     const std::function<Arenas(const Context&)>& make_arenas)
    : config_(model),
      options_(options),
      ctx_(std::move(ctx)),
      capacity_(InUnits(options.positions, model.max_sequence_length)),
      arenas_(make_arenas(ctx_)) {
  COAT_REQUIRE(options.positions > 0 && options.positions <= model.max_sequence_length,
               "a sequence of {} tokens; the model takes 1 to {}", options.positions, model.max_sequence_length);
  ModelConfig as_long = model;
  as_long.max_sequence_length = capacity_;  // so that its rotary table has no more
  model_ = std::make_unique<Olmo>(as_long, PlainRecipe(options.compute, options.compute, WeightCache::kBoth));
  model_->LayOutForInference(ctx_, arenas_.masters, arenas_.weights);
  if (options.cache) caches_ = model_->LayOutCaches(capacity_, arenas_.cache);
  batch_ids_ = arenas_.batch.Tensor("ids", {capacity_}, DType::kI32);
  batch_positions_ = arenas_.batch.Tensor("positions", {capacity_}, DType::kI32);
  last_ = arenas_.batch.Tensor("last", {2}, DType::kI32);
  logits_ = arenas_.batch.Tensor("logits", {1, model.EmbeddingRows()}, DType::kF32);
  std::vector<std::int32_t> positions(static_cast<std::size_t>(capacity_));
  std::iota(positions.begin(), positions.end(), 0);
  ctx_.Upload(positions.data(), batch_positions_);
}

Generator::Arenas Generator::BoundArenas(const ModelConfig& model, const GeneratorOptions& options,
                                         const Context& ctx) {
  Generator measured(model, options, Context(DeviceKind::kMeta), [](const Context&) -> Arenas {
    return {Arena::Measuring("masters"), Arena::Measuring("weights"), Arena::Measuring("cache"),
            Arena::Measuring("saved"),   Arena::Measuring("scratch"), Arena::Measuring("batch")};
  });
  measured.RunOnMeta();
  const auto bound = [&](const Arena& arena) { return Arena::Bound(arena.name(), ctx, arena.peak_bytes()); };
  const Arenas& sizes = measured.arenas_;
  try {
    return {bound(sizes.masters), bound(sizes.weights), bound(sizes.cache),
            bound(sizes.saved),   bound(sizes.scratch), bound(sizes.batch)};
  } catch (const std::bad_alloc&) {
    throw Error(
        fmt::format("generation needs {} of memory, {} of it for {} positions, and there is not so much; fewer tokens "
                    "take less",
                    InBinaryUnits(measured.bytes()), InBinaryUnits(sizes.cache.peak_bytes()), measured.capacity_));
  }
}

std::int64_t Generator::bytes() const {
  std::int64_t sum = 0;
  for (const Arena* arena :
       {&arenas_.masters, &arenas_.weights, &arenas_.cache, &arenas_.saved, &arenas_.scratch, &arenas_.batch}) {
    sum += arena->peak_bytes();
  }
  return sum;
}

void Generator::RunOnMeta() {
  ids_.assign(static_cast<std::size_t>(options_.positions), 0);
  model_->RefreshWeights(ctx_);
  ReadAll();
  if (options_.cache) ReadLast();
}

std::span<const float> Generator::Start(std::span<const std::int32_t> ids) {
  COAT_REQUIRE(!ids.empty() && static_cast<std::int64_t>(ids.size()) <= options_.positions,
               "a sequence begins with {} tokens; there is room for 1 to {}", ids.size(), options_.positions);
  for (const std::int32_t id : ids) RequireId(id);
  ids_.assign(ids.begin(), ids.end());
  ctx_.Recorded("refresh weights for generation", 0, [&] { model_->RefreshWeights(ctx_); });
  ReadAll();
  return Download();
}

std::span<const float> Generator::Append(std::int32_t id) {
  COAT_REQUIRE(!ids_.empty() && length() < options_.positions,
               "a token is appended to {} of {} tokens; expected some, and room for one", length(), options_.positions);
  RequireId(id);
  ids_.push_back(id);
  if (options_.cache) {
    ReadLast();
  } else {
    ReadAll();
  }
  return Download();
}

void Generator::ReadAll() {
  const std::int64_t tokens = InUnits(length(), capacity_);
  std::vector<std::int32_t> padded = ids_;
  padded.resize(static_cast<std::size_t>(tokens), 0);
  ctx_.Upload(padded.data(), batch_ids_.Rows(0, tokens));
  model_->NextLogits(ctx_,
                     {.ids = batch_ids_.Rows(0, tokens),
                      .positions = batch_positions_.Rows(0, tokens),
                      .caches = options_.cache ? &caches_ : nullptr,
                      .row = length() - 1},
                     logits_, arenas_.saved, arenas_.scratch);
}

void Generator::ReadLast() {
  const std::int32_t last[] = {ids_.back(), static_cast<std::int32_t>(length() - 1)};
  ctx_.Upload(last, last_);
  ctx_.Recorded("generate a token", 0, [&] {
    model_->NextLogits(
        ctx_, {.ids = last_.Rows(0, 1), .positions = last_.Rows(1, 1), .caches = &caches_, .continues = true, .row = 0},
        logits_, arenas_.saved, arenas_.scratch);
  });
}

std::span<const float> Generator::Download() {
  host_logits_.resize(static_cast<std::size_t>(logits_.elements()));
  ctx_.Download(logits_, host_logits_.data());
  if (config_.scale_logits) {
    const float scale = 1.0f / std::sqrt(static_cast<float>(config_.d_model));
    for (float& logit : host_logits_) logit *= scale;
  }
  return std::span(host_logits_).first(static_cast<std::size_t>(config_.vocab_size));
}

void Generator::RequireId(std::int32_t id) const {
  COAT_REQUIRE(id >= 0 && id < config_.vocab_size, "token {}; the model has tokens 0 to {}", id,
               config_.vocab_size - 1);
}

}  // namespace coat
