#include "config/task_labels.h"

#include <algorithm>
#include <array>
#include <utility>

namespace coat {

namespace {

using enum TaskMetric;

template <std::size_t n>
bool Contains(const std::array<std::string_view, n>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Cuts `prefix` off `text` if it begins with it.
bool Cut(std::string_view prefix, std::string_view& text) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Tasks that have one label.
std::optional<TaskMetric> OfSingleTask(std::string_view label) {
  constexpr std::array<std::pair<std::string_view, TaskMetric>, 22> kTasks = {{
      {"piqa", kLenNorm},
      {"hellaswag", kLenNorm},
      {"winogrande", kAcc},
      {"openbook_qa", kLenNorm},
      {"boolq", kAcc},
      {"sciq", kAcc},
      {"arc_easy", kAcc},
      {"arc_easy_ppl", kCeLoss},
      {"arc_challenge", kLenNorm},
      {"basic_arithmetic", kAcc},
      {"commonsense_qa", kLenNorm},
      {"social_iqa", kLenNorm},
      {"copa", kAcc},
      {"rte", kLenNorm},
      {"commitment_bank", kAcc},
      {"mrpc", kF1},
      {"sst2", kAcc},
      {"trivia_qa_wiki_ppl", kCeLoss},
      {"natural_qs_open_ppl", kCeLoss},
      {"copycolors_10way", kAcc},
      {"copycolors_xl_10way", kAcc},
      {"gsm8k_gold_bpb_5shot", kBpb},
  }};
  for (const auto& [name, metric] : kTasks) {
    if (name == label) return metric;
  }
  return std::nullopt;
}

bool IsMmlu(std::string_view label) {
  constexpr std::array<std::string_view, 4> kCategories = {"stem", "humanities", "social_sciences", "other"};
  constexpr std::array<std::string_view, 11> kVariants = {"",
                                                          "_test",
                                                          "_var",
                                                          "_mc_5shot",
                                                          "_mc_5shot_test",
                                                          "_val_rc_var",
                                                          "_val_rc_5shot",
                                                          "_val_mc_5shot",
                                                          "_test_rc_var",
                                                          "_test_rc_5shot",
                                                          "_test_mc_5shot"};
  if (!Cut("mmlu_", label)) return false;
  for (const std::string_view category : kCategories) {
    std::string_view variant = label;
    if (Cut(category, variant) && Contains(kVariants, variant)) return true;
  }
  return false;
}

/// OE-eval's requests: "{task}_{rc|mc}_{shots}shot", and with a split "{task}_{split}_{rc|mc}_5shot".
std::optional<TaskMetric> OfOeEval(std::string_view label) {
  struct Task {
    std::string_view name;
    TaskMetric rc;           // of the labels without a split
    TaskMetric rc_of_split;  // of those with one
    bool has_test = false;
    bool has_splits = true;
  };
  constexpr std::array<Task, 11> kTasks = {{{"arc_challenge", kLenNorm, kLenNorm, true},
                                            {"arc_easy", kAcc, kLenNorm, true},
                                            {"boolq", kAcc, kAcc},
                                            {"csqa", kLenNorm, kLenNorm},
                                            {"hellaswag", kLenNorm, kLenNorm},
                                            {"openbookqa", kLenNorm, kLenNorm, true},
                                            {"piqa", kLenNorm, kLenNorm},
                                            {"socialiqa", kLenNorm, kLenNorm},
                                            {"winogrande", kAcc, kLenNorm},
                                            {"copa", kAcc, kAcc, false, false},
                                            {"sciq", kAcc, kAcc, false, false}}};
  for (const Task& task : kTasks) {
    std::string_view rest = label;
    if (!Cut(task.name, rest)) continue;
    if (rest == "_rc_0shot") return task.rc;
    if (!task.has_splits) continue;
    if (rest == "_rc_5shot") return task.rc;
    if (rest == "_mc_5shot") return kAcc;
    const bool split = Cut("_train", rest) || Cut("_val", rest) || (task.has_test && Cut("_test", rest));
    if (split && rest == "_rc_5shot") return task.rc_of_split;
    if (split && rest == "_mc_5shot") return kAcc;
  }
  return std::nullopt;
}

}  // namespace

std::optional<TaskMetric> OlmoMetricOf(std::string_view label) {
  constexpr std::string_view kBitsPerByte = "_bpb";
  const bool bits_per_byte = label.ends_with(kBitsPerByte);
  if (bits_per_byte) label.remove_suffix(kBitsPerByte.size());
  std::optional<TaskMetric> metric = OfSingleTask(label);
  if (!metric && IsMmlu(label)) metric = kLenNorm;
  if (!metric) metric = OfOeEval(label);
  if (metric && bits_per_byte) return kBpb;
  return metric;
}

}  // namespace coat
