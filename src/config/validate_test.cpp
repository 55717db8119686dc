#include "config/validate.h"

#include <algorithm>
#include <string>
#include <vector>

#include "tests/support/config_testing.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

ValidationReport Checked(const std::vector<std::string>& overrides, const std::string& lines = "") {
  return Validate(Parse(kSmallConfig + lines, overrides));
}

/// The error for keys set on the command line, without "on the command line: --".
std::string ErrorWith(const std::vector<std::string>& overrides, const std::string& lines = "") {
  const std::string error = ConfigErrorOf([&] { Checked(overrides, lines); });
  const std::string start = "on the command line: --";
  return error.rfind(start, 0) == 0 ? error.substr(start.size()) : error;
}

bool Mentions(const std::vector<std::string>& texts, const std::string& part) {
  return std::any_of(texts.begin(), texts.end(),
                     [&](const std::string& text) { return text.find(part) != std::string::npos; });
}

TEST(Validate, AcceptsASmallConfiguration) {
  const ValidationReport report = Checked({});
  EXPECT_TRUE(report.warnings.empty()) << report.warnings.front();
  EXPECT_TRUE(report.without_effect.empty()) << report.without_effect.front();
}

TEST(Validate, RefusesWhatThisBuildCannotHonor) {
  const std::vector<std::vector<std::string>> cases = {
      {"model.attention_dropout", "0.1", "0.0"},
      {"model.residual_dropout", "0.2", "0.0"},
      {"model.embedding_dropout", "0.5", "0.0"},
      {"model.alibi", "true", "false"},
      {"model.block_type", "llama", "sequential"},
      {"model.embedding_layer_norm", "true", "false"},
      {"model.include_bias", "true", "false"},
      {"model.bias_for_layer_norm", "true", "null, false"},
      {"model.activation_type", "gelu", "swiglu"},
      {"model.rope", "false", "true"},
      {"model.rope_full_precision", "false", "true"},
      {"model.block_group_size", "2", "1"},
      {"model.init_fn", "kaiming_normal", "normal, mitchell, full_megatron"},
      {"model.init_fn", "fan_in", "normal, mitchell, full_megatron"},
      {"precision", "amp_fp16", "amp_bf16, fp32"},
      {"precision", "null", "amp_bf16, fp32"},
      {"activation_checkpointing", "fine_grained",
       "null, whole_layer, one_in_two, one_in_three, one_in_four, one_in_eight, two_in_three, three_in_four"},
      {"remote_save_folder", "s3://bucket", "null"},
      {"load_path_sharded_checkpointer", "local", "null"},
      {"optimizer.name", "coat_fp8_adamw", "adamw, lionw"},
      {"data.generate_attention_mask", "true", "false"},
      {"single.device", "mps", "auto, cpu, cuda"},
  };
  for (const auto& c : cases) {
    const std::string error = ErrorWith({"--" + c[0] + "=" + c[1]});
    EXPECT_EQ(error.find(c[0] + ": " + c[1] + " cannot be honored by this build; accepted: " + c[2] + " ("), 0u)
        << error;
  }
  const auto filter_error = [](const std::string& key) { return ErrorWith({"--data.instance_filter={" + key + "}"}); };
  EXPECT_EQ(filter_error(""), "no error");
  EXPECT_EQ(filter_error("repetition_min_period: 0").find("data.instance_filter.repetition_min_period: found 0"), 0u);
  EXPECT_EQ(filter_error("repetition_max_period: 0").find("data.instance_filter.repetition_max_period: found 0"), 0u);
  EXPECT_EQ(filter_error("repetition_max_count: 2").find("data.instance_filter.repetition_max_count: found 2"), 0u);
  EXPECT_EQ(ErrorWith({"--data.custom_dataset={name: x}"}).find("data.custom_dataset: a mapping cannot be honored"),
            0u);
  EXPECT_EQ(ErrorWith({"--module_outputs_save_steps=[3,0]"}),
            "module_outputs_save_steps[1]: found 0; accepted: 1 or more");
}

