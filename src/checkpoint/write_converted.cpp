#include "checkpoint/write_converted.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/error.h"

namespace coat {

void WriteConverted(std::span<const std::byte> values, FloatType from, FloatType to, std::string_view source,
                    SafetensorsWriter& writer, const std::string& name) {
  constexpr std::size_t kPiece = std::size_t{1} << 18;  // values
  std::vector<std::byte> converted;
  while (!values.empty()) {
    const std::size_t count = std::min(kPiece, values.size() / SizeOf(from));
    converted.resize(count * SizeOf(to));
    const std::int64_t overflows = ConvertFloats(values.first(count * SizeOf(from)), from, converted, to);
    if (overflows > 0) {
      throw IoError(fmt::format("{}: {} or more values are too large for {}; accepted: another --dtype", source,
                                overflows, TorchName(to)));
    }
    writer.Write(name, converted);
    values = values.subspan(count * SizeOf(from));
  }
}

}  // namespace coat
