# MPI, which connects the ranks of a run: COAT_WITH_MPI says whether its module (src/comm/mpi_transport.cpp) is built.
#
# No program links MPI: the module lies beside `coat`, which loads it where a launcher has started several ranks.
set(COAT_WITH_MPI OFF)
if(COAT_MPI STREQUAL "AUTO" OR COAT_MPI)
  set(MPI_CXX_SKIP_MPICXX ON)
  find_package(MPI QUIET COMPONENTS CXX)
  set(COAT_WITH_MPI ${MPI_CXX_FOUND})
endif()
if(COAT_WITH_MPI)
  message(STATUS "MPI: ${MPI_CXX_LIBRARIES}")
elseif(NOT COAT_MPI STREQUAL "AUTO" AND COAT_MPI)
  message(FATAL_ERROR "COAT_MPI is ON and there is no MPI: install one (on Debian libopenmpi-dev and openmpi-bin), set "
    "MPI_CXX_COMPILER to its compiler wrapper, or configure with -DCOAT_MPI=OFF")
else()
  message(STATUS "MPI: none, so runs have one rank (COAT_MPI is ${COAT_MPI})")
endif()

# The command that starts ranks in tests: as root and in containers too, with more ranks than cores, bound to none. What
# MPI itself does not give back is no leak of ours.
if(COAT_WITH_MPI)
  set(COAT_MPIRUN ${CMAKE_COMMAND} -E env OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
    OMPI_MCA_hwloc_base_binding_policy=none OMPI_MCA_mpi_yield_when_idle=1
    COAT_MPI_MODULE=$<TARGET_FILE:coat_mpi>)
  if(COAT_SANITIZE)
    list(APPEND COAT_MPIRUN ASAN_OPTIONS=detect_leaks=0)
  endif()
  list(APPEND COAT_MPIRUN ${MPIEXEC_EXECUTABLE})
endif()
