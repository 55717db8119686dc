#include "cuda/sort.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cub/device/device_radix_sort.cuh>

#include "base/divide.h"
#include "base/error.h"
#include "cuda/launch.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;

/// positions[n] = n.
__global__ void __launch_bounds__(kThreads) CountKernel(std::int64_t count, std::int32_t* positions) {
  const std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (n < count) positions[n] = static_cast<std::int32_t>(n);
}

}  // namespace

void SortPositions(CudaDevice& device, const std::int32_t* ids, std::int64_t count, std::int64_t id_count,
                   std::int64_t workspace_begin, std::int32_t* sorted_ids, std::int32_t* order) {
  if (count == 0) return;
  // Ids are not negative, so their low bits order them. A radix sort keeps equal ids in the order they came in.
  const int bits = std::max<int>(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(id_count - 1))));
  const auto keys = reinterpret_cast<const std::uint32_t*>(ids);
  const auto sorted_keys = reinterpret_cast<std::uint32_t*>(sorted_ids);
  std::byte* const positions_begin = device.workspace() + workspace_begin;
  const auto positions = reinterpret_cast<std::int32_t*>(positions_begin);
  const std::int64_t positions_bytes = RoundUp(count * 4, 256);
  std::size_t sort_bytes = 0;
  COAT_CUDA(cub::DeviceRadixSort::SortPairs(nullptr, sort_bytes, keys, sorted_keys, positions, order, count, 0, bits,
                                            device.stream()));
  const std::int64_t needed = workspace_begin + positions_bytes + static_cast<std::int64_t>(sort_bytes);
  COAT_REQUIRE(needed <= CudaDevice::kWorkspaceBytes, "sorting {} positions takes {} bytes of workspace; there are {}",
               count, needed, CudaDevice::kWorkspaceBytes);
  CountKernel<<<BlocksFor(count, kThreads), kThreads, 0, device.stream()>>>(count, positions);
  COAT_CUDA(cudaGetLastError());
  COAT_CUDA(cub::DeviceRadixSort::SortPairs(positions_begin + positions_bytes, sort_bytes, keys, sorted_keys, positions,
                                            order, count, 0, bits, device.stream()));
}

}  // namespace coat::cuda
