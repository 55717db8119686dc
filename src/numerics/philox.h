#pragma once

#include <array>
#include <cstdint>

#include "numerics/host_device.h"

namespace coat {

/// Philox4x32-10: four 32-bit words that are a function of a 128-bit counter and a 64-bit key, so that element i of a
/// tensor has the same random number whoever computes it, in whatever order.
/// Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011); their test vectors are in the tests.
COAT_HOST_DEVICE constexpr std::array<std::uint32_t, 4> Philox(std::array<std::uint32_t, 4> counter,
                                                               std::array<std::uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t first = 0xD2511F53ull * counter[0];
    const std::uint64_t second = 0xCD9E8D57ull * counter[2];
    counter = {static_cast<std::uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<std::uint32_t>(second),
               static_cast<std::uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<std::uint32_t>(first)};
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

}  // namespace coat
