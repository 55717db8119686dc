#pragma once

#include <random>
#include <vector>

#include "generate/generator.h"

namespace coat {

/// Fills a generator's parameters with noise of a size that makes logits differ, the same for one state of `noise`.
inline void FillWithNoise(const Generator& generator, std::mt19937& noise) {
  std::normal_distribution<float> normal;
  for (const Parameter& parameter : generator.model().parameters()) {
    std::vector<float> values(static_cast<std::size_t>(parameter.value.elements()));
    const bool is_norm = parameter.shape.rank() == 1;
    for (float& value : values) value = is_norm ? 1.0f + 0.2f * normal(noise) : 0.1f * normal(noise);
    generator.context().Upload(values.data(), parameter.value);
  }
}

}  // namespace coat
