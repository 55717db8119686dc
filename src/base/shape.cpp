#include "base/shape.h"

#include "base/error.h"

namespace coat {

Shape::Shape(std::initializer_list<std::int64_t> extents) : rank_(static_cast<int>(extents.size())) {
  COAT_REQUIRE(extents.size() <= kMaxRank, "a shape has at most {} extents, not {}", kMaxRank, extents.size());
  int axis = 0;
  for (const std::int64_t extent : extents) {
    COAT_REQUIRE(extent >= 0, "a shape's extents are not negative, but extent {} is {}", axis, extent);
    extents_[static_cast<std::size_t>(axis++)] = extent;
  }
}

std::string Shape::ToString() const {
  std::string text = "[";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string((*this)[axis]);
  }
  return text + "]";
}

}  // namespace coat
