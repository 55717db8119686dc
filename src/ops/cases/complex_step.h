#pragma once

#include <complex>
#include <cstddef>
#include <vector>

namespace coat {

/// The gradient at `x` of a real function that is also defined on complex vectors: df/dx_i = Im f(x + i h e_i) / h,
/// with no difference of nearby values and so to double precision. Comparisons in `f` must look at real parts only.
template <class Function>
std::vector<double> ComplexStepGradient(const std::vector<double>& x, Function&& f) {
  constexpr double kStep = 1e-30;
  std::vector<std::complex<double>> point(x.begin(), x.end());
  std::vector<double> gradient(x.size());
  for (std::size_t i = 0; i < x.size(); ++i) {
    point[i] = {x[i], kStep};
    gradient[i] = std::complex<double>(f(point)).imag() / kStep;
    point[i] = x[i];
  }
  return gradient;
}

}  // namespace coat
