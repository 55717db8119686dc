#pragma once

#include <string>

#include "config/config.h"
#include "data/dataset.h"

namespace coat {

/// The data set that a `data` section describes; `key` names the section in messages.
DatasetOptions DatasetOptionsOf(const ModelConfig& model, const DataConfig& data, const std::string& key);

}  // namespace coat
