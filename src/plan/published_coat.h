#pragma once

#include "config/config.h"
#include "engine/memory_plan.h"

namespace coat {

/// COAT as published would need this for the same model and micro-batch, by the sizes of the tensors that its code
/// keeps (one rank, FSDP mixed precision): an estimate, not a measurement. Of OLMo 1 only, as COAT refuses norm_after.
/// Source: NVlabs/COAT 80ec99f.
MemoryPlan PublishedCoatPlan(const TrainConfig& config);

}  // namespace coat
