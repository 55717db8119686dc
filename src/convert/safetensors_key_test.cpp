#include "convert/safetensors_key.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "tests/support/error_of.h"

namespace coat {
namespace {

// The encoded keys are base64.urlsafe_b64encode(pickle.dumps(...)) of Python 3.11.

TEST(SafetensorsKey, IsTheNameOrEncodesIt) {
  EXPECT_EQ(NameOfSafetensorsKey("transformer.wte.weight", "FILE"), "transformer.wte.weight");
  EXPECT_EQ(NameOfSafetensorsKey("", "FILE"), "");
  EXPECT_EQ(NameOfSafetensorsKey("weight", "FILE"), "weight");
  EXPECT_EQ(NameOfSafetensorsKey("gASVHwAAAAAAAACMFnRyYW5zZm9ybWVyLnd0ZS53ZWlnaHSUhZSJhpQu", "FILE"),
            "transformer.wte.weight");
}

TEST(SafetensorsKey, IsAPathOfNamesAndNumbers) {
  using Path = std::vector<SafetensorsKey::Step>;
  const SafetensorsKey moment = ParseSafetensorsKey("gASVGgAAAAAAAACMBXN0YXRllEsDjAdleHBfYXZnlIeUiYaULg==", "FILE");
  EXPECT_EQ(moment.path, (Path{"state", 3, "exp_avg"}));
  EXPECT_FALSE(moment.is_pickled);
  const SafetensorsKey groups = ParseSafetensorsKey("gASVFQAAAAAAAACMDHBhcmFtX2dyb3Vwc5SFlIiGlC4=", "FILE");
  EXPECT_EQ(groups.path, Path{"param_groups"});
  EXPECT_TRUE(groups.is_pickled);
  EXPECT_EQ(ParseSafetensorsKey("weight", "FILE").path, Path{"weight"});
}

TEST(SafetensorsKey, RefusesWhatIsNotOneName) {
  const auto refused = [](const char* key) { return ErrorOf<IoError>([&] { NameOfSafetensorsKey(key, "FILE"); }); };
  const std::string expected = "expected one name of a tensor";
  EXPECT_NE(refused("gASVEgAAAAAAAACMBXN0YXRllIwBeJSGlImGlC4=").find(expected), std::string::npos);  // a path
  EXPECT_NE(refused("gASVCgAAAAAAAACMAXiUhZSIhpQu").find(expected), std::string::npos);  // of a pickled value
  const std::string path = "expected a path of names, and whether the value is pickled";
  EXPECT_NE(refused("gASVBQAAAAAAAACMAXiULg==").find(path), std::string::npos);
  EXPECT_NE(refused("gASVBwAAAAAAAAAphZSJhpQu").find(path), std::string::npos);          // an empty tuple is no name
  EXPECT_NE(refused("gASVBQAAAAAAAAApiYaULg==").find(path), std::string::npos);          // no name
  EXPECT_NE(refused("gASVCwAAAAAAAACMAWGUhZRLAYaULg==").find(path), std::string::npos);  // 1 for true
  EXPECT_NE(refused("gASVIgAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjAJsc5SFlFKUhZSJhpQu")
                .find("it asks for \"posix.system\", which is not run; accepted: no global"),
            std::string::npos);
  EXPECT_NE(refused("gASV").find("bytes expected"), std::string::npos);
}

}  // namespace
}  // namespace coat
