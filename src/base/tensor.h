#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/dtype.h"
#include "base/shape.h"

namespace coat {

/// A dense row-major tensor that is only read: an address, a shape, a type, a device. Owns nothing; pass by value.
class ConstTensorView {
 public:
  constexpr ConstTensorView() = default;
  constexpr ConstTensorView(const void* data, Shape shape, DType dtype, DeviceKind device)
      : data_(data), shape_(shape), dtype_(dtype), device_(device) {}

  constexpr const void* data() const { return data_; }
  constexpr const Shape& shape() const { return shape_; }
  constexpr DType dtype() const { return dtype_; }
  constexpr DeviceKind device() const { return device_; }
  constexpr std::int64_t elements() const { return shape_.elements(); }
  constexpr std::int64_t bytes() const { return elements() * SizeOf(dtype_); }
  /// False for a default-constructed view, which stands for an optional argument that was not given.
  constexpr explicit operator bool() const { return shape_.rank() > 0; }
  /// The data as T, unchecked; for the implementations, after the front door has checked the type.
  template <class T>
  const T* As() const {
    return static_cast<const T*>(data_);
  }
  /// The same elements under another shape with as many elements. Throws ArgumentError otherwise.
  ConstTensorView Reshaped(Shape shape) const;
  /// Rows [begin, begin + count) of axis 0. Throws ArgumentError when they are not all there.
  ConstTensorView Rows(std::int64_t begin, std::int64_t count) const;
  /// "[2, 16] bf16 on cpu".
  std::string ToString() const;

 private:
  const void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::kF32;
  DeviceKind device_ = DeviceKind::kCpu;
};

/// The writable counterpart of ConstTensorView, and convertible to it.
class TensorView {
 public:
  constexpr TensorView() = default;
  constexpr TensorView(void* data, Shape shape, DType dtype, DeviceKind device)
      : data_(data), shape_(shape), dtype_(dtype), device_(device) {}

  constexpr operator ConstTensorView() const { return {data_, shape_, dtype_, device_}; }
  constexpr void* data() const { return data_; }
  constexpr const Shape& shape() const { return shape_; }
  constexpr DType dtype() const { return dtype_; }
  constexpr DeviceKind device() const { return device_; }
  constexpr std::int64_t elements() const { return shape_.elements(); }
  constexpr std::int64_t bytes() const { return elements() * SizeOf(dtype_); }
  constexpr explicit operator bool() const { return shape_.rank() > 0; }
  template <class T>
  T* As() const {
    return static_cast<T*>(data_);
  }
  TensorView Reshaped(Shape shape) const;
  TensorView Rows(std::int64_t begin, std::int64_t count) const;

 private:
  void* data_ = nullptr;
  Shape shape_;
  DType dtype_ = DType::kF32;
  DeviceKind device_ = DeviceKind::kCpu;
};

/// How the codes of a tensor are scaled: value = code * scale of the code's group.
enum class Scaling : std::uint8_t {
  kNone,      // no scales: plain f32 or bf16
  kTensor,    // "/t": one f32 scale
  kGroup,     // "/gG": one scale per 1 x G group along the rows: [N, F / G]
  kBlock128,  // "/b128": one f32 scale per 128 x 128 block: [N / 128, F / 128]
};

/// A storage format: element type, scaling and what the scales are. "e4m3/g16", "e5m2/t", "bf16".
struct Format {
  DType dtype = DType::kBF16;
  Scaling scaling = Scaling::kNone;
  int group = 0;                    // G for kGroup, else 0
  DType scale_dtype = DType::kF32;  // bf16 (COAT's 1 x G groups) or f32

  static constexpr Format Plain(DType dtype) { return {dtype, Scaling::kNone, 0, DType::kF32}; }
  static constexpr Format PerTensor(DType dtype) { return {dtype, Scaling::kTensor, 0, DType::kF32}; }
  static constexpr Format PerGroup(DType dtype, int group, DType scale_dtype = DType::kBF16) {
    return {dtype, Scaling::kGroup, group, scale_dtype};
  }
  static constexpr Format PerBlock128(DType dtype) { return {dtype, Scaling::kBlock128, 0, DType::kF32}; }

  friend constexpr bool operator==(const Format&, const Format&) = default;
  /// Shape of the scales of an [N, F] tensor in this format; rank 0 for kNone.
  Shape ScaleShape(Shape codes) const;
  std::string ToString() const;
};

/// A matrix in some Format: codes and their scales, or plain values without scales. Read only.
struct ConstQuantizedView {
  ConstTensorView codes;
  ConstTensorView scales;
  Format format;

  constexpr explicit operator bool() const { return static_cast<bool>(codes); }
  constexpr const Shape& shape() const { return codes.shape(); }
  std::string ToString() const;
};

/// The writable counterpart of ConstQuantizedView.
struct QuantizedView {
  TensorView codes;
  TensorView scales;
  Format format;

  constexpr operator ConstQuantizedView() const { return {codes, scales, format}; }
  constexpr explicit operator bool() const { return static_cast<bool>(codes); }
  constexpr const Shape& shape() const { return codes.shape(); }
};

/// A plain tensor seen as a matrix in a format without scales.
constexpr ConstQuantizedView AsPlain(ConstTensorView x) {
  return {x, {}, Format::Plain(x.dtype())};
}
constexpr QuantizedView AsPlain(TensorView x) {
  return {x, {}, Format::Plain(x.dtype())};
}

}  // namespace coat
