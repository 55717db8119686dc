#pragma once

#include "base/context.h"

namespace coat {

/// Whether this build has the CUDA backend.
#ifdef COAT_WITH_CUDA
inline constexpr bool kWithCuda = true;
#else
inline constexpr bool kWithCuda = false;
#endif

}  // namespace coat

/// Ends a front door: runs the implementation of the context's device. On kMeta there is nothing to run: the checks
/// before this line were the whole op.
#define COAT_DISPATCH(op, ctx, args)                                                       \
  do {                                                                                     \
    if ((ctx).device() == ::coat::DeviceKind::kMeta) return;                               \
    if constexpr (::coat::kWithCuda) {                                                     \
      if ((ctx).device() == ::coat::DeviceKind::kCuda) return ::coat::cuda::op(ctx, args); \
    }                                                                                      \
    return ::coat::cpu::op(ctx, args);                                                     \
  } while (false)
