#pragma once
// Token ids for a request file, for machines that have no tokenizer.

#include <cstdint>
#include <string>

#include "text/tokenizer.h"

namespace coat {

/// Writes the lines of the request file `input` to `output` with request.context_ids and request.continuation_ids
/// added, or replaced; everything else in a line stays. The output appears when all is read. Returns the number of
/// requests.
///
/// Throws IoError as ParseRequestLine and InputFile, for a file without requests, and for an output that exists, unless
/// `overwrite`, or cannot be written.
std::int64_t TokenizeRequests(const std::string& input, const std::string& output, bool overwrite,
                              Tokenizer& tokenizer);

}  // namespace coat