TEST(Validate, NamesTheFileAndTheLine) {
  EXPECT_EQ(ErrorWith({}, "\n\ndistributed_strategy: single\nsingle:\n  device: mps\n"),
            "x.yaml:11: single.device: mps cannot be honored by this build; accepted: auto, cpu, cuda (device to "
            "train on where --device is auto)");
  const TrainConfig config = Parse("run_name: x\nprecision: fp32\n");
  EXPECT_EQ(ConfigErrorOf([&] { Validate(config); }),
            "x.yaml: model.rope (not set): the default false cannot be honored by this build; accepted: true (rotary "
            "positions)");
}

TEST(Validate, ReportsOnceWhatHasNoEffect) {
  const ValidationReport report = Checked(
      {},
      "gen1_gc_interval: 1\ncompile: {mode: default}\nwandb: {project: p, log_artifacts: true}\n"
      "fsdp: {precision: mixed, use_orig_params: true}\n"
      "sharded_checkpointer: olmo_core\nhf_datasets_cache_dir: null\nddp: null\ndevice_train_batch_size: 4\n"
      "evaluators: [{label: a, data: {paths: [a], num_workers: 2}}, {label: b, data: {paths: [a], num_workers: 2}}]\n");
  EXPECT_TRUE(report.warnings.empty());
  EXPECT_EQ(report.without_effect, (std::vector<std::string>{
                                       "data.num_workers: loader processes; one thread reads ahead here",
                                       "sharded_checkpointer: there is one format of checkpoint",
                                       "device_train_batch_size: computed: global_train_batch_size / ranks",
                                       "wandb.log_artifacts: not read by OLMo either",
                                       "gen1_gc_interval: steps between Python's garbage collections",
                                       "compile: torch.compile",
                                       "fsdp.use_orig_params: of torch's FSDP: parameters keep their shapes here",
                                   }));
}

TEST(Validate, SaysWhichKeyHasNoEffectBesideAnother) {
  const std::vector<std::string> note = {"gradient_precision: with precision: fp32 gradients are float32"};
  EXPECT_EQ(Checked({"--precision=fp32", "--gradient_precision=bf16"}).without_effect, note);
  EXPECT_TRUE(Checked({"--precision=fp32"}).without_effect.empty());
  EXPECT_TRUE(Checked({"--precision=amp_bf16", "--gradient_precision=bf16"}).without_effect.empty());
}

TEST(Validate, EveryIdleKeyIsAcceptedAndReported) {
  for (const char* argument :
       {"--data.pin_memory", "--data.prefetch_factor=16", "--data.persistent_workers", "--data.timeout=3",
        "--fused_loss", "--model.flash_attention", "--model.init_device=meta", "--ddp.find_unused_params",
        "--fsdp.wrapping_strategy=by_block", "--fsdp.use_orig_params=false", "--hf_datasets_cache_dir=x",
        "--new_style_checkpoints", "--speed_monitor.gpu_flops_available=1e15", "--quantize_model.Ubit=100",
        "--quantize_optimizer.pad_block"}) {
    EXPECT_EQ(Checked({argument}).without_effect.size(), 1u) << argument;
  }
}

