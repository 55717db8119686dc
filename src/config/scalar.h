#pragma once
// Texts of YAML scalars as values. Stricter than YAML: what two versions of YAML read differently is nothing here.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace coat {

/// `12`, `-1`, `739_328`. Nothing for leading zeros (octal in YAML 1.1), other bases, fractions or more than 63 bits.
std::optional<std::int64_t> ParseInteger(std::string_view text);

/// `4.0e-4`, `1e-5`, `.5`, `12`, `1_000.0`. Nothing for infinities, NaN or what a double cannot hold.
std::optional<double> ParseNumber(std::string_view text);

/// `true`, `True`, `TRUE` and the same of false. Nothing for yes, no, on, off, 1 or 0.
std::optional<bool> ParseBool(std::string_view text);

/// Whether an unquoted scalar means null: ``, `~`, `null`, `Null`, `NULL`.
bool IsNullText(std::string_view text);

/// The fewest digits that read back equal, as every YAML reader takes them: `0.0004`, `1.0e-5`, `1.0`.
std::string NumberText(double value);

}  // namespace coat
