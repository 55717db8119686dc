#include "checkpoint/directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <tuple>

#include "base/error.h"
#include "base/file_system.h"
#include "base/mapped_file.h"
#include "base/system_call.h"
#include "checkpoint/file_names.h"
#include "checkpoint/quoted.h"
#include "checkpoint/trainer_state.h"

namespace coat {

namespace {

bool RemoveSuffix(std::string_view& text, std::string_view suffix) {
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  return true;
}

std::string PathOf(const std::string& folder, std::string_view name) {
  return fmt::format("{}/{}", folder, name);
}

/// Whether AtomicFile gives this name to a configuration that is being written.
bool IsPartialConfig(std::string_view name) {
  const std::string prefix = std::string(kConfigFile) + ".partial-";
  if (!name.starts_with(prefix)) return false;
  const std::string_view number = name.substr(prefix.size());
  return number.size() == 8 && number.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// Clears `name` away if it is one of our temporary names. Returns what was done, nothing for other names.
std::optional<std::string> ClearLeftover(const std::string& folder, const std::string& name) {
  const std::string path = PathOf(folder, name);
  if (IsPartialConfig(name) && KindOf(path) == PathKind::kFile) {
    RemoveTree(path);
    return fmt::format("removed {}, left unfinished by an earlier run", path);
  }
  std::string_view original = name;
  if (!RemoveSuffix(original, kTemporarySuffix)) return std::nullopt;
  const bool is_link =
      original == LatestLinkName(CheckpointKind::kSharded) || original == LatestLinkName(CheckpointKind::kUnsharded);
  if (is_link ? KindOf(path) == PathKind::kLink : ParseCheckpointName(original).has_value()) {
    RemoveTree(path);
    return fmt::format("removed {}, left unfinished by an earlier run", path);
  }
  original = name;
  if (RemoveSuffix(original, kRemovedSuffix) && ParseCheckpointName(original)) {
    RemoveTree(path);
    return fmt::format("removed {}, half removed by an earlier run", path);
  }
  original = name;
  if (RemoveSuffix(original, kReplacedSuffix) && ParseCheckpointName(original)) {
    const std::string original_path = PathOf(folder, original);
    if (KindOf(original_path) != PathKind::kMissing) {
      RemoveTree(path);
      return fmt::format("removed {}, which {} replaces", path, original_path);
    }
    Rename(path, original_path);
    SyncFolder(folder);
    return fmt::format("restored {}, which an earlier run was about to replace", original_path);
  }
  return std::nullopt;
}

}  // namespace

std::string CheckpointName::text() const {
  return fmt::format("step{}{}", step, kind == CheckpointKind::kSharded ? "" : "-unsharded");
}

std::optional<CheckpointName> ParseCheckpointName(std::string_view text) {
  constexpr std::string_view kPrefix = "step";
  if (!text.starts_with(kPrefix)) return std::nullopt;
  text.remove_prefix(kPrefix.size());
  CheckpointName name;
  if (RemoveSuffix(text, "-unsharded")) name.kind = CheckpointKind::kUnsharded;
  if (text.empty() || text.front() == '-') return std::nullopt;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, name.step);
  if (error != std::errc() || stop != end) return std::nullopt;
  return name;
}

std::string LatestLinkName(CheckpointKind kind) {
  return kind == CheckpointKind::kSharded ? "latest" : "latest-unsharded";
}

bool IsWholeCheckpoint(const std::string& path) {
  return KindOf(PathOf(path, kTrainerStateFile)) == PathKind::kFile &&
         KindOf(PathOf(path, kConfigFile)) == PathKind::kFile;
}

std::optional<std::int64_t> RunOf(const std::string& path) {
  try {
    const MappedFile file(PathOf(path, kTrainerStateFile));
    const TrainerState state = ParseTrainerState(file.text(), file.path());
    return state.extra.run_in_save_folder.value_or(0);
  } catch (const IoError&) {
    return std::nullopt;
  }
}

LatestCheckpoint FindLatestCheckpoint(const std::string& folder) {
  LatestCheckpoint latest;
  if (KindOf(folder) == PathKind::kMissing) return latest;
  struct Candidate {
    CheckpointName name;
    std::string path;
    bool is_whole;
    std::optional<std::int64_t> run;
  };
  std::vector<Candidate> candidates;
  for (const std::string& text : ListFolder(folder)) {
    const std::optional<CheckpointName> name = ParseCheckpointName(text);
    if (!name) continue;
    const std::string path = PathOf(folder, text);
    const bool is_whole = IsWholeCheckpoint(path);
    candidates.push_back({*name, path, is_whole, is_whole ? RunOf(path) : std::nullopt});
    latest.run = std::max(latest.run, candidates.back().run.value_or(0));
  }
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(b.name.step, a.name.kind, a.path) < std::tie(a.name.step, b.name.kind, b.path);
  });
  for (const Candidate& candidate : candidates) {
    if (!candidate.is_whole) {
      latest.incomplete.push_back(candidate.path);
    } else if (candidate.run.value_or(latest.run) == latest.run) {
      latest.path = candidate.path;
      break;
    }
  }
  return latest;
}

std::vector<std::string> PrepareSaveFolder(const std::string& folder) {
  MakeFolders(folder);
  if (::access(folder.c_str(), W_OK | X_OK) != 0) throw SystemError(folder, "saved in", errno);
  std::vector<std::string> done;
  for (const std::string& name : ListFolder(folder)) {
    if (std::optional<std::string> line = ClearLeftover(folder, name)) done.push_back(std::move(*line));
  }
  return done;
}

void RemoveCheckpoint(const std::string& folder, const std::string& name) {
  COAT_REQUIRE(ParseCheckpointName(name).has_value(),
               "RemoveCheckpoint: {} is no name of a checkpoint, such as step100", Quoted(name));
  const std::string path = PathOf(folder, name);
  if (KindOf(path) == PathKind::kMissing) return;
  const std::string aside = path + std::string(kRemovedSuffix);
  RemoveTree(aside);
  Rename(path, aside);
  SyncFolder(folder);
  RemoveTree(aside);
}

void ApplyRetention(const std::string& folder, std::vector<std::string>& names, std::int64_t keep) {
  COAT_REQUIRE(keep >= -1, "ApplyRetention: keep is {}; expected -1 (all) or a count", keep);
  if (keep == -1) return;
  while (names.size() > static_cast<std::size_t>(keep)) {
    RemoveCheckpoint(folder, names.front());
    names.erase(names.begin());
  }
}

std::vector<std::string> ExistingCheckpoints(const std::string& folder, const std::vector<std::string>& names) {
  std::vector<std::string> existing;
  for (const std::string& name : names) {
    if (ParseCheckpointName(name) && IsWholeCheckpoint(PathOf(folder, name))) existing.push_back(name);
  }
  return existing;
}

}  // namespace coat
