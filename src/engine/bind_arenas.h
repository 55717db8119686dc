#pragma once

#include <cstdint>
#include <string_view>

#include "base/context.h"
#include "comm/communicator.h"
#include "engine/arenas.h"
#include "engine/memory_plan.h"

namespace coat {

/// Arenas that count what is laid out on them.
RunArenas MeasuringArenas();

/// Arenas on the context's device with exactly the bytes of a plan. Throws Error when there is not so much memory, or
/// `workspace_growth` (engine/device_limits.h) and, on a GPU, 256 MiB for kernels would not be left free, with the
/// plan's table and `advice`, what makes it smaller. On a CPU the ranks of a machine share its memory and call this
/// together: what one of them lacks, all throw; null: this is the only one.
RunArenas BoundArenas(const MemoryPlan& plan, const Context& ctx, std::int64_t workspace_growth,
                      std::string_view advice, Communicator* ranks = nullptr);

}  // namespace coat
