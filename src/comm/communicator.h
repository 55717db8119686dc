#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/context.h"
#include "base/tensor.h"
#include "comm/partition.h"

namespace coat {

enum class Reduction { kSum, kMax };

/// Collectives among the ranks of a run.
///
/// Every rank makes the same calls in the same order, with tensors of the same shapes and types, on its own context.
/// Sums are taken in float32 (bf16 tensors too; one rounding at the end) in the order of the ranks, so the same calls
/// give the same bytes on every rank and in every run; between GPUs NCCL chooses the order, and rounds sums of bf16
/// more than once (cuda/open_nccl.h). On kMeta, and with one rank, the collectives of tensors do nothing. One caller at
/// a time.
///
/// Errors: a peer that is gone, or a library that reports a failure, is a CommError.
class Communicator {
 public:
  virtual ~Communicator() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;

  // Of tensors, in order with the ops of the context; all tensors of a call travel together. A tensor lies at
  // the same address from call to call. Parts are those of PartOf.

  /// Every rank's own part of each tensor (any type) is sent to the others: then all have the whole.
  virtual void AllGather(Context& ctx, std::span<const SharedTensor> tensors) = 0;
  /// Each tensor (f32 or bf16) is summed over the ranks; a rank keeps its own part of the sum in place, and what is in
  /// the other parts afterwards is undefined.
  virtual void ReduceScatter(Context& ctx, std::span<const SharedTensor> tensors) = 0;
  /// Each tensor (f32 or bf16; kMax: f32) becomes its reduction over the ranks. A maximum with a NaN is NaN.
  virtual void AllReduce(Context& ctx, std::span<const TensorView> tensors, Reduction reduction) = 0;

  // Of the host, with all ranks: they wait for one another.

  /// `values` becomes the sum, in the order of the ranks, or the maximum.
  virtual void AllReduce(std::span<double> values, Reduction reduction) = 0;
  /// The texts of all ranks, by rank.
  virtual std::vector<std::string> AllGatherText(const std::string& text) = 0;
  void Barrier() { AllGatherText(""); }

  /// The ranks that give the same `color`, as a communicator of their own, in the order of their ranks here. It is used
  /// in turn with this one and must not outlive it.
  virtual std::unique_ptr<Communicator> Split(int color) = 0;

  /// Ends the processes of all ranks, this one included, without waiting for anything, with this exit code.
  [[noreturn]] virtual void Abort(int exit_code) noexcept = 0;
};

}  // namespace coat
