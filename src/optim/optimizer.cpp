#include "optim/optimizer.h"

#include <vector>

#include "base/divide.h"
#include "ops/adamw.h"
#include "ops/coat_adamw.h"
#include "ops/lion.h"
#include "optim/groups.h"

namespace coat {

namespace {

AdamWSettings SettingsOf(const OptimizerConfig& config, const UpdateScalars& scalars) {
  return {.learning_rate = scalars.learning_rate,
          .beta1 = config.betas[0],
          .beta2 = config.betas[1],
          .eps = config.eps,
          .step = scalars.step};
}

/// A state with an element for each of a parameter's, of which a rank has its part.
StateTensor StateOf(const Parameter& parameter, const std::string& suffix, TensorView tensor) {
  return {.name = parameter.name + suffix,
          .tensor = tensor,
          .whole = parameter.shape,
          .part = {.first = parameter.part.first, .count = tensor.elements()}};
}

/// A state with an element for each `group` of a parameter's; parts are whole groups.
StateTensor GroupStateOf(const Parameter& parameter, const std::string& suffix, TensorView tensor, std::int64_t group) {
  return {.name = parameter.name + suffix,
          .tensor = tensor,
          .whole = {DivideUp(parameter.shape.elements(), group)},
          .part = {.first = parameter.part.first / group, .count = tensor.elements()}};
}

/// What the optimizers share. `Tensor` is what the op of an update takes of each parameter.
template <class Tensor>
class OptimizerOf : public Optimizer {
 public:
  OptimizerOf(const OptimizerConfig& config, std::span<const Parameter> parameters)
      : config_(config), parameters_(parameters), tensors_(parameters.size()) {
    const std::vector<int> groups = ParameterGroups(config, parameters);
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      tensors_[i].weight_decay = groups[i] == 0 ? config.weight_decay : 0.0;
    }
  }

 protected:
  std::span<const Tensor> TensorsOf(const UpdateScalars& scalars) {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      tensors_[i].param = parameters_[i].value;
      tensors_[i].grad = parameters_[i].grad;
      tensors_[i].grad_scale = scalars.grad_scale.Rows(static_cast<std::int64_t>(i), 1);
    }
    return tensors_;
  }

  OptimizerConfig config_;
  std::span<const Parameter> parameters_;
  std::vector<Tensor> tensors_;  // of the parameters; LayOut adds the moments
};

TensorView LayOutPlain(const Parameter& parameter, const char* suffix, Arena& moments) {
  return moments.Tensor(parameter.name + suffix, parameter.value.shape(), DType::kF32);
}

/// AdamW with float32 moments.
class PlainAdamW : public OptimizerOf<AdamWTensor> {
 public:
  using OptimizerOf::OptimizerOf;

  void LayOut(Arena& moments, Arena& /*metadata*/) override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      tensors_[i].exp_avg = LayOutPlain(parameters_[i], ".exp_avg", moments);
      tensors_[i].exp_avg_sq = LayOutPlain(parameters_[i], ".exp_avg_sq", moments);
    }
  }

  void Update(Context& ctx, const UpdateScalars& scalars) override {
    AdamW(ctx, {.tensors = TensorsOf(scalars),
                .settings = SettingsOf(config_, scalars),
                .selective = config_.selective_updates,
                .absmax = scalars.absmax});
  }

  void ForEachState(const std::function<void(const StateTensor&)>& visit) const override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      visit(StateOf(parameters_[i], ".exp_avg", tensors_[i].exp_avg));
      visit(StateOf(parameters_[i], ".exp_avg_sq", tensors_[i].exp_avg_sq));
    }
  }
};

/// Lion with a float32 moment.
class PlainLionW : public OptimizerOf<LionWTensor> {
 public:
  using OptimizerOf::OptimizerOf;

