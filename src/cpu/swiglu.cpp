#include "ops/swiglu.h"

#include <algorithm>

#include "cpu/dispatch.h"
#include "numerics/activation.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kRows = 8;  // rows a task

}  // namespace

void SwigluForward(Context& ctx, const SwigluForwardArgs& args) {
  const std::int64_t width = args.product.shape()[1];
  VisitPlain(args.product.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.product.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* up = args.up_gate.As<T>() + row * 2 * width;
        const T* gate = up + width;
        T* product = args.product.As<T>() + row * width;
        for (std::int64_t i = 0; i < width; ++i) product[i] = RoundTo<T>(Swiglu(ToFloat(up[i]), ToFloat(gate[i])));
      }
    });
  });
}

void SwigluBackward(Context& ctx, const SwigluBackwardArgs& args) {
  const std::int64_t width = args.product.shape()[1];
  VisitPlain(args.product.dtype(), [&]<class T>() {
    ctx.ParallelBlocks(args.product.shape()[0], kRows, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t row = begin; row < end; ++row) {
        const T* __restrict up = args.up_gate.As<T>() + row * 2 * width;
        const T* __restrict gate = up + width;
        const T* __restrict d_product = args.d_product.As<T>() + row * width;
        T* __restrict d_up = args.d_up_gate.As<T>() + row * 2 * width;
        T* __restrict d_gate = d_up + width;
        T* __restrict product = args.product.As<T>() + row * width;
        for (std::int64_t i = 0; i < width; ++i) {
          const SwigluGradient g = SwigluBackwardElement(ToFloat(up[i]), ToFloat(gate[i]), ToFloat(d_product[i]));
          d_up[i] = RoundTo<T>(g.d_up);
          d_gate[i] = RoundTo<T>(g.d_gate);
          product[i] = RoundTo<T>(g.product);
        }
      }
    });
  });
}

}  // namespace coat::cpu
