#pragma once
// Rank classification: which of a question's continuations a model finds likeliest, and how good that is.

#include <span>
#include <string>

#include "config/enumerations.h"
#include "output/metrics.h"
#include "text/requests.h"

namespace coat {

/// What was computed of a task: the log-likelihood of each of its requests.
struct TaskScores {
  const RequestSet* requests = nullptr;
  std::span<const double> log_likelihoods;  // [requests], nats; NaN: not computed
  std::span<const double> unconditional;    // likewise without the context; empty unless pmi_dc is asked for
};

/// The name under which OLMo logs a metric of a task: "eval/downstream/piqa_len_norm", "eval/downstream_bpb/piqa_bpb";
/// ce_loss, soft and soft_log have folders like that of bpb.
std::string TaskMetricName(std::string_view label, TaskMetric metric);

/// The metrics of a task, each a mean over its documents, in the order of `metrics`. A score ranks the continuations of
/// a document, ties going to the first:
///
///   acc, f1    the log-likelihood, a sum over the tokens
///   len_norm   log-likelihood / characters of the continuation without its leading blank
///   pmi_dc     log-likelihood - log-likelihood without the context
///
/// acc, len_norm, pmi_dc: the share of documents whose gold continuation has the highest score. f1: of the answers with
/// idx 0 among two continuations, where the gold one is found; 0 if neither is. ce_loss: -log-likelihood of the gold
/// continuation / its characters. bpb: bits a byte of it. soft, soft_log: probability of the gold continuation and its
/// logarithm, under a softmax over the document's scores, those of the first of acc, len_norm and pmi_dc in `metrics`,
/// acc if there is none.
///
/// A document of which a continuation that a metric needs was not computed is left out of all; if that leaves none, the
/// result is empty.
/// Source: OLMo's and ai2-olmo-eval's ICLMetric. Its pmi_dc divides the log-likelihoods, which prefers the less likely.
Metrics ScoreTask(std::string_view label, const TaskScores& scores, std::span<const TaskMetric> metrics);

/// Whether a metric compares continuations, so that it needs more than the gold one.
bool Ranks(TaskMetric metric);

}  // namespace coat