TEST(Validate, ChecksTheArchitecture) {
  EXPECT_EQ(ErrorWith({"--model.n_heads=5"}), "model.n_heads: found 5; accepted: a divisor of model.d_model, 64");
  EXPECT_EQ(ErrorWith({"--model.n_heads=64"}),
            "model.n_heads: 64 heads of 1 elements; accepted: an even head size, as rotary positions turn pairs");
  EXPECT_EQ(ErrorWith({"--model.n_kv_heads=3"}), "model.n_kv_heads: found 3; accepted: a divisor of model.n_heads, 4");
  EXPECT_EQ(ErrorWith({"--model.n_kv_heads=2", "--model.multi_query_attention=true"}),
            "model.n_kv_heads: found 2, but multi_query_attention: true means 1; accepted: one of the two keys");
  EXPECT_EQ(ErrorWith({"--model.n_kv_heads=2", "--model.multi_query_attention=false"}),
            "model.n_kv_heads: found 2, but multi_query_attention: false means 4; accepted: one of the two keys");
  EXPECT_EQ(ErrorWith({"--model.n_kv_heads=1", "--model.multi_query_attention=true"}), "no error");
  EXPECT_EQ(ErrorWith({"--model.n_heads=0"}), "model.n_heads: found 0; accepted: 1 to 2147483647");
  EXPECT_EQ(ErrorWith({"--model.n_kv_heads=0"}), "model.n_kv_heads: found 0; accepted: 1 to 2147483647, or null");
  EXPECT_EQ(ErrorWith({"--model.d_model=-64"}), "model.d_model: found -64; accepted: 1 to 2147483647");
  EXPECT_EQ(ErrorWith({"--model.n_layers=9223372036854775807"}),
            "model.n_layers: found 9223372036854775807; accepted: 1 to 65535");
  EXPECT_EQ(ErrorWith({"--model.n_heads=1", "--model.d_model=8192"}),
            "model.n_heads: 1 heads of 8192 elements; accepted: a head size up to 4096");
  EXPECT_EQ(ErrorWith({"--model.n_heads=1", "--model.d_model=18", "--model.clip_qkv=1"}),
            "model.clip_qkv: a width of queries, keys and values of 54; accepted with clip_qkv: a multiple of 8");
  EXPECT_EQ(ErrorWith({"--model.mlp_hidden_size=129"}),
            "model.mlp_hidden_size: a feed-forward width of 129; accepted: an even one, as SwiGLU halves it");
  EXPECT_EQ(ErrorWith({"--model.embedding_size=50000"}),
            "model.embedding_size: found 50000; accepted: at least model.vocab_size, 50257");
  EXPECT_EQ(ErrorWith({"--model.vocab_size=50256"})
                .find("x.yaml: model.eos_token_id (not set): found 50256; accepted: 0 to "
                      "50255"),
            0u);
  EXPECT_EQ(ErrorWith({"--model.pad_token_id=-1"}), "model.pad_token_id: found -1; accepted: 0 to 50256");
  EXPECT_EQ(ErrorWith({"--model.clip_qkv=0"}), "model.clip_qkv: found 0.0; accepted: a number above 0");
  EXPECT_EQ(ErrorWith({"--model.layer_norm_eps=-1e-5"}),
            "model.layer_norm_eps: found -1.0e-5; accepted: a number above 0");
  EXPECT_TRUE(Mentions(Checked({"--model.embedding_size=50257"}).warnings,
                       "--model.embedding_size: 50257 rows are slower than a multiple of 128"));
  EXPECT_TRUE(Mentions(Checked({"--model.scale_emb_init"}).warnings, "with init_fn: full_megatron only"));
}

TEST(Validate, TakesTheNormsOfOlmo1OrOfOlmo2) {
  const auto with = [](const std::string& type, const std::string& key) {
    const std::vector<std::string> olmo2 = {"--model.norm_after=true", "--model.layer_norm_with_affine=true"};
    std::vector<std::string> overrides = type == "rms" ? olmo2 : std::vector<std::string>();
    overrides.push_back("--model.layer_norm_type=" + type);
    overrides.push_back("--model." + key);
    return ErrorWith(overrides);
  };
  EXPECT_EQ(with("rms", "attention_layer_norm=true"), "no error");
  EXPECT_EQ(with("rms", "attention_layer_norm=false"), "no error");
  EXPECT_EQ(with("default", "attention_layer_norm_with_affine=false"), "no error");
  for (const std::string layer_norm : {"default", "low_precision"}) {
    const std::string end = "found true; accepted with layer_norm_type: " + layer_norm + ": false";
    for (const std::string key : {"norm_after", "layer_norm_with_affine", "attention_layer_norm"}) {
      EXPECT_EQ(with(layer_norm, key + "=true"), "model." + key + ": " + end);
    }
  }
  for (const std::string key : {"norm_after", "layer_norm_with_affine"}) {
    EXPECT_EQ(with("rms", key + "=false"), "model." + key + ": found false; accepted with layer_norm_type: rms: true");
  }
  EXPECT_EQ(ErrorWith({"--model.layer_norm_type=rms", "--model.norm_after=true", "--model.layer_norm_with_affine=true",
                       "--model.attention_layer_norm=true", "--model.attention_layer_norm_with_affine=false"}),
            "model.attention_layer_norm_with_affine: found false; accepted with layer_norm_type: rms: true");
  EXPECT_EQ(with("rms", "clip_qkv=8"), "no error");
  EXPECT_EQ(ErrorWith({"--model.layer_norm_type=rms", "--model.norm_after=true", "--model.layer_norm_with_affine=true",
                       "--model.attention_layer_norm=true", "--model.clip_qkv=8"}),
            "model.clip_qkv: found 8.0; accepted with attention_layer_norm: null");
  EXPECT_EQ(ErrorWith({"--model.layer_norm_type=rms"}),
            "x.yaml: model.norm_after (not set): found false; accepted with layer_norm_type: rms: true");
}

