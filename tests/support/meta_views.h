#pragma once
// Tensors without bytes, for tests of what front doors refuse: these look at shapes, types and devices only, and must
// refuse before they read.

#include "base/tensor.h"

namespace coat {

inline TensorView Meta(Shape shape, DType dtype) {
  return {nullptr, shape, dtype, DeviceKind::kMeta};
}

/// A matrix in any format, with the scales that the format wants.
inline QuantizedView Meta(Shape shape, Format format) {
  if (format.scaling == Scaling::kNone) return AsPlain(Meta(shape, format.dtype));
  return {Meta(shape, format.dtype), Meta(format.ScaleShape(shape), format.scale_dtype), format};
}

/// A tensor that claims to be on the CPU.
inline TensorView OnCpu(Shape shape, DType dtype) {
  return {nullptr, shape, dtype, DeviceKind::kCpu};
}

}  // namespace coat
