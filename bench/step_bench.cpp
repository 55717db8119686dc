// Times whole optimizer steps of configurations, on random tokens: micro-batches, clipping, update.
//
//   build/release/bench/step_bench [--benchmark_...] [CONFIG.yaml ...]
//
// Without files it takes the tiny ones. Counters: tokens/s; blas_share, the part of all threads' time that is spent in
// the BLAS; saved_bytes and moments_bytes of the memory plan.

#include <benchmark/benchmark.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/validate.h"
#include "cpu/blas.h"
#include "train/compute_device.h"
#include "train/engine.h"

namespace {

void Run(benchmark::State& state, const coat::TrainConfig& config) {
  coat::ComputeDevice device = coat::OpenComputeDevice({});
  coat::Engine engine(config, std::move(device.context));
  engine.InitializeParameters(static_cast<std::uint64_t>(config.seed));
  const std::int64_t sequences = config.device_train_microbatch_size;
  const std::int64_t micro_batches = config.global_train_batch_size / sequences;
  const auto tokens = static_cast<std::size_t>(sequences * config.model.max_sequence_length);
  std::vector<std::int32_t> ids(tokens);
  std::vector<std::int32_t> labels(tokens);
  std::mt19937 generator(1);
  for (std::size_t i = 0; i < tokens; ++i) {
    ids[i] = static_cast<std::int32_t>(generator() % static_cast<std::uint64_t>(config.model.vocab_size));
    labels[i] = static_cast<std::int32_t>(generator() % static_cast<std::uint64_t>(config.model.vocab_size));
  }
  const auto tokens_per_step = static_cast<double>(tokens) * static_cast<double>(micro_batches);
  std::int64_t step = 0;
  const auto one_step = [&] {
    engine.ZeroGradients();
    for (std::int64_t i = 0; i < micro_batches; ++i) {
      engine.TrainMicroBatch(ids, labels, sequences, {.loss = 1.0 / tokens_per_step, .z = 0.0}, i == 0);
    }
    engine.MeasureGradients({.max_norm = 1.0, .max_norm_ratio = std::nullopt});
    engine.Update(1e-4, ++step);
  };
  one_step();
  const double in_blas = coat::cpu::SecondsInBlas();
  double seconds = 0.0;
  for (auto _ : state) {
    const auto start = std::chrono::steady_clock::now();
    one_step();
    const double of_step = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    state.SetIterationTime(of_step);
    seconds += of_step;
  }
  state.counters["tokens/s"] =
      benchmark::Counter(tokens_per_step * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  state.counters["blas_share"] = (coat::cpu::SecondsInBlas() - in_blas) / (seconds * engine.context().threads());
  state.counters["saved_bytes"] = static_cast<double>(engine.Used().Bytes("saved"));
  state.counters["moments_bytes"] =
      static_cast<double>(engine.Used().Bytes("moments") + engine.Used().Bytes("metadata"));
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::string> files(argv + 1, argv + argc);
  if (files.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(COAT_SOURCE_DIR "/configs/tiny")) {
      files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
  }
  for (const std::string& file : files) {
    coat::TrainConfig config = coat::LoadTrainConfig(file, {}, {.check_paths = false});
    coat::Validate(config);
    config.evaluators.clear();
    benchmark::RegisterBenchmark(std::filesystem::path(file).stem().c_str(),
                                 [config](benchmark::State& state) { Run(state, config); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
