#pragma once

#include <memory>

#include "comm/solo.h"

namespace coat {

/// The communicator of a test that is one rank.
inline Communicator& OneRank() {
  static const std::unique_ptr<Communicator> ranks = MakeSolo();
  return *ranks;
}

}  // namespace coat
