#include "config/load.h"

#include <fmt/core.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <utility>

#include "base/error.h"
#include "config/interpolation.h"
#include "config/overrides.h"
#include "config/reader.h"
#include "config/scalar.h"
#include "config/tree.h"
#include "config/yaml.h"

namespace coat {

namespace {

constexpr std::size_t kMaxFileBytes = 16 << 20;

std::string ReadFile(const std::string& path) {
  const auto fail = [&](const std::string& what) {
    throw ConfigError(fmt::format("{}: {}; accepted: a YAML file", path, what));
  };
  const auto close = [](std::FILE* file) { std::fclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "rb"), close);
  if (file == nullptr) fail(std::strerror(errno));
  std::string text(kMaxFileBytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) fail(std::strerror(errno));
  if (text.size() > kMaxFileBytes) fail("more than 16 MiB");
  return text;
}

/// Old spellings to those of today.
void RewriteOldKeys(Node& root) {
  Node* const checkpointing = root.Find("activation_checkpointing");
  if (checkpointing != nullptr && checkpointing->kind == Node::Kind::kScalar) {
    if (const std::optional<bool> on = ParseBool(checkpointing->text)) {
      const Origin origin = checkpointing->origin;
      *checkpointing = *on ? Node::Scalar("whole_layer", false, origin) : Node::Null(origin);
    }
  }
  Node* const optimizer = root.Find("optimizer");
  Node* const name = optimizer == nullptr ? nullptr : optimizer->Find("name");
  if (name != nullptr && name->kind == Node::Kind::kScalar && name->text == "decoupled_lionw") {
    name->text = "lionw";
    std::erase_if(optimizer->entries, [](const NodeEntry& entry) { return entry.key == "eps"; });
  }
}

/// Multiples of `ranks` on either side of a batch that is none.
std::string NearestBatches(std::int64_t batch, int ranks) {
  const std::int64_t below = batch / ranks * ranks;
  return below > 0 ? fmt::format("{} or {}", below, below + ranks) : fmt::format("{}", ranks);
}

void FillComputed(TrainConfig& config, int world_size) {
  if (config.global_train_batch_size % world_size != 0) {
    throw ConfigError(fmt::format("{}: found {}; accepted with {} ranks: a multiple of {}, such as {}",
                                  config.sources.Where("global_train_batch_size"), config.global_train_batch_size,
                                  world_size, world_size, NearestBatches(config.global_train_batch_size, world_size)));
  }
  config.device_train_batch_size = config.global_train_batch_size / world_size;
  config.device_train_grad_accum.reset();
  if (config.device_train_microbatch_size > 0) {
    config.device_train_grad_accum = *config.device_train_batch_size / config.device_train_microbatch_size;
  }
  config.model.precision = config.precision;
  if (const std::optional<bool> no_decay = std::exchange(config.optimizer.no_decay_norm_and_bias, std::nullopt)) {
    config.optimizer.decay_norm_and_bias = config.optimizer.decay_embeddings = !*no_decay;
  }
}

}  // namespace

TrainConfig ParseTrainConfig(const std::string& text, const std::string& name, std::span<const std::string> overrides,
                             const LoadOptions& options) {
  Node root = ParseYamlFile(text, name);
  ApplyOverrides(overrides, root);
  root = Interpolate(root, ToNode(TrainConfig()), options.check_paths);
  RewriteOldKeys(root);
  TrainConfig config = ReadTrainConfig(root);
  config.sources.SetFile(name);
  FillComputed(config, options.world_size);
  return config;
}

TrainConfig LoadTrainConfig(const std::string& path, std::span<const std::string> overrides,
                            const LoadOptions& options) {
  return ParseTrainConfig(ReadFile(path), path, overrides, options);
}

}  // namespace coat
