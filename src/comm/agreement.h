#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "comm/communicator.h"

namespace coat {

/// `error` as one that all ranks throw, with the same words, at the same place: Error::is_of_all_ranks.
template <class AnyError>
AnyError OfAllRanks(AnyError error) {
  error.is_of_all_ranks = true;
  return error;
}

/// What std::bad_alloc means to a user.
inline constexpr const char* kOutOfMemory = "out of memory; `coat plan FILE` prints what a run needs";

/// How ranks fail together: what fails on one of them is kept until all meet, and then all throw the same error, so
/// that none waits for one that has given up. With one rank errors are thrown where they arise.
class Agreement {
 public:
  /// `ranks` must stay valid.
  explicit Agreement(Communicator& ranks) : ranks_(ranks) {}

  /// Runs this rank's `work`, which calls no other rank, unless an earlier one failed, and keeps what it throws. A
  /// CommError is thrown at once: then there is nobody to agree with.
  void Try(const std::function<void()>& work);

  /// On rank 0, runs what it does for all ranks: what fails is said without its rank.
  void TryForAll(const std::function<void()>& work);

  /// Waits for all ranks and returns their texts, by rank.
  ///
  /// If anything failed on a rank, every rank throws it instead, as an error of the same class (Error for one that is
  /// not of base/error.h) with is_of_all_ranks: its message, after "rank 2: " of the first that failed unless it is the
  /// same on all, and how many others failed.
  std::vector<std::string> Meet(const std::string& text = "");

 private:
  Communicator& ranks_;
  std::string failure_;  // "", or the class's letter and the message; '*' before it: of rank 0, for all
};

/// Runs each rank's own `work` and waits for all: an Agreement about one thing.
void Together(Communicator& ranks, const std::function<void()>& work);

/// The same for work that makes something.
template <class Make>
auto MadeTogether(Communicator& ranks, const Make& make) {
  std::optional<decltype(make())> made;
  Together(ranks, [&] { made.emplace(make()); });
  return std::move(*made);
}

}  // namespace coat
