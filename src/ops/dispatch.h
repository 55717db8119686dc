#pragma once

#include "base/context.h"

/// Ends a front door: runs the implementation of the context's device. On kMeta there is nothing to run: the checks
/// before this line were the whole op.
#define COAT_DISPATCH(op, ctx, args)                         \
  do {                                                       \
    if ((ctx).device() == ::coat::DeviceKind::kMeta) return; \
    return ::coat::cpu::op(ctx, args);                       \
  } while (false)
