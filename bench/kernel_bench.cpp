// Times the ops of a training step on the GPU, one by one, at the sizes of OLMo-1B with 8 sequences of 2048 tokens.
//
//   build/release/bench/kernel_bench [NAME] [--fast_attention]        only the ops whose name contains NAME
//
// An op is recorded as one graph of 12 calls that take turns on three sets of operands, so that nothing stays in the
// cache; the time is the median of 9 replays. Bytes are what an op cannot do without: inputs once, outputs once, twice
// where a largest magnitude has to be known first. The share is that of a copy of 1 GiB measured in the same run.

#include <fmt/core.h>

#include <cstdio>
#include <string>

#include "bench/kernels/bench.h"

int main(int argc, char** argv) {
  const coat::cuda::CudaStatus status = coat::cuda::CheckCudaDevice();
  if (!status.usable) {
    fmt::print(stderr, "kernel_bench: {}\n", status.reason);
    return 1;
  }
  coat::cuda::CudaOptions options;
  std::string filter;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--fast_attention") {
      options.deterministic_attention = false;
    } else {
      filter = argument;
    }
  }
  coat::bench::Bench bench(filter, options);
  coat::bench::TimeNorms(bench);
  coat::bench::TimeQuantization(bench);
  coat::bench::TimeMlp(bench);
  coat::bench::TimeAttention(bench);
  coat::bench::TimeEnds(bench);
  coat::bench::TimeOptimizers(bench);
  coat::bench::TimeProducts(bench);
  return 0;
}
