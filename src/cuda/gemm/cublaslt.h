#pragma once
// cuBLASLt, loaded when first needed: the functions in use, its errors, its descriptors as owners.

#include <cublasLt.h>

#include <cstdint>
#include <memory>
#include <string>

#include "base/dtype.h"

namespace coat::cuda {

/// The functions of the library that are in use, under their names without "cublasLt".
struct CublasLt {
  decltype(&cublasLtCreate) Create = nullptr;
  decltype(&cublasLtDestroy) Destroy = nullptr;
  decltype(&cublasLtGetVersion) GetVersion = nullptr;
  decltype(&cublasLtGetStatusString) GetStatusString = nullptr;
  decltype(&cublasLtMatmul) Matmul = nullptr;
  decltype(&cublasLtMatmulDescCreate) MatmulDescCreate = nullptr;
  decltype(&cublasLtMatmulDescDestroy) MatmulDescDestroy = nullptr;
  decltype(&cublasLtMatmulDescSetAttribute) MatmulDescSetAttribute = nullptr;
  decltype(&cublasLtMatrixLayoutCreate) MatrixLayoutCreate = nullptr;
  decltype(&cublasLtMatrixLayoutDestroy) MatrixLayoutDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceCreate) MatmulPreferenceCreate = nullptr;
  decltype(&cublasLtMatmulPreferenceDestroy) MatmulPreferenceDestroy = nullptr;
  decltype(&cublasLtMatmulPreferenceSetAttribute) MatmulPreferenceSetAttribute = nullptr;
  decltype(&cublasLtMatmulAlgoGetHeuristic) MatmulAlgoGetHeuristic = nullptr;
};

/// Why the library cannot be used, and what to do; empty if it can.
std::string CublasLtProblem();

/// The library, loaded by the first call and kept. Throws Error with CublasLtProblem().
const CublasLt& LoadCublasLt();

/// Throws Error with the library's words unless `status` is success.
void CheckCublasLt(cublasStatus_t status, const char* call);

/// The library's name for the elements of operands and results: f32, bf16 and FP8.
cudaDataType_t CublasLtTypeOf(DType dtype);

namespace detail {
struct DestroyCublasLt {
  void operator()(cublasLtContext* handle) const { LoadCublasLt().Destroy(handle); }
  void operator()(cublasLtMatmulDescOpaque_t* product) const { LoadCublasLt().MatmulDescDestroy(product); }
  void operator()(cublasLtMatrixLayoutOpaque_t* matrix) const { LoadCublasLt().MatrixLayoutDestroy(matrix); }
  void operator()(cublasLtMatmulPreferenceOpaque_t* limits) const { LoadCublasLt().MatmulPreferenceDestroy(limits); }
};
}  // namespace detail

using CublasLtHandle = std::unique_ptr<cublasLtContext, detail::DestroyCublasLt>;
using MatmulDescription = std::unique_ptr<cublasLtMatmulDescOpaque_t, detail::DestroyCublasLt>;
using MatrixLayout = std::unique_ptr<cublasLtMatrixLayoutOpaque_t, detail::DestroyCublasLt>;
using MatmulPreference = std::unique_ptr<cublasLtMatmulPreferenceOpaque_t, detail::DestroyCublasLt>;

/// A handle on the current device.
CublasLtHandle MakeCublasLtHandle();
/// float32 sums, scalars in float32.
MatmulDescription MakeMatmulDescription();
/// Column-major, without padding between columns.
MatrixLayout MakeMatrixLayout(DType dtype, std::int64_t rows, std::int64_t columns);
MatmulPreference MakeMatmulPreference();

template <class T>
void SetAttribute(const MatmulDescription& product, cublasLtMatmulDescAttributes_t attribute, const T& value);
template <class T>
void SetAttribute(const MatmulPreference& limits, cublasLtMatmulPreferenceAttributes_t attribute, const T& value);

}  // namespace coat::cuda

/// Runs a call of the library; throws Error with its name and the library's words if it fails.
#define COAT_CUBLASLT(call) ::coat::cuda::CheckCublasLt((call), #call)

template <class T>
void coat::cuda::SetAttribute(const MatmulDescription& product, cublasLtMatmulDescAttributes_t attribute,
                              const T& value) {
  COAT_CUBLASLT(LoadCublasLt().MatmulDescSetAttribute(product.get(), attribute, &value, sizeof(value)));
}

template <class T>
void coat::cuda::SetAttribute(const MatmulPreference& limits, cublasLtMatmulPreferenceAttributes_t attribute,
                              const T& value) {
  COAT_CUBLASLT(LoadCublasLt().MatmulPreferenceSetAttribute(limits.get(), attribute, &value, sizeof(value)));
}
