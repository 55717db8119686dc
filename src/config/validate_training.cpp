// The optimizer, the schedule and the trainer's own keys.

#include <fmt/core.h>

#include <limits>
#include <utility>

#include "config/checker.h"
#include "config/resolvers.h"
#include "config/scalar.h"

namespace coat {

namespace {

constexpr std::int64_t kMaxSeed = (std::int64_t{1} << 32) - 1;

void CheckFp8Optimizer(const TrainConfig& config, ConfigChecker& checker) {
  const QuantizeOptimizerConfig& fp8 = config.quantize_optimizer;
  if (fp8.qgroup_size < 32 || fp8.qgroup_size > 256 || fp8.qgroup_size % 32 != 0) {
    checker.Fail("quantize_optimizer.qgroup_size",
                 fmt::format("found {}; accepted: a multiple of 32 up to 256", fp8.qgroup_size));
  }
  checker.RequireWithin("quantize_optimizer.expand_min", fp8.expand_min, 1, 1024);
  if (!fp8.use_quantize_optimizer) return;
  if (config.optimizer.name != OptimizerName::kAdamW) {
    checker.Fail("optimizer.name", fmt::format("found {}; accepted with use_quantize_optimizer: coat_fp8_adamw: adamw",
                                               NameOf(config.optimizer.name)));
  }
  if (config.optimizer.selective_updates) {
    checker.Fail("optimizer.selective_updates",
                 "found true; accepted with use_quantize_optimizer: coat_fp8_adamw: false");
  }
  if (config.optimizer.record_update_metrics) {
    checker.Fail("optimizer.record_update_metrics",
                 "found true; accepted with use_quantize_optimizer: coat_fp8_adamw: false");
  }
  for (const auto& [path, expansion] :
       {std::pair("quantize_optimizer.first_order_expansion", fp8.first_order_expansion),
        {"quantize_optimizer.second_order_expansion", fp8.second_order_expansion}}) {
    if (expansion == Expansion::kOn) continue;
    checker.Warn(path, "without expansion small moments are lost and training may diverge; recommended: expansion");
  }
}

/// Refuses the value of `path` if `factor`, of another key, takes it beyond what float32 holds: they are multiplied.
void CheckProduct(std::string_view path, double value, std::string_view factor_path, double factor,
                  const ConfigChecker& checker) {
  if (value * factor <= std::numeric_limits<float>::max()) return;
  checker.Fail(path, fmt::format("found {}; accepted with {}, {}: a product of at most 3.4e38, as float32 holds it",
                                 NumberText(value), factor_path, NumberText(factor)));
}

void CheckBatches(const TrainConfig& config, ConfigChecker& checker) {
  checker.RequireWithin("global_train_batch_size", config.global_train_batch_size, 1);
  checker.RequireWithin("device_train_microbatch_size", config.device_train_microbatch_size, 1);
  checker.RequireWithin("device_eval_batch_size", config.device_eval_batch_size, 1);
  const std::int64_t batch = config.DeviceBatch();
  const std::int64_t micro = config.device_train_microbatch_size;
  if (batch % micro == 0) return;
  checker.Warn("device_train_microbatch_size",
               batch < micro
                   ? fmt::format("{} is more than the batch of {}: a step has one micro-batch of {} sequences", micro,
                                 batch, batch)
                   : fmt::format("{} does not divide the batch of {}: the last micro-batch has {} sequences", micro,
                                 batch, batch % micro));
}

/// What no machine holds is refused here, where it is counted in floating point: bytes are counted in 63 bits.
void CheckSizes(const TrainConfig& config, ConfigChecker& checker) {
  constexpr double kMostParameters = 0x1p45;
  constexpr double kMostActivations = 0x1p55;
  const ModelConfig& model = config.model;
  const auto as_double = [](std::int64_t value) { return static_cast<double>(value); };
  const double d = as_double(model.d_model);
  const double feed_forward = as_double(model.FeedForwardWidth());
  const double of_layer = 4.0 * d * d + 1.5 * d * feed_forward;
  const double parameters = as_double(model.n_layers) * of_layer + 2.0 * d * as_double(model.EmbeddingRows());
  if (parameters > kMostParameters) {
    checker.Fail("model",
                 fmt::format("about {:.1e} parameters; accepted: at most {:.1e}", parameters, kMostParameters));
  }
  const double of_token =
      as_double(model.n_layers) * (8.0 * d + 3.0 * feed_forward) + 2.0 * as_double(model.EmbeddingRows());
  const auto check = [&](std::string_view key, std::int64_t sequences) {
    const double tokens = as_double(sequences) * as_double(model.max_sequence_length);
    if (tokens * of_token <= kMostActivations) return;
    checker.Fail(key,
                 fmt::format("{} sequences of {} tokens; accepted with this model: at most {:.1e} tokens at a time",
                             sequences, model.max_sequence_length, kMostActivations / of_token));
  };
  check("device_train_microbatch_size", config.MicroBatch());
  check("device_eval_batch_size", config.device_eval_batch_size);
  for (std::size_t i = 0; i < config.evaluators.size(); ++i) {
    const std::int64_t sequences = config.evaluators[i].device_eval_batch_size.value_or(config.device_eval_batch_size);
    check(fmt::format("evaluators[{}].device_eval_batch_size", i), sequences);
  }
}

void CheckLength(const TrainConfig& config, ConfigChecker& checker) {
  const Duration& length = config.max_duration;
  if (length.value <= 0) {
    checker.Fail("max_duration", fmt::format("found {}; accepted: more than 0", ToText(length)));
  }
  const std::int64_t step_tokens = config.global_train_batch_size * config.model.max_sequence_length;
  if (length.unit == Duration::Unit::kTokens && length.value < step_tokens) {
    checker.Fail("max_duration",
                 fmt::format("found {}; accepted: at least the {} tokens of one step", ToText(length), step_tokens));
  }
}

void CheckFolders(const TrainConfig& config, ConfigChecker& checker) {
  const auto check = [&](std::string_view path, const std::string& folder) {
    if (!folder.empty() && !IsUrl(folder)) return;
    checker.Fail(path, fmt::format("found `{}`; accepted: a folder of this machine", folder));
  };
  check("save_folder", config.save_folder);
  if (config.load_path) check("load_path", *config.load_path);
}

}  // namespace

void CheckOptimizer(const TrainConfig& config, ConfigChecker& checker) {
  const OptimizerConfig& optimizer = config.optimizer;
  checker.RequirePositive("optimizer.learning_rate", optimizer.learning_rate);
  checker.RequireNotNegative("optimizer.weight_decay", optimizer.weight_decay);
  CheckProduct("optimizer.weight_decay", optimizer.weight_decay, "optimizer.learning_rate", optimizer.learning_rate,
               checker);
  checker.RequirePositive("optimizer.eps", optimizer.eps);
  for (std::size_t i = 0; i < optimizer.betas.size(); ++i) {
    const double beta = optimizer.betas[i];
    if (beta >= 0 && static_cast<float>(beta) < 1) continue;
    checker.Fail(fmt::format("optimizer.betas[{}]", i),
                 fmt::format("found {}; accepted: at least 0 and, as float32, less than 1", NumberText(beta)));
  }
  checker.RequireWithin("optimizer.metrics_log_interval", optimizer.metrics_log_interval, 1);
  if (optimizer.record_update_metrics && !optimizer.metrics_log_interval) {
    checker.Warn("optimizer.record_update_metrics", "has an effect with optimizer.metrics_log_interval only");
  }
  CheckFp8Optimizer(config, checker);
}

void CheckSchedule(const TrainConfig& config, ConfigChecker& checker) {
  const SchedulerConfig& scheduler = config.scheduler;
  checker.RequireNotNegative("scheduler.t_warmup", scheduler.t_warmup);
  checker.RequirePositive("scheduler.t_max", scheduler.t_max);
  checker.RequireNotNegative("scheduler.alpha_f", scheduler.alpha_f);
  CheckProduct("scheduler.alpha_f", scheduler.alpha_f, "optimizer.learning_rate", config.optimizer.learning_rate,
               checker);
  checker.RequireNotNegative("scheduler.grad_clip_warmup_steps", scheduler.grad_clip_warmup_steps);
  checker.RequirePositive("scheduler.grad_clip_warmup_factor", scheduler.grad_clip_warmup_factor);
  checker.RequireNotNegative("scheduler.warmup_min_lr", scheduler.warmup_min_lr);
  if (scheduler.warmup_min_lr && *scheduler.warmup_min_lr >= config.optimizer.learning_rate) {
    checker.Fail("scheduler.warmup_min_lr",
                 fmt::format("found {}; accepted: less than optimizer.learning_rate, {}",
                             NumberText(*scheduler.warmup_min_lr), NumberText(config.optimizer.learning_rate)));
  }
  if (scheduler.grad_clip_warmup_steps.has_value() != scheduler.grad_clip_warmup_factor.has_value()) {
    const bool steps = scheduler.grad_clip_warmup_steps.has_value();
    checker.Fail(steps ? "scheduler.grad_clip_warmup_steps" : "scheduler.grad_clip_warmup_factor",
                 fmt::format("needs scheduler.{}; accepted: both keys, or neither",
                             steps ? "grad_clip_warmup_factor" : "grad_clip_warmup_steps"));
  }
  const double factor = scheduler.grad_clip_warmup_factor.value_or(1.0);
  for (const auto& [path, limit] :
       {std::pair("max_grad_norm", config.max_grad_norm), {"max_grad_norm_ratio", config.max_grad_norm_ratio}}) {
    if (limit) CheckProduct("scheduler.grad_clip_warmup_factor", factor, path, *limit, checker);
  }
  const bool same_unit =
      (scheduler.units == SchedulerUnits::kSteps && config.max_duration.unit == Duration::Unit::kSteps) ||
      (scheduler.units == SchedulerUnits::kTokens && config.max_duration.unit == Duration::Unit::kTokens);
  std::optional<double> end = scheduler.t_max;
  if (!end && same_unit) end = static_cast<double>(config.max_duration.value);
  if (end && scheduler.name != SchedulerName::kConstant && scheduler.t_warmup >= *end) {
    checker.Warn("scheduler.t_warmup",
                 fmt::format("the warm-up of {:.0f} {} does not end before {:.0f}, the end of the "
                             "schedule",
                             scheduler.t_warmup, NameOf(scheduler.units), *end));
  }
}

void CheckTrainer(const TrainConfig& config, ConfigChecker& checker) {
  if (!config.run_name || config.run_name->empty()) checker.Fail("run_name", "required; accepted: a text");
  checker.RequireWithin("seed", config.seed, 0, kMaxSeed);
  CheckBatches(config, checker);
  CheckSizes(config, checker);
  CheckLength(config, checker);
  CheckFolders(config, checker);
  checker.RequireWithin("epoch", config.epoch, 0);
  checker.RequireWithin("fast_forward_batches", config.fast_forward_batches, 0, ConfigChecker::kNoLimit);
  checker.RequireWithin("eval_interval", config.eval_interval, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("canceled_check_interval", config.canceled_check_interval, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("console_log_interval", config.console_log_interval, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("save_interval", config.save_interval, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("save_interval_unsharded", config.save_interval_unsharded, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("save_interval_ephemeral", config.save_interval_ephemeral, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("save_num_checkpoints_to_keep", config.save_num_checkpoints_to_keep, -1);
  checker.RequireWithin("save_num_unsharded_checkpoints_to_keep", config.save_num_unsharded_checkpoints_to_keep, -1);
  checker.RequireWithin("stop_at", config.stop_at, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("stop_after", config.stop_after, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("extra_steps_after_cancel", config.extra_steps_after_cancel, 0, ConfigChecker::kNoLimit);
  for (std::size_t i = 0; config.module_outputs_save_steps && i < config.module_outputs_save_steps->size(); ++i) {
    checker.RequireWithin(fmt::format("module_outputs_save_steps[{}]", i), (*config.module_outputs_save_steps)[i], 1,
                          ConfigChecker::kNoLimit);
  }
  checker.RequireWithin("max_skipped_steps", config.max_skipped_steps, 1, ConfigChecker::kNoLimit);
  checker.RequireWithin("speed_monitor.window_size", config.speed_monitor.window_size, 1);
  checker.RequirePositive("max_grad_norm", config.max_grad_norm);
  checker.RequirePositive("max_grad_norm_ratio", config.max_grad_norm_ratio);
  checker.RequirePositive("time_limit", config.time_limit);
  if (config.early_stopping_factor && !(*config.early_stopping_factor >= 1.0)) {
    checker.Fail("early_stopping_factor",
                 fmt::format("found {}; accepted: 1 or more, or null", *config.early_stopping_factor));
  }
  checker.RequirePositive("early_stopping_factor", config.early_stopping_factor);
  checker.RequireNotNegative("auxiliary_loss_multiplier", config.auxiliary_loss_multiplier);
  if (config.softmax_auxiliary_loss && !config.auxiliary_loss_multiplier) {
    checker.Fail("auxiliary_loss_multiplier", "found null; accepted with softmax_auxiliary_loss: a number");
  }
}

}  // namespace coat
