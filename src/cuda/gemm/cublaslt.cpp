#include "cuda/gemm/cublaslt.h"

#include <fmt/core.h>

#include "base/error.h"
#include "cuda/device/shared_library.h"

namespace coat::cuda {

namespace {

constexpr const char* kWhatToDo =
    "install cuBLAS 13 (of the CUDA 13 toolkit, or the Python package nvidia-cublas), put the folder of this file on "
    "LD_LIBRARY_PATH, or use --device=cpu";

struct Library {
  CublasLt functions;
  std::string problem;
};

Library Load() {
  Library result;
  SharedLibrary library("libcublasLt.so.13", "cuBLASLt, which multiplies matrices on the GPU,", kWhatToDo);
#define COAT_FIND(name) library.Find("cublasLt" #name, result.functions.name)
  COAT_FIND(Create);
  COAT_FIND(Destroy);
  COAT_FIND(GetVersion);
  COAT_FIND(GetStatusString);
  COAT_FIND(Matmul);
  COAT_FIND(MatmulDescCreate);
  COAT_FIND(MatmulDescDestroy);
  COAT_FIND(MatmulDescSetAttribute);
  COAT_FIND(MatrixLayoutCreate);
  COAT_FIND(MatrixLayoutDestroy);
  COAT_FIND(MatmulPreferenceCreate);
  COAT_FIND(MatmulPreferenceDestroy);
  COAT_FIND(MatmulPreferenceSetAttribute);
  COAT_FIND(MatmulAlgoGetHeuristic);
#undef COAT_FIND
  result.problem = library.problem();
  return result;
}

const Library& TheLibrary() {
  static const Library library = Load();
  return library;
}

}  // namespace

std::string CublasLtProblem() {
  return TheLibrary().problem;
}

const CublasLt& LoadCublasLt() {
  const Library& library = TheLibrary();
  if (!library.problem.empty()) throw Error(library.problem);
  return library.functions;
}

void CheckCublasLt(cublasStatus_t status, const char* call) {
  if (status == CUBLAS_STATUS_SUCCESS) return;
  throw Error(fmt::format("cuBLASLt: {} in {}", LoadCublasLt().GetStatusString(status), call));
}

cudaDataType_t CublasLtTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return CUDA_R_32F;
    case DType::kBF16:
      return CUDA_R_16BF;
    case DType::kE4M3:
      return CUDA_R_8F_E4M3;
    case DType::kE5M2:
      return CUDA_R_8F_E5M2;
    case DType::kU8:
    case DType::kI32:
    case DType::kI64:
      break;
  }
  throw Error(fmt::format("cuBLASLt multiplies no {}", NameOf(dtype)));
}

CublasLtHandle MakeCublasLtHandle() {
  cublasLtHandle_t handle = nullptr;
  COAT_CUBLASLT(LoadCublasLt().Create(&handle));
  return CublasLtHandle(handle);
}

MatmulDescription MakeMatmulDescription() {
  cublasLtMatmulDesc_t product = nullptr;
  COAT_CUBLASLT(LoadCublasLt().MatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
  return MatmulDescription(product);
}

MatrixLayout MakeMatrixLayout(DType dtype, std::int64_t rows, std::int64_t columns) {
  cublasLtMatrixLayout_t matrix = nullptr;
  COAT_CUBLASLT(LoadCublasLt().MatrixLayoutCreate(&matrix, CublasLtTypeOf(dtype), static_cast<std::uint64_t>(rows),
                                                  static_cast<std::uint64_t>(columns), rows));
  return MatrixLayout(matrix);
}

MatmulPreference MakeMatmulPreference() {
  cublasLtMatmulPreference_t limits = nullptr;
  COAT_CUBLASLT(LoadCublasLt().MatmulPreferenceCreate(&limits));
  return MatmulPreference(limits);
}

}  // namespace coat::cuda
