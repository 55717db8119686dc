#pragma once

namespace coat::cuda {

/// Whether this program has machine code for device `ordinal`.
bool HasKernels(int ordinal);

}  // namespace coat::cuda
