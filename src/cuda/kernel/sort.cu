#include "cuda/kernel/sort.h"

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cub/device/device_radix_sort.cuh>

#include "base/divide.h"
#include "cuda/kernel/launch.h"

namespace coat::cuda {

namespace {

constexpr int kThreads = 256;

/// positions[n] = n.
__global__ void __launch_bounds__(kThreads) CountKernel(std::int64_t count, std::int32_t* positions) {
  const std::int64_t n = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (n < count) positions[n] = static_cast<std::int32_t>(n);
}

}  // namespace

std::int32_t* SortPositions(CudaDevice& device, const std::int32_t* ids, std::int64_t count, std::int64_t id_count,
                            std::int32_t* order) {
  // Ids are not negative, so their low bits order them. A radix sort keeps equal ids in the order they came in.
  const int bits = std::max<int>(1, static_cast<int>(std::bit_width(static_cast<std::uint64_t>(id_count - 1))));
  const auto keys = reinterpret_cast<const std::uint32_t*>(ids);
  const std::int64_t of_numbers = RoundUp(count * 4, 256);
  std::size_t sort_bytes = 0;
  COAT_CUDA(cub::DeviceRadixSort::SortPairs(nullptr, sort_bytes, keys, static_cast<std::uint32_t*>(nullptr),
                                            static_cast<const std::int32_t*>(nullptr), order, count, 0, bits,
                                            device.stream()));
  std::byte* const workspace = device.GrowWorkspace(2 * of_numbers + static_cast<std::int64_t>(sort_bytes));
  const auto sorted_ids = reinterpret_cast<std::int32_t*>(workspace);
  const auto positions = reinterpret_cast<std::int32_t*>(workspace + of_numbers);
  CountKernel<<<BlocksFor(count, kThreads), kThreads, 0, device.stream()>>>(count, positions);
  COAT_CUDA(cudaGetLastError());
  COAT_CUDA(cub::DeviceRadixSort::SortPairs(workspace + 2 * of_numbers, sort_bytes, keys,
                                            reinterpret_cast<std::uint32_t*>(sorted_ids), positions, order, count, 0,
                                            bits, device.stream()));
  return sorted_ids;
}

}  // namespace coat::cuda
