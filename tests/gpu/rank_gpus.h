#pragma once

namespace coat {

/// How many GPUs there are for ranks, found out by a process of its own: this one starts no CUDA (process_ranks.h).
int GpuCount();

}  // namespace coat
