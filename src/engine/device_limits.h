#pragma once

#include <cstdint>
#include <string>

#include "base/context.h"
#include "config/config.h"

namespace coat {

/// Bytes that the workspace of the context's device may still grow by in a run of this configuration: what the arenas
/// must leave free. 0 on the CPU, whose workspaces do not grow.
std::int64_t WorkspaceGrowth(const TrainConfig& config, const Context& ctx);

/// The same for an EvaluationEngine, which has no gradients.
std::int64_t EvaluationWorkspaceGrowth(const TrainConfig& config, const Context& ctx);

/// What is wrong with the micro-batches of this configuration for FP8 tensor cores, which take tokens by the 16; empty
/// if nothing is, or if the recipe has no FP8 products.
std::string Fp8TokenProblem(const TrainConfig& config);

/// What is wrong with the evaluators of this configuration for FP8 tensor cores, which with scales of groups take
/// tokens by the 4; empty if nothing is. The last batch of an evaluation may have any number of sequences, so each must
/// have a multiple of 4.
std::string Fp8EvaluationProblem(const TrainConfig& config);

/// Throws ConfigError with Fp8EvaluationProblem if the context's device multiplies the recipe's FP8 on tensor cores,
/// and Error if --gemm=fp8 wants it to and it has none: before anything is evaluated.
void RequireFp8EvaluationTokens(const TrainConfig& config, const Context& ctx);

/// Throws ConfigError with Fp8TokenProblem if the context's device multiplies the recipe's FP8 on tensor cores, and as
/// RequireFp8EvaluationTokens: before a run writes anything.
void RequireFp8Tokens(const TrainConfig& config, const Context& ctx);

}  // namespace coat
