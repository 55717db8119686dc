#pragma once

#include <string>

#include "convert/write_model.h"

namespace coat {

/// Whether the checkpoint in `folder` was saved by several ranks, each its own part.
bool IsInParts(const std::string& folder);

/// Writes the checkpoint `from` of several ranks as the checkpoint `to` of one, byte for byte as one rank would have
/// saved it (its train.json still says how many ranks the run had), a part of a tensor at a time. With `weights_only`
/// without the optimizer's state, at step 0. Throws IoError for damaged files and for parts that are missing.
ConversionResult Consolidate(const std::string& from, const std::string& to, const WriteOptions& options,
                             bool weights_only);

}  // namespace coat
