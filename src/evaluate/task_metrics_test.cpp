// Expected numbers are made by hand or with double-precision arithmetic from the definitions; f1 is scikit-learn's
// f1_score(labels, predictions, pos_label=0).

#include "evaluate/task_metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace coat {
namespace {

using enum TaskMetric;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

/// Documents of (gold, continuations), whose requests are in order and have i + 1 characters and 2 i + 2 bytes.
RequestSet Documents(const std::vector<std::pair<std::int64_t, std::int64_t>>& documents) {
  RequestSet set;
  for (const auto& [gold, continuations] : documents) {
    const auto document = static_cast<std::int64_t>(set.documents.size());
    set.documents.push_back({.gold = gold, .continuations = continuations});
    for (std::int64_t i = 0; i < continuations; ++i) {
      set.requests.push_back({.document = document, .idx = i, .characters = i + 1, .bytes = 2 * i + 2});
    }
  }
  return set;
}

double Value(const RequestSet& set, const std::vector<double>& log_likelihoods, const std::vector<TaskMetric>& metrics,
             TaskMetric wanted, const std::vector<double>& unconditional = {}) {
  const Metrics result = ScoreTask("t", {&set, log_likelihoods, unconditional}, metrics);
  return result.Find(TaskMetricName("t", wanted)).value();
}

TEST(TaskMetrics, HaveOlmosNames) {
  EXPECT_EQ(TaskMetricName("piqa", kLenNorm), "eval/downstream/piqa_len_norm");
  EXPECT_EQ(TaskMetricName("mrpc", kF1), "eval/downstream/mrpc_f1");
  EXPECT_EQ(TaskMetricName("arc_easy_ppl", kCeLoss), "eval/downstream_ce_loss/arc_easy_ppl_ce_loss");
  EXPECT_EQ(TaskMetricName("mmlu_stem_bpb", kBpb), "eval/downstream_bpb/mmlu_stem_bpb_bpb");
  EXPECT_EQ(TaskMetricName("piqa_val_rc_5shot", kSoft), "eval/downstream_soft/piqa_val_rc_5shot_soft");
  EXPECT_EQ(TaskMetricName("piqa_val_rc_5shot", kSoftLog), "eval/downstream_soft_log/piqa_val_rc_5shot_soft_log");
}

TEST(TaskMetrics, RankTheContinuations) {
  const RequestSet set = Documents({{0, 2}, {1, 3}});
  const std::vector<double> scores = {-3.0, -4.0, /*second*/ -5.0, -6.0, -2.0};
  EXPECT_EQ(Value(set, scores, {kAcc}, kAcc), 0.5);          // 0 is right, 2 is wrong
  EXPECT_EQ(Value(set, scores, {kLenNorm}, kLenNorm), 0.0);  // -3 < -2; -2/3 is the highest
  EXPECT_EQ(Value(set, scores, {kPmiDc}, kPmiDc, {-9.0, -1.0, -5.0, -9.0, -1.0}), 1.0);
}

TEST(TaskMetrics, PreferTheFirstOfEquals) {
  const RequestSet set = Documents({{0, 2}, {1, 2}});
  EXPECT_EQ(Value(set, {-1.0, -1.0, -1.0, -1.0}, {kAcc}, kAcc), 0.5);
}

TEST(TaskMetrics, MeasureTheGoldContinuation) {
  const RequestSet set = Documents({{0, 2}, {1, 2}});
  const std::vector<double> gold_only = {-3.0, kUnknown, kUnknown, -6.0};
  EXPECT_DOUBLE_EQ(Value(set, gold_only, {kCeLoss}, kCeLoss), (3.0 / 1 + 6.0 / 2) / 2);
  EXPECT_DOUBLE_EQ(Value(set, gold_only, {kBpb}, kBpb), (3.0 / 2 + 6.0 / 4) / 2 / std::log(2.0));
}

TEST(TaskMetrics, SoftIsTheProbabilityAmongTheContinuations) {
  const RequestSet set = Documents({{1, 2}});
  const std::vector<double> scores = {-1.0, -3.0};
  const double of_sums = std::exp(-3.0) / (std::exp(-1.0) + std::exp(-3.0));
  const double of_means = std::exp(-1.5) / (std::exp(-1.0) + std::exp(-1.5));
  EXPECT_DOUBLE_EQ(Value(set, scores, {kSoft}, kSoft), of_sums);
  EXPECT_DOUBLE_EQ(Value(set, scores, {kAcc, kLenNorm, kSoft}, kSoft), of_sums);
  EXPECT_DOUBLE_EQ(Value(set, scores, {kSoftLog, kLenNorm}, kSoftLog), std::log(of_means));
  EXPECT_DOUBLE_EQ(Value(set, {-2000.0, -2001.0}, {kSoftLog}, kSoftLog), -1.0 - std::log1p(std::exp(-1.0)));
}

TEST(TaskMetrics, F1IsThatOfTheFirstAnswer) {
  const RequestSet set = Documents({{0, 2}, {0, 2}, {1, 2}, {1, 2}, {0, 2}});
  // Predictions 0, 1, 0, 1, 0: two found, one missed, one too many.
  EXPECT_DOUBLE_EQ(Value(set, {-1, -2, -2, -1, -1, -2, -2, -1, -1, -2}, {kF1}, kF1), 2.0 / 3.0);
  EXPECT_EQ(Value(set, {-2, -1, -2, -1, -2, -1, -2, -1, -2, -1}, {kF1}, kF1), 0.0);
}

TEST(TaskMetrics, LeaveOutDocumentsThatAreNotWhole) {
  const RequestSet set = Documents({{0, 2}, {0, 2}});
  EXPECT_EQ(Value(set, {-2.0, -1.0, -1.0, kUnknown}, {kAcc}, kAcc), 0.0);
  EXPECT_EQ(Value(set, {-2.0, -1.0, -1.0, kUnknown}, {kCeLoss}, kCeLoss), 1.5);
  EXPECT_EQ(Value(set, {-2.0, -1.0, -1.0, kUnknown}, {kCeLoss, kAcc}, kCeLoss), 2.0);
  EXPECT_TRUE(ScoreTask("t", {&set, std::vector<double>(4, kUnknown), {}}, std::vector{kAcc}).empty());
}

}  // namespace
}  // namespace coat
