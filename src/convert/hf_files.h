#pragma once
// The files of a Hugging Face directory.

namespace coat {

inline constexpr const char* kHfConfigFile = "config.json";
inline constexpr const char* kHfGenerationConfigFile = "generation_config.json";
inline constexpr const char* kHfModelFile = "model.safetensors";
inline constexpr const char* kHfIndexFile = "model.safetensors.index.json";

}  // namespace coat
