#include "train/compute_device.h"

#include "base/error.h"
#include "comm/agreement.h"
#include "comm/launch.h"
#include "ops/dispatch.h"
#include "train/device_limits.h"
#include "train/rank_machines.h"

namespace coat {

namespace {

constexpr const char* kNoBackend =
    "this build has no CUDA backend; install the CUDA toolkit and configure with -DCOAT_CUDA=ON, or use --device=cpu";

bool HasCudaOptions(const cuda::CudaOptions& options) {
  const cuda::CudaOptions defaults;
  return options.graphs != defaults.graphs || options.gemm != defaults.gemm ||
         options.deterministic_attention != defaults.deterministic_attention;
}

ComputeDevice OpenCpu(const DeviceOptions& options, const std::string& reason) {
  if (HasCudaOptions(options.cuda)) {
    throw UsageError("--gemm, --no_cuda_graphs and --fast_attention are for --device=cuda, and this run is on the cpu" +
                     reason);
  }
  Context context(DeviceKind::kCpu, options.threads);
  std::string description = fmt::format("cpu with {} threads{}", context.threads(), reason);
  return {std::move(context), std::move(description)};
}

/// For one of several ranks.
void RequireCpu(const DeviceOptions& options) {
  bool on_gpu = options.device == DeviceChoice::kCuda;
  if constexpr (kWithCuda) {
    if (options.device == DeviceChoice::kAuto) on_gpu = cuda::CheckCudaDevice(LocalRank()).present;
  }
  if (on_gpu) {
    throw ConfigError("--device: several ranks train on CPUs only in this build; accepted: --device=cpu, or one rank");
  }
}

void RequireNoThreads(const DeviceOptions& options) {
  if (options.threads != 0) throw UsageError("--threads is for --device=cpu, and this run is on the GPU");
}

}  // namespace

DeviceOptions ForConfig(DeviceOptions options, const TrainConfig& config) {
  if (options.device != DeviceChoice::kAuto) return options;
  if (config.single.device == SingleDevice::kCpu) options.device = DeviceChoice::kCpu;
  if (config.single.device == SingleDevice::kCuda) options.device = DeviceChoice::kCuda;
  return options;
}

ComputeDevice OpenComputeDevice(const DeviceOptions& options) {
  if constexpr (kWithCuda) {
    if (options.device == DeviceChoice::kCpu) return OpenCpu(options, "");
    if (options.device == DeviceChoice::kCuda) RequireNoThreads(options);
    const cuda::CudaStatus status = cuda::CheckCudaDevice(options.cuda.ordinal);
    if (!status.usable && !status.present && options.device == DeviceChoice::kAuto) {
      return OpenCpu(options, fmt::format(" ({})", status.reason));
    }
    if (!status.usable) throw Error(status.reason);
    RequireNoThreads(options);
    const std::shared_ptr<Device> device = cuda::OpenCudaDevice(options.cuda);
    return {Context(device), device->Name()};
  } else {
    if (options.device == DeviceChoice::kCuda) throw UsageError(kNoBackend);
    return OpenCpu(options, "");
  }
}

ComputeDevice OpenDeviceOf(const TrainConfig& config, const DeviceOptions& options, Communicator& ranks) {
  DeviceOptions own = ForConfig(options, config);
  const bool is_alone = ranks.size() == 1;
  const int share = is_alone ? 0 : CoreShare(ranks);
  return MadeTogether(ranks, [&] {
    if (!is_alone) {
      RequireCpu(own);
      own.device = DeviceChoice::kCpu;
      if (own.threads == 0) own.threads = share;
    }
    ComputeDevice device = OpenComputeDevice(own);
    RequireFp8Tokens(config, device.context);
    return device;
  });
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
