#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

namespace coat {

/// One whole gzip member that holds `text`, at most 4 GB: by itself a file that gunzip reads, and files may be joined.
std::vector<std::byte> GzipMember(std::string_view text);

}  // namespace coat
