#pragma once
// How the checks of a configuration report what they find. For validate*.cpp.

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>

#include "config/config.h"
#include "config/validate.h"

namespace coat {

class ConfigChecker {
 public:
  ConfigChecker(const TrainConfig& config, ValidationReport& report) : sources_(config.sources), report_(report) {}

  /// Throws ConfigError "configs/x.yaml:14: model.n_heads: what".
  [[noreturn]] void Fail(std::string_view path, std::string_view what) const;
  void Warn(std::string_view path, std::string_view what);
  /// A key that has no effect beside the others, and why.
  void NoteWithoutEffect(std::string_view path, std::string_view why);

  /// For counts that have no sensible upper limit.
  static constexpr std::int64_t kNoLimit = std::int64_t{1} << 62;

  /// Throws unless the value is within least..most; by default as large as the product of two of them allows.
  void RequireWithin(std::string_view path, std::int64_t value, std::int64_t least,
                     std::int64_t most = std::numeric_limits<std::int32_t>::max()) const;
  void RequireWithin(std::string_view path, std::optional<std::int64_t> value, std::int64_t least,
                     std::int64_t most = std::numeric_limits<std::int32_t>::max()) const;
  /// Throws unless the value is above 0; at least 0. Neither beyond what float32 holds, which it is computed with.
  void RequirePositive(std::string_view path, std::optional<double> value) const;
  void RequireNotNegative(std::string_view path, std::optional<double> value) const;

  bool IsSet(std::string_view path) const { return sources_.IsSet(path); }

 private:
  const Sources& sources_;
  ValidationReport& report_;
};

/// Each throws ConfigError through `checker` or returns.
void CheckKeys(const TrainConfig& config, ConfigChecker& checker, ValidationReport& report);
void CheckModel(const ModelConfig& model, ConfigChecker& checker);
void CheckOptimizer(const TrainConfig& config, ConfigChecker& checker);
void CheckSchedule(const TrainConfig& config, ConfigChecker& checker);
void CheckTrainer(const TrainConfig& config, ConfigChecker& checker);
void CheckData(const TrainConfig& config, const ValidateOptions& options, ConfigChecker& checker);
void CheckRecipe(const TrainConfig& config, ConfigChecker& checker);
void CheckRanks(const TrainConfig& config, int ranks, ConfigChecker& checker);

}  // namespace coat
