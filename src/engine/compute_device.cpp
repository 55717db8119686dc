#include "engine/compute_device.h"

#include <algorithm>
#include <cstdlib>
#include <span>
#include <vector>

#include "base/error.h"
#include "comm/agreement.h"
#include "comm/launch.h"
#include "comm/same_values.h"
#include "cpu/blas.h"
#include "cuda/open_nccl.h"
#include "engine/device_limits.h"
#include "engine/rank_machines.h"
#include "ops/dispatch.h"

namespace coat {

namespace {

constexpr const char* kNoBackend =
    "this build has no CUDA backend; install the CUDA toolkit and configure with -DCOAT_CUDA=ON, or use --device=cpu";

bool HasCudaOptions(const cuda::CudaOptions& options) {
  const cuda::CudaOptions defaults;
  return options.graphs != defaults.graphs || options.gemm != defaults.gemm ||
         options.deterministic_attention != defaults.deterministic_attention;
}

/// `threads` where the options have none.
ComputeDevice OpenCpu(const DeviceOptions& options, int threads, const std::string& reason) {
  if (HasCudaOptions(options.cuda)) {
    throw UsageError("--gemm, --no_cuda_graphs and --fast_attention are for --device=cuda, and this run is on the cpu" +
                     reason);
  }
  Context context(DeviceKind::kCpu, options.threads == 0 ? threads : options.threads);
  std::string description =
      fmt::format("cpu with {} thread{}{}", context.threads(), context.threads() == 1 ? "" : "s", reason);
  return {std::move(context), std::move(description), cpu::BlasAdvice(), nullptr};
}

void RequireNoThreads(const DeviceOptions& options) {
  if (options.threads != 0) throw UsageError("--threads is for --device=cpu, and this run is on the GPU");
}

ComputeDevice Open(const DeviceOptions& options, int threads) {
  if constexpr (kWithCuda) {
    if (options.device == DeviceChoice::kCpu) return OpenCpu(options, threads, "");
    if (options.device == DeviceChoice::kCuda) RequireNoThreads(options);
    const cuda::CudaStatus status = cuda::CheckCudaDevice(options.cuda.ordinal);
    if (!status.usable && !status.present && options.device == DeviceChoice::kAuto) {
      return OpenCpu(options, threads, fmt::format(" ({})", status.reason));
    }
    if (!status.usable) throw Error(status.reason);
    RequireNoThreads(options);
    const std::shared_ptr<Device> device = cuda::OpenCudaDevice(options.cuda);
    return {Context(device), device->Name(), "", nullptr};
  } else {
    if (options.device == DeviceChoice::kCuda) throw UsageError(kNoBackend);
    return OpenCpu(options, threads, "");
  }
}

/// The options of one of several ranks, which takes the GPU of its number on its machine. A launcher that shows each
/// rank its own shows one. Products are timed by each rank for itself, so those of other bits are left alone: a run
/// repeats, and a rank evaluates as any other.
DeviceOptions ForRank(DeviceOptions options) {
  if constexpr (kWithCuda) {
    if (options.device == DeviceChoice::kCpu) return options;
    const int devices = cuda::CountCudaDevices();
    if (devices > 1) options.cuda.ordinal = LocalRank() % devices;
    options.cuda.other_bits = false;
  }
  return options;
}

const char* NameOf(cuda::GemmMode mode) {
  const auto is_mode = [&](const auto& named) { return named.second == mode; };
  return std::find_if(cuda::kGemmModes.begin(), cuda::kGemmModes.end(), is_mode)->first;
}

/// Ranks that record steps and ranks that do not would wait for one another (cuda/open_nccl.h), and with other products
/// or another attention a rank would have other bits.
void RequireSameOptions(const cuda::CudaOptions& options, Communicator& ranks) {
  const auto set = [](bool value) { return value ? "set" : "not set"; };
  const std::vector<NamedValue> values = {{"--gemm", NameOf(options.gemm)},
                                          {"--no_cuda_graphs", set(!options.graphs)},
                                          {"--fast_attention", set(!options.deterministic_attention)}};
  RequireSame(ranks, values, "the same options on all ranks");
}

/// Connects the GPUs of several ranks.
void Connect(ComputeDevice& device, Communicator& ranks) {
  const bool on_gpu = device.context.device() == DeviceKind::kCuda;
  const NamedValue kind = {"device", on_gpu ? device.description : "cpu"};
  RequireSame(ranks, std::span(&kind, 1), "GPUs of one kind on all ranks, or --device=cpu");
  if constexpr (kWithCuda) {
    if (!on_gpu) return;
    // With a name of its own for the machine of each rank, NCCL takes ranks that share a GPU.
    const char* const machine = std::getenv("NCCL_HOSTID");
    RequireOwnDevices(ranks, cuda::IdOf(*device.context.backend()) + (machine == nullptr ? "" : machine));
    device.ranks = cuda::OpenNccl(ranks, device.context.backend(), LaunchedWaitLimit());
  }
}

}  // namespace

DeviceOptions ForConfig(DeviceOptions options, const TrainConfig& config) {
  if (options.device != DeviceChoice::kAuto) return options;
  if (config.single.device == SingleDevice::kCpu) options.device = DeviceChoice::kCpu;
  if (config.single.device == SingleDevice::kCuda) options.device = DeviceChoice::kCuda;
  return options;
}

ComputeDevice OpenComputeDevice(const DeviceOptions& options) {
  return Open(options, /*threads=*/0);
}

ComputeDevice OpenDeviceOf(const TrainConfig& config, const DeviceOptions& options, Communicator& ranks) {
  const DeviceOptions own = ForConfig(options, config);
  const bool is_alone = ranks.size() == 1;
  if (!is_alone) RequireSameOptions(own.cuda, ranks);
  const int threads = is_alone ? 0 : CoreShare(ranks);
  ComputeDevice device = MadeTogether(ranks, [&] {
    ComputeDevice opened = Open(is_alone ? own : ForRank(own), threads);
    RequireFp8Tokens(config, opened.context);
    return opened;
  });
  if (!is_alone) Connect(device, ranks);
  return device;
}

std::string DescribeCudaDevice() {
  if constexpr (kWithCuda) {
    const cuda::CudaStatus status = cuda::CheckCudaDevice();
    return status.usable ? status.name : status.reason;
  } else {
    return kNoBackend;
  }
}

}  // namespace coat
