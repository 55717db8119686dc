#include "evaluate/data_options.h"

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
  if (data.generate_doc_lengths) options.end_of_document = static_cast<std::int32_t>(model.eos_token_id);
  if (data.instance_filter) {
    options.repetition_filter = {.min_period = data.instance_filter->repetition_min_period,
                                 .max_period = data.instance_filter->repetition_max_period,
                                 .max_count = data.instance_filter->repetition_max_count};
  }
  return options;
}

}  // namespace coat
