#include "convert/model.h"

#include "models/olmo.h"

namespace coat {

std::int64_t ModelTensor::elements() const {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) elements *= size;
  return elements;
}

std::vector<ModelTensor> TensorsOf(const ModelConfig& config) {
  std::vector<ModelTensor> tensors;
  for (const Parameter& parameter : OlmoParameters(config)) {
    ModelTensor tensor = {.name = parameter.name, .shape = {}, .pieces = {}};
    for (int axis = 0; axis < parameter.shape.rank(); ++axis) tensor.shape.push_back(parameter.shape[axis]);
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

}  // namespace coat
