#pragma once
// Collectives among ranks that have a GPU each. Includes no CUDA header.

#include <memory>

#include "base/device.h"
#include "comm/communicator.h"
#include "comm/wait_limit.h"

namespace coat::cuda {

/// The ranks of `host` as a communicator of tensors on `device`, a device of OpenCudaDevice that no other rank has.
/// NCCL moves and sums the tensors; `host`, which must stay valid, does the rest: values and texts of the host, the
/// start of NCCL, Abort. With one rank NCCL is not loaded.
///
/// Collectives are work of the device like ops, in order with them; Context::Beside lets them run while layers do. They
/// may be recorded (Context::Recorded) once they have run for the first time, by all ranks alike: each records and
/// replays what the others do. NCCL takes device memory of its own, as it sees fit. The environment (NCCL_...) is left
/// as it is. What was recorded on the device is forgotten when the communicator is destroyed.
///
/// This narrows the contract of Communicator: sums are taken in the order of NCCL's rings or trees, not in that of the
/// ranks, and sums of bf16 are rounded to bf16 at every rank on the way, so that float32 is the type for sums that must
/// be near those of another number of ranks. All ranks still have the same bytes after AllReduce. Maxima are exact, and
/// NaN where there is a NaN.
///
/// Errors: NCCL missing on a rank is an Error on every rank, versions that differ are a ConfigError. NCCL's own checks
/// run in the background while this rank waits for its device; a failure ends what NCCL runs here, what it was to
/// compute is undefined, and the next call of the communicator throws CommError with the rank and the cause. Before the
/// results of a step count, call AllReduce or AllGatherText of the host. A rank that is gone without a word is not
/// noticed by NCCL between GPUs of one machine: the launcher ends the others (comm/launch.h). Where one neither comes
/// nor ends, a wait of the host for the device, or for NCCL to connect, that takes as long as `limit` says is such a
/// failure; one of the ranks that wait says before that it does. NCCL has ten minutes to start.
std::unique_ptr<Communicator> OpenNccl(Communicator& host, std::shared_ptr<Device> device, const WaitLimit& limit);

}  // namespace coat::cuda
