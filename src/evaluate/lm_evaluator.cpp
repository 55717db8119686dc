#include "evaluate/lm_evaluator.h"

#include <cmath>

#include "base/error.h"
#include "comm/agreement.h"
#include "data/labels.h"
#include "evaluate/data_options.h"
#include "evaluate/shared_batches.h"

namespace coat {

LmEvaluator::LmEvaluator(const TrainConfig& config, const EvaluatorConfig& evaluator, const std::string& key)
    : Evaluator(evaluator),
      dataset_(std::make_unique<MemMapDataset>(DatasetOptionsOf(config.model, evaluator.data, key + ".data"))) {
  const std::int64_t subset = evaluator.subset_num_batches.value_or(config.eval_subset_num_batches);
  EvaluationOptions options;
  options.batch_size = evaluator.device_eval_batch_size.value_or(config.device_eval_batch_size);
  options.subset_num_batches = subset > 0 ? subset : -1;
  options.seed = static_cast<std::uint64_t>(evaluator.data.seed.value_or(config.seed));
  loader_ = std::make_unique<EvaluationLoader>(*dataset_, options);
}

void LmEvaluator::CheckData(const Communicator& ranks) {
  for (std::int64_t batch = ranks.rank(); batch < loader_->batch_count(); batch += ranks.size()) loader_->Check(batch);
}

Metrics LmEvaluator::Run(LossModel& model, Communicator& ranks, const std::function<void(std::int64_t)>& progress) {
  Findings findings(static_cast<std::size_t>(loader_->sequence_count()));
  model.PrepareEvaluation(recipe());
  ShareBatches(
      ranks, loader_->batch_count(),
      [&](std::int64_t batch, bool counts) { EvaluateBatch(model, batch, counts ? &findings : nullptr); }, progress);
  // A value of one rank and zeros of the others: the sum is the value, to the bit.
  ranks.AllReduce(findings.values, Reduction::kSum);
  return MetricsOf(findings);
}

/// Evaluates a batch; keeps what it finds unless `findings` is null.
void LmEvaluator::EvaluateBatch(LossModel& model, std::int64_t index, Findings* findings) {
  const Batch& batch = loader_->Read(index);
  const std::int64_t length = batch.sequence_length;
  labels_.resize(batch.input_ids.size());
  MakeLabels(batch, 0, batch.sequence_count(), labels_);
  const std::span<const float> loss =
      model.EvaluateBatch(batch.input_ids, labels_, batch.sequence_count(), batch.documents);
  if (findings == nullptr) return;
  for (std::int64_t sequence = 0; sequence < batch.sequence_count(); ++sequence) {
    double total = 0.0;
    std::int64_t predicted = 0;
    for (std::int64_t t = sequence * length; t < (sequence + 1) * length; ++t) {
      if (labels_[static_cast<std::size_t>(t)] == kNoLabel) continue;
      total += loss[static_cast<std::size_t>(t)];
      ++predicted;
    }
    if (predicted == 0) continue;
    const auto place = static_cast<std::size_t>(index * loader_->batch_size() + sequence);
    findings->loss(place) = total / static_cast<double>(predicted);
    findings->label(place) = batch.labels[static_cast<std::size_t>(sequence)] + 1;
  }
}

Metrics LmEvaluator::MetricsOf(Findings& findings) {
  struct Sum {
    double loss = 0.0;
    std::int64_t sequences = 0;
  };
  std::vector<Sum> sums(dataset_->labels().size());
  for (std::size_t sequence = 0; sequence < findings.values.size() / 2; ++sequence) {
    const auto label = static_cast<std::size_t>(findings.label(sequence));
    if (label == 0) continue;
    sums[label - 1].loss += findings.loss(sequence);
    ++sums[label - 1].sequences;
  }
  Metrics metrics;
  unmeasured_.clear();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    const std::string& of_data = dataset_->labels()[i];
    if (sums[i].sequences == 0) {
      unmeasured_.push_back(of_data);
      continue;
    }
    const std::string name = "eval/" + (of_data.empty() ? label() : of_data);
    const double mean = sums[i].loss / static_cast<double>(sums[i].sequences);
    if (!std::isfinite(mean))
      throw OfAllRanks(TrainingError(fmt::format("{}: the loss is {}", name, FormatMetric(mean))));
    metrics.Set(name + "/CrossEntropyLoss", mean);
    metrics.Set(name + "/Perplexity", std::exp(mean));
  }
  if (metrics.empty()) unmeasured_.clear();
  return metrics;
}

}  // namespace coat
