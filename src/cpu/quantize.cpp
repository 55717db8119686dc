#include "ops/quantize.h"

#include <algorithm>
#include <bit>

#include "cpu/absmax.h"
#include "ops/visit.h"
#include "cpu/scaled_rows.h"
#include "cpu/transpose.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kTile = 64;    // rows and columns of a tile that is transposed in L1
constexpr std::int64_t kBlock = 128;  // of /b128
constexpr std::int64_t kRows = 16;    // rows a task of row-wise work

template <class Function>
void VisitScale(DType dtype, Function&& f) {
  dtype == DType::kBF16 ? f.template operator()<BFloat16>() : f.template operator()<float>();
}

/// Per-tensor codes of x [N, F]: plain into y, transposed into y_t; either may be missing.
template <class T, class F>
void QuantizeTensor(Context& ctx, ConstTensorView x, float absmax, const QuantizedView& y, const QuantizedView& y_t) {
  const std::int64_t n = x.shape()[0];
  const std::int64_t width = x.shape()[1];
  const float scale = ScaleFromAbsMax<F>(absmax);
  const float reciprocal = 1.0f / scale;
  if (y) *y.scales.As<float>() = scale;
  if (y_t) *y_t.scales.As<float>() = scale;
  ctx.ParallelBlocks(n, kTile, [&](std::int64_t begin, std::int64_t end) {
    std::uint8_t tile[kTile * kTile];
    for (std::int64_t column = 0; column < width; column += kTile) {
      const std::int64_t columns = std::min(kTile, width - column);
      std::uint8_t* codes = y ? y.codes.As<std::uint8_t>() + begin * width + column : tile;
      const std::int64_t stride = y ? width : kTile;
      for (std::int64_t row = begin; row < end; ++row) {
        const T* values = x.As<T>() + row * width + column;
        EncodeRun<F>(
            columns, reciprocal, [=](std::int64_t i) { return ToFloat(values[i]); }, codes + (row - begin) * stride);
      }
      if (y_t) {
        TransposeTile(codes, stride, end - begin, columns, y_t.codes.As<std::uint8_t>() + column * n + begin, n);
      }
    }
  });
}

/// 1 x G groups along the rows of x.
template <class T, class F>
void QuantizeRowGroups(Context& ctx, ConstTensorView x, const QuantizedView& y) {
  const std::int64_t width = x.shape()[1];
  const int group = y.format.group;
  VisitScale(y.format.scale_dtype, [&]<class S>() {
    ctx.ParallelBlocks(x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* values = x.As<T>() + row * width;
        EncodeGroups<F>(
            width, group, [=](std::int64_t i) { return ToFloat(values[i]); }, y.codes.As<std::uint8_t>() + row * width,
            y.scales.As<S>() + row * (width / group));
      }
    });
  });
}

/// 1 x G groups along the columns of x, into the transposed matrix y_t [F, N]: codes are made row by row, each column
/// with its own scale, and the codes transposed.
template <class T, class F>
void QuantizeColumnGroups(Context& ctx, ConstTensorView x, const QuantizedView& y_t) {
  const std::int64_t n = x.shape()[0];
  const std::int64_t width = x.shape()[1];
  const std::int64_t group = y_t.format.group;
  VisitScale(y_t.format.scale_dtype, [&]<class S>() {
    ctx.ParallelBlocks(n, group, [&](std::int64_t begin, std::int64_t) {
      constexpr std::int64_t kMaxGroup = 128;
      std::uint32_t absmax[kTile];
      float reciprocals[kTile];
      std::uint8_t tile[kMaxGroup * kTile];
      for (std::int64_t column = 0; column < width; column += kTile) {
        const std::int64_t columns = std::min(kTile, width - column);
        const T* values = x.As<T>() + begin * width + column;
        std::fill_n(absmax, kTile, 0u);
        for (std::int64_t r = 0; r < group; ++r) {
          for (std::int64_t c = 0; c < columns; ++c) {
            const std::uint32_t bits = std::bit_cast<std::uint32_t>(ToFloat(values[r * width + c])) & 0x7fffffffu;
            absmax[c] = absmax[c] > bits ? absmax[c] : bits;
          }
        }
        S* scales = y_t.scales.As<S>() + column * (n / group) + begin / group;
        for (std::int64_t c = 0; c < columns; ++c) {
          reciprocals[c] = 1.0f / StoreGroupScale<F>(std::bit_cast<float>(absmax[c]), scales + c * (n / group));
        }
        for (std::int64_t r = 0; r < group; ++r) {
          for (std::int64_t c = 0; c < columns; ++c) {
            tile[r * kTile + c] = EncodeScaled<F>(ToFloat(values[r * width + c]), reciprocals[c]);
          }
        }
        TransposeTile(tile, kTile, group, columns, y_t.codes.As<std::uint8_t>() + column * n + begin, n);
      }
    });
  });
}

