#pragma once
// One kernel launch for all parameters: a table of tensors as the kernel's parameter.
//
// The work on each tensor is cut into tiles, numbered through all tensors of the table. The blocks (or warps) of a grid
// of fixed size take every n-th tile, so the tensor that a tile belongs to is found by going on in the table.

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>

#include "base/divide.h"
#include "base/tensor.h"
#include "cuda/device/device.h"
#include "cuda/kernel/block_reduce.cuh"

namespace coat::cuda {

/// Up to kCapacity tensors, with what a kernel must know of each. Kernels take it as a __grid_constant__ parameter.
template <class Entry>
struct TensorTable {
  static constexpr int kCapacity = 256;
  static_assert(sizeof(Entry) <= 112, "a kernel's parameters are at most 32764 bytes");

  int count;
  std::int64_t first_tile[kCapacity + 1];  // of each tensor, and behind the last one's last
  Entry entries[kCapacity];

  __host__ __device__ std::int64_t Tiles() const { return first_tile[count]; }

  /// The tensor of a tile that is not before tensor `at`.
  __device__ int Find(std::int64_t tile, int at) const {
    while (tile >= first_tile[at + 1]) ++at;
    return at;
  }
};

/// Fills tables and hands each to `launch`: one, or more if there are many tensors.
template <class Entry>
class TensorTables {
 public:
  using Launch = std::function<void(const TensorTable<Entry>&)>;

  explicit TensorTables(Launch launch) : launch_(std::move(launch)) {
    table_.count = 0;
    table_.first_tile[0] = 0;
  }

  void Add(const Entry& entry, std::int64_t tiles) {
    if (table_.count == TensorTable<Entry>::kCapacity) Flush();
    table_.entries[table_.count] = entry;
    table_.first_tile[table_.count + 1] = table_.first_tile[table_.count] + tiles;
    ++table_.count;
  }

  /// Launches what there is. Call it at the end.
  void Flush() {
    if (table_.count > 0) launch_(table_);
    table_.count = 0;
  }

 private:
  Launch launch_;
  TensorTable<Entry> table_;
};

/// The largest magnitude of what the threads of a warp have written of a tensor.
class WarpAbsMax {
 public:
  __device__ void Add(float value) { largest_ = max(largest_, MagnitudeBits(value)); }

  /// Raises *absmax, unless it is null, with one atomic maximum a warp, exact in any order; starts anew at 0. All lanes
  /// call it.
  __device__ void Report(float* absmax) {
    if (absmax == nullptr) return;
    const std::uint32_t largest = __reduce_max_sync(kAllLanes, largest_);
    if (threadIdx.x % kWarpSize == 0) atomicMax(reinterpret_cast<unsigned*>(absmax), largest);
    largest_ = 0;
  }

 private:
  std::uint32_t largest_ = 0;
};

/// Zeros the largest magnitudes, [n] f32, before kernels raise them. Nothing if they are missing.
inline void StartAbsMax(const CudaDevice& device, const TensorView& absmax) {
  if (absmax) COAT_CUDA(cudaMemsetAsync(absmax.data(), 0, static_cast<std::size_t>(absmax.bytes()), device.stream()));
}

/// Where tensor `i` of a call reports its largest magnitude; null if nothing is wanted.
inline float* AbsMaxOfTensor(const TensorView& absmax, std::size_t i) {
  return absmax ? absmax.As<float>() + i : nullptr;
}

/// Blocks of a grid that goes over `tiles`, `tiles_a_block` at a time: at most `resident` a multiprocessor.
inline unsigned PersistentBlocks(const CudaDevice& device, std::int64_t tiles, std::int64_t tiles_a_block,
                                 int resident) {
  const std::int64_t needed = DivideUp(tiles, tiles_a_block);
  return static_cast<unsigned>(std::min<std::int64_t>(needed, std::int64_t{device.multiprocessors()} * resident));
}

/// Four elements that are loaded and stored as one; addresses are multiples of their size.
template <class T>
struct alignas(4 * sizeof(T)) Four {
  T x[4];
};

inline bool IsAlignedTo(const void* address, std::size_t bytes) {
  return reinterpret_cast<std::uintptr_t>(address) % bytes == 0;
}

}  // namespace coat::cuda
