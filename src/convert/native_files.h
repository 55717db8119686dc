#pragma once
// The files of an unsharded checkpoint of OLMo.

namespace coat {

inline constexpr const char* kNativeConfigFile = "config.yaml";
inline constexpr const char* kNativeModelFile = "model.pt";
inline constexpr const char* kNativeSafetensorsFile = "model.safetensors";
inline constexpr const char* kNativeOptimizerFile = "optim.pt";
inline constexpr const char* kNativeSafetensorsOptimizerFile = "optim.safetensors";
inline constexpr const char* kNativeTrainerFile = "train.pt";
inline constexpr const char* kNativeSafetensorsTrainerFile = "train.safetensors";

}  // namespace coat
