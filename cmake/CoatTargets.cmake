# coat_add_library(name SOURCES ... LINKS ... TESTS ...)
#
# One library a layer, with the tests that lie beside its sources (x_test.cpp) in one test binary name_test.
# The binary links only this layer and those below it, so an include in the wrong direction fails to link.
function(coat_add_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS;TESTS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PUBLIC ${ARG_LINKS})
  if(COAT_TESTS AND ARG_TESTS)
    coat_add_test(${name}_test SOURCES ${ARG_TESTS} LINKS ${name})
  endif()
endfunction()

# coat_compile_quickly(targets...): what computes nothing is not worth the time that the compiler takes at -O3.
function(coat_compile_quickly)
  foreach(target ${ARGN})
    target_compile_options(${target} PRIVATE $<$<AND:$<CONFIG:Release>,$<COMPILE_LANGUAGE:CXX>>:-O1>)
  endforeach()
endfunction()

# coat_add_test(name SOURCES ... LINKS ...): a GoogleTest binary, which is one ctest entry.
function(coat_add_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;LINKS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE COAT_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  target_link_libraries(${name} PRIVATE ${ARG_LINKS} GTest::gtest GTest::gtest_main)
  coat_compile_quickly(${name})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 900)
endfunction()

# coat_add_mpi_test(name RANKS n...): runs the test binary `name` of coat_add_test under mpirun too, as name_2 with 2 ranks.
# Where there is no MPI it adds nothing.
function(coat_add_mpi_test name)
  cmake_parse_arguments(ARG "" "" "RANKS" ${ARGN})
  if(NOT COAT_WITH_MPI)
    return()
  endif()
  add_dependencies(${name} coat_mpi)
  foreach(ranks ${ARG_RANKS})
    add_test(NAME ${name}_${ranks} COMMAND ${COAT_MPIRUN} -n ${ranks} $<TARGET_FILE:${name}>)
    set_tests_properties(${name}_${ranks} PROPERTIES TIMEOUT 120 PROCESSORS ${ranks})
  endforeach()
endfunction()

# coat_use_mpirun(name): the test binary starts up to four ranks itself (tests/support/mpirun.h), which poll for messages.
function(coat_use_mpirun name)
  if(COAT_WITH_MPI)
    list(JOIN COAT_MPIRUN "' '" words)
    target_compile_definitions(${name} PRIVATE COAT_MPIRUN="'${words}'")
    add_dependencies(${name} coat_mpi)
    set_tests_properties(${name} PROPERTIES PROCESSORS 4)
  endif()
endfunction()

# coat_add_command_test(name SOURCES ... LINKS ...): coat_add_test for tests that run the `coat` command, COAT_BINARY.
function(coat_add_command_test name)
  coat_add_test(${name} ${ARGN})
  target_compile_definitions(${name} PRIVATE COAT_BINARY="$<TARGET_FILE:coat>")
  add_dependencies(${name} coat)
endfunction()
