#pragma once
// The configuration of a training run: OLMo's TrainConfig with COAT's sections. Plain data, keys as in the YAML.
//
// Read one with config/load.h, check it with config/validate.h, write it with config/dump.h.

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/data_config.h"
#include "config/duration.h"
#include "config/enumerations.h"
#include "config/field.h"
#include "config/launch_config.h"
#include "config/model_config.h"
#include "config/optimizer_config.h"
#include "config/quantize_config.h"
#include "config/sources.h"

namespace coat {

struct TrainConfig {
  std::optional<std::string> run_name = std::nullopt;
  std::int64_t seed = 6198;
  std::optional<std::int64_t> epoch = std::nullopt;
  bool dry_run = false;
  ModelConfig model;
  OptimizerConfig optimizer;
  QuantizeModelConfig quantize_model;
  QuantizeOptimizerConfig quantize_optimizer;
  SchedulerConfig scheduler;
  DataConfig data;
  bool restore_dataloader = true;
  std::optional<std::int64_t> fast_forward_batches = std::nullopt;
  std::vector<EvaluatorConfig> evaluators;
  std::int64_t eval_interval = 1000;
  TokenizerConfig tokenizer;
  std::string save_folder = "./";
  std::optional<std::string> remote_save_folder = std::nullopt;
  std::int64_t canceled_check_interval = 50;
  std::optional<std::int64_t> save_interval = 1000;
  std::optional<std::int64_t> save_interval_unsharded = std::nullopt;
  std::optional<std::int64_t> save_interval_ephemeral = std::nullopt;
  std::int64_t save_num_checkpoints_to_keep = -1;
  std::int64_t save_num_unsharded_checkpoints_to_keep = -1;
  bool save_overwrite = false;
  bool force_save_unsharded = false;
  bool no_pre_train_checkpoint = false;
  std::optional<std::string> load_path = std::nullopt;
  std::optional<ShardedCheckpointerType> load_path_sharded_checkpointer = std::nullopt;
  bool try_load_latest_save = false;
  bool reset_optimizer_state = false;
  bool reset_trainer_state = false;
  ShardedCheckpointerType sharded_checkpointer = ShardedCheckpointerType::kTorchLegacy;
  std::optional<bool> new_style_checkpoints = std::nullopt;
  Duration max_duration = {10000, Duration::Unit::kSteps};
  std::int64_t global_train_batch_size = 512;
  std::optional<std::int64_t> device_train_batch_size = std::nullopt;
  std::int64_t device_train_microbatch_size = 16;
  std::int64_t device_eval_batch_size = 16;
  std::int64_t eval_subset_num_batches = -1;
  bool eval_on_load = false;
  std::optional<std::int64_t> device_train_grad_accum = std::nullopt;
  std::optional<double> max_grad_norm = std::nullopt;
  std::optional<double> max_grad_norm_ratio = std::nullopt;
  std::optional<Precision> precision = std::nullopt;
  std::optional<WandbConfig> wandb = std::nullopt;
  SpeedMonitorConfig speed_monitor;
  std::int64_t console_log_interval = 1;
  std::optional<std::int64_t> gen1_gc_interval = 1;
  std::optional<CompilerConfig> compile = std::nullopt;
  DistributedStrategy distributed_strategy = DistributedStrategy::kFsdp;
  std::optional<FsdpConfig> fsdp = FsdpConfig{};
  std::optional<DdpConfig> ddp = std::nullopt;
  SingleConfig single;
  bool softmax_auxiliary_loss = false;
  std::optional<double> auxiliary_loss_multiplier = 1e-4;
  std::optional<double> time_limit = std::nullopt;
  std::int64_t extra_steps_after_cancel = 10;
  std::optional<double> early_stopping_factor = std::nullopt;
  bool save_data_indices = true;
  bool python_profiling = false;
  bool torch_profiling = false;
  std::optional<std::int64_t> stop_at = std::nullopt;
  std::optional<std::int64_t> stop_after = std::nullopt;
  std::optional<ActivationCheckpointing> activation_checkpointing = std::nullopt;
  std::optional<bool> fused_loss = std::nullopt;
  std::optional<std::string> hf_datasets_cache_dir = std::nullopt;
  std::optional<std::vector<std::int64_t>> module_outputs_save_steps = std::nullopt;
  std::int64_t max_skipped_steps = 3;                               // coat's own key
  GradientPrecision gradient_precision = GradientPrecision::kFp32;  // coat's own key
  bool tensorboard = true;                                          // coat's own key

