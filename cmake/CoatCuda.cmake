# The CUDA backend: COAT_WITH_CUDA says whether it is built.
#
# Programs link the CUDA runtime statically and load cuBLASLt, cuDNN and NCCL when they need them, so that one binary runs
# on machines with and without a GPU.
find_program(COAT_NVCC nvcc HINTS ENV CUDACXX PATHS /usr/local/cuda/bin)
if(COAT_CUDA STREQUAL "AUTO")
  string(COMPARE NOTEQUAL "${COAT_NVCC}" "COAT_NVCC-NOTFOUND" COAT_WITH_CUDA)
else()
  set(COAT_WITH_CUDA ${COAT_CUDA})
endif()
if(NOT COAT_WITH_CUDA)
  return()
endif()
if(NOT COAT_NVCC)
  message(FATAL_ERROR "COAT_CUDA is ON and there is no nvcc: install the CUDA 13 toolkit, or configure with -DCOAT_CUDA=OFF")
endif()

set(CMAKE_CUDA_COMPILER ${COAT_NVCC})
set(CMAKE_CUDA_ARCHITECTURES ${COAT_CUDA_ARCHITECTURES})
# CMake 3.25 does not know CUDA 13's C++20: the flag gives it, and the standard of C++ must not be required here too.
set(CMAKE_CUDA_STANDARD 20)
set(CMAKE_CUDA_STANDARD_REQUIRED OFF)
# --expt-relaxed-constexpr: constexpr functions of src/numerics in kernels.
# -fmad=false: a formula has the same value as on the CPU; kernels that may contract write fmaf.
# FMT_USE_CONSTEXPR: fmt 9 takes itself for C++11 under nvcc.
string(JOIN " " CMAKE_CUDA_FLAGS "${CMAKE_CUDA_FLAGS}" -std=c++20 --expt-relaxed-constexpr -fmad=false -lineinfo -DFMT_USE_CONSTEXPR=1)
set(CMAKE_CUDA_FLAGS_RELEASE "-O3")
set(CMAKE_CUDA_FLAGS_DEBUG "-O1 -g")
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)
if(CUDAToolkit_VERSION VERSION_LESS 13.0)
  message(FATAL_ERROR "The CUDA backend needs the CUDA 13 toolkit, and ${COAT_NVCC} is of CUDA ${CUDAToolkit_VERSION}: "
    "install it and set COAT_NVCC to its nvcc, or configure with -DCOAT_CUDA=OFF")
endif()

find_path(COAT_CUDNN_INCLUDE cudnn.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_path(COAT_NCCL_INCLUDE nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS})
find_path(COAT_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
  HINTS ${PROJECT_SOURCE_DIR}/.cache/cudnn_frontend/include ENV COAT_CUDNN_FRONTEND_INCLUDE)
if(NOT COAT_CUDNN_INCLUDE)
  message(FATAL_ERROR "The CUDA backend needs cuDNN's headers (cudnn.h); install cuDNN 9, or configure with -DCOAT_CUDA=OFF")
endif()
if(NOT COAT_NCCL_INCLUDE)
  message(FATAL_ERROR "The CUDA backend needs NCCL's header (nccl.h); install NCCL 2 for CUDA 13 (libnccl-dev, or the "
    "Python package nvidia-nccl-cu13), set COAT_NCCL_INCLUDE to the folder of nccl.h, or configure with -DCOAT_CUDA=OFF")
endif()
if(NOT COAT_CUDNN_FRONTEND_INCLUDE)
  message(FATAL_ERROR "The CUDA backend needs cudnn-frontend's headers: run scripts/install_packages.sh, which takes them "
    "from the Python package nvidia-cudnn-frontend, or set COAT_CUDNN_FRONTEND_INCLUDE, or configure with -DCOAT_CUDA=OFF")
endif()
message(STATUS "CUDA backend: ${CUDAToolkit_VERSION}, architectures ${COAT_CUDA_ARCHITECTURES}")
