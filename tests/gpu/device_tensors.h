#pragma once

#include <random>
#include <vector>

#include "base/context.h"
#include "cuda/device/device.h"
#include "numerics/bfloat16.h"
#include "tests/gpu/gpu.h"

namespace coat {

/// A context on the GPU, and tensors there that go with it.
class DeviceTensors {
 public:
  DeviceTensors() = default;
  ~DeviceTensors() {
    for (std::byte* block : blocks_) device_.Free(block);
  }
  DeviceTensors(const DeviceTensors&) = delete;
  DeviceTensors& operator=(const DeviceTensors&) = delete;

  Context& ctx() { return ctx_; }
  cuda::CudaDevice& device() { return device_; }

  TensorView Tensor(const Shape& shape, DType dtype) {
    const std::int64_t bytes = TensorView(nullptr, shape, dtype, DeviceKind::kCuda).bytes();
    blocks_.push_back(device_.Allocate(bytes));
    return {blocks_.back(), shape, dtype, DeviceKind::kCuda};
  }
  /// Normal random numbers of bfloat16, times `scale`.
  TensorView Normal(const Shape& shape, unsigned seed, float scale = 1.0f) {
    const TensorView tensor = Tensor(shape, DType::kBF16);
    std::mt19937 generator(seed);
    std::normal_distribution<float> normal;
    std::vector<BFloat16> values(static_cast<std::size_t>(tensor.elements()));
    for (BFloat16& value : values) value = ToBFloat16(scale * normal(generator));
    ctx_.Upload(values.data(), tensor);
    return tensor;
  }
  template <class T>
  std::vector<T> Values(const TensorView& tensor) const {
    std::vector<T> values(static_cast<std::size_t>(tensor.elements()));
    ctx_.Download(tensor, values.data());
    return values;
  }

 private:
  Context ctx_ = OpenGpu();
  cuda::CudaDevice& device_ = cuda::DeviceOf(ctx_);
  std::vector<std::byte*> blocks_;
};

}  // namespace coat
