#pragma once
// Which algorithm a matrix product takes, by trial.

#include <cstdint>
#include <optional>
#include <vector>

#include "cuda/gemm/gemm_runner.h"
#include "cuda/gemm/gemm_tuning.h"
#include "ops/gemm.h"

namespace coat::cuda {

class CudaDevice;

/// Runs up to 24 algorithms a scale mode on a product's operands, compares them bit by bit and times them (Choose).
class GemmTrials {
 public:
  GemmTrials(CudaDevice& device, GemmRunner& runner) : device_(device), runner_(runner) {}

  struct Winner {
    GemmPlan plan;
    TunedProduct tuned;
  };
  /// The algorithm to take; none if the library has none. Waits for the device. d is left as it was where it holds a
  /// sum, else with anything.
  std::optional<Winner> Hold(const GemmArgs& to_run, const float* factors);

  /// How algorithms are timed: each in every round, for as many runs as fit into `milliseconds`, one at least. Those
  /// that settle run as long once more before that.
  struct Turns {
    int rounds = 0;
    double milliseconds = 0.0;
    bool settles = false;
  };

 private:
  /// An algorithm on trial: `plan` is its place in the list of plans, one a scale mode.
  struct Candidate {
    std::size_t plan = 0;
    cublasLtMatmulAlgo_t algorithm = {};
    TimedAlgorithm timed;
  };
  /// A candidate that is not timed further: `ratio` times as slow as the one that led.
  struct Leaver {
    Candidate* candidate = nullptr;
    const Candidate* leader = nullptr;
    double ratio = 1.0;
  };

  /// Runs each once and again; keeps those that run and repeat themselves.
  std::vector<Candidate> Try(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                             const std::vector<Candidate>& candidates);
  /// Sets the times by which Choose compares the candidates: of those in reach of the fastest, medians of their turns.
  void Time(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
            std::vector<Candidate>& candidates);
  /// Removes the entrants that take more than `limit` times as long as the fastest, and returns them.
  static std::vector<Leaver> LeaveBehind(std::vector<Candidate*>& entrants, double limit);
  void TakeTurns(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                 const std::vector<Candidate*>& entrants, const Turns& turns);
  static int RunsIn(double milliseconds, const Candidate& candidate);
  void Repeat(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans, const Candidate& candidate,
              int runs);

  std::uint64_t HashOf(const TensorView& d);
  /// Of the terms that a sum of the product adds up, how many are not zero on average, as far as the operands' shares
  /// of zeros tell.
  double TermsOfSums(const GemmArgs& args);

  CudaDevice& device_;
  GemmRunner& runner_;
  bool warm_ = false;  // the GPU has been at work before products were timed
};

}  // namespace coat::cuda
