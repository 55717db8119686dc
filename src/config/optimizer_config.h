#pragma once
// The sections `optimizer` and `scheduler`. Field names are OLMo's keys, values its defaults.

#include <array>
#include <cstdint>
#include <optional>

#include "config/enumerations.h"
#include "config/field.h"

namespace coat {

struct OptimizerConfig {
  OptimizerName name = OptimizerName::kLionW;
  double learning_rate = 1e-4;
  double weight_decay = 0.01;
  std::array<double, 2> betas = {0.9, 0.95};
  double eps = 1e-5;
  std::optional<bool> no_decay_norm_and_bias = std::nullopt;
  bool selective_updates = false;
  bool decay_norm_and_bias = false;
  bool decay_embeddings = false;
  std::optional<std::int64_t> metrics_log_interval = std::nullopt;
  bool record_update_metrics = false;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("name", self.name, Only("adamw, lionw", "for the FP8 AdamW: adamw with quantize_optimizer"));
    visit("learning_rate", self.learning_rate, Honored("peak learning rate"));
    visit("weight_decay", self.weight_decay, Honored("decoupled weight decay"));
    visit("betas", self.betas, Honored("decay of the first and of the second moment"));
    visit("eps", self.eps, Honored("added to the root of the second moment"));
    visit("no_decay_norm_and_bias", self.no_decay_norm_and_bias,
          Honored("deprecated: sets decay_norm_and_bias and decay_embeddings to its opposite"));
    visit("selective_updates", self.selective_updates,
          Honored("leave elements with a zero gradient alone; not with the FP8 AdamW"));
    visit("decay_norm_and_bias", self.decay_norm_and_bias, Honored("weight decay for norms and biases"));
    visit("decay_embeddings", self.decay_embeddings, Honored("weight decay for the embedding"));
    visit("metrics_log_interval", self.metrics_log_interval, Honored("steps between metrics of every parameter"));
    visit("record_update_metrics", self.record_update_metrics,
          Honored("at these steps, metrics of the size of the updates too; not with the FP8 AdamW"));
  }
};

struct SchedulerConfig {
  SchedulerName name = SchedulerName::kCosineWithWarmup;
  SchedulerUnits units = SchedulerUnits::kSteps;
  double t_warmup = 100;
  std::optional<double> t_max = std::nullopt;
  double alpha_f = 0.1;
  std::optional<double> grad_clip_warmup_steps = std::nullopt;
  std::optional<double> grad_clip_warmup_factor = std::nullopt;
  std::optional<double> warmup_min_lr = std::nullopt;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("name", self.name, Honored("course of the learning rate"));
    visit("units", self.units, Honored("unit of t_warmup, t_max and grad_clip_warmup_steps"));
    visit("t_warmup", self.t_warmup, Honored("length of the warm-up"));
    visit("t_max", self.t_max, Honored("where the decay ends; null: the end of the run"));
    visit("alpha_f", self.alpha_f, Honored("final learning rate as a fraction of the peak"));
    visit("grad_clip_warmup_steps", self.grad_clip_warmup_steps, Honored("so long the clipping norm is multiplied"));
    visit("grad_clip_warmup_factor", self.grad_clip_warmup_factor, Honored("by this factor"));
    visit("warmup_min_lr", self.warmup_min_lr, Honored("where the warm-up starts; null: a tenth of the peak"));
  }
};

}  // namespace coat