  void LayOut(Arena& moments, Arena& /*metadata*/) override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      tensors_[i].exp_avg = LayOutPlain(parameters_[i], ".exp_avg", moments);
    }
  }

  void Update(Context& ctx, const UpdateScalars& scalars) override {
    LionW(ctx,
          {.tensors = TensorsOf(scalars),
           .settings = {.learning_rate = scalars.learning_rate, .beta1 = config_.betas[0], .beta2 = config_.betas[1]},
           .selective = config_.selective_updates,
           .absmax = scalars.absmax});
  }

  void ForEachState(const std::function<void(const StateTensor&)>& visit) const override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      visit(StateOf(parameters_[i], ".exp_avg", tensors_[i].exp_avg));
    }
  }
};

/// COAT's AdamW: both moments in FP8, with dynamic range expansion where it is on (CoatAdamW, CoatOLMoAdamW).
class Fp8AdamW : public OptimizerOf<CoatAdamWTensor> {
 public:
  Fp8AdamW(const OptimizerConfig& config, const QuantizeOptimizerConfig& quantize,
           std::span<const Parameter> parameters)
      : OptimizerOf(config, parameters), quantize_(quantize) {}

  void LayOut(Arena& moments, Arena& metadata) override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      tensors_[i].exp_avg = LayOutMoment(parameters_[i], ".exp_avg", quantize_.first_order_bit,
                                         quantize_.first_order_expansion, moments, metadata);
      tensors_[i].exp_avg_sq = LayOutMoment(parameters_[i], ".exp_avg_sq", quantize_.second_order_bit,
                                            quantize_.second_order_expansion, moments, metadata);
    }
  }

  void Update(Context& ctx, const UpdateScalars& scalars) override {
    CoatAdamW(ctx, {.tensors = TensorsOf(scalars),
                    .group = quantize_.qgroup_size,
                    .expand_min = quantize_.expand_min,
                    .settings = SettingsOf(config_, scalars),
                    .absmax = scalars.absmax});
  }

  void ForEachState(const std::function<void(const StateTensor&)>& visit) const override {
    const auto visit_moment = [&](const Parameter& parameter, const std::string& suffix, const ExpandedMoment& moment) {
      const std::int64_t group = quantize_.qgroup_size;
      visit(StateOf(parameter, suffix, moment.codes));
      visit(GroupStateOf(parameter, suffix + ".absmax", moment.absmax, group));
      if (moment.exponent) visit(GroupStateOf(parameter, suffix + ".exponent", moment.exponent, group));
    };
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      visit_moment(parameters_[i], ".exp_avg", tensors_[i].exp_avg);
      visit_moment(parameters_[i], ".exp_avg_sq", tensors_[i].exp_avg_sq);
    }
  }

 private:
  ExpandedMoment LayOutMoment(const Parameter& parameter, const char* suffix, Fp8Format format, Expansion expansion,
                              Arena& moments, Arena& metadata) const {
    const std::string name = parameter.name + suffix;
    const Shape groups = {DivideUp(parameter.value.elements(), quantize_.qgroup_size)};
    ExpandedMoment moment;
    moment.codes =
        moments.Tensor(name, parameter.value.shape(), format == Fp8Format::kE4M3 ? DType::kE4M3 : DType::kE5M2);
    moment.absmax = metadata.Tensor(name + ".absmax", groups, DType::kF32);
    if (expansion == Expansion::kOn) moment.exponent = metadata.Tensor(name + ".exponent", groups, DType::kF32);
    return moment;
  }

  QuantizeOptimizerConfig quantize_;
};

}  // namespace

std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerConfig& optimizer, const QuantizeOptimizerConfig& quantize,
                                         std::span<const Parameter> parameters) {
  if (quantize.use_quantize_optimizer) return std::make_unique<Fp8AdamW>(optimizer, quantize, parameters);
  if (optimizer.name == OptimizerName::kLionW) return std::make_unique<PlainLionW>(optimizer, parameters);
  return std::make_unique<PlainAdamW>(optimizer, parameters);
}

}  // namespace coat
