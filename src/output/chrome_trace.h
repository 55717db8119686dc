#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/profile.h"

namespace coat {

/// A profile as JSON that chrome://tracing and ui.perfetto.dev show: one process named `process`, with a thread "host"
/// and, where there are spans of a device, a thread named `device`; each span a complete event in microseconds.
std::string ChromeTrace(std::span<const Profile::Span> spans, std::string_view process, std::string_view device);

/// A profile by name, for people, the longest first and at most `rows` of them: calls, total time, and time outside the
/// spans within. Numbers at the end of names are left out, so that all blocks are one row. Of the host or the device.
std::string ProfileTable(std::span<const Profile::Span> spans, bool on_device, std::size_t rows);

}  // namespace coat
