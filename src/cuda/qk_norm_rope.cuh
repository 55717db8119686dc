#pragma once
// What both directions of QkNormRope share: which threads hold what of a token's queries or keys.

#include <cstdint>

#include "cuda/kernel/row_layout.cuh"
#include "cuda/kernel/vector_access.cuh"

namespace coat::cuda {

/// Eight pairs of a token's queries or keys: columns [first, first + 8) of the part, and those half a head on. Pairs
/// are numbered through all heads of the part, and laid out over threads as columns of a row are (row_layout.cuh).
struct PairPlace {
  int first = 0;   // column in the part
  int second = 0;  // its partner's
  int angle = 0;   // column in the table

  __device__ PairPlace(int pair, int head_size) {
    const int half = head_size / 2;
    const int head = pair / half;
    angle = pair - head * half;
    first = head * head_size + angle;
    second = first + half;
  }
};

/// The positions of tokens begin, begin + step and so on. Both are small, of threads and not of tokens: positions take
/// no division of 64 bits.
class Positions {
 public:
  __device__ Positions(std::int64_t begin, std::int64_t step, std::int64_t positions)
      : positions_(static_cast<unsigned>(positions)),
        step_(static_cast<unsigned>(step) % positions_),
        position_(static_cast<unsigned>(begin) % positions_) {}

  __device__ std::int64_t position() const { return position_; }
  __device__ void Advance() {
    position_ += step_;
    if (position_ >= positions_) position_ -= positions_;
  }

 private:
  unsigned positions_, step_, position_;
};

/// Turns pairs by angles whose cosines begin at `cosines` and whose sines lie half a head on; direction -1 turns back.
__device__ inline void TurnPairs(const float* cosines, int half, float direction, float (&a)[kUnit],
                                 float (&b)[kUnit]) {
  float cosine[kUnit];
  float sine[kUnit];
  LoadValues(cosines, cosine);
  LoadValues(cosines + half, sine);
#pragma unroll
  for (int i = 0; i < kUnit; ++i) {
    const float s = direction * sine[i];
    const float first = a[i] * cosine[i] - b[i] * s;
    b[i] = b[i] * cosine[i] + a[i] * s;
    a[i] = first;
  }
}

/// The same for one pair.
__device__ inline void TurnPair(const float* cosines, int half, float direction, float& a, float& b) {
  const float s = direction * cosines[half];
  const float first = a * cosines[0] - b * s;
  b = b * cosines[0] + a * s;
  a = first;
}

}  // namespace coat::cuda
