#pragma once
// Checks of the command line that the parser leaves to us, each with a message that names what was probably meant.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace coat {

/// Throws UsageError, naming the nearest command, unless `name` is one of `commands`.
void RequireCommand(const std::string& name, std::span<const std::string> commands);

/// For a command that takes a configuration: throws UsageError unless each argument that is no option of the command
/// ("--threads", in `options`) looks like one that sets a key: "--a.b=value", or "--key" and "--key=value" with a key
/// of the top level. Whether the key exists below that is checked when the configuration is read.
void RequireOverrides(std::span<const std::string> arguments, std::span<const std::string> options);

/// For other commands: throws UsageError, naming the nearest option, unless `arguments` is empty.
void RequireNoArguments(std::span<const std::string> arguments, std::span<const std::string> options);

/// The number that `text`, which was given to `option`, is in decimal digits. Throws UsageError unless it is one from
/// `least` to `most`.
std::int64_t WholeNumber(std::string_view option, const std::string& text, std::int64_t least, std::int64_t most);

/// Likewise for any finite number with a decimal point.
double DecimalNumber(std::string_view option, const std::string& text);

}  // namespace coat
