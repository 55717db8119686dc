#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>
#include <utility>

#include "base/error.h"
#include "convert/consolidate.h"
#include "convert/convert.h"
#include "output/console.h"
#include "output/stop_signal.h"
#include "tools/commands.h"
#include "tools/output.h"

namespace coat {

namespace {

namespace fs = std::filesystem;

/// Throws UsageError if to replace `to` would remove `from`.
void RequireApart(const std::string& from, const std::string& to) {
  const fs::path source = fs::weakly_canonical(from);
  const fs::path target = fs::weakly_canonical(fs::path(to) / "");
  const fs::path relative = source.lexically_relative(target.has_filename() ? target : target.parent_path());
  if (!relative.empty() && *relative.begin() != "..") {
    throw UsageError(fmt::format("convert: {} is in {}; accepted: another folder to write", from, to));
  }
}

FloatType TypeOf(const std::string& dtype) {
  for (const FloatType type : {FloatType::kFloat32, FloatType::kBFloat16, FloatType::kFloat16}) {
    if (TorchName(type) == dtype) return type;
  }
  throw UsageError(fmt::format("--dtype: found {}; accepted: float32, bfloat16, float16", dtype));
}

NativeNames NamesOf(const std::string& names) {
  if (names == "olmo") return NativeNames::kOlmo;
  if (names == "coat") return NativeNames::kCoat;
  throw UsageError(fmt::format("--names: found {}; accepted: olmo, coat", names));
}

/// Our names of the kinds, as --to takes them.
constexpr std::array<std::pair<std::string_view, ModelKind>, 3> kKinds = {
    {{"coat", ModelKind::kCheckpoint}, {"hf", ModelKind::kHuggingFace}, {"olmo", ModelKind::kOlmo}}};

/// The kind to write: the one asked for, or what `source` is not.
ModelKind TargetOf(const ConvertArguments& arguments, ModelKind source) {
  if (arguments.to.empty()) {
    return source == ModelKind::kCheckpoint ? ModelKind::kHuggingFace : ModelKind::kCheckpoint;
  }
  for (const auto& [name, kind] : kKinds) {
    if (name != arguments.to) continue;
    if (kind == ModelKind::kCheckpoint && source == kind && !IsInParts(arguments.from)) {
      throw UsageError(
          fmt::format("--to: {} is of the kind {} already, and of one rank; accepted: hf, olmo", arguments.from, name));
    }
    return kind;
  }
  throw UsageError(fmt::format("--to: found {}; accepted: coat, hf, olmo", arguments.to));
}

WriteOptions OptionsOf(const ConvertArguments& arguments, ModelKind target) {
  WriteOptions options;
  options.if_exists = arguments.overwrite ? IfExists::kReplace : IfExists::kRefuse;
  if (arguments.dtype) options.type = TypeOf(*arguments.dtype);
  if (target == ModelKind::kCheckpoint && options.type != FloatType::kFloat32) {
    throw UsageError(
        fmt::format("--dtype: found {}; accepted: float32, which parameters of a checkpoint have", *arguments.dtype));
  }
  if (arguments.shard_bytes && target != ModelKind::kHuggingFace) {
    throw UsageError("--shard_size: a checkpoint is one file; accepted with --to hf");
  }
  if (arguments.names) {
    if (target != ModelKind::kOlmo)
      throw UsageError("--names: the other formats have one kind; accepted with --to olmo");
    options.names = NamesOf(*arguments.names);
  }
  options.shard_bytes = arguments.shard_bytes.value_or(options.shard_bytes);
  return options;
}

std::string ProgressText(std::int64_t done, std::int64_t total) {
  return fmt::format("convert  {:.1f}%  {:.1f} of {:.1f} million parameters",
                     100.0 * static_cast<double>(done) / static_cast<double>(total), static_cast<double>(done) / 1e6,
                     static_cast<double>(total) / 1e6);
}

void PrintResult(const ConversionResult& result, const std::string& folder) {
  Print(fmt::format("{} parameters in {} tensors, {} file{} in {}\n", result.parameters, result.tensors, result.files,
                    result.files == 1 ? "" : "s", folder));
}

/// Has `write` write the folder. A signal that asks to stop ends it at the next progress: what it has written goes
/// away, and then the process ends as that signal ends it.
ConversionResult WriteUnlessStopped(WriteOptions options,
                                    const std::function<ConversionResult(const WriteOptions&)>& write) {
  struct Stopped {
    int signal;
  };
  try {
    const StopSignal stop;
    options.progress = [&, show = options.progress](std::int64_t done, std::int64_t total) {
      if (stop.requested()) throw Stopped{stop.number()};
      show(done, total);
    };
    return write(options);
  } catch (const Stopped& stopped) {
    ::raise(stopped.signal);
    throw Error("stopped by a signal");  // which is ignored where there was no StopSignal
  }
}

}  // namespace

int RunConvertCommand(const ConvertArguments& arguments) {
  if (arguments.from.empty() || arguments.to_folder.empty()) {
    throw UsageError("convert: expected the model to read and the folder to write; see coat convert --help");
  }
  const ModelKind source = KindOfModel(arguments.from);
  const ModelKind target = TargetOf(arguments, source);
  WriteOptions options = OptionsOf(arguments, target);
  RequireApart(arguments.from, arguments.to_folder);
  // Results go to standard output, so progress is shown where errors are.
  Console console(DetectConsole(STDERR_FILENO));
  options.progress = [&](std::int64_t done, std::int64_t total) { console.ShowProgress(ProgressText(done, total)); };
  if (source == target && source == ModelKind::kCheckpoint) {
    const ConversionResult result = WriteUnlessStopped(options, [&](const WriteOptions& watched) {
      return Consolidate(arguments.from, arguments.to_folder, watched, arguments.weights_only);
    });
    console.ClearProgress();
    PrintResult(result, arguments.to_folder);
    return kExitSuccess;
  }
  const Model model = OpenModel(arguments.from, arguments.weights_only);
  const ConversionResult result = WriteUnlessStopped(
      options, [&](const WriteOptions& watched) { return WriteModel(model, target, arguments.to_folder, watched); });
  console.ClearProgress();
  PrintResult(result, arguments.to_folder);
  const bool takes_training = target == ModelKind::kCheckpoint && !arguments.weights_only;
  for (const std::string& file : model.training_files) {
    Print(fmt::format("{}: {}\n", takes_training ? "taken over" : "not taken over", file));
  }
  if (model.hf && target != ModelKind::kHuggingFace) {
    for (const std::string& what : model.hf->only_there) Print(fmt::format("not taken over: {}\n", what));
  }
  if (target == ModelKind::kOlmo) {
    Print("written without optim.pt and train.pt: start OLMo with --reset_optimizer_state --reset_trainer_state\n");
  }
  return kExitSuccess;
}

}  // namespace coat
