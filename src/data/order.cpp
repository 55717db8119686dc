#include "data/order.h"

#include <numeric>

#include "base/error.h"
#include "data/pcg64.h"

namespace coat {

std::int64_t OrderSize(const OrderOptions& options) {
  COAT_REQUIRE(options.world_size > 0, "world_size is {}; it must be positive", options.world_size);
  COAT_REQUIRE(options.sequence_count >= 0 && options.sequence_count < 0xffffffff,
               "the data set has {} sequences; at most 2^32 - 2 can be put in order", options.sequence_count);
  const std::int64_t whole = options.sequence_count / options.world_size * options.world_size;
  return options.drop_last || whole == options.sequence_count ? whole : whole + options.world_size;
}

std::vector<std::uint32_t> BuildOrder(const OrderOptions& options) {
  const std::int64_t size = OrderSize(options);
  COAT_REQUIRE(options.epoch >= 0, "epoch is {}; it must not be negative", options.epoch);
  std::vector<std::uint32_t> order(static_cast<std::size_t>(options.sequence_count));
  std::iota(order.begin(), order.end(), 0u);
  Pcg64 random(options.seed + static_cast<std::uint64_t>(options.epoch));
  Shuffle(order, random);

  order.resize(static_cast<std::size_t>(size));
  for (std::int64_t i = options.sequence_count; i < size; ++i) {
    order[static_cast<std::size_t>(i)] = order[static_cast<std::size_t>(i - options.sequence_count)];
  }
  return order;
}

}  // namespace coat
