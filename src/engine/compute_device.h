#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/context.h"
#include "comm/communicator.h"
#include "config/config.h"
#include "cuda/open_device.h"

namespace coat {

enum class DeviceChoice : std::uint8_t { kAuto, kCpu, kCuda };

/// What a user says about where to compute.
struct DeviceOptions {
  DeviceChoice device = DeviceChoice::kAuto;
  int threads = 0;         // on cpu; 0: one a core
  cuda::CudaOptions cuda;  // on cuda
};

/// Where a run computes, and how to say it.
struct ComputeDevice {
  Context context;
  std::string description;              // "NVIDIA H200", "cpu with 2 threads"
  std::string advice;                   // what makes it slow, and what to do; "" where nothing does
  std::unique_ptr<Communicator> ranks;  // through which tensors on GPUs go to other ranks; null where there are none
};

/// The command line's options, with `single.device` where they leave the device open.
DeviceOptions ForConfig(DeviceOptions options, const TrainConfig& config);

/// Opens what the options ask for; kAuto takes the GPU if the driver shows one. Throws UsageError for options of the
/// other device and for cuda in a build without it, Error when the GPU cannot be used, with what to do about it.
ComputeDevice OpenComputeDevice(const DeviceOptions& options);

/// The same for a run of this configuration, whose `single.device` counts where the options leave the device open. A
/// GPU that cannot train it is refused as RequireFp8Tokens does.
///
/// One of several ranks takes the GPU of its number among the ranks of its machine, the only one if it is shown one, or
/// its share of the cores that it has in common with others. What fails on one rank is thrown on all. Throws
/// ConfigError when ranks have different options of GPUs, when some ranks have a GPU and others not, or GPUs of
/// different kinds, and when two ranks have the same. `ranks` must outlive what is returned.
ComputeDevice OpenDeviceOf(const TrainConfig& config, const DeviceOptions& options, Communicator& ranks);

/// One line on the GPU of this machine, for `coat info`: its name, or why there is none.
std::string DescribeCudaDevice();

}  // namespace coat
