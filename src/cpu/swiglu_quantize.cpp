// The SwiGLU ops that quantize. Each makes two passes: largest magnitudes first, then codes; the values are computed
// twice rather than stored.

#include <algorithm>

#include "cpu/absmax.h"
#include "ops/visit.h"
#include "cpu/lanes.h"
#include "cpu/scaled_rows.h"
#include "cpu/transpose.h"
#include "numerics/activation.h"
#include "ops/swiglu.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kTile = 64;      // rows of a tile of the backward op
constexpr std::int64_t kColumns = 256;  // its columns: enough of a row to be read ahead, few enough codes for the L1
static_assert(kColumns <= kGroupChunk);

/// Saved codes of up and gate, then the codes of the product.
template <class T, class Saved>
void Forward(Context& ctx, const SwigluQuantizeForwardArgs& args) {
  const std::int64_t n = args.product.shape()[0];
  const std::int64_t width = args.product.shape()[1];
  const int group = args.saved_up_gate.format.group;
  constexpr std::int64_t kRows = 8;
  const auto product_of_row = [&](std::int64_t row) {
    const T* up = args.up_gate.As<T>() + row * 2 * width;
    const T* gate = up + width;
    return [=](std::int64_t i) { return Swiglu(ToFloat(up[i]), ToFloat(gate[i])); };
  };
  SharedAbsMax absmax(args.absmax.As<float>());
  ctx.ParallelBlocks(n, kRows, [&](std::int64_t begin, std::int64_t end) {
    float largest = 0.0f;
    for (std::int64_t row = begin; row < end; ++row) {
      const T* up_gate = args.up_gate.As<T>() + row * 2 * width;
      EncodeGroups<Saved>(
          2 * width, group, [=](std::int64_t i) { return ToFloat(up_gate[i]); },
          args.saved_up_gate.codes.As<std::uint8_t>() + row * 2 * width,
          args.saved_up_gate.scales.As<BFloat16>() + row * (2 * width / group));
      largest = MaxMagnitude(largest, RunAbsMax(width, product_of_row(row)));
    }
    absmax.Report(largest);
  });
  VisitFp8(args.product.format.dtype, [&]<class Product>() {
    const float scale = ScaleFromAbsMax<Product>(*args.absmax.As<float>());
    *args.product.scales.As<float>() = scale;
    ctx.ParallelBlocks(n, kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        EncodeRun<Product>(width, 1.0f / scale, product_of_row(row),
                           args.product.codes.As<std::uint8_t>() + row * width);
      }
    });
  });
}

/// The float32 gradients and product of up to kColumns columns of one row.
struct RowTile {
  float d_up[kColumns];
  float d_gate[kColumns];
  float product[kColumns];
};

template <class T, class Saved>
void ComputeRowTile(const SwigluQuantizeBackwardArgs& args, std::int64_t row, std::int64_t column, std::int64_t count,
                    RowTile& tile) {
  const std::int64_t width = args.d_product.shape()[1];
  const int group = args.up_gate.format.group;
  const std::uint8_t* codes = args.up_gate.codes.As<std::uint8_t>() + row * 2 * width;
  const BFloat16* scales = args.up_gate.scales.As<BFloat16>() + row * (2 * width / group);
  const T* d_product = args.d_product.As<T>() + row * width + column;
  float up[kColumns];
  float gate[kColumns];
  DecodeGroups<Saved>(codes + column, scales, group, column, count, up);
  DecodeGroups<Saved>(codes + width + column, scales, group, width + column, count, gate);
  for (std::int64_t i = 0; i < count; ++i) {
    const SwigluGradient g = SwigluBackwardElement(up[i], gate[i], ToFloat(d_product[i]));
    tile.d_up[i] = g.d_up;
    tile.d_gate[i] = g.d_gate;
    tile.product[i] = g.product;
  }
}

