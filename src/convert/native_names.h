#pragma once
// The names of parameters in OLMo's own checkpoints, and in those of COAT's fork of it.

#include <cstdint>
#include <string>
#include <string_view>

namespace coat {

/// Which names a file has or gets.
enum class NativeNames {
  kOlmo,  // transformer.blocks.0.att_proj.weight
  kCoat,  // transformer.blocks.0.BeforeAttention.att_proj.weight
};

/// OLMo's name of a parameter, ours, whatever it is called in a file: COAT's insertions BeforeAttention, AfterAttention
/// and MLPResidual are taken out, as are the prefixes of wrappers (_fsdp_wrapped_module., module.), and blocks in
/// groups of `block_group_size` (transformer.block_groups.1.0) are counted through.
std::string ToOlmoName(std::string_view name, std::int64_t block_group_size);

/// What `names` call OLMo's `name`.
std::string FromOlmoName(const std::string& name, NativeNames names);

}  // namespace coat
