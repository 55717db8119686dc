#pragma once

#include <cuda_runtime_api.h>

#include <vector>

#include "base/device_clock.h"

namespace coat::cuda {

/// Events on a stream.
class CudaClock final : public DeviceClock {
 public:
  /// Waits for the stream; the clock begins then.
  explicit CudaClock(cudaStream_t stream);
  ~CudaClock() override;
  CudaClock(const CudaClock&) = delete;
  CudaClock& operator=(const CudaClock&) = delete;

  std::int64_t Mark() noexcept override;
  std::vector<double> Read() override;

 private:
  cudaStream_t stream_;
  std::vector<cudaEvent_t> events_;  // the clock's beginning, then the marks
  cudaError_t error_ = cudaSuccess;  // the first of a mark
};

}  // namespace coat::cuda
