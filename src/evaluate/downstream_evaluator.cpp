#include "evaluate/downstream_evaluator.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/divide.h"
#include "base/error.h"
#include "comm/agreement.h"
#include "config/task_labels.h"
#include "data/labels.h"
#include "evaluate/shared_batches.h"
#include "evaluate/task_metrics.h"

namespace coat {

namespace {

constexpr double kNotComputed = std::numeric_limits<double>::quiet_NaN();

RequestSet OpenRequests(const TrainConfig& config, const EvaluatorConfig& evaluator) {
  return ReadRequests({.paths = evaluator.requests.value_or(std::vector<std::string>()),
                       .vocab_size = config.model.vocab_size,
                       .context_window = config.model.max_sequence_length,
                       .tokenizer = config.tokenizer.identifier});
}

std::vector<TaskMetric> MetricsOf(const EvaluatorConfig& evaluator, const std::string& key) {
  if (evaluator.metrics) return *evaluator.metrics;
  const std::optional<TaskMetric> metric = OlmoMetricOf(evaluator.label);
  if (!metric) throw ConfigError(fmt::format("{}.metrics: required for the label {}", key, evaluator.label));
  return {*metric};
}

/// FP8 tensor cores work on tokens in 16s, with operands in groups and blocks in 128s.
std::int64_t MultipleFor(const TrainConfig& config, EvaluationRecipe recipe) {
  const bool blocks = config.quantize_model.use_quantize_model == QuantizeModel::kFp8DeepSeek;
  return blocks && recipe == EvaluationRecipe::kTraining ? 128 : 16;
}

bool Contains(const std::vector<TaskMetric>& metrics, TaskMetric metric) {
  return std::find(metrics.begin(), metrics.end(), metric) != metrics.end();
}

}  // namespace

DownstreamEvaluator::DownstreamEvaluator(const TrainConfig& config, const EvaluatorConfig& evaluator,
                                         const std::string& key)
    : Evaluator(evaluator),
      metrics_(MetricsOf(evaluator, key)),
      requests_(OpenRequests(config, evaluator)),
      batch_size_(evaluator.device_eval_batch_size.value_or(config.device_eval_batch_size)),
      longest_(config.model.max_sequence_length),
      multiple_(MultipleFor(config, evaluator.recipe)),
      padding_(static_cast<std::int32_t>(config.model.pad_token_id)) {
  CheckMetrics(key);
  ChooseRequests(evaluator.subset_num_batches.value_or(config.eval_subset_num_batches), key);
}

void DownstreamEvaluator::CheckMetrics(const std::string& key) const {
  const auto fail = [&](TaskMetric metric, const RequestDocument& document, const std::string& what) {
    throw ConfigError(fmt::format("{}.metrics: {} is asked for, and {}: doc_id {} {}", key, NameOf(metric),
                                  document.place, document.doc_id, what));
  };
  for (const RequestDocument& document : requests_.documents) {
    if (Contains(metrics_, TaskMetric::kF1) && document.continuations != 2) {
      fail(TaskMetric::kF1, document, fmt::format("has {} continuations; accepted: 2", document.continuations));
    }
  }
  const bool unconditional = Contains(metrics_, TaskMetric::kPmiDc);
  for (std::size_t i = 0; i < requests_.requests.size(); ++i) {
    const Request& request = requests_.requests[i];
    const RequestDocument& document = requests_.documents[static_cast<std::size_t>(request.document)];
    if (unconditional && (requests_.unconditional.empty() || requests_.unconditional[i].tokens.empty())) {
      fail(TaskMetric::kPmiDc, document,
           fmt::format("has no unconditional request for idx {}; accepted: a line with doc_id {}", request.idx,
                       document.doc_id + kUnconditional));
    }
    if (request.characters > 0) continue;
    for (const TaskMetric metric : {TaskMetric::kLenNorm, TaskMetric::kCeLoss, TaskMetric::kBpb}) {
      if (!Contains(metrics_, metric)) continue;
      fail(metric, document,
           fmt::format("has a continuation of one character, idx {}; accepted: a blank and at least one character",
                       request.idx));
    }
  }
}

void DownstreamEvaluator::ChooseRequests(std::int64_t subset_num_batches, const std::string& key) {
  log_likelihoods_.assign(requests_.requests.size(), kNotComputed);
  const bool unconditional = Contains(metrics_, TaskMetric::kPmiDc);
  unconditional_.assign(unconditional ? requests_.requests.size() : 0, kNotComputed);
  const bool gold_only = std::none_of(metrics_.begin(), metrics_.end(), Ranks);
  std::vector<std::int64_t> missing(requests_.documents.size());
  for (std::size_t i = 0; i < missing.size(); ++i) missing[i] = gold_only ? 1 : requests_.documents[i].continuations;
  for (std::size_t i = 0; i < requests_.requests.size(); ++i) {
    const Request& request = requests_.requests[i];
    const auto document = static_cast<std::size_t>(request.document);
    if (gold_only && request.idx != requests_.documents[document].gold) continue;
    if (subset_num_batches > 0 && std::ssize(jobs_) / batch_size_ == subset_num_batches) break;
    jobs_.push_back({&request, &log_likelihoods_[i]});
    --missing[document];
  }
  if (std::find(missing.begin(), missing.end(), 0) == missing.end()) {
    throw ConfigError(
        fmt::format("{}.subset_num_batches: the first {} batches of {} requests hold no question whole; "
                    "accepted: more batches, or none for all",
                    key, subset_num_batches, batch_size_));
  }
  const std::size_t conditional = jobs_.size();
  for (std::size_t i = 0; unconditional && i < conditional; ++i) {
    const auto index = static_cast<std::size_t>(jobs_[i].request - requests_.requests.data());
    jobs_.push_back({&requests_.unconditional[index], &unconditional_[index]});
  }
  std::stable_sort(jobs_.begin(), jobs_.end(),
                   [](const Job& a, const Job& b) { return a.request->tokens.size() > b.request->tokens.size(); });
}

std::int64_t DownstreamEvaluator::batch_count() const {
  return DivideUp(std::ssize(jobs_), batch_size_);
}

/// The length of a batch whose longest request has so many tokens to read: one of a few, four from each power of two to
/// the next, so that a GPU records few batches.
std::int64_t DownstreamEvaluator::LengthOf(std::int64_t tokens) const {
  const auto power = static_cast<std::int64_t>(std::bit_ceil(static_cast<std::uint64_t>(tokens)));
  const std::int64_t step = std::max(power / 8, multiple_);
  return std::min(RoundUp(tokens, step), longest_);
}

Metrics DownstreamEvaluator::Run(LossModel& model, Communicator& ranks,
                                 const std::function<void(std::int64_t)>& progress) {
  std::vector<double> log_likelihoods(jobs_.size());  // of the jobs; 0 for those of other ranks
  model.PrepareEvaluation(recipe());
  const auto evaluate = [&](std::int64_t batch, bool counts) {
    const auto first = static_cast<std::size_t>(batch * batch_size_);
    const std::size_t end = std::min(first + static_cast<std::size_t>(batch_size_), jobs_.size());
    const std::span<const double> found = RunBatch(model, first, end);
    if (counts) std::copy(found.begin(), found.end(), log_likelihoods.begin() + static_cast<std::ptrdiff_t>(first));
  };
  ShareBatches(ranks, batch_count(), evaluate, progress);
  // A value of one rank and zeros of the others: the sum is the value, to the bit.
  ranks.AllReduce(log_likelihoods, Reduction::kSum);
  Keep(log_likelihoods);
  return ScoreTask(label(), {&requests_, log_likelihoods_, unconditional_}, metrics_);
}

std::span<const double> DownstreamEvaluator::RunBatch(LossModel& model, std::size_t first, std::size_t end) {
  const auto length = static_cast<std::size_t>(LengthOf(std::ssize(jobs_[first].request->tokens) - 1));
  ids_.assign((end - first) * length, padding_);
  labels_.assign(ids_.size(), kNoLabel);
  for (std::size_t job = first; job < end; ++job) {
    const Request& request = *jobs_[job].request;
    const std::size_t row = (job - first) * length;
    const std::size_t read = request.tokens.size() - 1;
    std::copy_n(request.tokens.begin(), read, ids_.begin() + static_cast<std::ptrdiff_t>(row));
    for (std::size_t t = read - static_cast<std::size_t>(request.predicted); t < read; ++t) {
      labels_[row + t] = request.tokens[t + 1];
    }
  }
  const std::span<const float> loss = model.EvaluateBatch(ids_, labels_, static_cast<std::int64_t>(end - first));
  batch_log_likelihoods_.assign(end - first, 0.0);
  for (std::size_t i = 0; i < ids_.size(); ++i) batch_log_likelihoods_[i / length] -= loss[i];
  return batch_log_likelihoods_;
}

void DownstreamEvaluator::Keep(std::span<const double> log_likelihoods) {
  for (std::size_t job = 0; job < jobs_.size(); ++job) {
    const Request& request = *jobs_[job].request;
    if (!std::isfinite(log_likelihoods[job])) {
      const RequestDocument& document = requests_.documents[static_cast<std::size_t>(request.document)];
      throw OfAllRanks(
          TrainingError(fmt::format("{}: {}: the log-likelihood of doc_id {}, idx {} is {}", label(), document.place,
                                    document.doc_id, request.idx, FormatMetric(log_likelihoods[job]))));
    }
    *jobs_[job].log_likelihood = log_likelihoods[job];
  }
}

std::vector<std::string> DownstreamEvaluator::Details() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < requests_.requests.size(); ++i) {
    if (std::isnan(log_likelihoods_[i])) continue;
    const Request& request = requests_.requests[i];
    const RequestDocument& document = requests_.documents[static_cast<std::size_t>(request.document)];
    nlohmann::ordered_json line = {{"task", label()},
                                   {"doc_id", document.doc_id},
                                   {"idx", request.idx},
                                   {"label", document.gold},
                                   {"log_likelihood", log_likelihoods_[i]}};
    if (!unconditional_.empty()) line["unconditional_log_likelihood"] = unconditional_[i];
    line["tokens"] = request.predicted;
    line["characters"] = request.characters;
    line["bytes"] = request.bytes;
    lines.push_back(line.dump());
  }
  return lines;
}

}  // namespace coat
