#include "cuda/gemm/gemm_trials.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <utility>

#include "cuda/device/device.h"
#include "cuda/gemm/gemm_prepare.h"

namespace coat::cuda {

namespace {

constexpr double kFewTerms = 32.0;  // of a sum, see TermsOfSums
// Products of this many operations put the GPU at its power limit, where other algorithms may be the fastest: they are
// timed in a row, on a GPU that has been at work. In long trials the best of them run until the clock has fallen as far
// as their own power demands, before they are timed again. (One run's time would not tell which products these are: on
// a GPU that others share it is theirs, too.)
constexpr double kLoadingProduct = 3e10;
constexpr double kWarmUp = 1000.0;  // milliseconds
constexpr GemmTrials::Turns kSingleRuns = {.rounds = 5, .milliseconds = 0.0};
constexpr GemmTrials::Turns kShort = {.rounds = 3, .milliseconds = 10.0};
constexpr GemmTrials::Turns kLong = {.rounds = 3, .milliseconds = 40.0, .settles = true};
// Times the fastest: what takes longer leaves, by a single run or by short turns.
constexpr double kHopeless = 1.25;
constexpr double kOutOfReach = 1.06;
constexpr std::int64_t kHeadroom = 512 << 20;  // that trials leave of the memory: kernels are loaded into it

/// A pair of events around work on a stream.
class Stopwatch {
 public:
  Stopwatch() {
    COAT_CUDA(cudaEventCreate(&begin_));
    COAT_CUDA(cudaEventCreate(&end_));
  }
  ~Stopwatch() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  void Start(cudaStream_t stream) { COAT_CUDA(cudaEventRecord(begin_, stream)); }
  void Stop(cudaStream_t stream) { COAT_CUDA(cudaEventRecord(end_, stream)); }
  double Milliseconds() const {
    COAT_CUDA(cudaEventSynchronize(end_));
    float milliseconds = 0.0f;
    COAT_CUDA(cudaEventElapsedTime(&milliseconds, begin_, end_));
    return milliseconds;
  }

 private:
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
};

/// Where algorithms on trial write. A sum must not be lost: instead of a d that holds one they write to memory of the
/// same size and alignment or, if there is too little, to d itself while its bytes are kept on the host.
class TrialResult {
 public:
  TrialResult(CudaDevice& device, const GemmArgs& args) : device_(device), d_(args.d), trial_(args.d) {
    if (!args.accumulate) return;
    if (device_.ReadMemory().free_bytes >= d_.bytes() + kHeadroom) Allocate();
    if (block_ != nullptr) return;
    saved_.reset(new std::byte[static_cast<std::size_t>(d_.bytes())]);
    device_.Download(d_.data(), saved_.get(), d_.bytes());
  }
  ~TrialResult() { device_.Free(block_); }
  TrialResult(const TrialResult&) = delete;
  TrialResult& operator=(const TrialResult&) = delete;

  const TensorView& view() const { return trial_; }
  /// After the trials: d is as it was if it holds a sum.
  void PutBack() {
    if (saved_) device_.Upload(saved_.get(), d_.data(), d_.bytes());
  }

 private:
  void Allocate() {
    constexpr int kBlockAlignment = 256;
    try {
      block_ = device_.Allocate(d_.bytes() + kBlockAlignment);
    } catch (const std::bad_alloc&) {
      return;  // in pieces, perhaps
    }
    const int alignment = AlignmentOf(d_.data());
    trial_ = TensorView(block_ + alignment % kBlockAlignment, d_.shape(), d_.dtype(), d_.device());
  }

