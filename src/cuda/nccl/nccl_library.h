#pragma once
// NCCL, loaded when first needed: the functions in use.

#include <nccl.h>

#include <string>

#include "base/dtype.h"

namespace coat::cuda {

/// The functions of the library that are in use, under their names without "nccl".
struct Nccl {
  decltype(&ncclGetVersion) GetVersion = nullptr;
  decltype(&ncclGetUniqueId) GetUniqueId = nullptr;
  decltype(&ncclCommInitRank) CommInitRank = nullptr;
  decltype(&ncclCommDestroy) CommDestroy = nullptr;
  decltype(&ncclCommAbort) CommAbort = nullptr;
  decltype(&ncclCommGetAsyncError) CommGetAsyncError = nullptr;
  decltype(&ncclGetErrorString) GetErrorString = nullptr;
  decltype(&ncclGetLastError) GetLastError = nullptr;
  decltype(&ncclGroupStart) GroupStart = nullptr;
  decltype(&ncclGroupEnd) GroupEnd = nullptr;
  decltype(&ncclAllGather) AllGather = nullptr;
  decltype(&ncclReduceScatter) ReduceScatter = nullptr;
  decltype(&ncclAllReduce) AllReduce = nullptr;
  decltype(&ncclBroadcast) Broadcast = nullptr;
  decltype(&ncclReduce) Reduce = nullptr;
};

/// The library, loaded by the first call and kept. Throws Error that says what to install.
const Nccl& LoadNccl();

/// "NCCL: remote process exited: <the library's last words>". `comm` may be null.
std::string NcclWords(ncclResult_t result, ncclComm_t comm);

/// The library's name for the elements of sums. Throws ArgumentError for types other than f32 and bf16.
ncclDataType_t NcclTypeOf(DType dtype);

}  // namespace coat::cuda