TEST(Validate, ChecksOptimizerAndSchedule) {
  EXPECT_EQ(ErrorWith({"--optimizer.learning_rate=0"}),
            "optimizer.learning_rate: found 0.0; accepted: a number above 0");
  EXPECT_EQ(ErrorWith({"--optimizer.weight_decay=-1"}), "optimizer.weight_decay: found -1.0; accepted: 0 or more");
  EXPECT_EQ(ErrorWith({"--optimizer.betas=[0.9,1.0]"}),
            "optimizer.betas[1]: found 1.0; accepted: at least 0 and, as float32, less than 1");
  EXPECT_EQ(ErrorWith({"--scheduler.warmup_min_lr=1e-3"}),
            "scheduler.warmup_min_lr: found 0.001; accepted: less than optimizer.learning_rate, 1.0e-4");
  EXPECT_EQ(
      ErrorWith({"--scheduler.grad_clip_warmup_steps=3"}),
      "scheduler.grad_clip_warmup_steps: needs scheduler.grad_clip_warmup_factor; accepted: both keys, or neither");
  EXPECT_EQ(ErrorWith({"--scheduler.t_warmup=-1"}), "scheduler.t_warmup: found -1.0; accepted: 0 or more");
  EXPECT_TRUE(Mentions(Checked({"--max_duration=100"}).warnings,
                       "scheduler.t_warmup (not set): the warm-up of 100 steps does not end before 100"));
  EXPECT_TRUE(Checked({"--max_duration=101"}).warnings.empty());
  EXPECT_TRUE(Checked({"--max_duration=50", "--scheduler.name=constant"}).warnings.empty());
  EXPECT_TRUE(Checked({"--max_duration=1ep"}).warnings.empty());
}

TEST(Validate, RefusesSizesThatNoMachineHolds) {
  ExpectParts(ErrorWith({"--model.d_model=2147483646", "--model.n_heads=1073741823"}),
              {"model: about ", " parameters; accepted: at most 3.5e+13"});
  ExpectParts(ErrorWith({"--model.d_model=65536", "--model.n_heads=16", "--model.mlp_ratio=2147483646"}),
              {"parameters"});
  const std::string most = "=2147483647";
  ExpectParts(ErrorWith({"--model.max_sequence_length" + most, "--device_train_microbatch_size" + most,
                         "--global_train_batch_size" + most}),
              {"device_train_microbatch_size: 2147483647 sequences of 2147483647 tokens; accepted"});
  ExpectParts(ErrorWith({"--model.max_sequence_length" + most, "--device_eval_batch_size" + most}),
              {"device_eval_batch_size: 2147483647 sequences"});
  ExpectParts(ErrorWith({"--model.max_sequence_length" + most,
                         "--evaluators=[{label: a, data: {paths: [b]}, device_eval_batch_size: 2147483647}]"}),
              {"evaluators[0].device_eval_batch_size: 2147483647 sequences"});
}

TEST(Validate, RefusesNumbersThatFloat32DoesNotHold) {
  for (const char* key : {"model.clip_qkv", "model.emb_init_std", "model.init_cutoff_factor", "model.layer_norm_eps",
                          "optimizer.eps", "optimizer.learning_rate", "optimizer.weight_decay", "max_grad_norm"}) {
    EXPECT_EQ(ErrorWith({fmt::format("--{}=1e39", key)}),
              fmt::format("{}: found 1.0e+39; accepted: 3.4e38 or less, as float32 holds it", key));
  }
  for (const char* key : {"optimizer.eps", "max_grad_norm", "max_grad_norm_ratio"}) {
    EXPECT_EQ(ErrorWith({fmt::format("--{}=1e-39", key)}),
              fmt::format("{}: found 1.0e-39; accepted: 1.2e-38 or more, as float32 holds it", key));
  }
  EXPECT_EQ(ErrorWith({"--optimizer.betas=[0.9,0.999999999]"}),
            "optimizer.betas[1]: found 0.999999999; accepted: at least 0 and, as float32, less than 1");
}

