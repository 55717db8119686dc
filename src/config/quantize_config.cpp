#include "config/quantize_config.h"

namespace coat {

OperandFormats QuantizeModelConfig::Formats() const {
  OperandFormats formats;
  if (use_quantize_model == QuantizeModel::kFp8DeepSeek) {
    formats.babit = formats.bwbit = formats.bobit = Fp8Format::kE4M3;
  }
  formats.fabit = fabit.value_or(formats.fabit);
  formats.fwbit = fwbit.value_or(formats.fwbit);
  formats.fobit = fobit.value_or(formats.fobit);
  formats.babit = babit.value_or(formats.babit);
  formats.bwbit = bwbit.value_or(formats.bwbit);
  formats.bobit = bobit.value_or(formats.bobit);
  return formats;
}

WeightCache QuantizeModelConfig::CachedWeights() const {
  return weight_cache.value_or(weight_memory_efficient ? WeightCache::kNone : WeightCache::kBoth);
}

FastAccumulation QuantizeModelConfig::FastProducts() const {
  const bool blocks = use_quantize_model == QuantizeModel::kFp8DeepSeek;
  return fast_accumulation.value_or(blocks ? FastAccumulation::kNone : FastAccumulation::kForwardAndInputGradient);
}

}  // namespace coat
