#include "tests/support/golden_coat.h"

namespace coat {

Context OpenGoldenContext() {
  return Context(DeviceKind::kCpu, 2);
}

Operands::Memory GoldenMemory() {
  return {};
}

}  // namespace coat
