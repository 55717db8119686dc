#include "train/data_options.h"

namespace coat {

DatasetOptions DatasetOptionsOf(const ModelConfig& model, const DataConfig& data, const std::string& key) {
  DatasetOptions options;
  options.paths = data.paths.value_or(std::vector<std::string>());
  if (data.datasets) options.datasets = *data.datasets;
  options.label_mask_paths = data.label_mask_paths.value_or(std::vector<std::string>());
  options.token_type = data.memmap_dtype;
  options.sequence_length = model.max_sequence_length;
  options.vocab_size = model.vocab_size;
  options.key = key;
  return options;
}

}  // namespace coat
