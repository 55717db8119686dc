#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "config/config.h"
#include "evaluate/evaluator.h"
#include "text/requests.h"

namespace coat {

/// A task by rank classification: the log-likelihood of each continuation, and OLMo's metrics of them (ScoreTask).
///
/// A request is padded on its right with model.pad_token_id, which changes nothing in the plain recipe: attention looks
/// back only. In an FP8 recipe with one scale a tensor, the largest magnitude is that of all requests of a batch,
/// padding included. Requests of like length are in one batch, so which they are does not depend on chance.
///
/// `subset_num_batches` takes the first requests of the files, as OLMo does; a question that is not whole then is left
/// out. For metrics of the gold continuation alone no other is computed.
/// Source: OLMo's ICLMultiChoiceTaskDataset, which sums log-likelihoods in bfloat16; here logits are of the recipe's
/// compute type, and their logarithms and sums float32 and double.
class DownstreamEvaluator final : public Evaluator {
 public:
  /// Reads the requests. Throws as ReadRequests; ConfigError, naming `key` and a place in the files, for metrics that
  /// the requests cannot give, and for a subset in which no question is whole.
  DownstreamEvaluator(const TrainConfig& config, const EvaluatorConfig& evaluator, const std::string& key);

  const RequestSet& requests() const { return requests_; }
  std::int64_t batch_count() const override;
  Metrics Run(LossModel& model, Communicator& ranks, const std::function<void(std::int64_t)>& progress) override;
  /// {"task", "doc_id", "idx", "label", "log_likelihood", "tokens", "characters", "bytes"} for each request computed.
  std::vector<std::string> Details() const override;

 private:
  /// A request and where its log-likelihood goes.
  struct Job {
    const Request* request;
    double* log_likelihood;
  };

  void CheckMetrics(const std::string& key) const;
  void ChooseRequests(std::int64_t subset_num_batches, const std::string& key);
  std::int64_t LengthOf(std::int64_t tokens) const;
  /// The log-likelihoods of a batch of jobs; valid until the next call.
  std::span<const double> RunBatch(LossModel& model, std::size_t first, std::size_t end);
  void Keep(std::span<const double> log_likelihoods);

  std::vector<TaskMetric> metrics_;
  RequestSet requests_;
  std::vector<double> log_likelihoods_;  // of requests_.requests; NaN: not computed
  std::vector<double> unconditional_;    // of requests_.unconditional, with pmi_dc
  std::vector<Job> jobs_;                // from the longest to the shortest
  std::int64_t batch_size_;
  std::int64_t longest_;   // the model's context window
  std::int64_t multiple_;  // of which a batch's length is, if the window allows
  std::int32_t padding_;
  std::vector<std::int32_t> ids_, labels_;     // of a batch
  std::vector<double> batch_log_likelihoods_;  // likewise
};

}  // namespace coat
