#pragma once
// How much memory a process can have.

#include <cstdint>
#include <optional>
#include <string>

namespace coat {

/// Bytes that this process can still use before the kernel ends a process: what /proc/meminfo calls available, with
/// free swap space, and no more than the memory limit of its control group (a container's, a batch job's) or of one
/// around it. Nothing where neither is known. `root` is the folder that holds proc and sys, for tests.
std::optional<std::int64_t> AvailableMemory(const std::string& root = "/");

}  // namespace coat
