#pragma once

/// Marks a scalar formula that the CPU and the CUDA backend share.
#ifdef __CUDACC__
#define COAT_HOST_DEVICE __host__ __device__
#else
#define COAT_HOST_DEVICE
#endif
