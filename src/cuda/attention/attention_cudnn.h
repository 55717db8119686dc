#pragma once

#include <cstdint>
#include <memory>

#include "cuda/attention/attention_extents.h"
#include "ops/attention.h"

namespace coat::cuda {

class CudaDevice;

/// Attention of bfloat16 by cuDNN's fused kernels, on qkv and d_qkv as they lie in memory. Part of a CudaDevice
/// (CudaDevice::Get).
///
/// Plans are made when extents are first met, never while recording. The deterministic backward pass keeps the
/// gradients of all scores, 2 B H T^2 bytes: sequences go through it as few at a time as keep that below
/// kLargestWorkspace, one at the least, and never more than kMostSequences. The device's workspace grows accordingly.
class CudnnAttention {
 public:
  static constexpr std::int64_t kLargestWorkspace = 1056 << 20;
  static constexpr std::int64_t kMostSequences = 65535;

  /// Loads cuDNN and makes a handle. Throws Error if there is none.
  explicit CudnnAttention(CudaDevice& device);
  ~CudnnAttention();
  CudnnAttention(const CudnnAttention&) = delete;
  CudnnAttention& operator=(const CudnnAttention&) = delete;

  /// Whether cuDNN has kernels for both directions: head sizes that are multiples of 8, up to 256 on Hopper and 128
  /// elsewhere, and more than one position.
  static bool Takes(const CudaDevice& device, const AttentionExtents& extents);

  /// Whether cuDNN's backward pass does what the device's deterministic_attention says: if it is set, on Hopper, and on
  /// data center Blackwell (10.0, 10.3) from cuDNN 9.18.1 on. Source: the conditions of cudnn-frontend's
  /// set_deterministic_algorithm and of TransformerEngine's choice of kernels; seen on Hopper alone.
  static bool BackwardIsAsAsked(const CudaDevice& device);

  /// As the ops. Pointers must be multiples of 16 bytes. Throws Error with cuDNN's words if it fails.
  void Forward(const AttentionForwardArgs& args, const AttentionExtents& extents);
  void Backward(const AttentionBackwardArgs& args, const AttentionExtents& extents);

 private:
  struct Plans;
  std::unique_ptr<Plans> plans_;
};

}  // namespace coat::cuda
