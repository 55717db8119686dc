#include "base/arena.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/divide.h"
#include "base/error.h"

namespace coat {

namespace {

std::int64_t Aligned(std::int64_t bytes) {
  return RoundUp(bytes, Arena::kAlignment);
}

}  // namespace

void Arena::FreeBlock::operator()(std::byte* block) const {
  if (device) return device->Free(block);
  std::free(block);
}

Arena Arena::Measuring(std::string name) {
  return Arena(std::move(name), DeviceKind::kMeta, 0);
}

Arena Arena::Bound(std::string name, const Context& ctx, std::int64_t capacity_bytes) {
  COAT_REQUIRE(ctx.device() != DeviceKind::kMeta, "an arena cannot be bound on meta");
  Arena arena(std::move(name), ctx.device(), Aligned(capacity_bytes));
  const std::int64_t bytes = std::max(arena.capacity_, kAlignment);
  if (ctx.backend()) {
    arena.block_ = {ctx.backend()->Allocate(bytes), FreeBlock{ctx.backend()}};
    return arena;
  }
  auto* block = static_cast<std::byte*>(std::aligned_alloc(kAlignment, static_cast<std::size_t>(bytes)));
  if (block == nullptr) throw std::bad_alloc();
  std::memset(block, 0, static_cast<std::size_t>(bytes));
  arena.block_ = {block, FreeBlock{}};
  return arena;
}

TensorView Arena::Tensor(std::string_view name, Shape shape, DType dtype) {
  const std::int64_t bytes = shape.elements() * SizeOf(dtype);
  const std::int64_t begin = used_;
  const std::int64_t end = begin + Aligned(bytes);
  if (device_ != DeviceKind::kMeta) {
    COAT_REQUIRE(end <= capacity_, "arena {} is full: {} {} {} needs {} bytes at {} of {}", name_, name,
                 shape.ToString(), NameOf(dtype), bytes, begin, capacity_);
  }
  used_ = end;
  peak_ = std::max(peak_, used_);
  const TensorView tensor = {block_ ? block_.get() + begin : nullptr, shape, dtype, device_};
  entries_.push_back({std::string(name), bytes, tensor});
  return tensor;
}

QuantizedView Arena::Quantized(std::string_view name, Shape shape, Format format) {
  QuantizedView view;
  view.format = format;
  view.codes = Tensor(name, shape, format.dtype);
  if (format.scaling != Scaling::kNone) {
    view.scales = Tensor(std::string(name) + ".scales", format.ScaleShape(shape), format.scale_dtype);
  }
  return view;
}

}  // namespace coat
