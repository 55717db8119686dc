#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "plan/memory_table.h"
#include "plan/prediction.h"

namespace coat {

namespace {

constexpr double kGiB = 1024.0 * 1024.0 * 1024.0;

std::string Milliseconds(std::string_view name, double seconds) {
  return fmt::format("  {:<42}{:>12.2f} ms\n", name, 1e3 * seconds);
}

std::string Percent(double share) {
  return fmt::format("{:.1f} %", 100.0 * share);
}

/// The most of what layers compute, and how much of the step it is.
std::pair<std::string, double> LargestWork(const Prediction& prediction) {
  const WorkTime& work = prediction.work;
  const double micro_batches = prediction.time.compute > 0.0 ? prediction.compute / prediction.time.compute : 0.0;
  const std::array<std::pair<const char*, double>, 4> kinds = {{{"matrix products", work.products},
                                                                {"attention", work.attention},
                                                                {"kernels bound by memory", work.passes},
                                                                {"making weights' operands", work.weights}}};
  const auto most =
      std::max_element(kinds.begin(), kinds.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  return {most->first, micro_batches * most->second / prediction.Step()};
}

/// One sentence on what a faster machine would have to have more of.
std::string Bound(const Prediction& prediction, const Cluster& cluster) {
  if (!prediction.Fits(cluster.gpu)) {
    return "memory: it does not fit. More ranks with a sharding strategy, a smaller device_train_microbatch_size or\n"
           "  activation_checkpointing take less";
  }
  const double waits = 1.0 - prediction.compute / prediction.Step();
  const auto& [kind, share] = LargestWork(prediction);
  if (waits < 0.1) return fmt::format("computing: {} are {} of the step", kind, Percent(share));
  const double once = (prediction.gather + prediction.reduce) / prediction.Step();
  const bool gathers = prediction.time.gather > prediction.time.reduce;
  const std::string what = once > waits / 2.0 ? "what ranks exchange once a step, which nothing hides"
                           : gathers          ? "gathering weights"
                                              : "summing gradients";
  return fmt::format("communication: {} of the step goes to waiting and slower layers, most of it for {}",
                     Percent(waits), what);
}

/// Whether runs like this one were measured: on one H200, and on two that NVLink joins.
bool IsCalibrated(const Cluster& cluster) {
  const Interconnect& interconnect = cluster.interconnect;
  const bool joined = interconnect.gpus_per_node >= 2 && interconnect.inside.bytes == cluster.gpu.nvlink_bytes;
  return cluster.gpu.is_measured && (cluster.ranks == 1 || (cluster.ranks == 2 && joined));
}

nlohmann::ordered_json JsonOf(const Prediction& prediction, const Cluster& cluster) {
  const double step = prediction.Step();
  const WorkTime& work = prediction.work;
  const MicroBatchTime& time = prediction.time;
  return {{"gpu", cluster.gpu.name},
          {"calibrated", IsCalibrated(cluster)},
          {"interconnect", cluster.interconnect.name},
          {"gpus_per_node", cluster.interconnect.gpus_per_node},
          {"memory_bytes", prediction.planned + prediction.beside},
          {"gpu_memory_bytes", cluster.gpu.memory},
          {"fits", prediction.Fits(cluster.gpu)},
          {"sequences_per_rank", prediction.sequences},
          {"micro_batches", prediction.micro_batches},
          {"micro_batch_sequences", prediction.micro_batch},
          {"micro_batch_seconds",
           {{"total", time.total},
            {"compute", time.compute},
            {"products", work.products},
            {"attention", work.attention},
            {"memory_bound", work.passes},
            {"weights", work.weights},
            {"gather", time.gather},
            {"reduce", time.reduce},
            {"slowed", time.slowed},
            {"exposed", time.Exposed()}}},
          {"step_seconds",
           {{"total", step},
            {"micro_batches", prediction.micro_batches_time},
            {"weights", prediction.weights},
            {"gather", prediction.gather},
            {"reduce", prediction.reduce},
            {"norms", prediction.norms},
            {"update", prediction.update},
            {"compute", prediction.compute}}},
          {"tokens_per_second_per_gpu", prediction.TokensPerSecond()},
          {"tokens_per_second", prediction.TokensPerSecond() * cluster.ranks},
          {"computing_share", prediction.compute / step},
          {"bound", Bound(prediction, cluster)}};
}

}  // namespace

std::string PredictionTable(const TrainConfig& config, const Cluster& cluster) {
  const Prediction prediction = Predict(config, cluster);
  const Interconnect& interconnect = cluster.interconnect;
  const WorkTime& work = prediction.work;
  const MicroBatchTime& time = prediction.time;
  std::string text = fmt::format("\nPrediction for {} {}", cluster.ranks, cluster.gpu.name);
  if (cluster.ranks > 1) {
    text += fmt::format(", {} a node, interconnect {}", interconnect.gpus_per_node, interconnect.name);
  }
  text += ": an estimate, not a measurement (docs/scaling.md)\n\n";
  text += fmt::format("  {:<42}{:>12.2f} GiB of {:.1f}: {}\n", "memory of a GPU",
                      (prediction.planned + prediction.beside) / kGiB, cluster.gpu.memory / kGiB,
                      prediction.Fits(cluster.gpu) ? "fits" : "DOES NOT FIT");
  text += fmt::format("  {:<42}{:>12} of at most {} sequences\n", "micro-batches of a GPU in a step",
                      prediction.micro_batches, prediction.micro_batch);
  text += Milliseconds("micro-batch", time.total);
  text += Milliseconds("  matrix products", work.products);
  text += Milliseconds("  attention", work.attention);
  text += Milliseconds("  kernels bound by memory", work.passes);
  text += Milliseconds("  weights' operands", work.weights);
  if (cluster.ranks > 1) {
    text += Milliseconds("  slower beside what ranks exchange", time.slowed);
    text += Milliseconds("  waiting for other ranks", time.Exposed());
    text += Milliseconds("  beside it, gathering weights", time.gather);
    text += Milliseconds("  beside it, summing gradients", time.reduce);
  }
  text += Milliseconds("step", prediction.Step());
  text += Milliseconds("  micro-batches", prediction.micro_batches_time);
  text += Milliseconds("  weights' operands", prediction.weights);
  if (cluster.ranks > 1) {
    text += Milliseconds("  gathering weights", prediction.gather);
    text += Milliseconds("  summing gradients", prediction.reduce);
  }
  text += Milliseconds("  gradients' norms", prediction.norms);
  text += Milliseconds("  update", prediction.update);
  text += fmt::format("  {:<42}{:>12.0f}\n", "tokens/s of a GPU", prediction.TokensPerSecond());
  text += fmt::format("  {:<42}{:>12.0f}\n", "tokens/s of all", prediction.TokensPerSecond() * cluster.ranks);
  text += fmt::format("  {:<42}{:>12}\n", "share of the step that is computing",
                      Percent(prediction.compute / prediction.Step()));
  text += fmt::format("\n  Bound by {}.\n", Bound(prediction, cluster));
  return text;
}

std::string PredictionJson(const TrainConfig& config, const Cluster& cluster) {
  auto json = nlohmann::ordered_json::parse(PlanJson(config, cluster.ranks));
  json["prediction"] = JsonOf(Predict(config, cluster), cluster);
  return json.dump();
}

}  // namespace coat
