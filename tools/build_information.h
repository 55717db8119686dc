#pragma once
// What was built, and with what. The values come from CMake.

#include <string_view>

namespace coat {

struct BuildInformation {
  std::string_view version;
  std::string_view compiler;
  std::string_view build_type;
  std::string_view cpu_architecture;  // the value of -march
  std::string_view yaml_cpp_version;
  std::string_view fmt_version;
  std::string_view nlohmann_json_version;
  std::string_view cli11_version;
  std::string_view zlib_version;
};
BuildInformation DescribeBuild();

/// The commit that was built, "-dirty" behind it if files differed; "unknown" where there was no git.
std::string_view GitCommit();

}  // namespace coat
