#pragma once

#include "base/context.h"
#include "base/tensor.h"

namespace coat {

struct AbsMaxArgs {
  ConstTensorView x;  // any shape, f32 or bf16
  TensorView absmax;  // [1] f32, written
};

/// The largest magnitude of a tensor: absmax = max |x|; 0 for no elements, NaN if any element is NaN.
///
/// Rounding: none. Exactness: bitwise (a maximum depends on no order). Throws ArgumentError unless types, shapes and
/// devices are as above. Source: the largest magnitude of COAT's per-tensor quantization.
void AbsMax(Context& ctx, const AbsMaxArgs& args);

struct QuantizeArgs {
  ConstTensorView x;            // [N, F] f32 or bf16
  ConstTensorView absmax = {};  // [1] f32; required by /t formats and only by them
  QuantizedView y = {};         // [N, F] e4m3 or e5m2, /t, /gG (groups along F) or /b128; written
  QuantizedView y_t = {};       // [F, N] likewise, the transpose of x (groups along N); written
};

/// Codes and scales of a matrix, of its transpose, or of both: y = q(x), y_t = q(x transposed).
///
/// The two outputs may have different formats; at least one is given. In /t formats the scale comes from `absmax`,
/// which may be that of a tensor that is quantized again later (the codes are then the same again). Rounding: s =
/// max|group| / kMax in float32, at least 2^-126, then rounded up where scales are bf16; 1 for a group of zeros
/// (numerics/scale.h); codes are x * (1 / s) in float32, rounded once to nearest even, saturating. A NaN gives the code
/// NaN; a group (in /t formats: an absmax) that is not finite gives a scale that is not, and no code of it decodes to a
/// finite value. Exactness: bitwise. Every output byte is a function of its group's values only. Throws ArgumentError
/// unless shapes, formats and devices are as above; groups and blocks must divide their extents. Source: COAT
/// (arXiv:2410.19313), quantization of linear inputs and of activations; DeepSeek-V3's 1x128 and 128x128 scales. COAT
/// makes codes with the unrounded scale; here the stored one is used.
void Quantize(Context& ctx, const QuantizeArgs& args);

struct DequantizeArgs {
  ConstQuantizedView x;  // [N, F] e4m3 or e5m2, /t, /gG or /b128
  TensorView y;          // [N, F] f32 or bf16, written
};

/// y = code * scale. Rounding: the product in float32, then once to y's type. Exactness: bitwise. Throws ArgumentError
/// unless shapes, formats and devices are as above. Source: the inverse of Quantize.
void Dequantize(Context& ctx, const DequantizeArgs& args);

struct TransposeCodesArgs {
  ConstTensorView x;  // [N, F] e4m3 or e5m2
  TensorView y;       // [F, N] of the same type, written
};

/// y = x transposed, byte for byte. Rounding: none. Exactness: bitwise. Throws ArgumentError unless shapes and types
/// are as above. Source: COAT's transposed copies of FP8 operands.
void TransposeCodes(Context& ctx, const TransposeCodesArgs& args);

namespace cpu {
void AbsMax(Context& ctx, const AbsMaxArgs& args);
void Quantize(Context& ctx, const QuantizeArgs& args);
void Dequantize(Context& ctx, const DequantizeArgs& args);
void TransposeCodes(Context& ctx, const TransposeCodesArgs& args);
}  // namespace cpu
namespace cuda {
void AbsMax(Context& ctx, const AbsMaxArgs& args);
void Quantize(Context& ctx, const QuantizeArgs& args);
void Dequantize(Context& ctx, const DequantizeArgs& args);
void TransposeCodes(Context& ctx, const TransposeCodesArgs& args);
}  // namespace cuda

}  // namespace coat
