#pragma once
// Numbers as people read them.

#include <cstdint>
#include <string>

namespace coat {

/// "1,234,567,890" of the digits of a whole number, which a sign may precede.
std::string WithCommas(std::string digits);
std::string WithCommas(std::int64_t value);

/// "512 B", "1.15 GiB": bytes in the largest unit up to TiB of which there is at least one.
std::string InBinaryUnits(std::int64_t bytes);

}  // namespace coat
