// Times every op case that moves a megabyte or makes ten million operations: smaller ones time the call, not the op.
//
//   build/release/bench/op_bench --benchmark_filter=Quantize
//
// Rates are of the bytes and operations that the op cannot do without (OpCase::bytes, OpCase::flops).

#include <benchmark/benchmark.h>

#include "ops/cases/op_case.h"

namespace {

constexpr double kEnoughBytes = 1e6;
constexpr double kEnoughFlops = 1e7;

void Run(benchmark::State& state, const coat::OpCase& op) {
  const coat::Operands operands = op.make(1);
  coat::Context ctx(coat::DeviceKind::kCpu, static_cast<int>(state.range(0)));
  for (auto _ : state) op.call(ctx, operands);
  const auto rate = [&](double amount) {
    return benchmark::Counter(amount * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
  };
  if (op.bytes > 0.0) state.counters["bytes/s"] = rate(op.bytes);
  if (op.flops > 0.0) state.counters["flop/s"] = rate(op.flops);
}

}  // namespace

int main(int argc, char** argv) {
  for (const coat::OpCase& op : coat::AllOpCases()) {
    if (op.bytes < kEnoughBytes && op.flops < kEnoughFlops) continue;
    benchmark::RegisterBenchmark(op.name.c_str(), [op](benchmark::State& state) { Run(state, op); })
        ->ArgName("threads")
        ->Arg(1)
        ->Arg(2)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
