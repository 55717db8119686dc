#include "plan/prediction.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/divide.h"
#include "base/error.h"
#include "engine/engine.h"
#include "engine/rank_groups.h"
#include "models/olmo.h"
#include "plan/exchange_time.h"

namespace coat {

namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;
// By the driver less the plan and ScoreBytes, and what is more where NCCL connects two GPUs (docs/performance.md). More
// GPUs were not measured.
constexpr double kBesideThePlan = 0.54 * kGiB;
constexpr double kOfCollectives = 0.90 * kGiB;
// Layers lose multiprocessors and memory traffic to what travels beside them: chosen between what OLMo-1B with COAT on
// both lost on two H200, gradients summed in float32 and in bf16, and what OLMo-7B did.
constexpr double kContention = 0.45;

void RequirePredictable(const TrainConfig& config, const Cluster& cluster) {
  if (config.precision != Precision::kAmpBf16) {
    throw ConfigError("precision: found fp32; accepted with --gpu: amp_bf16, the only one whose speed was measured");
  }
  if (config.global_train_batch_size % cluster.ranks != 0) {
    throw ConfigError(fmt::format("global_train_batch_size: found {}; accepted with {} ranks: a multiple of {}",
                                  config.global_train_batch_size, cluster.ranks, cluster.ranks));
  }
  const Interconnect& interconnect = cluster.interconnect;
  if (cluster.ranks > interconnect.gpus_per_node && !interconnect.between) {
    throw UsageError(
        fmt::format("--interconnect {} joins the {} GPUs of one node, and --ranks is {}; accepted for "
                    "several nodes: ib400, ib200, or two numbers such as 450,50",
                    interconnect.name, interconnect.gpus_per_node, cluster.ranks));
  }
}

/// The gradients of the scores that attention's deterministic backward keeps: of all sequences of a micro-batch, or of
/// an equal part of them that keeps below what CudnnAttention takes at most (cuda/attention/attention_cudnn.h). The
/// kernels for documents and those of GPUs before Hopper keep none.
double ScoreBytes(const TrainConfig& config, const Gpu& gpu, std::int64_t sequences) {
  constexpr double kLargest = 1056.0 * 1024.0 * 1024.0;
  if (config.data.generate_doc_lengths || gpu.fp8_flops == 0) return 0.0;
  const auto length = static_cast<double>(config.model.max_sequence_length);
  const double of_sequence = 2.0 * static_cast<double>(config.model.n_heads) * length * length;
  std::int64_t part = sequences;
  while (part > 1 && (sequences % part != 0 || static_cast<double>(part) * of_sequence > kLargest)) --part;
  return static_cast<double>(part) * of_sequence;
}

/// What the parts of a step take: the same at all micro-batches but, for its size, the last.
class StepModel {
 public:
  StepModel(const TrainConfig& config, const Cluster& cluster)
      : config_(config),
        recipe_(MakeRecipe(config)),
        groups_(config, 0, cluster.ranks),
        rates_(RatesOf(cluster.gpu)),
        work_(config, recipe_, rates_, groups_.sharding().InParts()),
        bytes_(BytesOf(OlmoParameters(config.model), recipe_, groups_.sharding())),
        exchange_(groups_.sharding(), recipe_, cluster.interconnect, rates_) {}

  WorkTime Work(std::int64_t sequences) const {
    const std::int64_t tokens = Tokens(sequences);
    WorkTime sum = work_.EmbeddingForward(tokens);
    sum += work_.EmbeddingBackward(tokens);
    sum += work_.Head(tokens);
    for (std::int64_t layer = 0; layer < config_.model.n_layers; ++layer) {
      sum += work_.BlockForward(tokens);
      sum += Backward(layer, tokens);
    }
    return (1.0 / rates_.sustained) * sum;
  }

  MicroBatchTime MicroBatch(std::int64_t sequences, PlaceInStep place) const {
    const std::int64_t tokens = Tokens(sequences);
    MicroBatchUnits units;
    units.head_is_embedding = config_.model.weight_tying;
    units.contention = kContention;
    units.embedding = Unit(bytes_.embedding, work_.EmbeddingForward(tokens), work_.EmbeddingBackward(tokens));
    units.head = Unit(bytes_.head, work_.Head(tokens), {});
    for (std::int64_t layer = 0; layer < config_.model.n_layers; ++layer) {
      units.blocks.push_back(Unit(bytes_.block, work_.BlockForward(tokens), Backward(layer, tokens)));
    }
    return TimeOf(units, place);
  }

