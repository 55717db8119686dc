#include "convert/native_names.h"

#include <gtest/gtest.h>

namespace coat {
namespace {

TEST(NativeNames, AreOlmosWhateverTheFileCallsThem) {
  EXPECT_EQ(ToOlmoName("transformer.wte.weight", 1), "transformer.wte.weight");
  EXPECT_EQ(ToOlmoName("transformer.ff_out.weight", 1), "transformer.ff_out.weight");
  for (const std::string tensor :
       {"att_proj.weight", "attn_out.weight", "ff_proj.weight", "ff_out.bias", "q_norm.weight"}) {
    const std::string name = "transformer.blocks.12." + tensor;
    EXPECT_EQ(ToOlmoName(name, 1), name);
    EXPECT_EQ(ToOlmoName(FromOlmoName(name, NativeNames::kCoat), 1), name);
    EXPECT_EQ(FromOlmoName(name, NativeNames::kOlmo), name);
    EXPECT_EQ(ToOlmoName("transformer.block_groups.3.0." + tensor, 4), name);
    EXPECT_EQ(ToOlmoName("_fsdp_wrapped_module.transformer.blocks.12._fsdp_wrapped_module." + tensor, 1), name);
    EXPECT_EQ(ToOlmoName("module." + name, 1), name);
  }
}

TEST(NativeNames, OfCoatAreThoseOfItsModules) {
  const auto coat = [](const std::string& name) { return FromOlmoName(name, NativeNames::kCoat); };
  EXPECT_EQ(coat("transformer.blocks.3.att_proj.weight"), "transformer.blocks.3.BeforeAttention.att_proj.weight");
  EXPECT_EQ(coat("transformer.blocks.3.attn_out.weight"), "transformer.blocks.3.AfterAttention.attn_out.weight");
  EXPECT_EQ(coat("transformer.blocks.3.ff_proj.weight"), "transformer.blocks.3.MLPResidual.ff_proj.weight");
  EXPECT_EQ(coat("transformer.blocks.3.ff_out.weight"), "transformer.blocks.3.MLPResidual.ff_out.weight");
  EXPECT_EQ(coat("transformer.blocks.3.k_norm.weight"), "transformer.blocks.3.k_norm.weight");
  EXPECT_EQ(coat("transformer.ff_out.weight"), "transformer.ff_out.weight");
}

TEST(NativeNames, LeavesNamesAloneThatAreNone) {
  for (const char* const name : {"", "module", "transformer.block_groups.x.1.ff_out.weight",
                                 "transformer.block_groups.1", "transformer.block_groups.99999999999.1.ff_out.weight",
                                 "transformer.blocks.0.AfterAttention.att_proj.weight"}) {
    EXPECT_EQ(ToOlmoName(name, 2), name);
  }
}

}  // namespace
}  // namespace coat
