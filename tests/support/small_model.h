#pragma once
// A small OLMo with its memory, for tests that run whole micro-batches.

#include <cstdint>
#include <random>
#include <vector>

#include "base/arena.h"
#include "models/olmo.h"
#include "tests/support/olmo2_norms.h"

namespace coat {

/// A model in a recipe, initialized from a seed, and one micro-batch of random tokens.
class SmallModel {
 public:
  static ModelConfig Config() {
    ModelConfig config;
    config.d_model = 128;
    config.n_heads = 4;
    config.n_layers = 2;
    config.mlp_ratio = 4;
    config.vocab_size = 250;
    config.embedding_size = 256;
    config.max_sequence_length = 64;
    config.rope = true;
    config.init_fn = InitFunction::kMitchell;
    return config;
  }

  /// The same size with OLMo 2's norms, few key and value heads and a head of its own.
  static ModelConfig Olmo2Config() {
    ModelConfig config = Config();
    config.n_kv_heads = 2;
    config.rope_theta = 500000;
    config.weight_tying = false;
    UseOlmo2Norms(config);
    return config;
  }

  SmallModel(const ModelConfig& config, const Recipe& recipe, int threads = 2, std::int64_t sequences = 2)
      : ctx(DeviceKind::kCpu, threads), sequences_(sequences), model(config, recipe) {
    for (const char* name : {"masters", "gradients", "weights", "saved", "scratch", "batch"}) {
      arenas_.push_back(Arena::Bound(name, Context(DeviceKind::kCpu, 1), 8 << 20));
    }
    Arena exchange = Arena::Measuring("exchange");
    model.LayOut(ctx, {}, arenas_[0], arenas_[1], arenas_[2], exchange);
    model.Initialize(ctx, 6198);
    const std::int64_t tokens = sequences * config.max_sequence_length;
    ids = arenas_[5].Tensor("ids", {tokens}, DType::kI32);
    labels = arenas_[5].Tensor("labels", {tokens}, DType::kI32);
    loss = arenas_[5].Tensor("loss", {tokens}, DType::kF32);
    z_squared = arenas_[5].Tensor("z_squared", {tokens}, DType::kF32);
    weights = arenas_[5].Tensor("loss.weights", {2}, DType::kF32);
    std::mt19937 generator(17);
    for (std::int64_t i = 0; i < tokens; ++i) {
      ids.As<std::int32_t>()[i] = static_cast<std::int32_t>(generator() % static_cast<unsigned>(config.vocab_size));
      labels.As<std::int32_t>()[i] =
          i % 7 == 6 ? -100 : static_cast<std::int32_t>(generator() % static_cast<unsigned>(config.vocab_size));
    }
  }

  MicroBatch Batch(float loss_weight = 1.0f, float z_weight = 0.0f) const {
    weights.As<float>()[0] = loss_weight;
    weights.As<float>()[1] = z_weight;
    return {ids, documents, sequences_, {.labels = labels, .loss = loss, .z_squared = z_squared, .weights = weights}};
  }

  /// Runs the micro-batch, adding to the gradients; the objective in double.
  double ForwardBackward(float loss_weight = 1.0f, float z_weight = 0.0f) {
    model.RefreshWeights(ctx);
    model.ForwardBackward(ctx, Batch(loss_weight, z_weight), arenas_[3], arenas_[4]);
    return Objective(loss_weight, z_weight);
  }

  /// The objective without gradients.
  double Forward(float loss_weight = 1.0f, float z_weight = 0.0f) {
    model.RefreshWeights(ctx);
    model.Forward(ctx, Batch(loss_weight, z_weight), arenas_[3], arenas_[4]);
    return Objective(loss_weight, z_weight);
  }

  Context ctx;

 private:
  double Objective(float loss_weight, float z_weight) const {
    double sum = 0.0;
    for (std::int64_t i = 0; i < loss.elements(); ++i) {
      sum += static_cast<double>(loss_weight) * loss.As<float>()[i] +
             static_cast<double>(z_weight) * z_squared.As<float>()[i];
    }
    return sum;
  }

  std::int64_t sequences_;
  std::vector<Arena> arenas_;

 public:
  Olmo model;
  TensorView ids, labels, documents, loss, z_squared, weights;  // documents: none unless a test sets them
};

}  // namespace coat
