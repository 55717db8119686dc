#include "cuda/device/device_clock.h"

#include "cuda/device/device.h"

namespace coat::cuda {

CudaClock::CudaClock(cudaStream_t stream) : stream_(stream) {
  COAT_CUDA(cudaStreamSynchronize(stream_));
  Mark();
  COAT_CUDA(cudaStreamSynchronize(stream_));
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
  COAT_CUDA(cudaStreamSynchronize(stream_));
  std::vector<double> times;
  for (std::size_t i = 1; i < events_.size(); ++i) {
    float milliseconds = 0.0f;
    COAT_CUDA(cudaEventElapsedTime(&milliseconds, events_.front(), events_[i]));
    times.push_back(1e3 * static_cast<double>(milliseconds));
  }
  return times;
}

}  // namespace coat::cuda
