#include "base/arena.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

#include "base/error.h"

namespace coat {

namespace {

std::int64_t Aligned(std::int64_t bytes) {
  return (bytes + Arena::kAlignment - 1) / Arena::kAlignment * Arena::kAlignment;
}

}  // namespace

void Arena::FreeBlock::operator()(std::byte* block) const {
  std::free(block);
}

Arena Arena::Measuring(std::string name) {
  return Arena(std::move(name), DeviceKind::kMeta, 0);
}

Arena Arena::Bound(std::string name, DeviceKind device, std::int64_t capacity_bytes) {
  COAT_REQUIRE(device == DeviceKind::kCpu, "an arena cannot be bound on {}", NameOf(device));
  Arena arena(std::move(name), device, Aligned(capacity_bytes));
  const std::size_t bytes = static_cast<std::size_t>(std::max<std::int64_t>(arena.capacity_, kAlignment));
  auto* block = static_cast<std::byte*>(std::aligned_alloc(kAlignment, bytes));
  if (block == nullptr) throw std::bad_alloc();
  std::memset(block, 0, bytes);
  arena.block_.reset(block);
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
  entries_.push_back({std::string(name), bytes});
  return {block_ ? block_.get() + begin : nullptr, shape, dtype, device_};
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
