// OLMo 1: branch = half(norm(x)), x += branch.

#include "nn/half_norm.h"
#include "nn/layer_norm.h"

namespace coat {

namespace {

class NormBefore : public HalfNorm {
 public:
  NormBefore(const Config& config, const Recipe& recipe) : config_(config), norm_(config.eps), recipe_(&recipe) {}

  void LayOut(const FindParameter& /*find*/) override {}
  void AccumulateGradient(bool /*accumulate*/) override {}

  Saved LayOutSaved(Shape x, Arena& saved) const override {
    Saved kept;
    kept.input = saved.Quantized(config_.name, x, recipe_->kept_input);
    kept.rstd = saved.Tensor(config_.name + ".rstd", {x[0]}, DType::kF32);
    if (recipe_->PerTensor()) kept.absmax = saved.Tensor(config_.name + ".absmax", {1}, DType::kF32);
    return kept;
  }

  bool MeasuresStream() const override { return false; }
  void Enter(Context& ctx, ResidualStream& stream, const Saved& saved, Arena& scratch) const override {
    norm_.Forward(ctx, stream, OfNorm(saved), scratch);
  }
  TensorView Output(const ResidualStream& stream, const Saved& /*saved*/) const override { return stream.branch; }
  void Leave(Context& /*ctx*/, ResidualStream& stream, const Saved& /*saved*/) const override {
    stream.branch_is_pending = true;
  }
  bool KeepsOutput() const override { return false; }

  BranchGradient BackwardLeave(Context& /*ctx*/, const Saved& /*saved*/, const ResidualGradient& d_x,
                               Arena& /*scratch*/) const override {
    return {d_x.d_x, d_x.absmax};
  }
  void BackwardEnter(Context& ctx, const Linear& layer, const GradientOperands& d_output, const Saved& saved,
                     const ResidualGradient& d_x, Arena& scratch) const override {
    const Arena::Scope scope(scratch);
    const TensorView d_norm = scratch.Tensor("d_" + config_.name, d_x.d_x.shape(), recipe_->compute);
    layer.BackwardInput(ctx, d_output, d_norm, scratch);
    layer.BackwardWeight(ctx, d_output, saved.AsLinearInput(), scratch);
    norm_.Backward(ctx, OfNorm(saved), d_norm, d_x);
  }

 private:
  static LayerNormSaved OfNorm(const Saved& saved) { return {saved.input, saved.rstd, saved.absmax}; }

  Config config_;
  LayerNorm norm_;
  const Recipe* recipe_;
};

}  // namespace

std::unique_ptr<HalfNorm> MakeNormBefore(const HalfNorm::Config& config, const Recipe& recipe) {
  return std::make_unique<NormBefore>(config, recipe);
}

}  // namespace coat
