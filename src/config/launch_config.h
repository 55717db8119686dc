#pragma once
// Sections about how a run is launched and watched. Field names are OLMo's keys, values its defaults.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/enumerations.h"
#include "config/field.h"

namespace coat {

struct WandbConfig {
  std::optional<std::string> project = std::nullopt;
  std::optional<std::string> entity = "ai2-llm";
  std::optional<std::string> group = std::nullopt;
  std::optional<std::string> name = std::nullopt;
  std::optional<std::vector<std::string>> tags = std::vector<std::string>{"watching"};
  bool log_artifacts = false;
  bool rank_zero_only = true;
  std::int64_t log_interval = 1;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("project", self.project, Honored("project to import to"));
    visit("entity", self.entity, Honored("user or team to import to; null: the default of who imports"));
    visit("group", self.group, Honored("group of the imported run"));
    visit("name", self.name, Honored("name of the imported run; null: run_name"));
    visit("tags", self.tags, Honored("tags of the imported run"));
    visit("log_artifacts", self.log_artifacts, NoEffect("not read by OLMo either"));
    visit("rank_zero_only", self.rank_zero_only, NoEffect("there is one record of a run"));
    visit("log_interval", self.log_interval, Honored("import every so many steps, and all evaluations"));
  }
};

struct SpeedMonitorConfig {
  std::int64_t window_size = 100;
  std::optional<double> gpu_flops_available = std::nullopt;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("window_size", self.window_size, Honored("steps over which speed is averaged"));
    visit("gpu_flops_available", self.gpu_flops_available, NoEffect("not read by OLMo either"));
  }
};

struct CompilerConfig {
  std::optional<std::string> mode = std::nullopt;
  bool fullgraph = false;
  std::string backend = "inductor";
  std::optional<bool> dynamic = std::nullopt;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("mode", self.mode, NoEffect("of torch.compile"));
    visit("fullgraph", self.fullgraph, NoEffect("of torch.compile"));
    visit("backend", self.backend, NoEffect("of torch.compile"));
    visit("dynamic", self.dynamic, NoEffect("of torch.compile"));
  }
};

struct FsdpConfig {
  bool use_orig_params = true;
  ShardingStrategy sharding_strategy = ShardingStrategy::kFullShard;
  std::optional<FsdpWrapStrategy> wrapping_strategy = std::nullopt;
  std::optional<FsdpPrecision> precision = FsdpPrecision::kPure;
  std::optional<std::int64_t> hybrid_sharding_num_model_replicas = std::nullopt;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("use_orig_params", self.use_orig_params, NoEffect("of torch's FSDP: parameters keep their shapes here"));
    visit(
        "sharding_strategy", self.sharding_strategy,
        Honored("what ranks share: FULL_SHARD everything; SHARD_GRAD_OP gradients and the optimizer's state; NO_SHARD "
                "nothing; HYBRID_SHARD and _HYBRID_SHARD_ZERO2 the same as the first two within each replica"));
    visit("wrapping_strategy", self.wrapping_strategy,
          NoEffect("of torch's FSDP: weights are gathered where they are used"));
    visit("precision", self.precision,
          Honored("type in which gradients are summed over ranks: pure, that of `precision`; mixed or null, float32"));
    visit("hybrid_sharding_num_model_replicas", self.hybrid_sharding_num_model_replicas,
          Honored("copies of the model that the hybrid strategies keep; divides the ranks; null: one a machine"));
  }
};

struct DdpConfig {
  DdpGradSyncMode grad_sync_mode = DdpGradSyncMode::kBatch;
  bool find_unused_params = false;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("grad_sync_mode", self.grad_sync_mode,
          Honored("sum gradients over ranks once a step, or after each micro-batch"));
    visit("find_unused_params", self.find_unused_params, NoEffect("of torch's DDP: every parameter has a gradient"));
  }
};

struct SingleConfig {
  SingleDevice device = SingleDevice::kAuto;

  template <class Self, class Visitor>
  static void Fields(Self& self, Visitor&& visit) {
    visit("device", self.device, Only("auto, cpu, cuda", "device to train on where --device is auto"));
  }
};

}  // namespace coat
