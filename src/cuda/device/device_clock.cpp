#include "cuda/device/device_clock.h"

namespace coat::cuda {

CudaClock::CudaClock(CudaDevice& device) : device_(device), stream_(device.stream()) {
  device_.Synchronize();
  Mark();
  device_.Synchronize();
}

CudaClock::~CudaClock() {
  for (cudaEvent_t event : events_) cudaEventDestroy(event);
}

std::int64_t CudaClock::Mark() noexcept {
  cudaEvent_t event = nullptr;
  cudaError_t error = cudaEventCreate(&event);
  if (error == cudaSuccess) error = cudaEventRecord(event, stream_);
  if (error_ == cudaSuccess) error_ = error;
  events_.push_back(event);
  return static_cast<std::int64_t>(events_.size()) - 2;
}

std::vector<double> CudaClock::Read() {
  COAT_CUDA(error_);
  device_.Synchronize();
  std::vector<double> times;
  for (std::size_t i = 1; i < events_.size(); ++i) {
    float milliseconds = 0.0f;
    COAT_CUDA(cudaEventElapsedTime(&milliseconds, events_.front(), events_[i]));
    times.push_back(1e3 * static_cast<double>(milliseconds));
  }
  return times;
}

}  // namespace coat::cuda