TEST(Validate, ChecksTheFp8Optimizer) {
  const std::string on = "--quantize_optimizer.use_quantize_optimizer=coat_fp8_adamw";
  for (const char* size : {"32", "96", "256"}) {
    EXPECT_EQ(ErrorWith({on, std::string("--quantize_optimizer.qgroup_size=") + size}), "no error");
  }
  for (const char* size : {"0", "16", "100", "288", "-32"}) {
    EXPECT_EQ(ErrorWith({on, std::string("--quantize_optimizer.qgroup_size=") + size}),
              std::string("quantize_optimizer.qgroup_size: found ") + size + "; accepted: a multiple of 32 up to 256");
  }
  EXPECT_EQ(ErrorWith({on, "--optimizer.name=lionw"}),
            "optimizer.name: found lionw; accepted with use_quantize_optimizer: coat_fp8_adamw: adamw");
  EXPECT_EQ(ErrorWith({on, "--optimizer.record_update_metrics"}),
            "optimizer.record_update_metrics: found true; accepted with use_quantize_optimizer: coat_fp8_adamw: "
            "false");
  EXPECT_EQ(ErrorWith({on, "--optimizer.selective_updates"}),
            "optimizer.selective_updates: found true; accepted with use_quantize_optimizer: coat_fp8_adamw: false");
  EXPECT_EQ(ErrorWith({on, "--quantize_optimizer.expand_min=0"}),
            "quantize_optimizer.expand_min: found 0; accepted: 1 to 1024");
  EXPECT_EQ(Checked({on, "--quantize_optimizer.first_order_expansion=expand"}).warnings.size(), 1u);
  EXPECT_TRUE(Mentions(Checked({on}).warnings, "first_order_expansion (not set): without expansion"));
}

TEST(Validate, ChecksTheTrainer) {
  EXPECT_EQ(ErrorWith({"--run_name=null"}), "run_name: required; accepted: a text");
  EXPECT_EQ(ErrorWith({"--seed=4294967296"}), "seed: found 4294967296; accepted: 0 to 4294967295");
  EXPECT_EQ(ErrorWith({"--data.seed=-1"}), "data.seed: found -1; accepted: 0 to 4294967295, or null");
  EXPECT_EQ(ErrorWith({"--eval_interval=0"}), "eval_interval: found 0; accepted: 1 or more");
  EXPECT_EQ(ErrorWith({"--max_skipped_steps=0"}), "max_skipped_steps: found 0; accepted: 1 or more");
  EXPECT_EQ(ErrorWith({"--save_interval=0"}), "save_interval: found 0; accepted: 1 or more, or null");
  EXPECT_EQ(ErrorWith({"--save_num_checkpoints_to_keep=-2"}),
            "save_num_checkpoints_to_keep: found -2; accepted: -1 to 2147483647");
  EXPECT_EQ(ErrorWith({"--device_train_microbatch_size=0"}),
            "device_train_microbatch_size: found 0; accepted: 1 to 2147483647");
  EXPECT_EQ(ErrorWith({"--max_duration=0"}), "max_duration: found 0; accepted: more than 0");
  EXPECT_EQ(ErrorWith({"--max_duration=-1ep"}), "max_duration: found -1ep; accepted: more than 0");
  EXPECT_EQ(ErrorWith({"--max_duration=32767T"}),
            "max_duration: found 32767T; accepted: at least the 32768 tokens of one step");
  EXPECT_EQ(ErrorWith({"--max_grad_norm=-1"}), "max_grad_norm: found -1.0; accepted: a number above 0");
  EXPECT_EQ(ErrorWith({"--time_limit=0"}), "time_limit: found 0.0; accepted: a number above 0");
  EXPECT_EQ(ErrorWith({"--early_stopping_factor=0.9"}),
            "early_stopping_factor: found 0.9; accepted: 1 or more, or null");
  EXPECT_EQ(ErrorWith({"--save_folder=s3://bucket/x"}),
            "save_folder: found `s3://bucket/x`; accepted: a folder of this machine");
  EXPECT_EQ(ErrorWith({"--load_path=https://x/y"}),
            "load_path: found `https://x/y`; accepted: a folder of this machine");
  EXPECT_EQ(ErrorWith({"--softmax_auxiliary_loss", "--auxiliary_loss_multiplier=null"}),
            "auxiliary_loss_multiplier: found null; accepted with softmax_auxiliary_loss: a number");
  EXPECT_TRUE(Mentions(Checked({"--global_train_batch_size=10", "--device_train_microbatch_size=4"}).warnings,
                       "4 does not divide the batch of 10: the last micro-batch has 2 sequences"));
  EXPECT_TRUE(Mentions(Checked({"--global_train_batch_size=2", "--device_train_microbatch_size=4"}).warnings,
                       "4 is more than the batch of 2: a step has one micro-batch of 2 sequences"));
}