  void AddStep(Prediction& prediction) const {
    const Sharding& sharding = groups_.sharding();
    const UnitBytes whole = bytes_.Whole();
    const auto seconds = [&](const WorkTime& time) { return time.Total() / rates_.sustained; };
    prediction.weights = seconds(work_.Refresh());
    prediction.norms = seconds(work_.Norms(whole.part_elements));
    prediction.update = seconds(work_.Update(whole.part_elements));
    if (recipe_.PerTensor() && recipe_.Fp8()) prediction.gather += exchange_.Small(bytes_.tensors);
    if (!sharding.gathers_at_use) prediction.gather += exchange_.Gather(whole);
    if (sharding.reduces_micro_batches) {
      prediction.reduce += exchange_.Reduce(bytes_.block) + exchange_.Reduce(bytes_.embedding);
    } else {
      prediction.reduce += exchange_.ReduceStep(whole);
    }
    prediction.reduce += exchange_.Small(bytes_.tensors);
  }

 private:
  std::int64_t Tokens(std::int64_t sequences) const { return sequences * config_.model.max_sequence_length; }

  WorkTime Backward(std::int64_t layer, std::int64_t tokens) const {
    WorkTime time = work_.BlockBackward(tokens);
    if (recipe_.Recomputes(layer)) time += work_.BlockRecompute(tokens);
    return time;
  }

  UnitTime Unit(const UnitBytes& bytes, const WorkTime& forward, const WorkTime& backward) const {
    const Sharding& sharding = groups_.sharding();
    return {.forward = forward.Total() / rates_.sustained,
            .backward = backward.Total() / rates_.sustained,
            .gather = sharding.gathers_at_use ? exchange_.Gather(bytes) : 0.0,
            .reduce = sharding.reduces_micro_batches ? exchange_.Reduce(bytes) : 0.0};
  }

  const TrainConfig& config_;
  Recipe recipe_;
  RankGroups groups_;
  Rates rates_;
  ModelWork work_;
  ModelBytes bytes_;
  ExchangeTime exchange_;
};

}  // namespace

Prediction Predict(const TrainConfig& config, const Cluster& cluster) {
  RequirePredictable(config, cluster);
  const StepModel model(config, cluster);
  Prediction prediction;
  prediction.planned = static_cast<double>(Engine::Measure(config, 0, cluster.ranks).Total());
  prediction.sequences = config.global_train_batch_size / cluster.ranks;
  prediction.micro_batch = std::min(config.device_train_microbatch_size, prediction.sequences);
  prediction.beside = kBesideThePlan + ScoreBytes(config, cluster.gpu, prediction.micro_batch) +
                      (cluster.ranks > 1 ? kOfCollectives : 0.0);
  prediction.micro_batches = DivideUp(prediction.sequences, prediction.micro_batch);
  prediction.tokens = static_cast<double>(prediction.sequences * config.model.max_sequence_length);
  prediction.work = model.Work(prediction.micro_batch);
  const MicroBatchTime first = model.MicroBatch(prediction.micro_batch, PlaceInStep::kFirst);
  const std::int64_t later = prediction.sequences / prediction.micro_batch - 1;
  prediction.time = later == 0 ? first : model.MicroBatch(prediction.micro_batch, PlaceInStep::kLater);
  prediction.micro_batches_time = first.total + static_cast<double>(later) * prediction.time.total;
  double computed = first.compute + static_cast<double>(later) * prediction.time.compute;
  if (const std::int64_t rest = prediction.sequences % prediction.micro_batch; rest > 0) {
    const MicroBatchTime last = model.MicroBatch(rest, PlaceInStep::kLater);
    prediction.micro_batches_time += last.total;
    computed += last.compute;
  }
  model.AddStep(prediction);
  prediction.compute = computed + prediction.weights + prediction.norms + prediction.update;
  return prediction;
}

}  // namespace coat
