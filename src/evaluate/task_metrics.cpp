#include "evaluate/task_metrics.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "base/error.h"

namespace coat {

namespace {

/// The scores of one document's continuations.
struct Answers {
  std::vector<const Request*> requests;
  std::vector<double> log_likelihoods;
  std::vector<double> unconditional;
  std::size_t gold = 0;

  /// What a metric ranks the continuations by.
  std::vector<double> ScoresFor(TaskMetric metric) const {
    std::vector<double> scores = log_likelihoods;
    for (std::size_t i = 0; i < scores.size(); ++i) {
      if (metric == TaskMetric::kLenNorm) scores[i] /= static_cast<double>(requests[i]->characters);
      if (metric == TaskMetric::kPmiDc) scores[i] -= unconditional[i];
    }
    return scores;
  }
};

std::size_t IndexOfLargest(const std::vector<double>& scores) {
  return static_cast<std::size_t>(std::max_element(scores.begin(), scores.end()) - scores.begin());
}

double LogSoftmax(const std::vector<double>& scores, std::size_t index) {
  const double largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0.0;
  for (const double score : scores) sum += std::exp(score - largest);
  return scores[index] - largest - std::log(sum);
}

/// The answers of every document that has all that is needed.
std::vector<Answers> AnswersOf(const TaskScores& scores, bool gold_only, bool unconditional) {
  const RequestSet& set = *scores.requests;
  std::vector<Answers> all(set.documents.size());
  std::vector<bool> is_whole(set.documents.size(), true);
  for (std::size_t document = 0; document < all.size(); ++document) {
    const auto count = static_cast<std::size_t>(set.documents[document].continuations);
    all[document].requests.resize(count);
    all[document].log_likelihoods.resize(count);
    all[document].unconditional.resize(unconditional ? count : 0);
    all[document].gold = static_cast<std::size_t>(set.documents[document].gold);
  }
  for (std::size_t i = 0; i < set.requests.size(); ++i) {
    const auto document = static_cast<std::size_t>(set.requests[i].document);
    const auto idx = static_cast<std::size_t>(set.requests[i].idx);
    Answers& answers = all[document];
    answers.requests[idx] = &set.requests[i];
    answers.log_likelihoods[idx] = scores.log_likelihoods[i];
    if (unconditional) answers.unconditional[idx] = scores.unconditional[i];
    const bool needed = !gold_only || idx == answers.gold;
    const bool known =
        !std::isnan(scores.log_likelihoods[i]) && !(unconditional && std::isnan(scores.unconditional[i]));
    if (needed && !known) is_whole[document] = false;
  }
  std::vector<Answers> whole;
  for (std::size_t document = 0; document < all.size(); ++document) {
    if (is_whole[document]) whole.push_back(std::move(all[document]));
  }
  return whole;
}

double F1(const std::vector<Answers>& documents) {
  std::int64_t found = 0;
  std::int64_t wrong = 0;
  for (const Answers& document : documents) {
    const std::size_t answer = IndexOfLargest(document.log_likelihoods);
    if (answer == 0 && document.gold == 0) ++found;
    if (answer != document.gold) ++wrong;
  }
  if (found == 0) return 0.0;
  return 2.0 * static_cast<double>(found) / static_cast<double>(2 * found + wrong);
}

/// A document's part of the mean that a metric is.
double ValueOf(const Answers& document, TaskMetric metric, TaskMetric soft_of) {
  const std::size_t gold = document.gold;
  const Request& right = *document.requests[gold];
  switch (metric) {
    case TaskMetric::kAcc:
    case TaskMetric::kLenNorm:
    case TaskMetric::kPmiDc:
      return IndexOfLargest(document.ScoresFor(metric)) == gold ? 1.0 : 0.0;
    case TaskMetric::kCeLoss:
      return -document.log_likelihoods[gold] / static_cast<double>(right.characters);
    case TaskMetric::kBpb:
      return -document.log_likelihoods[gold] / static_cast<double>(right.bytes) * std::numbers::log2e;
    case TaskMetric::kSoft:
      return std::exp(LogSoftmax(document.ScoresFor(soft_of), gold));
    case TaskMetric::kSoftLog:
      return LogSoftmax(document.ScoresFor(soft_of), gold);
    case TaskMetric::kF1:
      break;
  }
  throw ArgumentError("f1 is not a mean over documents");
}

/// The score that soft and soft_log are made of.
TaskMetric SoftOf(std::span<const TaskMetric> metrics) {
  for (const TaskMetric metric : metrics) {
    if (metric == TaskMetric::kAcc || metric == TaskMetric::kLenNorm || metric == TaskMetric::kPmiDc) return metric;
  }
  return TaskMetric::kAcc;
}

}  // namespace

bool Ranks(TaskMetric metric) {
  return metric != TaskMetric::kCeLoss && metric != TaskMetric::kBpb;
}

std::string TaskMetricName(std::string_view label, TaskMetric metric) {
  const std::string_view name = NameOf(metric);
  const bool own_folder = !Ranks(metric) || metric == TaskMetric::kSoft || metric == TaskMetric::kSoftLog;
  if (own_folder) return fmt::format("eval/downstream_{}/{}_{}", name, label, name);
  return fmt::format("eval/downstream/{}_{}", label, name);
}

Metrics ScoreTask(std::string_view label, const TaskScores& scores, std::span<const TaskMetric> metrics) {
  const std::size_t count = scores.requests->requests.size();
  const bool unconditional = std::find(metrics.begin(), metrics.end(), TaskMetric::kPmiDc) != metrics.end();
  COAT_REQUIRE(scores.log_likelihoods.size() == count, "ScoreTask: {} log-likelihoods of {} requests",
               scores.log_likelihoods.size(), count);
  COAT_REQUIRE(!unconditional || scores.unconditional.size() == count,
               "ScoreTask: {} unconditional log-likelihoods of {} requests", scores.unconditional.size(), count);
  const std::vector<Answers> documents =
      AnswersOf(scores, std::none_of(metrics.begin(), metrics.end(), Ranks), unconditional);
  Metrics result;
  if (documents.empty()) return result;
  for (const TaskMetric metric : metrics) {
    if (metric == TaskMetric::kF1) {
      result.Set(TaskMetricName(label, metric), F1(documents));
      continue;
    }
    double sum = 0.0;
    for (const Answers& document : documents) sum += ValueOf(document, metric, SoftOf(metrics));
    result.Set(TaskMetricName(label, metric), sum / static_cast<double>(documents.size()));
  }
  return result;
}

}  // namespace coat