TEST(Validate, RefusesProductsBeyondFloat32) {
  EXPECT_EQ(
      ErrorWith({"--optimizer.learning_rate=1e30", "--optimizer.weight_decay=1e9"}),
      "optimizer.weight_decay: found 1.0e+9; accepted with optimizer.learning_rate, 1.0e+30: a product of at most "
      "3.4e38, as float32 holds it");
  ExpectParts(ErrorWith({"--optimizer.learning_rate=1e30", "--scheduler.alpha_f=1e9"}), {"scheduler.alpha_f: found"});
  ExpectParts(ErrorWith({"--max_grad_norm=1e30", "--scheduler.grad_clip_warmup_steps=1",
                         "--scheduler.grad_clip_warmup_factor=1e9"}),
              {"scheduler.grad_clip_warmup_factor: found", "max_grad_norm, 1.0e+30"});
  EXPECT_NO_THROW(Checked({"--optimizer.learning_rate=1e30", "--optimizer.weight_decay=1e8", "--max_grad_norm=3e38"}));
}

TEST(Validate, ChecksTheData) {
  EXPECT_EQ(ErrorWith({"--data.paths=[]"}), "data.paths: an empty list; accepted: at least one file");
  EXPECT_EQ(ErrorWith({"--data.paths=null"}),
            "data.paths: required; accepted: a list of token files here or a mapping of labels in data.datasets");
  EXPECT_EQ(ErrorWith({"--data.datasets={a: [b]}"}),
            "data.datasets: stands beside data.paths; accepted: one of the two keys");
  EXPECT_EQ(ErrorWith({"--data.paths=null", "--data.datasets={}"}),
            "data.datasets: an empty mapping; accepted: at least one label");
  EXPECT_EQ(ErrorWith({"--data.paths=null", "--data.datasets={a: []}"}),
            "data.datasets.a: an empty list; accepted: at least one file");
  EXPECT_EQ(ErrorWith({"--data.paths=null", "--data.datasets={a: [b]}"}), "no error");
  EXPECT_EQ(ErrorWith({"--data.paths=[a,'https://x/y.npy']"}),
            "data.paths[1]: found `https://x/y.npy`; accepted: a file of this machine");
  EXPECT_EQ(ErrorWith({"--data.paths=['']"}), "data.paths[0]: found ``; accepted: a file of this machine");
  EXPECT_EQ(ErrorWith({"--data.label_mask_paths=[m,n]"}),
            "data.label_mask_paths: 2 files; accepted: one for each of the 1 files of data.paths");
  EXPECT_EQ(ErrorWith({"--data.label_mask_paths=[m]"}), "no error");
  EXPECT_EQ(ErrorWith({"--data.paths=null", "--data.datasets={a: [x.npy]}", "--data.label_mask_paths=[m]"}),
            "data.label_mask_paths: accepted only with data.paths, one for each of its files");
  ::setenv("COAT_TEST_LABEL", "a\xff", 1);
  ExpectParts(ErrorWith({"--evaluators=[{label: '${oc.env:COAT_TEST_LABEL}', data: {paths: [a]}}]"}),
              {"evaluators[0].", "not UTF-8", "accepted: a text"});
  ::unsetenv("COAT_TEST_LABEL");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: \"\xc3\xa9\", data: {paths: [a]}}]"}), "no error");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: piqa, type: downstream}]"}),
            "x.yaml: evaluators[0].requests (not set): required with type: downstream; accepted: a list of request "
            "files of this machine");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: piqa, type: downstream, requests: [s3://a/b]}]"}),
            "evaluators[0].requests[0]: found `s3://a/b`; accepted: a file of this machine");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: mine, type: downstream, requests: [a]}]"}),
            "x.yaml: evaluators[0].metrics (not set): required for the label mine, which is not a task of OLMo's; "
            "accepted: a list of acc, "
            "len_norm, pmi_dc, f1, ce_loss, bpb, soft, soft_log");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: piqa, type: downstream, requests: [a], metrics: [f2]}]"}),
            "evaluators[0].metrics[0]: found `f2`; accepted: acc, len_norm, pmi_dc, f1, ce_loss, bpb, soft, soft_log");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: piqa, type: downstream, requests: [a], data: {paths: [b]}}]"}),
            "evaluators[0].data: token files, or what is done with them, beside type: downstream; accepted: "
            "evaluators[0].requests");
  EXPECT_NE(ErrorWith({"--evaluators=[{label: piqa, type: downstream, requests: [a], data: {generate_doc_lengths: "
                       "true}}]"})
                .find("evaluators[0].data: token files"),
            std::string::npos);
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: a, data: {paths: [b]}, metrics: [acc]}]"}),
            "evaluators[0].metrics: set with type: lm; accepted with type: downstream");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: a, data: {paths: [b]}, requests: [c]}]"}),
            "evaluators[0].requests: set with type: lm; accepted with type: downstream");
  EXPECT_EQ(ErrorWith({"--evaluators=[{data: {paths: [a]}}]"}),
            "evaluators[0]: the key label is required; accepted: a text");
  EXPECT_EQ(ErrorWith({}, "evaluators:\n  - label: a\n    data:\n      paths: []\n"),
            "x.yaml:10: evaluators[0].data.paths: an empty list; accepted: at least one file");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: a, data: {paths: [b]}, device_eval_batch_size: 0}]"}),
            "evaluators[0].device_eval_batch_size: found 0; accepted: 1 to 2147483647, or null");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: a, data: {paths: [b]}}, {label: a, data: {paths: [b]}}]"}),
            "evaluators[1].label: a second evaluation with the label a; accepted: each label once");
  EXPECT_EQ(ErrorWith({"--evaluators=[{label: a, data: {datasets: {x: [b]}}}, {label: x, data: {paths: [b]}}]"}),
            "evaluators[1].label: a second evaluation with the label x; accepted: each label once");
}

