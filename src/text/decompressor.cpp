#include "text/decompressor.h"

#include "text/inflater.h"
#include "text/zstd_decompressor.h"

namespace coat {

std::unique_ptr<Decompressor> DecompressorFor(std::span<const std::byte> first) {
  const auto is = [&](std::size_t index, unsigned value, unsigned mask = 0xff) {
    return index < first.size() && (static_cast<unsigned>(first[index]) & mask) == value;
  };
  if (is(0, 0x1f) && is(1, 0x8b)) return std::make_unique<Inflater>();
  const bool is_frame = is(0, 0x28) && is(1, 0xb5) && is(2, 0x2f) && is(3, 0xfd);
  const bool is_skippable_frame = is(0, 0x50, 0xf0) && is(1, 0x2a) && is(2, 0x4d) && is(3, 0x18);
  if (is_frame || is_skippable_frame) return std::make_unique<ZstdDecompressor>();
  return nullptr;
}

}  // namespace coat
