#pragma once

namespace coat {

/// How many GPUs there are for ranks, found out by a process of its own: this one starts no CUDA (process_ranks.h).
int GpuCount();

/// The ordinal of a rank's GPU, in the rank's own process, before it starts CUDA and NCCL. Ranks share GPUs where there
/// are more of them: NCCL refuses two ranks of one machine on one GPU, so each then says that it is a machine of its
/// own (NCCL_HOSTID), and they talk over sockets.
int GpuOfRank(int rank, int ranks);

}  // namespace coat
