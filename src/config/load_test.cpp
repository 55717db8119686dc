#include "config/load.h"

#include <string>
#include <vector>

#include "config/dump.h"
#include "config/nearest.h"
#include "config/type_text.h"
#include "tests/support/config_testing.h"
#include "tests/support/temp_dir.h"

namespace coat {
namespace {

TEST(ParseTrainConfig, StartsWithOlmosDefaults) {
  const TrainConfig config = Parse("");
  EXPECT_EQ(config.run_name, std::nullopt);
  EXPECT_EQ(config.seed, 6198);
  EXPECT_EQ(config.model.d_model, 768);
  EXPECT_EQ(config.model.embedding_size, 50304);
  EXPECT_EQ(config.model.attention_dropout, 0.1);
  EXPECT_EQ(config.optimizer.name, OptimizerName::kLionW);
  EXPECT_EQ(config.optimizer.eps, 1e-5);
  EXPECT_EQ(config.optimizer.betas, (std::array<double, 2>{0.9, 0.95}));
  EXPECT_EQ(config.scheduler.t_warmup, 100);
  EXPECT_EQ(config.quantize_model.use_quantize_model, std::nullopt);
  EXPECT_EQ(config.quantize_optimizer.qgroup_size, 128);
  EXPECT_EQ(config.max_duration, (Duration{10000, Duration::Unit::kSteps}));
  EXPECT_EQ(config.save_interval, 1000);
  EXPECT_EQ(config.save_folder, "./");
  EXPECT_EQ(config.auxiliary_loss_multiplier, 1e-4);
  ASSERT_TRUE(config.fsdp.has_value());
  EXPECT_EQ(config.fsdp->precision, FsdpPrecision::kPure);
  EXPECT_FALSE(config.wandb.has_value());
  EXPECT_TRUE(config.evaluators.empty());
}

TEST(ParseTrainConfig, ReadsEveryKindOfValue) {
  const TrainConfig config = Parse(
      "run_name: 7\n"
      "max_duration: 2e12T\n"
      "global_train_batch_size: 2_048\n"
      "save_interval: null\n"
      "time_limit: 5\n"
      "compile: {mode: default}\n"
      "fsdp: {precision: mixed, sharding_strategy: _HYBRID_SHARD_ZERO2}\n"
      "wandb: {entity: null, tags: [a, b]}\n"
      "module_outputs_save_steps: [1, 2]\n"
      "optimizer: {learning_rate: 4.0e-4, betas: [0.8, 1e-1], name: adamw}\n"
      "scheduler: {units: tokens, t_warmup: 8_388_608_000}\n"
      "evaluators:\n"
      "  - label: v\n"
      "    data: {datasets: {b-2: [x.npy], a.1: [y.npy, z.npy]}, memmap_dtype: uint32}\n");
  EXPECT_EQ(config.run_name, "7");
  EXPECT_EQ(config.max_duration, (Duration{2'000'000'000'000, Duration::Unit::kTokens}));
  EXPECT_EQ(config.global_train_batch_size, 2048);
  EXPECT_EQ(config.save_interval, std::nullopt);
  EXPECT_EQ(config.time_limit, 5.0);
  EXPECT_EQ(config.compile->backend, "inductor");
  EXPECT_EQ(config.fsdp->sharding_strategy, ShardingStrategy::kHybridShardZero2);
  EXPECT_TRUE(config.fsdp->use_orig_params);
  EXPECT_EQ(config.wandb->entity, std::nullopt);
  EXPECT_EQ(config.wandb->tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(config.module_outputs_save_steps, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(config.optimizer.betas[1], 0.1);
  EXPECT_EQ(config.scheduler.t_warmup, 8388608000.0);
  ASSERT_EQ(config.evaluators.size(), 1u);
  EXPECT_EQ(config.evaluators[0].data.datasets->at("a.1").size(), 2u);
  EXPECT_EQ(config.evaluators[0].data.memmap_dtype, TokenType::kUint32);
}

TEST(ParseTrainConfig, AKeyThatDoesNotExistNamesTheNearest) {
  EXPECT_EQ(ParseError("model:\n  n_head: 3\n"), "x.yaml:2: model.n_head: no such key; did you mean n_heads?");
  EXPECT_EQ(ParseError("evaluators:\n  - label: a\n  - label: b\n    data:\n      path: [x]\n"),
            "x.yaml:5: evaluators[1].data.path: no such key; did you mean paths?");
  EXPECT_EQ(ParseError("tokenizer:\n  vocabulary: 3\n"),
            "x.yaml:2: tokenizer.vocabulary: no such key; accepted: identifier, truncate_direction");
  EXPECT_EQ(ParseError("", {"--optimiser.name=adamw"}),
            "on the command line: --optimiser: no such key; did you mean optimizer?");
  EXPECT_EQ(
      ParseError("", {"--optimizer.lr=1"}).find("on the command line: --optimizer.lr: no such key; accepted: name, "),
      0u);
}

TEST(ParseTrainConfig, AValueOfAnotherTypeSaysWhatIsAccepted) {
  EXPECT_EQ(ParseError("model:\n  n_heads: twelve\n"),
            "x.yaml:2: model.n_heads: found `twelve`; accepted: an integer such as 739_328");
  EXPECT_EQ(ParseError("seed: 1e3\n"), "x.yaml:1: seed: found `1e3`; accepted: an integer such as 739_328");
  EXPECT_EQ(ParseError("seed: 010\n"), "x.yaml:1: seed: found `010`; accepted: an integer such as 739_328");
  EXPECT_EQ(ParseError("seed: null\n"), "x.yaml:1: seed: found null; accepted: an integer such as 739_328");
  EXPECT_EQ(ParseError("epoch: x\n"), "x.yaml:1: epoch: found `x`; accepted: an integer such as 739_328, or null");
  EXPECT_EQ(ParseError("dry_run: yes\n"), "x.yaml:1: dry_run: found `yes`; accepted: true or false");
  EXPECT_EQ(ParseError("max_grad_norm: big\n"),
            "x.yaml:1: max_grad_norm: found `big`; accepted: a number such as 4.0e-4, or null");
  EXPECT_EQ(ParseError("max_duration: 3 weeks\n"),
            "x.yaml:1: max_duration: found `3 weeks`; accepted: steps (739_328), tokens (2e12T) or epochs (1ep)");
  EXPECT_EQ(ParseError("save_folder: [a]\n"), "x.yaml:1: save_folder: found a list; accepted: a text");
  EXPECT_EQ(ParseError("save_folder:\n"), "x.yaml:1: save_folder: found null; accepted: a text");
  EXPECT_EQ(ParseError("model: 3\n"), "x.yaml:1: model: found `3`; accepted: a mapping of keys");
  EXPECT_EQ(ParseError("model:\n"), "x.yaml:1: model: found null; accepted: a mapping of keys");
  EXPECT_EQ(ParseError("fsdp: 3\n"), "x.yaml:1: fsdp: found `3`; accepted: a mapping of keys, or null");
  EXPECT_EQ(ParseError("evaluators: {label: a}\n"),
            "x.yaml:1: evaluators: found a mapping; accepted: a list of mappings");
  EXPECT_EQ(ParseError("data:\n  paths: a.npy\n"),
            "x.yaml:2: data.paths: found `a.npy`; accepted: a list of texts, or null");
  EXPECT_EQ(ParseError("data:\n  paths: [a.npy, [b.npy]]\n"),
            "x.yaml:2: data.paths[1]: found a list; accepted: a text");
  EXPECT_EQ(ParseError("data:\n  datasets: [a]\n"),
            "x.yaml:2: data.datasets: found a list; accepted: a mapping of labels to lists of texts, or null");
  EXPECT_EQ(ParseError("data:\n  datasets:\n    a: b.npy\n"),
            "x.yaml:3: data.datasets.a: found `b.npy`; accepted: a list of texts");
  EXPECT_EQ(ParseError("optimizer:\n  betas: [0.9]\n"),
            "x.yaml:2: optimizer.betas: found a list of 1; accepted: a list of two numbers");
  EXPECT_EQ(ParseError("optimizer:\n  betas: 0.9\n"),
            "x.yaml:2: optimizer.betas: found `0.9`; accepted: a list of two numbers");
  EXPECT_EQ(ParseError("optimizer:\n  betas: [0.9, x]\n"),
            "x.yaml:2: optimizer.betas[1]: found `x`; accepted: a number such as 4.0e-4");
  EXPECT_EQ(ParseError("seed: 1\n", {"--optimizer.learning-rate=fast"}),
            "on the command line: --optimizer.learning_rate: found `fast`; accepted: a number such as 4.0e-4");
}

TEST(ParseTrainConfig, ATypoInANameListsTheNames) {
  EXPECT_EQ(ParseError("model:\n  activation_type: swish\n"),
            "x.yaml:2: model.activation_type: found `swish`; accepted: gelu, relu, swiglu");
  EXPECT_EQ(
      ParseError("quantize_model:\n  use_quantize_model: coat_adamw\n"),
      "x.yaml:2: quantize_model.use_quantize_model: found `coat_adamw`; accepted: coat_real, fp8linear, fp8deepseek, "
      "null");
  EXPECT_EQ(ParseError("quantize_model:\n  fabit: \"100\"\n"),
            "x.yaml:2: quantize_model.fabit: found `100`; accepted: E4M3, E5M2, null");
  EXPECT_EQ(ParseError("quantize_optimizer:\n  use_quantize_optimizer: coat\n"),
            "x.yaml:2: quantize_optimizer.use_quantize_optimizer: found `coat`; accepted: coat_fp8_adamw, null");
  EXPECT_EQ(ParseError("quantize_optimizer:\n  first_order_bit: null\n"),
            "x.yaml:2: quantize_optimizer.first_order_bit: found null; accepted: E4M3, E5M2");
  EXPECT_EQ(ParseError("precision: bf16\n"),
            "x.yaml:1: precision: found `bf16`; accepted: amp_bf16, amp_fp16, fp32, null");
  EXPECT_EQ(ParseError("fsdp: {sharding_strategy: full_shard}\n").find("x.yaml:1: fsdp.sharding_strategy: found"), 0u);
  EXPECT_EQ(ParseError("precision: [a]\n"),
            "x.yaml:1: precision: found a list; accepted: amp_bf16, amp_fp16, fp32, null");
}

TEST(ParseTrainConfig, EverySpellingSwitchesExpansion) {
  const auto expansion = [](const std::string& value) {
    return Parse("quantize_optimizer: {first_order_expansion: " + value + "}\n")
        .quantize_optimizer.first_order_expansion;
  };
  for (const char* value : {"expansion", "expand", "true", "True", "\"true\""}) {
    EXPECT_EQ(expansion(value), Expansion::kOn) << value;
  }
  for (const char* value : {"null", "none", "false", "~", "False"})
    EXPECT_EQ(expansion(value), Expansion::kOff) << value;
  EXPECT_EQ(
      ParseError("quantize_optimizer:\n  second_order_expansion: expanded\n"),
      "x.yaml:2: quantize_optimizer.second_order_expansion: found `expanded`; accepted: expansion, expand, true, null, "
      "none, false");
}

TEST(ParseTrainConfig, ReferencesComeAfterTheCommandLine) {
  const std::string text =
      "run_name: tiny\nsave_folder: runs/${run_name}\neval_interval: ${save_interval}\n"
      "device_eval_batch_size: ${device_train_microbatch_size}\n";
  EXPECT_EQ(Parse(text).save_folder, "runs/tiny");
  EXPECT_EQ(Parse(text).eval_interval, 1000) << "a default can be referred to";
  const TrainConfig config = Parse(text, {"--run_name=big", "--save_interval=5", "--device_train_microbatch_size=3"});
  EXPECT_EQ(config.save_folder, "runs/big");
  EXPECT_EQ(config.eval_interval, 5);
  EXPECT_EQ(config.device_eval_batch_size, 3);
  EXPECT_EQ(ParseError("seed: ${run_name}\nrun_name: x\n"),
            "x.yaml:1: seed: found `x`; accepted: an integer such as 739_328");
}

TEST(Overrides, SetKeysInOrder) {
  const TrainConfig config =
      Parse("data: {paths: [z.npy], seed: 3}\nevaluators: [{label: a}]\nfsdp: {precision: mixed}\nwandb: null\n",
            {"--optimizer.learning_rate=1e-4", "--stop_at=10", "stop-at=11", "--data.paths=[a.npy,b.npy]",
             "--evaluators=[]", "--save-overwrite", "--fsdp={wrapping_strategy: by_block}", "--wandb.project=p=q",
             "--run_name='1: 2'", "--load_path=", "--max-duration=2ep"});
  EXPECT_EQ(config.optimizer.learning_rate, 1e-4);
  EXPECT_EQ(config.stop_at, 11);
  EXPECT_EQ(config.data.paths, (std::vector<std::string>{"a.npy", "b.npy"}));
  EXPECT_EQ(config.data.seed, 3);
  EXPECT_TRUE(config.evaluators.empty());
  EXPECT_TRUE(config.save_overwrite);
  EXPECT_EQ(config.fsdp->precision, FsdpPrecision::kMixed);
  EXPECT_EQ(config.fsdp->wrapping_strategy, FsdpWrapStrategy::kByBlock);
  EXPECT_EQ(config.wandb->project, "p=q");
  EXPECT_EQ(config.run_name, "1: 2");
  EXPECT_EQ(config.load_path, std::nullopt);
  EXPECT_EQ(config.max_duration, (Duration{2, Duration::Unit::kEpochs}));
}

TEST(Overrides, OnlyDashesOfTheNameBecomeUnderscores) {
  EXPECT_EQ(Parse("", {"--save-folder=a-b/c-d"}).save_folder, "a-b/c-d");
  EXPECT_EQ(Parse("", {"--save_folder--=x"}).save_folder, "x");
}

TEST(Overrides, ATextNeedsAValue) {
  EXPECT_EQ(ParseError("", {"--save_folder"}), "on the command line: --save_folder: found no value; accepted: a text");
  EXPECT_EQ(ParseError("", {"--load_path"}),
            "on the command line: --load_path: found no value; accepted: a text, or null");
  EXPECT_EQ(Parse("", {"--save_folder=true"}).save_folder, "true");
}

TEST(Overrides, WhatMakesNoSenseIsRefused) {
  EXPECT_EQ(ParseError("", {"--=3"}), "on the command line: --=3: an empty key; accepted: --key.path=value");
  EXPECT_EQ(ParseError("", {"--a..b=3"}), "on the command line: --a..b=3: an empty key; accepted: --key.path=value");
  EXPECT_EQ(ParseError("", {""}), "on the command line: : an empty key; accepted: --key.path=value");
  EXPECT_EQ(
      ParseError("", {"--evaluators[0].label=x"}),
      "on the command line: --evaluators[0].label=x: an element of a list cannot be set; accepted: the whole list, "
      "--key=[a,b]");
  EXPECT_EQ(ParseError("", {"--seed=[1"}),
            "on the command line: --seed=[1: this is not YAML: end of sequence flow not found");
  EXPECT_EQ(ParseError("", {"--seed.x=1"}),
            "on the command line: --seed: found a mapping; accepted: an integer such as 739_328");
  EXPECT_EQ(ParseError("", {"--" + std::string(100'000, '.') + "=1"}).find("no key lies so deep") != std::string::npos,
            true);
  EXPECT_EQ(ParseError("", {"--save_folder=${nope_nope}"})
                .find("on the command line: --save_folder: ${nope_nope}: no such key"),
            0u);
}

TEST(ParseTrainConfig, RewritesOldKeys) {
  EXPECT_EQ(Parse("activation_checkpointing: true\n").activation_checkpointing, ActivationCheckpointing::kWholeLayer);
  EXPECT_EQ(Parse("activation_checkpointing: false\n").activation_checkpointing, std::nullopt);
  EXPECT_EQ(Parse("activation_checkpointing: one_in_two\n").activation_checkpointing,
            ActivationCheckpointing::kOneInTwo);
  const TrainConfig lion = Parse("optimizer: {name: decoupled_lionw, eps: 1e-3}\n");
  EXPECT_EQ(lion.optimizer.name, OptimizerName::kLionW);
  EXPECT_EQ(lion.optimizer.eps, 1e-5);
  const TrainConfig decays = Parse("optimizer: {no_decay_norm_and_bias: false}\n");
  EXPECT_TRUE(decays.optimizer.decay_norm_and_bias);
  EXPECT_TRUE(decays.optimizer.decay_embeddings);
  EXPECT_EQ(decays.optimizer.no_decay_norm_and_bias, std::nullopt);
  const TrainConfig none = Parse("optimizer: {no_decay_norm_and_bias: true, decay_embeddings: true}\n");
  EXPECT_FALSE(none.optimizer.decay_embeddings);
}

TEST(ParseTrainConfig, FillsInWhatIsComputed) {
  const std::string text =
      "precision: fp32\nglobal_train_batch_size: 48\ndevice_train_microbatch_size: 4\ndevice_train_batch_size: 7\n";
  const TrainConfig one = Parse(text);
  EXPECT_EQ(one.model.precision, Precision::kFp32);
  EXPECT_EQ(one.device_train_batch_size, 48);
  EXPECT_EQ(one.device_train_grad_accum, 12);
  const TrainConfig three = ParseTrainConfig(text, "x.yaml", {}, {.world_size = 3});
  EXPECT_EQ(three.device_train_batch_size, 16);
  EXPECT_EQ(three.device_train_grad_accum, 4);
  EXPECT_EQ(ConfigErrorOf([&] { ParseTrainConfig(text, "x.yaml", {}, {.world_size = 5}); }),
            "x.yaml:2: global_train_batch_size: found 48; accepted with 5 ranks: a multiple of 5, such as 45 or 50");
  EXPECT_EQ(ConfigErrorOf([&] { ParseTrainConfig(text, "x.yaml", {}, {.world_size = 64}); }),
            "x.yaml:2: global_train_batch_size: found 48; accepted with 64 ranks: a multiple of 64, such as 64");
  EXPECT_EQ(Parse("device_train_microbatch_size: 0\n").device_train_grad_accum, std::nullopt);
}

TEST(ParseTrainConfig, KnowsWhereEachKeyWasSet) {
  const TrainConfig config = Parse("seed: 1\nmodel:\n  d_model: 64\nevaluators:\n- label: a\n", {"--model.n_heads=4"});
  EXPECT_EQ(config.sources.Where("seed"), "x.yaml:1: seed");
  EXPECT_EQ(config.sources.Where("model.d_model"), "x.yaml:3: model.d_model");
  EXPECT_EQ(config.sources.Where("evaluators[0].label"), "x.yaml:5: evaluators[0].label");
  EXPECT_EQ(config.sources.Where("model.n_heads"), "on the command line: --model.n_heads");
  EXPECT_EQ(config.sources.Where("model.rope"), "x.yaml: model.rope (not set)");
  EXPECT_FALSE(config.sources.IsSet("model.rope"));
}

TEST(LoadTrainConfig, ReadsAFile) {
  const TempDir dir;
  const std::string path = dir.Write("run.yaml", "seed: 5\nmodel: {n_head: 1}\n");
  EXPECT_EQ(ConfigErrorOf([&] { LoadTrainConfig(path); }),
            path + ":2: model.n_head: no such key; did you mean n_heads?");
  EXPECT_EQ(LoadTrainConfig(dir.Write("ok.yaml", "seed: 5\n")).seed, 5);
}

TEST(LoadTrainConfig, SaysWhyAFileCannotBeRead) {
  const TempDir dir;
  EXPECT_EQ(ConfigErrorOf([&] { LoadTrainConfig(dir.File("nope.yaml")); }),
            dir.File("nope.yaml") + ": No such file or directory; accepted: a YAML file");
  EXPECT_EQ(ConfigErrorOf([&] { LoadTrainConfig(dir.path()); }),
            dir.path() + ": Is a directory; accepted: a YAML file");
  EXPECT_EQ(ConfigErrorOf([&] { LoadTrainConfig(dir.Write("big.yaml", std::string((16 << 20) + 1, '#'))); }),
            dir.File("big.yaml") + ": more than 16 MiB; accepted: a YAML file");
  const std::string binary = dir.Write("tokens.npy", std::string("\x00\x01\xff\xfe{[\x02:\n- :", 12));
  EXPECT_EQ(ConfigErrorOf([&] { LoadTrainConfig(binary); }).find(binary), 0u);
}

TEST(Dump, LoadsToTheSameConfiguration) {
  const std::string text =
      "run_name: 'null'\n"
      "save_folder: \"a${run_name}\\\\${run_name} # é \\t\"\n"
      "load_path: \\${run_name}\n"
      "max_duration: 3ep\n"
      "save_interval: null\n"
      "time_limit: 0.1\n"
      "fsdp: null\n"
      "ddp: {}\n"
      "wandb: {tags: [], name: no}\n"
      "quantize_model: {use_quantize_model: fp8linear, fabit: E5M2}\n"
      "quantize_optimizer: {first_order_expansion: expand}\n"
      "model: {layer_norm_eps: 1e-6, n_kv_heads: 2, init_std: 0.30000000000000004, alibi_bias_max: 4}\n"
      "module_outputs_save_steps: [1, 22]\n"
      "data: {paths: ['1', 'true', ''], custom_dataset: {name: x, args: {a: [1, {b: null}]}}, num_workers: 4}\n"
      "evaluators: [{label: a, data: {datasets: {'x: y': [p], 'null': [q, \"r s\"]}, instance_filter: {}}}, {label: "
      "b}]\n";
  const TrainConfig config = Parse(text);
  const std::string dump = Dump(config);
  const TrainConfig again = Parse(dump);
  EXPECT_EQ(Dump(again), dump);
  EXPECT_EQ(again.run_name, "null");
  EXPECT_EQ(again.save_folder, config.save_folder);
  EXPECT_EQ(again.load_path, "${run_name}");
  EXPECT_EQ(again.model.init_std, 0.30000000000000004);
  EXPECT_EQ(again.fsdp.has_value(), false);
  EXPECT_EQ(again.ddp.has_value(), true);
  EXPECT_EQ(again.wandb->tags, std::vector<std::string>());
  EXPECT_EQ(again.wandb->name, "no");
  EXPECT_EQ(again.quantize_optimizer.first_order_expansion, Expansion::kOn);
  EXPECT_EQ(again.data.paths, (std::vector<std::string>{"1", "true", ""}));
  EXPECT_EQ(again.data.num_workers, 4);
  EXPECT_EQ(again.evaluators[0].data.datasets->count("x: y"), 1u);
  EXPECT_TRUE(again.evaluators[0].data.instance_filter.has_value());
}

TEST(Dump, LeavesOutWhatIsComputedAndIdle) {
  const std::string dump = Dump(Parse("global_train_batch_size: 8\n"));
  EXPECT_EQ(dump.find("device_train_batch_size"), std::string::npos);
  EXPECT_EQ(dump.find("num_workers"), std::string::npos);
  EXPECT_NE(dump.find("\nglobal_train_batch_size: 8\n"), std::string::npos);
  EXPECT_NE(Dump(Parse("gen1_gc_interval: 10\n")).find("gen1_gc_interval: 10"), std::string::npos);
}

TEST(Dump, LeavesOutWhatIsIdleInSectionsThatMayBeNull) {
  const std::string dump = Dump(Parse("ddp: {}\nwandb: {}\ncompile: {}\n"));
  for (const char* key : {"use_orig_params", "find_unused_params", "log_artifacts", "fullgraph"}) {
    EXPECT_EQ(dump.find(key), std::string::npos) << key;
  }
  EXPECT_NE(dump.find("\n  sharding_strategy: FULL_SHARD\n"), std::string::npos);
  EXPECT_TRUE(Parse(dump).compile.has_value());
  EXPECT_NE(Dump(Parse("fsdp: {use_orig_params: false}\n")).find("use_orig_params: false"), std::string::npos);
}

/// A value of T other than `value`, as YAML; empty where any text would do no good.
std::string Other(bool value) {
  return value ? "false" : "true";
}
std::string Other(std::int64_t value) {
  return std::to_string(value + 7);
}
std::string Other(double value) {
  return std::to_string(value + 0.5);
}
std::string Other(const std::string& value) {
  return value + "x";
}
std::string Other(const Duration&) {
  return "77T";
}
std::string Other(const std::array<double, 2>&) {
  return "[0.25, 0.5]";
}
std::string Other(const Node&) {
  return "{a: [1]}";
}
std::string Other(const std::vector<std::string>&) {
  return "[p, q]";
}
std::string Other(const std::vector<std::int64_t>&) {
  return "[3, 4]";
}
std::string Other(const std::map<std::string, std::vector<std::string>>&) {
  return "{p: [q]}";
}
std::string Other(const std::vector<EvaluatorConfig>&) {
  return "[{label: p}]";
}
template <NamedEnumeration Enumeration>
std::string Other(Enumeration value) {
  for (const auto& named : NamesOf(value)) {
    if (named.value != value) return std::string(named.name);
  }
  return std::string(NameOf(value));
}
template <class T>
std::string Other(const std::optional<T>& value) {
  if constexpr (ConfigSection<T>) {
    return value ? "null" : "{}";
  } else {
    return Other(value.value_or(T{}));
  }
}

/// Sets every key below `path` to another value, one at a time, and wants it in the dump, and back.
template <ConfigSection Section>
int CheckEveryKey(const Section& section, const std::string& path) {
  int count = 0;
  ForEachField(section, [&](std::string_view key, const auto& member, const KeyDoc& doc) {
    using Member = std::decay_t<decltype(member)>;
    const std::string key_path = path + std::string(key);
    if constexpr (ConfigSection<Member>) {
      count += CheckEveryKey(member, key_path + ".");
    } else {
      ++count;
      const TrainConfig config = Parse("", {key_path + "=" + Other(member)});
      EXPECT_TRUE(config.sources.IsSet(key_path)) << key_path;
      const std::string dump = Dump(config);
      EXPECT_EQ(Dump(Parse(dump)), dump) << key_path;
      const bool rewritten = key == "no_decay_norm_and_bias";
      if (doc.use != KeyUse::kComputed && !rewritten) {
        EXPECT_NE(dump, Dump(TrainConfig())) << key_path;
      }
      EXPECT_FALSE(doc.help.empty()) << key_path;
    }
  });
  return count;
}

TEST(ForEachField, EveryKeyIsReadAndDumped) {
  EXPECT_GE(CheckEveryKey(TrainConfig(), ""), 172);
}

TEST(DidYouMean, WantsANearName) {
  const std::vector<std::string> names = {"n_heads", "n_layers", "rope"};
  EXPECT_EQ(DidYouMean("n_head", names), "did you mean n_heads?");
  EXPECT_EQ(DidYouMean("n_haeds", names), "did you mean n_heads?");
  EXPECT_EQ(DidYouMean("layers", names), "did you mean n_layers?");
  EXPECT_EQ(DidYouMean("ab", names), "accepted: n_heads, n_layers, rope");
  EXPECT_EQ(DidYouMean("vocabulary", names), "accepted: n_heads, n_layers, rope");
  EXPECT_EQ(DidYouMean(std::string(1 << 20, 'x'), names), "accepted: n_heads, n_layers, rope");
}

TEST(EditDistance, CountsSwapsOfNeighborsAsOne) {
  EXPECT_EQ(EditDistance("", ""), 0u);
  EXPECT_EQ(EditDistance("abc", ""), 3u);
  EXPECT_EQ(EditDistance("", "abc"), 3u);
  EXPECT_EQ(EditDistance("abc", "abc"), 0u);
  EXPECT_EQ(EditDistance("abc", "axc"), 1u);
  EXPECT_EQ(EditDistance("abc", "acb"), 1u);
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3u);
}

}  // namespace
}  // namespace coat
