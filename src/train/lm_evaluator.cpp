#include "train/lm_evaluator.h"

#include <cmath>

#include "base/error.h"
#include "train/data_options.h"
#include "train/labels.h"

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

Metrics LmEvaluator::Run(LossModel& model, const std::function<void(std::int64_t)>& progress) {
  struct Sum {
    double loss = 0.0;
    std::int64_t sequences = 0;
  };
  std::vector<Sum> sums(dataset_->labels().size());
  std::vector<std::int32_t> labels;
  model.PrepareEvaluation(recipe());
  std::int64_t done = 0;
  for (const Batch* batch = loader_->Next(); batch != nullptr; batch = loader_->Next()) {
    const std::int64_t length = batch->sequence_length;
    labels.resize(batch->input_ids.size());
    MakeLabels(*batch, 0, batch->sequence_count(), labels);
    const std::span<const float> loss =
        model.EvaluateBatch(batch->input_ids, labels, batch->sequence_count(), batch->documents);
    for (std::int64_t sequence = 0; sequence < batch->sequence_count(); ++sequence) {
      double total = 0.0;
      std::int64_t predicted = 0;
      for (std::int64_t t = sequence * length; t < (sequence + 1) * length; ++t) {
        if (labels[static_cast<std::size_t>(t)] == kNoLabel) continue;
        total += loss[static_cast<std::size_t>(t)];
        ++predicted;
      }
      if (predicted == 0) continue;
      Sum& sum = sums[static_cast<std::size_t>(batch->labels[static_cast<std::size_t>(sequence)])];
      sum.loss += total / static_cast<double>(predicted);
      ++sum.sequences;
    }
    progress(++done);
  }
  Metrics metrics;
  for (std::size_t i = 0; i < sums.size(); ++i) {
    if (sums[i].sequences == 0) continue;
    const std::string& of_data = dataset_->labels()[i];
    const std::string name = "eval/" + (of_data.empty() ? label() : of_data);
    const double mean = sums[i].loss / static_cast<double>(sums[i].sequences);
    if (!std::isfinite(mean)) throw TrainingError(fmt::format("{}: the loss is {}", name, mean));
    metrics.Set(name + "/CrossEntropyLoss", mean);
    metrics.Set(name + "/Perplexity", std::exp(mean));
  }
  return metrics;
}

}  // namespace coat
