#pragma once

#include <cstdlib>
#include <string>

namespace coat {

/// The folder of the project's sources, where golden files are: the environment's COAT_SOURCE_DIR for a test that was
/// taken to another machine, else where it was built.
inline std::string SourceDir() {
  const char* const moved = std::getenv("COAT_SOURCE_DIR");
  return moved != nullptr ? moved : COAT_SOURCE_DIR;
}

}  // namespace coat
