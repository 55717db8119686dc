#include "cuda/nccl/nccl_library.h"

#include <fmt/core.h>

#include "base/error.h"
#include "cuda/device/shared_library.h"

namespace coat::cuda {

namespace {

constexpr const char* kWhatToDo =
    "install NCCL 2 for CUDA 13 (Debian's or NVIDIA's libnccl2, or the Python package nvidia-nccl-cu13) and put the "
    "folder of this file on LD_LIBRARY_PATH, or run with one rank";

struct Library {
  Nccl functions;
  std::string problem;
};

Library Load() {
  Library result;
  SharedLibrary library("libnccl.so.2", "NCCL, which connects the GPUs of several ranks,", kWhatToDo);
#define COAT_FIND(name) library.Find("nccl" #name, result.functions.name)
  COAT_FIND(GetVersion);
  COAT_FIND(GetUniqueId);
  COAT_FIND(CommInitRank);
  COAT_FIND(CommDestroy);
  COAT_FIND(CommAbort);
  COAT_FIND(CommGetAsyncError);
  COAT_FIND(GetErrorString);
  COAT_FIND(GetLastError);
  COAT_FIND(GroupStart);
  COAT_FIND(GroupEnd);
  COAT_FIND(AllGather);
  COAT_FIND(ReduceScatter);
  COAT_FIND(AllReduce);
  COAT_FIND(Broadcast);
  COAT_FIND(Reduce);
#undef COAT_FIND
  result.problem = library.problem();
  return result;
}

}  // namespace

const Nccl& LoadNccl() {
  static const Library library = Load();
  if (!library.problem.empty()) throw Error(library.problem);
  return library.functions;
}

std::string NcclWords(ncclResult_t result, ncclComm_t comm) {
  const Nccl& nccl = LoadNccl();
  const char* last = nccl.GetLastError(comm);
  const bool has_more = last != nullptr && *last != '\0';
  return fmt::format("NCCL: {}{}{}", nccl.GetErrorString(result), has_more ? ": " : "", has_more ? last : "");
}

ncclDataType_t NcclTypeOf(DType dtype) {
  COAT_REQUIRE(IsPlain(dtype), "the sum of {} over ranks; expected f32 or bf16", NameOf(dtype));
  return dtype == DType::kF32 ? ncclFloat32 : ncclBfloat16;
}

}  // namespace coat::cuda
