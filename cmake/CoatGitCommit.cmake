# Writes OUTPUT, which defines GitCommit(), if the commit has changed. Run by every build: cmake -D SOURCE=... -D OUTPUT=... -P.
find_package(Git QUIET)
set(COMMIT "")
if(Git_FOUND)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12 --exclude=*
    WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT COMMIT)
  set(COMMIT "unknown")
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT [[
#include "tools/build_information.h"

namespace coat {

std::string_view GitCommit() {
  return "@COMMIT@";
}

}  // namespace coat
]] @ONLY)
