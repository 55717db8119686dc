#include <algorithm>

#include "base/divide.h"
#include "cuda/attention/attention_cudnn.h"
#include "cuda/device/device.h"
#include "cuda/kernel/sort.h"
#include "cuda/open_device.h"

namespace coat::cuda {

std::int64_t WorkspaceBound(const Device& device, const WorkspaceNeeds& needs) {
  const auto& cuda_device = static_cast<const CudaDevice&>(device);
  std::int64_t bytes = std::max(CudaDevice::kWorkspaceBytes, cuda_device.workspace_bytes());
  // Of each sequence: the gradients of the queries and two sums a row in float32; those of keys and values of every
  // query head, where several share them, in bfloat16; and, for the deterministic backward, those of all scores in
  // bfloat16, in whole tiles.
  const auto padded = [&](std::int64_t tile) { return RoundUp(needs.positions, tile); };
  const bool deterministic =
      cuda_device.options().deterministic_attention && CudnnAttention::BackwardIsAsAsked(cuda_device);
  const std::int64_t of_scores = deterministic ? 2 * padded(64) * padded(128) : 0;
  const std::int64_t of_row = 8 + (needs.kv_heads < needs.heads ? 8 : 4) * needs.head_size;
  const std::int64_t of_sequence = needs.heads * (of_scores + needs.positions * of_row);
  const std::int64_t most = std::max(CudnnAttention::kLargestWorkspace, of_sequence);
  bytes = std::max(bytes, std::min(needs.sequences * of_sequence, most));
  const std::int64_t tokens = needs.sequences * needs.positions;
  if (tokens > 0) bytes = std::max(bytes, SortBytes(tokens));
  if (needs.fp8_operands == 0) return bytes;
  if (!MultipliesFp8(device, needs.fp8_groups ? Scaling::kGroup : Scaling::kTensor)) {
    bytes = std::max(bytes, CudaDevice::kWorkspaceBytes + needs.fp8_operands * SizeOf(DType::kBF16));
  } else if (needs.fp8_groups) {
    // The scales as cuBLASLt wants them, one of 128 elements.
    bytes = std::max(bytes, CudaDevice::kWorkspaceBytes + needs.fp8_operands / 128 * SizeOf(DType::kF32));
  }
  return bytes;
}

}  // namespace coat::cuda
