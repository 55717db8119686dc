#pragma once
// Which rank writes what of the tensors that ranks have parts of.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/part_index.h"
#include "checkpoint/tensor_info.h"
#include "comm/partition.h"

namespace coat {

/// What a rank has of a tensor: a part, everything, or nothing (a count of 0).
struct StatePart {
  TensorInfo whole;  // name, dtype and shape; `begin` and `end` mean nothing
  Part part;
};

/// What a rank tells the others of what it has.
std::string DescribeParts(std::span<const StatePart> tensors);

/// How ranks divide the writing of their tensors.
struct PartPlan {
  std::vector<PartedTensor> tensors;  // in the order of the list; `file` of a part is the rank that writes it
  std::vector<Part> own;              // what this rank writes of each tensor; a count of 0: nothing
};

/// The plan from the `descriptions` of all ranks' tensors, where `tensors` are those of `rank`: ranks that have the
/// same part of a tensor share in writing it, in whole 128s. Throws ArgumentError, the same on all ranks, unless they
/// list the same tensors and have every element of them, and parts that differ do not overlap.
PartPlan PlanParts(const std::vector<std::string>& descriptions, std::span<const StatePart> tensors, int rank);

/// The index of what the plan makes ranks write as parts of `file`. Ranks that write nothing have no file.
PartIndex IndexOf(const PartPlan& plan, std::string_view file, int ranks);

}  // namespace coat
