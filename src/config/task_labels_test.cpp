#include "config/task_labels.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

using enum TaskMetric;

TEST(TaskLabels, HaveOlmosMetrics) {
  EXPECT_EQ(OlmoMetricOf("piqa"), kLenNorm);
  EXPECT_EQ(OlmoMetricOf("boolq"), kAcc);
  EXPECT_EQ(OlmoMetricOf("mrpc"), kF1);
  EXPECT_EQ(OlmoMetricOf("arc_easy_ppl"), kCeLoss);
  EXPECT_EQ(OlmoMetricOf("gsm8k_gold_bpb_5shot"), kBpb);
  EXPECT_EQ(OlmoMetricOf("mmlu_social_sciences_mc_5shot_test"), kLenNorm);
  EXPECT_EQ(OlmoMetricOf("mmlu_stem_var_bpb"), kBpb);
  EXPECT_EQ(OlmoMetricOf("mmlu_other_test_rc_5shot"), kLenNorm);
}

TEST(TaskLabels, OfOeEvalDependOnSplitAndForm) {
  EXPECT_EQ(OlmoMetricOf("arc_easy_rc_5shot"), kAcc);
  EXPECT_EQ(OlmoMetricOf("arc_easy_val_rc_5shot"), kLenNorm);
  EXPECT_EQ(OlmoMetricOf("arc_easy_test_mc_5shot"), kAcc);
  EXPECT_EQ(OlmoMetricOf("boolq_val_rc_5shot"), kAcc);
  EXPECT_EQ(OlmoMetricOf("winogrande_rc_0shot"), kAcc);
  EXPECT_EQ(OlmoMetricOf("sciq_rc_0shot_bpb"), kBpb);
}

TEST(TaskLabels, UnknownOnesHaveNone) {
  for (const char* label : {"", "_bpb", "piqa_", "mmlu", "mmlu_stems", "piqa_test_rc_5shot", "sciq_mc_5shot",
                            "arc_easy_val_rc_0shot", "my_questions"}) {
    EXPECT_EQ(OlmoMetricOf(label), std::nullopt) << label;
  }
}

}  // namespace
}  // namespace coat
