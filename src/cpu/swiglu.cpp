#include "ops/swiglu.h"

#include <algorithm>

#include "ops/visit.h"
#include "numerics/activation.h"

namespace coat::cpu {

namespace {

constexpr std::int64_t kRows = 8;   // rows a task
constexpr std::int64_t kTile = 64;  // columns at a time

/// Up to kTile columns of a row. The float32 results are stored before they are rounded: in one loop the compiler does
/// not vectorize it.
template <class T>
void BackwardTile(std::int64_t count, const T* up, const T* gate, const T* d_product, T* d_up, T* d_gate, T* product) {
  float d_ups[kTile];
  float d_gates[kTile];
  float products[kTile];
  for (std::int64_t i = 0; i < count; ++i) {
    const SwigluGradient g = SwigluBackwardElement(ToFloat(up[i]), ToFloat(gate[i]), ToFloat(d_product[i]));
    d_ups[i] = g.d_up;
    d_gates[i] = g.d_gate;
    products[i] = g.product;
  }
  for (std::int64_t i = 0; i < count; ++i) d_up[i] = RoundTo<T>(d_ups[i]);
  for (std::int64_t i = 0; i < count; ++i) d_gate[i] = RoundTo<T>(d_gates[i]);
  for (std::int64_t i = 0; i < count; ++i) product[i] = RoundTo<T>(products[i]);
}

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
        const T* up = args.up_gate.As<T>() + row * 2 * width;
        const T* d_product = args.d_product.As<T>() + row * width;
        T* d_up = args.d_up_gate.As<T>() + row * 2 * width;
        T* product = args.product.As<T>() + row * width;
        for (std::int64_t column = 0; column < width; column += kTile) {
          BackwardTile(std::min(kTile, width - column), up + column, up + width + column, d_product + column,
                       d_up + column, d_up + width + column, product + column);
        }
      }
    });
  });
}

}  // namespace coat::cpu
