#include "bench/kernels/bench.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <utility>
#include <vector>

#include "ops/cast.h"
#include "ops/fill.h"
#include "ops/quantize.h"
#include "ops/statistics.h"

namespace coat::bench {

namespace {

constexpr int kCalls = 12;
constexpr int kReplays = 9;

}  // namespace

Bench::Bench(std::string filter, const cuda::CudaOptions& options)
    : ctx(cuda::OpenCudaDevice(options)),
      filter_(std::move(filter)),
      arena_(Arena::Bound("operands", ctx, std::int64_t{40} << 30)) {
  const Arena::Scope scope(arena_);
  const TensorView from = Normal({1 << 28});
  const TensorView to = arena_.Tensor("to", {1 << 28}, DType::kF32);
  copy_bandwidth_ = 2.0 * static_cast<double>(from.bytes()) / Median([&] {
                      for (int i = 0; i < kCalls; ++i) ctx.Copy(from, to);
                    });
  fmt::print("{}: a copy of 1 GiB moves {:.2f} TB/s, read and written\n", ctx.backend()->Name(),
             copy_bandwidth_ * 1e-12);
  fmt::print("{:44} {:>10} {:>10} {:>9} {:>7}\n", "op", "us", "MB", "TB/s", "share");
}

void Bench::Bytes(const std::string& name, double bytes, const Make& make, int sets) {
  const double seconds = Time(name, make, sets);
  if (seconds == 0.0) return;
  fmt::print("{:44} {:10.1f} {:10.1f} {:9.2f} {:6.1f}%\n", name, seconds * 1e6, bytes * 1e-6, bytes / seconds * 1e-12,
             100.0 * bytes / seconds / copy_bandwidth_);
}

void Bench::Flops(const std::string& name, double flops, const Make& make) {
  const double seconds = Time(name, make);
  if (seconds == 0.0) return;
  fmt::print("{:44} {:10.1f} {:10} {:6.0f} TFLOP/s\n", name, seconds * 1e6, "", flops / seconds * 1e-12);
}

TensorView Bench::Normal(Shape shape, DType dtype, float std) {
  const TensorView x = Tensor(shape, dtype);
  if (dtype == DType::kF32) {
    FillNormal(ctx, {.x = x, .seed = 1, .tensor_id = next_++, .std = std, .cutoff = 0.0f});
    return x;
  }
  const Arena::Scope scope(arena_);
  Cast(ctx, {.x = Normal(shape, DType::kF32, std), .y = x});
  return x;
}

TensorView Bench::AbsMaxOf(ConstTensorView x) {
  const TensorView absmax = Tensor({1}, DType::kF32);
  AbsMax(ctx, {.x = x, .absmax = absmax});
  return absmax;
}

QuantizedView Bench::Coded(Shape shape, Format format) {
  const QuantizedView codes = Quantized(shape, format);
  const TensorView absmax = Tensor({1}, DType::kF32);
  const Arena::Scope scope(arena_);
  const TensorView x = Normal(shape);
  if (format.scaling == Scaling::kTensor) AbsMax(ctx, {.x = x, .absmax = absmax});
  const bool per_tensor = format.scaling == Scaling::kTensor;
  Quantize(ctx, {.x = x, .absmax = per_tensor ? ConstTensorView(absmax) : ConstTensorView(), .y = codes});
  ctx.Synchronize();
  return codes;
}

double Bench::Time(const std::string& name, const Make& make, int set_count) {
  if (name.find(filter_) == std::string::npos) return 0.0;
  const Arena::Scope scope(arena_);
  std::vector<std::function<void()>> sets;
  for (int set = 0; set < set_count; ++set) sets.push_back(make());
  return Seconds(name, [&](int call) { sets[static_cast<std::size_t>(call % set_count)](); });
}

double Bench::Seconds(const std::string& name, const std::function<void(int)>& call) const {
  return Median([&] {
    ctx.Recorded(name, 0, [&] {
      for (int i = 0; i < kCalls; ++i) call(i);
    });
  });
}

/// Of one of the kCalls calls that `work` makes; the first two runs, of which the second records, do not count.
double Bench::Median(const std::function<void()>& work) const {
  std::vector<double> seconds;
  for (int replay = 0; replay < kReplays + 2; ++replay) {
    ctx.Synchronize();
    const auto start = std::chrono::steady_clock::now();
    work();
    ctx.Synchronize();
    if (replay >= 2) {
      seconds.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() / kCalls);
    }
  }
  std::nth_element(seconds.begin(), seconds.begin() + kReplays / 2, seconds.end());
  return seconds[kReplays / 2];
}

}  // namespace coat::bench
