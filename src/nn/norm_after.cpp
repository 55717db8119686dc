// OLMo 2: branch = half(x), x += weight * norm(branch).

#include <string>

#include "nn/half_norm.h"
#include "nn/norm_weight.h"
#include "ops/quantize.h"
#include "ops/rms_norm.h"

namespace coat {

namespace {

class NormAfter : public HalfNorm {
 public:
  NormAfter(const Config& config, const Recipe& recipe) : config_(config), recipe_(&recipe) {}

  void LayOut(const FindParameter& find) override { weight_.LayOut(find(config_.name + ".weight")); }
  void AccumulateGradient(bool accumulate) override { weight_.AccumulateGradient(accumulate); }

  Saved LayOutSaved(Shape x, Arena& saved) const override {
    const std::string input = config_.name + "_input";
    Saved kept;
    kept.input = saved.Quantized(input, x, recipe_->kept_input);
    if (recipe_->PerTensor() && !IsCoded(kept)) kept.absmax = saved.Tensor(input + ".absmax", {1}, DType::kF32);
    kept.branch = saved.Quantized(config_.name, x, recipe_->kept_output);
    kept.rstd = saved.Tensor(config_.name + ".rstd", {x[0]}, DType::kF32);
    return kept;
  }

  bool MeasuresStream() const override { return recipe_->kept_input.scaling == Scaling::kTensor; }
  void Enter(Context& ctx, ResidualStream& stream, const Saved& saved, Arena& /*scratch*/) const override {
    if (IsCoded(saved)) {
      Quantize(ctx, {.x = stream.x, .absmax = stream.absmax, .y = saved.input});
    } else {
      ctx.Copy(stream.x, saved.input.codes);
    }
  }
  TensorView Output(const ResidualStream& stream, const Saved& saved) const override {
    return recipe_->KeepsGroups() ? stream.branch : saved.branch.codes;
  }
  void Leave(Context& ctx, ResidualStream& stream, const Saved& saved) const override {
    AddRmsNorm(ctx, {.x = stream.x,
                     .branch = Output(stream, saved),
                     .weight = weight_.value(),
                     .y = stream.x,
                     .rstd = saved.rstd,
                     .kept = recipe_->KeepsGroups() ? saved.branch : QuantizedView(),
                     .absmax = stream.absmax,
                     .eps = config_.eps});
  }
  bool KeepsOutput() const override { return true; }

  BranchGradient BackwardLeave(Context& ctx, const Saved& saved, const ResidualGradient& d_x,
                               Arena& scratch) const override {
    const TensorView d_branch = scratch.Tensor("d_branch", d_x.d_x.shape(), recipe_->compute);
    TensorView absmax;
    if (recipe_->PerTensor()) absmax = scratch.Tensor("d_branch.absmax", {1}, DType::kF32);
    RmsNormBackward(ctx, {.x = saved.branch,
                          .weight = weight_.value(),
                          .rstd = saved.rstd,
                          .d_y = d_x.d_x,
                          .d_x = d_branch,
                          .d_weight = weight_.grad(),
                          .absmax = absmax,
                          .accumulate = weight_.accumulates()});
    return {d_branch, absmax};
  }
  void BackwardEnter(Context& ctx, const Linear& layer, const GradientOperands& d_output, const Saved& saved,
                     const ResidualGradient& d_x, Arena& scratch) const override {
    layer.BackwardInput(ctx, d_output, d_x.d_x, scratch, /*accumulate=*/true);
    layer.BackwardWeight(ctx, d_output, saved.AsLinearInput(), scratch);
  }

 private:
  static bool IsCoded(const Saved& saved) { return saved.input.format.scaling != Scaling::kNone; }

  Config config_;
  NormWeight weight_;
  const Recipe* recipe_;
};

}  // namespace

std::unique_ptr<HalfNorm> MakeNormAfter(const HalfNorm::Config& config, const Recipe& recipe) {
  return std::make_unique<NormAfter>(config, recipe);
}

}  // namespace coat