/// Largest magnitudes of the gradients and of the product.
template <class T, class Saved>
void BackwardAbsMax(Context& ctx, const SwigluQuantizeBackwardArgs& args) {
  const std::int64_t width = args.d_product.shape()[1];
  SharedAbsMax gradient_absmax(args.absmax.As<float>());
  SharedAbsMax product_absmax(args.absmax.As<float>() + 1);
  ctx.ParallelBlocks(args.d_product.shape()[0], kTile, [&](std::int64_t begin, std::int64_t end) {
    const auto largest = [](float before, const float* values, std::int64_t count) {
      return MaxMagnitude(before, RunAbsMax(count, [=](std::int64_t i) { return values[i]; }));
    };
    float of_gradient = 0.0f;
    float of_product = 0.0f;
    RowTile tile;
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t column = 0; column < width; column += kColumns) {
        const std::int64_t count = std::min(kColumns, width - column);
        ComputeRowTile<T, Saved>(args, row, column, count, tile);
        of_gradient = largest(largest(of_gradient, tile.d_up, count), tile.d_gate, count);
        of_product = largest(of_product, tile.product, count);
      }
    }
    gradient_absmax.Report(of_gradient);
    product_absmax.Report(of_product);
  });
}

/// The scale that an output of the backward op gets, written to it, and its reciprocal.
float SetScale(const QuantizedView& output, float absmax) {
  return 1.0f / (*output.scales.As<float>() = ScaleAs(output.format.dtype, absmax));
}

/// The three coded outputs, given the largest magnitudes.
template <class T, class Saved>
void BackwardCodes(Context& ctx, const SwigluQuantizeBackwardArgs& args) {
  const std::int64_t n = args.d_product.shape()[0];
  const std::int64_t width = args.d_product.shape()[1];
  const float* absmax = args.absmax.As<float>();
  const float plain = SetScale(args.d_up_gate, absmax[0]);
  const float transposed = SetScale(args.d_up_gate_t, absmax[0]);
  const float of_product = SetScale(args.product_t, absmax[1]);
  const DType plain_format = args.d_up_gate.format.dtype;
  const DType transposed_format = args.d_up_gate_t.format.dtype;
  ctx.ParallelBlocks(n, kTile, [&](std::int64_t begin, std::int64_t end) {
    RowTile tile;
    std::uint8_t d_up[kTile * kColumns];  // used where the transpose has another format
    std::uint8_t d_gate[kTile * kColumns];
    std::uint8_t product[kTile * kColumns];
    const std::int64_t rows = end - begin;
    for (std::int64_t column = 0; column < width; column += kColumns) {
      const std::int64_t count = std::min(kColumns, width - column);
      std::uint8_t* const plain_codes = args.d_up_gate.codes.As<std::uint8_t>() + begin * 2 * width + column;
      for (std::int64_t r = 0; r < rows; ++r) {
        ComputeRowTile<T, Saved>(args, begin + r, column, count, tile);
        EncodeRunAs(plain_format, count, plain, tile.d_up, plain_codes + r * 2 * width);
        EncodeRunAs(plain_format, count, plain, tile.d_gate, plain_codes + r * 2 * width + width);
        if (transposed_format != plain_format) {
          EncodeRunAs(transposed_format, count, transposed, tile.d_up, d_up + r * kColumns);
          EncodeRunAs(transposed_format, count, transposed, tile.d_gate, d_gate + r * kColumns);
        }
        EncodeRunAs(args.product_t.format.dtype, count, of_product, tile.product, product + r * kColumns);
      }
      const bool same = transposed_format == plain_format;
      const std::int64_t stride = same ? 2 * width : kColumns;
      std::uint8_t* const d_up_gate_t = args.d_up_gate_t.codes.As<std::uint8_t>();
      TransposeTile(same ? plain_codes : d_up, stride, rows, count, d_up_gate_t + column * n + begin, n);
      TransposeTile(same ? plain_codes + width : d_gate, stride, rows, count,
                    d_up_gate_t + (width + column) * n + begin, n);
      TransposeTile(product, kColumns, rows, count, args.product_t.codes.As<std::uint8_t>() + column * n + begin, n);
    }
  });
}

}  // namespace

void SwigluQuantizeForward(Context& ctx, const SwigluQuantizeForwardArgs& args) {
  VisitPlain(args.up_gate.dtype(), [&]<class T>() {
    VisitFp8(args.saved_up_gate.format.dtype, [&]<class Saved>() { Forward<T, Saved>(ctx, args); });
  });
}

void SwigluQuantizeBackward(Context& ctx, const SwigluQuantizeBackwardArgs& args) {
  VisitPlain(args.d_product.dtype(), [&]<class T>() {
    VisitFp8(args.up_gate.format.dtype, [&]<class Saved>() {
      BackwardAbsMax<T, Saved>(ctx, args);
      BackwardCodes<T, Saved>(ctx, args);
    });
  });
}

}  // namespace coat::cpu
