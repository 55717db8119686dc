// Times whole optimizer steps of configurations, on random tokens: micro-batches, clipping, update.
//
//   build/release/bench/step_bench [--benchmark_...] [CONFIG.yaml ...] [--key.path=value ...] [--fast_attention]
//
// Without files it takes the tiny ones. Runs on the GPU if there is one. Counters: tokens/s; GiB of the memory plan
// and, on a GPU, in use as the driver reports it; on the CPU blas_share, the part of all threads' time spent in the
// BLAS.

#include <benchmark/benchmark.h>

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "config/load.h"
#include "config/validate.h"
#include "cpu/blas.h"
#include "engine/compute_device.h"
#include "engine/engine.h"

namespace {

void Run(benchmark::State& state, const coat::TrainConfig& config, const coat::DeviceOptions& options) {
  coat::ComputeDevice device = coat::OpenComputeDevice(options);
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
    for (std::int64_t i = 0; i < micro_batches; ++i) {
      engine.TrainMicroBatch(ids, labels, sequences, {.loss = 1.0 / tokens_per_step, .z = 0.0}, i == 0);
    }
    engine.MeasureGradients({.max_norm = 1.0, .max_norm_ratio = std::nullopt});
    engine.Update(1e-4, ++step);
    engine.context().Synchronize();
  };
  // As it is, recorded, replayed.
  for (int warm_up = 0; warm_up < 3; ++warm_up) one_step();
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
  const auto in_gibibytes = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); };
  state.counters["plan_GiB"] = in_gibibytes(engine.Used().Total());
  if (engine.context().backend()) {
    const coat::Device::Memory memory = engine.context().backend()->ReadMemory();
    state.counters["device_GiB"] = in_gibibytes(memory.total_bytes - memory.free_bytes);
  } else {
    state.counters["blas_share"] = (coat::cpu::SecondsInBlas() - in_blas) / (seconds * engine.context().threads());
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  std::vector<std::string> files;
  std::vector<std::string> overrides;
  coat::DeviceOptions options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--fast_attention") {
      options.cuda.deterministic_attention = false;
      continue;
    }
    (argument.starts_with("--") ? overrides : files).push_back(argument);
  }
  if (files.empty()) {
    for (const auto& entry : std::filesystem::directory_iterator(COAT_SOURCE_DIR "/configs/tiny")) {
      files.push_back(entry.path().string());
    }
    std::sort(files.begin(), files.end());
  }
  for (const std::string& file : files) {
    coat::TrainConfig config = coat::LoadTrainConfig(file, overrides, {.check_paths = false});
    coat::Validate(config);
    config.evaluators.clear();
    benchmark::RegisterBenchmark(std::filesystem::path(file).stem().c_str(),
                                 [=](benchmark::State& state) { Run(state, config, options); })
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  }
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
