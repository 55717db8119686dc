#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "base/device_clock.h"
#include "cuda/device/device.h"

namespace coat::cuda {

/// Events on a device's main stream.
class CudaClock final : public DeviceClock {
 public:
  /// Waits for the device, which must outlive the clock; the clock begins then.
  explicit CudaClock(CudaDevice& device);
  ~CudaClock() override;
  CudaClock(const CudaClock&) = delete;
  CudaClock& operator=(const CudaClock&) = delete;

  std::int64_t Mark() noexcept override;
  std::vector<double> Read() override;

 private:
  CudaDevice& device_;
  cudaStream_t stream_;
  std::vector<cudaEvent_t> events_;  // the clock's beginning, then the marks
  cudaError_t error_ = cudaSuccess;  // the first of a mark
};

}  // namespace coat::cuda
