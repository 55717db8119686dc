#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

namespace coat {

/// Extents of a dense row-major tensor of rank 0 to 4. Passed by value.
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  constexpr Shape() = default;
  /// Throws ArgumentError for more than four extents or a negative one.
  Shape(std::initializer_list<std::int64_t> extents);

  constexpr int rank() const { return rank_; }
  constexpr std::int64_t operator[](int axis) const { return extents_[static_cast<std::size_t>(axis)]; }
  /// Number of elements; 1 for rank 0.
  constexpr std::int64_t elements() const {
    std::int64_t product = 1;
    for (int axis = 0; axis < rank_; ++axis) product *= (*this)[axis];
    return product;
  }
  friend constexpr bool operator==(const Shape& a, const Shape& b) {
    if (a.rank_ != b.rank_) return false;
    for (int axis = 0; axis < a.rank_; ++axis) {
      if (a[axis] != b[axis]) return false;
    }
    return true;
  }
  /// "[2, 16]".
  std::string ToString() const;

 private:
  std::array<std::int64_t, kMaxRank> extents_ = {};
  int rank_ = 0;
};

}  // namespace coat