TEST(Validate, ChecksHowRanksShareAModel) {
  const auto error = [](const std::vector<std::string>& overrides, int ranks) {
    return ConfigErrorOf([&] { Validate(Parse(kSmallConfig, overrides), {.ranks = ranks}); });
  };
  const std::string replicas = "fsdp.hybrid_sharding_num_model_replicas";
  for (const char* strategy : {"HYBRID_SHARD", "_HYBRID_SHARD_ZERO2"}) {
    const std::string hybrid = std::string("--fsdp.sharding_strategy=") + strategy;
    EXPECT_EQ(error({hybrid, "--" + replicas + "=4"}, 6),
              "on the command line: --" + replicas + ": found 4; accepted with 6 ranks: 1, 2, 3, 6");
    EXPECT_EQ(error({hybrid, "--" + replicas + "=0"}, 2),
              "on the command line: --" + replicas + ": found 0; accepted with 2 ranks: 1, 2");
    EXPECT_EQ(error({hybrid, "--" + replicas + "=3"}, 6), "no error");
    EXPECT_EQ(error({hybrid, "--" + replicas + "=3"}, 1), "no error");
    EXPECT_EQ(error({hybrid}, 6), "no error") << "one a machine";
    EXPECT_EQ(error({hybrid, "--" + replicas + "=4", "--distributed_strategy=ddp"}, 6), "no error");
  }
  EXPECT_EQ(error({"--" + replicas + "=4"}, 6), "no error") << "FULL_SHARD has no replicas";
  EXPECT_EQ(error({"--distributed_strategy=single"}, 2),
            "on the command line: --distributed_strategy: found single; accepted with 2 ranks: ddp, fsdp");
  EXPECT_EQ(error({"--distributed_strategy=single"}, 1), "no error");
}

TEST(Validate, NeedsNoDataForAPlan) {
  const TrainConfig config = Parse(kSmallConfig, {"--data.paths=null", "--evaluators=[{label: a}]"});
  EXPECT_NO_THROW(Validate(config, {.needs_data = false}));
  EXPECT_NO_THROW(Validate(Parse(kSmallConfig, {"--data.paths=[]"}), {.needs_data = false}));
  EXPECT_THROW(Validate(config), ConfigError);
}

}  // namespace
}  // namespace coat