/// 128 x 128 blocks: plain into y, transposed into y_t; a block and its transpose have the same scale.
template <class T, class F>
void QuantizeBlocks(Context& ctx, ConstTensorView x, const QuantizedView& y, const QuantizedView& y_t) {
  const std::int64_t n = x.shape()[0];
  const std::int64_t width = x.shape()[1];
  const std::int64_t blocks = width / kBlock;
  ctx.ParallelFor(n / kBlock * blocks, [&](std::int64_t index, int) {
    const std::int64_t row = index / blocks * kBlock;
    const std::int64_t column = index % blocks * kBlock;
    float absmax = 0.0f;
    for (std::int64_t r = 0; r < kBlock; ++r) {
      const T* values = x.As<T>() + (row + r) * width + column;
      const float of_row = RunAbsMax(kBlock, [=](std::int64_t i) { return ToFloat(values[i]); });
      absmax = std::bit_cast<std::uint32_t>(of_row) > std::bit_cast<std::uint32_t>(absmax) ? of_row : absmax;
    }
    const float scale = ScaleFromAbsMax<F>(absmax);
    std::uint8_t tile[kBlock * kBlock];
    std::uint8_t* codes = y ? y.codes.As<std::uint8_t>() + row * width + column : tile;
    const std::int64_t stride = y ? width : kBlock;
    for (std::int64_t r = 0; r < kBlock; ++r) {
      const T* values = x.As<T>() + (row + r) * width + column;
      EncodeRun<F>(
          kBlock, 1.0f / scale, [=](std::int64_t i) { return ToFloat(values[i]); }, codes + r * stride);
    }
    if (y) y.scales.As<float>()[row / kBlock * blocks + column / kBlock] = scale;
    if (y_t) {
      y_t.scales.As<float>()[column / kBlock * (n / kBlock) + row / kBlock] = scale;
      TransposeTile(codes, stride, kBlock, kBlock, y_t.codes.As<std::uint8_t>() + column * n + row, n);
    }
  });
}

/// Codes under one scale a tensor or a block.
template <class T, class F>
void DequantizeRuns(Context& ctx, const DequantizeArgs& args) {
  const std::int64_t width = args.x.shape()[1];
  const bool blocks = args.x.format.scaling == Scaling::kBlock128;
  const std::int64_t run = blocks ? kBlock : width;
  ctx.ParallelBlocks(args.x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t row = begin; row < end; ++row) {
      const float* scales = args.x.scales.As<float>() + (blocks ? row / kBlock * (width / kBlock) : 0);
      for (std::int64_t column = 0; column < width; column += run) {
        const float scale = *scales++;
        const std::uint8_t* codes = args.x.codes.As<std::uint8_t>() + row * width + column;
        T* values = args.y.As<T>() + row * width + column;
        for (std::int64_t i = 0; i < run; ++i) values[i] = RoundTo<T>(DecodeFp8<F>(codes[i]) * scale);
      }
    }
  });
}

template <class T, class F, class S>
void DequantizeGroups(Context& ctx, const DequantizeArgs& args) {
  const std::int64_t width = args.x.shape()[1];
  const int group = args.x.format.group;
  ctx.ParallelBlocks(args.x.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
    float decoded[kGroupChunk];
    for (std::int64_t row = begin; row < end; ++row) {
      for (std::int64_t column = 0; column < width; column += kGroupChunk) {
        const std::int64_t count = std::min(kGroupChunk, width - column);
        DecodeGroups<F>(args.x.codes.As<std::uint8_t>() + row * width + column,
                        args.x.scales.As<S>() + row * (width / group), group, column, count, decoded);
        T* values = args.y.As<T>() + row * width + column;
        for (std::int64_t i = 0; i < count; ++i) values[i] = RoundTo<T>(decoded[i]);
      }
    }
  });
}

/// The outputs y and y_t in the same format, or one of them.
template <class T, class F>
void QuantizeInto(Context& ctx, const QuantizeArgs& args, const QuantizedView& y, const QuantizedView& y_t) {
  switch ((y ? y : y_t).format.scaling) {
    case Scaling::kTensor:
      return QuantizeTensor<T, F>(ctx, args.x, *args.absmax.As<float>(), y, y_t);
    case Scaling::kBlock128:
      return QuantizeBlocks<T, F>(ctx, args.x, y, y_t);
    default:
      if (y) QuantizeRowGroups<T, F>(ctx, args.x, y);
      if (y_t) QuantizeColumnGroups<T, F>(ctx, args.x, y_t);
  }
}

}  // namespace

void AbsMax(Context& ctx, const AbsMaxArgs& args) {
  constexpr std::int64_t kGrain = 1 << 15;
  SharedAbsMax absmax(args.absmax.As<float>());
  VisitPlain(args.x.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.x.elements(), kGrain, [&](std::int64_t begin, std::int64_t end) {
      const T* values = args.x.As<T>() + begin;
      absmax.Report(RunAbsMax(end - begin, [=](std::int64_t i) { return ToFloat(values[i]); }));
    });
  });
}

void Quantize(Context& ctx, const QuantizeArgs& args) {
  const auto quantize = [&](const QuantizedView& y, const QuantizedView& y_t) {
    VisitPlain(args.x.dtype(), [&]<class T>() {
      VisitFp8((y ? y : y_t).format.dtype, [&]<class F>() { QuantizeInto<T, F>(ctx, args, y, y_t); });
    });
  };
  if (args.y && args.y_t && args.y.format == args.y_t.format) return quantize(args.y, args.y_t);
  if (args.y) quantize(args.y, {});
  if (args.y_t) quantize({}, args.y_t);
}

void Dequantize(Context& ctx, const DequantizeArgs& args) {
  const Format& format = args.x.format;
  VisitFp8(format.dtype, [&]<class F>() {
    VisitPlain(args.y.dtype(), [&]<class T>() {
      if (format.scaling != Scaling::kGroup) return DequantizeRuns<T, F>(ctx, args);
      VisitScale(format.scale_dtype, [&]<class S>() { DequantizeGroups<T, F, S>(ctx, args); });
    });
  });
}

void TransposeCodes(Context& ctx, const TransposeCodesArgs& args) {
  const std::int64_t n = args.x.shape()[0];
  const std::int64_t width = args.x.shape()[1];
  ctx.ParallelBlocks(n, kTile, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t column = 0; column < width; column += kTile) {
      TransposeTile(args.x.As<std::uint8_t>() + begin * width + column, width, end - begin,
                    std::min(kTile, width - column), args.y.As<std::uint8_t>() + column * n + begin, n);
    }
  });
}

}  // namespace coat::cpu
