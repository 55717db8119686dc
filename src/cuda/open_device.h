#pragma once
// The way in for the layers above the ops. Includes no CUDA header.

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/device.h"
#include "base/tensor.h"

namespace coat::cuda {

/// Which kernels multiply FP8 operands.
enum class GemmMode : std::uint8_t {
  kAuto,  // FP8 where the device has FP8 tensor cores that our formats need, else bf16
  kFp8,   // FP8; an error where the device has none
  kBf16,  // bf16 on operands that are decoded in the workspace, which grows to hold the two of a product; any shape
};

/// What users call them.
inline constexpr std::array<std::pair<const char*, GemmMode>, 3> kGemmModes = {
    {{"auto", GemmMode::kAuto}, {"fp8", GemmMode::kFp8}, {"bf16", GemmMode::kBf16}}};

struct CudaOptions {
  int ordinal = 0;     // which device, in the driver's order
  bool graphs = true;  // record and replay; off: start every kernel by itself. Same results
  GemmMode gemm = GemmMode::kAuto;
  /// Off: products whose algorithms are timed stay with the bits of the library's first choice, however slow it is.
  /// Imported choices are taken as they are.
  bool other_bits = true;
  bool deterministic_attention = true;  // off: cuDNN's faster backward, whose sums change order from run to run
};

/// Whether OpenCudaDevice would work, and if not, why: no driver, no device, an architecture without kernels, libraries
/// that are missing. One sentence that says what to do.
struct CudaStatus {
  bool usable = false;
  bool present = false;  // the driver shows a device, or does not start: not to be passed over
  std::string name;      // "NVIDIA H200, compute capability 9.0, 139.8 GiB", if it starts
  std::string reason;    // empty if usable
};
/// Starts CUDA on this device and no other, and makes it the one of the calling thread.
CudaStatus CheckCudaDevice(int ordinal = 0);

/// How many devices the driver shows; 0 where it does not start. Starts none of them.
int CountCudaDevices();

/// Opens a device: two streams, a workspace, the libraries. Throws Error with CheckCudaDevice's reason.
std::shared_ptr<Device> OpenCudaDevice(const CudaOptions& options);

/// What tells a device of OpenCudaDevice from all others of its machine: its UUID, or that of its MIG instance.
std::string IdOf(const Device& device);

/// What decides how far a device's workspace grows in a run.
struct WorkspaceNeeds {
  std::int64_t sequences = 0, positions = 0, heads = 0, kv_heads = 0, head_size = 0;  // with gradients
  std::int64_t fp8_operands = 0;  // elements of the two FP8 operands of the largest product; 0: there is none
  bool fp8_groups = false;        // they have scales of groups and blocks
};

/// Bytes that the workspace of a device of OpenCudaDevice has at the most once a run has met all of its ops: calculated
/// from above from what cuDNN 9 was seen to ask for, and not less than the workspace has now.
std::int64_t WorkspaceBound(const Device& device, const WorkspaceNeeds& needs);

/// Whether a device of OpenCudaDevice multiplies FP8 operands that are scaled so on FP8 tensor cores. Those take
/// extents that are multiples of 16; with scales of groups and blocks, of the first operand rows by the 4. Throws Error
/// where GemmMode::kFp8 asks for what the device does not have.
bool MultipliesFp8(const Device& device, Scaling scaling);

/// Page-locked host memory that devices reach too, at the speed of the bus. For tests that look at tensors between ops.
/// Throws Error.
std::shared_ptr<std::byte[]> AllocateForHostAndDevice(std::size_t bytes);

}  // namespace coat::cuda
