#include "optim/optimizer.h"

#include <vector>

#include "base/divide.h"
#include "ops/adamw.h"
#include "ops/coat_adamw.h"
#include "ops/lion.h"
#include "optim/groups.h"

namespace coat {

namespace {

/// A parameter with its weight decay.
struct Decayed {
  const Parameter* parameter;
  double weight_decay;
};

std::vector<Decayed> WithDecay(const OptimizerConfig& config, std::span<const Parameter> parameters) {
  const std::vector<int> groups = ParameterGroups(config, parameters);
  std::vector<Decayed> decayed;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    decayed.push_back({&parameters[i], groups[i] == 0 ? config.weight_decay : 0.0});
  }
  return decayed;
}

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

/// AdamW with float32 moments.
class PlainAdamW : public Optimizer {
 public:
  PlainAdamW(const OptimizerConfig& config, std::span<const Parameter> parameters)
      : config_(config), parameters_(WithDecay(config, parameters)) {}

  void LayOut(Arena& moments, Arena& /*metadata*/) override {
    for (const Decayed& decayed : parameters_) {
      const Parameter& parameter = *decayed.parameter;
      states_.push_back({moments.Tensor(parameter.name + ".exp_avg", parameter.value.shape(), DType::kF32),
                         moments.Tensor(parameter.name + ".exp_avg_sq", parameter.value.shape(), DType::kF32)});
    }
  }

  void Update(Context& ctx, const UpdateScalars& scalars) override {
    std::vector<AdamWTensor> tensors;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Parameter& parameter = *parameters_[i].parameter;
      tensors.push_back({.param = parameter.value,
                         .grad = parameter.grad,
                         .exp_avg = states_[i].exp_avg,
                         .exp_avg_sq = states_[i].exp_avg_sq,
                         .grad_scale = scalars.grad_scale.Rows(static_cast<std::int64_t>(i), 1),
                         .weight_decay = parameters_[i].weight_decay});
    }
    AdamW(ctx, {.tensors = tensors,
                .settings = SettingsOf(config_, scalars),
                .selective = config_.selective_updates,
                .absmax = scalars.absmax});
  }

  void ForEachState(const std::function<void(const StateTensor&)>& visit) const override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Parameter& parameter = *parameters_[i].parameter;
      visit(StateOf(parameter, ".exp_avg", states_[i].exp_avg));
      visit(StateOf(parameter, ".exp_avg_sq", states_[i].exp_avg_sq));
    }
  }

 private:
  struct State {
    TensorView exp_avg, exp_avg_sq;
  };

  OptimizerConfig config_;
  std::vector<Decayed> parameters_;
  std::vector<State> states_;
};

/// Lion with a float32 moment.
class PlainLionW : public Optimizer {
 public:
  PlainLionW(const OptimizerConfig& config, std::span<const Parameter> parameters)
      : config_(config), parameters_(WithDecay(config, parameters)) {}

  void LayOut(Arena& moments, Arena& /*metadata*/) override {
    for (const Decayed& decayed : parameters_) {
      const Parameter& parameter = *decayed.parameter;
      moments_.push_back(moments.Tensor(parameter.name + ".exp_avg", parameter.value.shape(), DType::kF32));
    }
  }

  void Update(Context& ctx, const UpdateScalars& scalars) override {
    std::vector<LionWTensor> tensors;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Parameter& parameter = *parameters_[i].parameter;
      tensors.push_back({.param = parameter.value,
                         .grad = parameter.grad,
                         .exp_avg = moments_[i],
                         .grad_scale = scalars.grad_scale.Rows(static_cast<std::int64_t>(i), 1),
                         .weight_decay = parameters_[i].weight_decay});
    }
    LionW(ctx,
          {.tensors = tensors,
           .settings = {.learning_rate = scalars.learning_rate, .beta1 = config_.betas[0], .beta2 = config_.betas[1]},
           .selective = config_.selective_updates,
           .absmax = scalars.absmax});
  }

  void ForEachState(const std::function<void(const StateTensor&)>& visit) const override {
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      visit(StateOf(*parameters_[i].parameter, ".exp_avg", moments_[i]));
    }
  }

 private:
  OptimizerConfig config_;
  std::vector<Decayed> parameters_;
  std::vector<TensorView> moments_;
};

/// COAT's AdamW: both moments in FP8, with dynamic range expansion where it is on (CoatAdamW, CoatOLMoAdamW).
class Fp8AdamW : public Optimizer {
 public:
  Fp8AdamW(const OptimizerConfig& config, const QuantizeOptimizerConfig& quantize,
           std::span<const Parameter> parameters)
      : config_(config), quantize_(quantize), parameters_(WithDecay(config, parameters)) {}

  void LayOut(Arena& moments, Arena& metadata) override {
    for (const Decayed& decayed : parameters_) {
      const Parameter& parameter = *decayed.parameter;
      states_.push_back({LayOutMoment(parameter, ".exp_avg", quantize_.first_order_bit, quantize_.first_order_expansion,
                                      moments, metadata),
                         LayOutMoment(parameter, ".exp_avg_sq", quantize_.second_order_bit,
                                      quantize_.second_order_expansion, moments, metadata)});
    }
  }

  void Update(Context& ctx, const UpdateScalars& scalars) override {
    std::vector<CoatAdamWTensor> tensors;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Parameter& parameter = *parameters_[i].parameter;
      tensors.push_back({.param = parameter.value,
                         .grad = parameter.grad,
                         .exp_avg = states_[i].exp_avg,
                         .exp_avg_sq = states_[i].exp_avg_sq,
                         .grad_scale = scalars.grad_scale.Rows(static_cast<std::int64_t>(i), 1),
                         .weight_decay = parameters_[i].weight_decay});
    }
    CoatAdamW(ctx, {.tensors = tensors,
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
      visit_moment(*parameters_[i].parameter, ".exp_avg", states_[i].exp_avg);
      visit_moment(*parameters_[i].parameter, ".exp_avg_sq", states_[i].exp_avg_sq);
    }
  }

 private:
  struct State {
    ExpandedMoment exp_avg, exp_avg_sq;
  };

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

  OptimizerConfig config_;
  QuantizeOptimizerConfig quantize_;
  std::vector<Decayed> parameters_;
  std::vector<State> states_;
};

}  // namespace

std::unique_ptr<Optimizer> MakeOptimizer(const OptimizerConfig& optimizer, const QuantizeOptimizerConfig& quantize,
                                         std::span<const Parameter> parameters) {
  if (quantize.use_quantize_optimizer) return std::make_unique<Fp8AdamW>(optimizer, quantize, parameters);
  if (optimizer.name == OptimizerName::kLionW) return std::make_unique<PlainLionW>(optimizer, parameters);
  return std::make_unique<PlainAdamW>(optimizer, parameters);
}

}  // namespace coat
