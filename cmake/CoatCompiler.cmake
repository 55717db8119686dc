# Compiler settings for every target.
#
# Floating point: no contraction and no fast-math, so that a formula has one value on every machine and in every loop
# shape; -fno-math-errno and -fno-trapping-math change no result and let the loops vectorize.
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-ffp-contract=off;-fno-math-errno;-fno-trapping-math>")
add_compile_options("$<$<COMPILE_LANGUAGE:CUDA>:-Xcompiler=-Wall,-Wextra,-ffp-contract=off>")
if(COAT_WERROR)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-Werror>" "$<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>")
endif()
if(COAT_CPU_ARCH)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-march=${COAT_CPU_ARCH}>")
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -g1")
set(CMAKE_CXX_FLAGS_DEBUG "-O1 -g")
if(COAT_SANITIZE)
  add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:-fsanitize=address,undefined;-fno-sanitize-recover=all;-fno-omit-frame-pointer>")
  add_link_options(-fsanitize=address,undefined)
endif()

find_program(COAT_CCACHE ccache)
if(COAT_CCACHE)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COAT_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${COAT_CCACHE})
endif()
find_program(COAT_MOLD mold)
if(COAT_MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_link_options(-fuse-ld=mold)
endif()
