#include "base/tensor.h"

#include <fmt/core.h>

#include "base/error.h"

namespace coat {

namespace {

Shape WithRows(const Shape& shape, std::int64_t rows) {
  switch (shape.rank()) {
    case 1:
      return {rows};
    case 2:
      return {rows, shape[1]};
    case 3:
      return {rows, shape[1], shape[2]};
    default:
      return {rows, shape[1], shape[2], shape[3]};
  }
}

/// Bytes before row `begin`; checks that [begin, begin + count) lies within axis 0.
std::int64_t RowOffset(const ConstTensorView& x, std::int64_t begin, std::int64_t count) {
  COAT_REQUIRE(x.shape().rank() >= 1 && begin >= 0 && count >= 0 && begin + count <= x.shape()[0],
               "rows [{}, {}) are not within {}", begin, begin + count, x.ToString());
  return x.shape()[0] == 0 ? 0 : begin * (x.bytes() / x.shape()[0]);
}

void RequireSameElements(const ConstTensorView& x, const Shape& shape) {
  COAT_REQUIRE(shape.elements() == x.elements(), "{} cannot be seen as {}", x.ToString(), shape.ToString());
}

}  // namespace

ConstTensorView ConstTensorView::Reshaped(Shape shape) const {
  RequireSameElements(*this, shape);
  return {data_, shape, dtype_, device_};
}

ConstTensorView ConstTensorView::Rows(std::int64_t begin, std::int64_t count) const {
  const std::int64_t offset = RowOffset(*this, begin, count);
  const void* data = data_ == nullptr ? nullptr : static_cast<const std::byte*>(data_) + offset;
  return {data, WithRows(shape_, count), dtype_, device_};
}

std::string ConstTensorView::ToString() const {
  return fmt::format("{} {} on {}", shape_.ToString(), NameOf(dtype_), NameOf(device_));
}

TensorView TensorView::Reshaped(Shape shape) const {
  RequireSameElements(*this, shape);
  return {data_, shape, dtype_, device_};
}

TensorView TensorView::Rows(std::int64_t begin, std::int64_t count) const {
  const std::int64_t offset = RowOffset(*this, begin, count);
  void* data = data_ == nullptr ? nullptr : static_cast<std::byte*>(data_) + offset;
  return {data, WithRows(shape_, count), dtype_, device_};
}

Shape Format::ScaleShape(Shape codes) const {
  switch (scaling) {
    case Scaling::kNone:
      return {};
    case Scaling::kTensor:
      return {1};
    case Scaling::kGroup:
      COAT_REQUIRE(codes.rank() == 2 && codes[1] % group == 0, "a row of {} does not divide into groups of {}",
                   codes.ToString(), group);
      return {codes[0], codes[1] / group};
    case Scaling::kBlock128:
      COAT_REQUIRE(codes.rank() == 2 && codes[0] % 128 == 0 && codes[1] % 128 == 0,
                   "{} does not divide into 128 x 128 blocks", codes.ToString());
      return {codes[0] / 128, codes[1] / 128};
  }
  return {};
}

std::string Format::ToString() const {
  switch (scaling) {
    case Scaling::kNone:
      return std::string(NameOf(dtype));
    case Scaling::kTensor:
      return fmt::format("{}/t", NameOf(dtype));
    case Scaling::kGroup:
      return fmt::format("{}/g{}{}", NameOf(dtype), group, scale_dtype == DType::kF32 ? " (f32 scales)" : "");
    case Scaling::kBlock128:
      return fmt::format("{}/b128", NameOf(dtype));
  }
  return "?";
}

std::string ConstQuantizedView::ToString() const {
  return fmt::format("{} {} on {}", codes.shape().ToString(), format.ToString(), NameOf(codes.device()));
}

}  // namespace coat
