#include <iterator>

#include "ops/cases/op_case.h"

namespace coat {

std::vector<OpCase> AllOpCases() {
  std::vector<OpCase> all;
  for (auto* cases : std::initializer_list<std::vector<OpCase> (*)()>{QuantizeCases,
                                                                      GemmCases,
                                                                      LayerNormCases,
                                                                      LayerNormBackwardCases,
                                                                      SwigluCases,
                                                                      SwigluQuantizeCases,
                                                                      RopeCases,
                                                                      RmsNormCases,
                                                                      RmsNormBackwardCases,
                                                                      QkNormRopeCases,
                                                                      QkNormRopeBackwardCases,
                                                                      AttentionCases,
                                                                      CachedAttentionCases,
                                                                      EmbeddingCases,
                                                                      CrossEntropyCases,
                                                                      AdamWCases,
                                                                      LionWCases,
                                                                      CoatAdamWCases,
                                                                      StatisticsCases,
                                                                      ClipCases,
                                                                      FillCases,
                                                                      CastCases}) {
    std::vector<OpCase> some = cases();
    all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  return all;
}

}  // namespace coat