  CudaDevice& device_;
  TensorView d_;
  TensorView trial_;
  std::byte* block_ = nullptr;
  std::unique_ptr<std::byte[]> saved_;
};

/// Whether a product puts the GPU at its power limit.
bool Loads(const GemmArgs& args) {
  const GemmShape shape = ShapeOf(args);
  return 2.0 * static_cast<double>(shape.m) * static_cast<double>(shape.n * shape.k) >= kLoadingProduct;
}

}  // namespace

std::optional<GemmTrials::Winner> GemmTrials::Hold(const GemmArgs& to_run, const float* factors) {
  device_.Synchronize();  // nothing else is to be timed
  TrialResult result(device_, to_run);
  GemmArgs args = to_run;
  args.d = result.view();
  std::vector<GemmPlan> plans;
  std::vector<Candidate> candidates;
  for (const ScaleMode mode : ScaleModesOf(args, device_.compute_capability())) {
    plans.push_back(runner_.MakePlan(args, factors != nullptr, mode));
    for (const cublasLtMatmulAlgo_t& algorithm : runner_.AlgorithmsFor(args, plans.back())) {
      candidates.push_back({.plan = plans.size() - 1, .algorithm = algorithm, .timed = {}});
    }
  }
  candidates = Try(args, factors, plans, candidates);
  // Sums of few terms tell nothing of the order in which an algorithm adds, and so of its bits, by which ranks and
  // later runs choose alike: the library's first is taken.
  if (!candidates.empty() && TermsOfSums(args) < kFewTerms) candidates.resize(1);
  if (!candidates.empty()) Time(args, factors, plans, candidates);
  result.PutBack();
  if (candidates.empty()) return std::nullopt;
  std::vector<TimedAlgorithm> timed;
  for (const Candidate& candidate : candidates) timed.push_back(candidate.timed);
  const Choice choice = Choose(timed, device_.options().other_bits);
  const Candidate& taken = candidates[choice.taken];
  Winner winner;
  winner.plan = std::move(plans[taken.plan]);
  winner.plan.algorithm = taken.algorithm;
  std::memcpy(winner.tuned.algorithm.data(), &taken.algorithm, sizeof(taken.algorithm));
  winner.tuned.scales_by_row = winner.plan.mode == ScaleMode::kRows;
  winner.tuned.milliseconds = timed[choice.taken].milliseconds;
  winner.tuned.reference_milliseconds = timed[choice.reference].milliseconds;
  winner.tuned.algorithms = static_cast<int>(timed.size());
  return winner;
}

std::vector<GemmTrials::Candidate> GemmTrials::Try(const GemmArgs& args, const float* factors,
                                                   std::vector<GemmPlan>& plans,
                                                   const std::vector<Candidate>& candidates) {
  const cudaStream_t stream = device_.stream();
  const auto reset = [&] {
    // A sum starts at zero each time, so that results can be compared.
    if (args.accumulate) {
      COAT_CUDA(cudaMemsetAsync(args.d.data(), 0, static_cast<std::size_t>(args.d.bytes()), stream));
    }
  };
  std::vector<Candidate> good;
  Stopwatch stopwatch;
  for (const Candidate& candidate : candidates) {
    GemmPlan& plan = plans[candidate.plan];
    plan.algorithm = candidate.algorithm;
    reset();
    if (runner_.Try(args, factors, plan) != CUBLAS_STATUS_SUCCESS) continue;  // it does not take this product
    const std::uint64_t bits = HashOf(args.d);
    reset();
    stopwatch.Start(stream);
    COAT_CUBLASLT(runner_.Run(args, factors, plan));
    stopwatch.Stop(stream);
    const double milliseconds = stopwatch.Milliseconds();
    if (HashOf(args.d) != bits) continue;  // a result must not change from run to run
    good.push_back(candidate);
    good.back().timed = {.milliseconds = milliseconds, .bits = bits};
    if (args.d.dtype() != DType::kBF16) continue;
    // Small results may be the same by rounding alone: what rounding has left out must be the same too.
    // An algorithm that adds to nothing counts as one of other bits.
    if (runner_.Subtract(args, factors, plan) == CUBLAS_STATUS_SUCCESS) {
      good.back().timed.bits ^= std::rotl(HashOf(args.d), 1);
    }
  }
  return good;
}

void GemmTrials::Time(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                      std::vector<Candidate>& candidates) {
  std::vector<Candidate*> entrants;
  for (Candidate& candidate : candidates) entrants.push_back(&candidate);
  std::vector<Leaver> leavers = LeaveBehind(entrants, kHopeless);
  if (!Loads(args)) {
    TakeTurns(args, factors, plans, entrants, kSingleRuns);
  } else {
    if (!warm_) Repeat(args, factors, plans, *entrants.front(), RunsIn(kWarmUp, *entrants.front()));
    warm_ = true;
    TakeTurns(args, factors, plans, entrants, kShort);
    if (device_.trials() == Device::Trials::kLong) {
      for (const Leaver& leaver : LeaveBehind(entrants, kOutOfReach)) leavers.push_back(leaver);
      TakeTurns(args, factors, plans, entrants, kLong);
    }
  }
  // They were timed at another clock than those that stayed: as far behind as they were then. The last to leave first,
  // since it may have led when others left.
  for (auto leaver = leavers.rbegin(); leaver != leavers.rend(); ++leaver) {
    leaver->candidate->timed.milliseconds = leaver->ratio * leaver->leader->timed.milliseconds;
  }
}

std::vector<GemmTrials::Leaver> GemmTrials::LeaveBehind(std::vector<Candidate*>& entrants, double limit) {
  const Candidate* const leader = *std::min_element(
      entrants.begin(), entrants.end(),
      [](const Candidate* x, const Candidate* y) { return x->timed.milliseconds < y->timed.milliseconds; });
  std::vector<Leaver> leavers;
  for (Candidate* const entrant : entrants) {
    const double ratio = entrant->timed.milliseconds / leader->timed.milliseconds;
    if (ratio > limit) leavers.push_back({.candidate = entrant, .leader = leader, .ratio = ratio});
  }
  for (const Leaver& leaver : leavers) std::erase(entrants, leaver.candidate);
  return leavers;
}

void GemmTrials::TakeTurns(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                           const std::vector<Candidate*>& entrants, const Turns& turns) {
  const cudaStream_t stream = device_.stream();
  std::vector<Stopwatch> stopwatches(entrants.size() * static_cast<std::size_t>(turns.rounds));
  // All are queued before one is waited for, so that all see a full queue.
  for (std::size_t i = 0; i < stopwatches.size(); ++i) {
    const Candidate& entrant = *entrants[i % entrants.size()];
    const int runs = RunsIn(turns.milliseconds, entrant);
    if (turns.settles) Repeat(args, factors, plans, entrant, runs);
    stopwatches[i].Start(stream);
    Repeat(args, factors, plans, entrant, runs);
    stopwatches[i].Stop(stream);
  }
  for (std::size_t entrant = 0; entrant < entrants.size(); ++entrant) {
    std::vector<double> times;
    for (std::size_t i = entrant; i < stopwatches.size(); i += entrants.size()) {
      times.push_back(stopwatches[i].Milliseconds());
    }
    std::sort(times.begin(), times.end());
    double& milliseconds = entrants[entrant]->timed.milliseconds;
    milliseconds = times[times.size() / 2] / RunsIn(turns.milliseconds, *entrants[entrant]);
  }
}

int GemmTrials::RunsIn(double milliseconds, const Candidate& candidate) {
  return std::max(1, static_cast<int>(milliseconds / candidate.timed.milliseconds));
}

void GemmTrials::Repeat(const GemmArgs& args, const float* factors, std::vector<GemmPlan>& plans,
                        const Candidate& candidate, int runs) {
  GemmPlan& plan = plans[candidate.plan];
  plan.algorithm = candidate.algorithm;
  for (int run = 0; run < runs; ++run) COAT_CUBLASLT(runner_.Run(args, factors, plan));
}

std::uint64_t GemmTrials::HashOf(const TensorView& d) {
  HashElements(device_.stream(), d, reinterpret_cast<unsigned long long*>(runner_.TrialBytes()));
  std::uint64_t bits = 0;
  device_.Download(runner_.TrialBytes(), &bits, sizeof(bits));
  return bits;
}

double GemmTrials::TermsOfSums(const GemmArgs& args) {
  double terms = static_cast<double>(ShapeOf(args).k);
  for (const ConstTensorView& x : {args.a.codes, args.b.codes}) {
    CountNonZeros(device_.stream(), x, reinterpret_cast<unsigned long long*>(runner_.TrialBytes()));
    std::uint64_t count = 0;
    device_.Download(runner_.TrialBytes(), &count, sizeof(count));
    terms *= static_cast<double>(count) / static_cast<double>(x.elements());
  }
  return terms;
}

}  // namespace coat::cuda