  /// Where each key was set; not a key itself.
  Sources sources;

  /// Sequences of a rank's share of a step, and of its largest micro-batch.
  std::int64_t DeviceBatch() const { return device_train_batch_size.value_or(global_train_batch_size); }
  std::int64_t MicroBatch() const { return std::min(device_train_microbatch_size, DeviceBatch()); }

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("run_name", self.run_name, Honored("name of the run; required"));
    visit("seed", self.seed, Honored("seed of the weights and, unless data.seed is set, of the data; below 2^32"));
    visit("epoch", self.epoch, Honored("start in this epoch; if the checkpoint is in another one, at its beginning"));
    visit("dry_run", self.dry_run, Honored("do everything but train and write"));
    visit("model", self.model, Honored("the architecture"));
    visit("optimizer", self.optimizer, Honored("the optimizer"));
    visit("quantize_model", self.quantize_model, Honored("FP8 for activations and weights"));
    visit("quantize_optimizer", self.quantize_optimizer, Honored("FP8 for the optimizer's moments"));
    visit("scheduler", self.scheduler, Honored("the learning rate"));
    visit("data", self.data, Honored("the training data"));
    visit("restore_dataloader", self.restore_dataloader, Honored("go on in the data where the checkpoint stopped"));
    visit("fast_forward_batches", self.fast_forward_batches, Honored("on load, skip so many more batches of data"));
    visit("evaluators", self.evaluators, Honored("list of evaluations"));
    visit("eval_interval", self.eval_interval, Honored("steps between evaluations"));
    visit("tokenizer", self.tokenizer, Honored("the tokenizer that made the data"));
    visit("save_folder", self.save_folder, Honored("where everything is written"));
    visit("remote_save_folder", self.remote_save_folder, Only("null", "upload checkpoints"));
    visit("canceled_check_interval", self.canceled_check_interval, Honored("steps between looks at time_limit and early_stopping_factor"));
    visit("save_interval", self.save_interval, Honored("steps between checkpoints"));
    visit("save_interval_unsharded", self.save_interval_unsharded, Honored("steps between unsharded checkpoints"));
    visit("save_interval_ephemeral", self.save_interval_ephemeral,
          Honored("steps between checkpoints of which only the latest is kept"));
    visit("save_num_checkpoints_to_keep", self.save_num_checkpoints_to_keep,
          Honored("-1: all; 0: save none at save_interval"));
    visit("save_num_unsharded_checkpoints_to_keep", self.save_num_unsharded_checkpoints_to_keep,
          Honored("-1: all; 0: save none at save_interval_unsharded"));
    visit("save_overwrite", self.save_overwrite, Honored("write over what is in save_folder"));
    visit("force_save_unsharded", self.force_save_unsharded, Honored("save unsharded right after loading"));
    visit("no_pre_train_checkpoint", self.no_pre_train_checkpoint, Honored("do not save step 0"));
    visit("load_path", self.load_path, Honored("checkpoint to start from"));
    visit("load_path_sharded_checkpointer", self.load_path_sharded_checkpointer,
          Only("null", "format of the checkpoint in load_path"));
    visit("try_load_latest_save", self.try_load_latest_save,
          Honored("start from the newest checkpoint in save_folder if there is one, else from load_path"));
    visit("reset_optimizer_state", self.reset_optimizer_state, Honored("load the model only, and warm up again"));
    visit("reset_trainer_state", self.reset_trainer_state, Honored("do not load step and position"));
    visit("sharded_checkpointer", self.sharded_checkpointer, NoEffect("there is one format of checkpoint"));
    visit("new_style_checkpoints", self.new_style_checkpoints, NoEffect("deprecated in OLMo"));
    visit("max_duration", self.max_duration, Honored("length of the run: steps, `2e12T` tokens or `1ep` epochs"));
    visit("global_train_batch_size", self.global_train_batch_size, Honored("sequences of an optimizer step"));
    visit("device_train_batch_size", self.device_train_batch_size, Computed("global_train_batch_size / ranks"));
    visit("device_train_microbatch_size", self.device_train_microbatch_size,
          Honored("sequences that go through the model at a time"));
    visit("device_eval_batch_size", self.device_eval_batch_size, Honored("sequences of an evaluation batch"));
    visit("eval_subset_num_batches", self.eval_subset_num_batches,
          Honored("at most so many batches an evaluator; not above 0: all"));
    visit("eval_on_load", self.eval_on_load, Honored("evaluate after loading"));
    visit("device_train_grad_accum", self.device_train_grad_accum,
          Computed("device_train_batch_size / device_train_microbatch_size"));
    visit("max_grad_norm", self.max_grad_norm, Honored("clip the norm of all gradients together to this"));
    visit("max_grad_norm_ratio", self.max_grad_norm_ratio,
          Honored("clip each parameter's gradient to this times its average norm; goes before max_grad_norm"));
    visit("precision", self.precision, Only("amp_bf16, fp32", "type of the computation; required"));
    visit("wandb", self.wandb,
          Honored("Weights & Biases: nothing is sent while training; scripts/import_to_wandb.py imports the run"));
    visit("speed_monitor", self.speed_monitor, Honored("measurement of speed"));
    visit("console_log_interval", self.console_log_interval, Honored("steps between lines on the console"));
    visit("gen1_gc_interval", self.gen1_gc_interval, NoEffect("steps between Python's garbage collections"));
    visit("compile", self.compile, NoEffect("torch.compile"));
    visit(
        "distributed_strategy", self.distributed_strategy,
        Honored("how several ranks train one model: each keeps all of it (ddp), or they share it (fsdp); with one rank "
                "all are the same"));
    visit("fsdp", self.fsdp, Honored("what ranks share with distributed_strategy: fsdp; null: the defaults"));
    visit("ddp", self.ddp, Honored("when ranks sum gradients with distributed_strategy: ddp; null: the defaults"));
    visit("single", self.single, Honored("training on one device"));
    visit("softmax_auxiliary_loss", self.softmax_auxiliary_loss, Honored("add the z-loss"));
    visit("auxiliary_loss_multiplier", self.auxiliary_loss_multiplier, Honored("weight of the z-loss"));
    visit("time_limit", self.time_limit, Honored("seconds after which the run saves and stops, with exit code 3"));
    visit("extra_steps_after_cancel", self.extra_steps_after_cancel, Honored("steps after the save at the time limit"));
    visit("early_stopping_factor", self.early_stopping_factor,
          Honored("after the warm-up, stop when the loss is above this times the least so far"));
    visit("save_data_indices", self.save_data_indices, Honored("write which sequences each step used"));
    visit("python_profiling", self.python_profiling, Honored("print where the host's time goes in steps 6 to 8"));
    visit("torch_profiling", self.torch_profiling,
          Honored("print where the time goes in the 7th to 9th step after a start, and write "
                  "profiler/{step}.chrome_trace.json.gz"));
    visit("stop_at", self.stop_at, Honored("stop after this step"));
    visit("stop_after", self.stop_after, Honored("stop after so many more steps"));
    visit("activation_checkpointing", self.activation_checkpointing,
          Only("null, whole_layer, one_in_two, one_in_three, one_in_four, one_in_eight, two_in_three, three_in_four",
               "blocks whose activations are recomputed in the backward pass: less memory, same results"));
    visit("fused_loss", self.fused_loss, NoEffect("the loss is always fused"));
    visit("hf_datasets_cache_dir", self.hf_datasets_cache_dir, NoEffect("deprecated in OLMo"));
    visit("module_outputs_save_steps", self.module_outputs_save_steps,
          Honored("steps at which what the modules compute of the first micro-batch is written to "
                  "save_folder/traces/stepN"));
    visit("max_skipped_steps", self.max_skipped_steps,
          Honored("stop after so many steps in a row with a loss or gradient that is not finite; not a key of OLMo"));
    visit("gradient_precision", self.gradient_precision,
          Honored("type in which gradients are accumulated; bf16 halves their memory, and loses small contributions "
                  "when a step "
                  "has many micro-batches; not a key of OLMo"));
    visit("tensorboard", self.tensorboard,
          Honored("write metrics for TensorBoard too, in save_folder/tensorboard; not a key of OLMo"));
  }
};

}  // namespace coat
