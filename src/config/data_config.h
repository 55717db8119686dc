#pragma once
// The sections `data`, `evaluators` and `tokenizer`. Field names are OLMo's keys, values its defaults.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "config/enumerations.h"
#include "config/field.h"
#include "config/node.h"

namespace coat {

struct InstanceFilterConfig {
  std::int64_t repetition_max_period = 13;
  std::int64_t repetition_min_period = 1;
  std::int64_t repetition_max_count = 32;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("repetition_max_period", self.repetition_max_period,
          Honored("tokens of the longest piece whose repetition counts; at most a third of a sequence"));
    visit("repetition_min_period", self.repetition_min_period, Honored("tokens of the shortest piece"));
    visit("repetition_max_count", self.repetition_max_count,
          Honored("times in a row from which a sequence is left out of the loss; at least 3"));
  }
};

struct DataConfig {
  std::optional<std::vector<std::string>> paths = std::nullopt;
  TokenType memmap_dtype = TokenType::kUint16;
  std::optional<std::map<std::string, std::vector<std::string>>> datasets = std::nullopt;
  std::optional<std::vector<std::string>> label_mask_paths = std::nullopt;
  Side pad_direction = Side::kRight;
  bool generate_attention_mask = false;
  bool generate_doc_lengths = false;
  std::int64_t num_workers = 0;
  bool drop_last = false;
  bool pin_memory = false;
  std::optional<std::int64_t> prefetch_factor = std::nullopt;
  bool persistent_workers = false;
  std::int64_t timeout = 0;
  std::optional<std::int64_t> seed = std::nullopt;
  std::optional<InstanceFilterConfig> instance_filter = std::nullopt;
  std::optional<Node> custom_dataset = std::nullopt;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("paths", self.paths, Honored("token files, local; instead of datasets"));
    visit("memmap_dtype", self.memmap_dtype, Honored("type of a token in the files"));
    visit("datasets", self.datasets, Honored("label: token files; taken in the order of the labels"));
    visit("label_mask_paths", self.label_mask_paths,
          Honored("a file of one byte a token for each of paths; 0: no loss"));
    visit("pad_direction", self.pad_direction, NoEffect("every sequence is whole: nothing is filled"));
    visit("generate_attention_mask", self.generate_attention_mask, Only("false", "attention to no padding"));
    visit("generate_doc_lengths", self.generate_doc_lengths,
          Honored("attention within documents only: one ends with each model.eos_token_id"));
    visit("num_workers", self.num_workers, NoEffect("loader processes; one thread reads ahead here"));
    visit("drop_last", self.drop_last, Honored("cut the sequences to a multiple of the ranks rather than repeat some"));
    visit("pin_memory", self.pin_memory, NoEffect("of torch's loader"));
    visit("prefetch_factor", self.prefetch_factor, NoEffect("of torch's loader"));
    visit("persistent_workers", self.persistent_workers, NoEffect("of torch's loader"));
    visit("timeout", self.timeout, NoEffect("of torch's loader"));
    visit("seed", self.seed, Honored("seed of the order; null: the root's seed"));
    visit("instance_filter", self.instance_filter, Honored("leaves sequences that repeat themselves out of the loss"));
    visit("custom_dataset", self.custom_dataset, Only("null", "a Python class that yields the data"));
  }
};

struct EvaluatorConfig {
  std::string label;
  EvaluatorType type = EvaluatorType::kLm;
  DataConfig data;
  std::optional<std::int64_t> device_eval_batch_size = std::nullopt;
  std::optional<std::int64_t> subset_num_batches = std::nullopt;
  std::optional<std::vector<std::string>> requests = std::nullopt;  // coat's own key
  std::optional<std::vector<TaskMetric>> metrics = std::nullopt;    // coat's own key
  EvaluationRecipe recipe = EvaluationRecipe::kPlain;               // coat's own key

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("label", self.label, Honored("name in the metrics; required"));
    visit("type", self.type, Honored("loss on token files, or a task's questions by rank classification"));
    visit("data", self.data, Honored("as the root's data"));
    visit("device_eval_batch_size", self.device_eval_batch_size, Honored("sequences of a batch; null: the root's"));
    visit("subset_num_batches", self.subset_num_batches,
          Honored("at most so many batches; null: eval_subset_num_batches; not above 0: all"));
    visit("requests", self.requests, Honored("coat's own: with downstream, the request files of the task, local"));
    visit("metrics", self.metrics, Honored("coat's own: with downstream; null: the one that OLMo has for the label"));
    visit("recipe", self.recipe, Honored("coat's own: forward without FP8 (plain), or as the training computes it"));
  }
};

struct TokenizerConfig {
  std::string identifier = "gpt2";
  Side truncate_direction = Side::kRight;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("identifier", self.identifier,
          Honored("bytes, or the path of a tokenizer.json: for tasks of evaluators and `coat generate`"));
    visit("truncate_direction", self.truncate_direction, NoEffect("side on which a tokenizer cuts off"));
  }
};

}  // namespace coat
