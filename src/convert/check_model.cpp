#include "convert/check_model.h"

#include "config/validate.h"

namespace coat {

TrainConfig ConfigOfModel(const TrainConfig& config) {
  TrainConfig alone;
  alone.run_name = config.run_name;
  alone.model = config.model;
  alone.precision = Precision::kAmpBf16;
  alone.sources = config.sources;
  return alone;
}

void CheckModelConfig(const TrainConfig& config) {
  Validate(ConfigOfModel(config), {.needs_data = false});
}

}  // namespace coat
