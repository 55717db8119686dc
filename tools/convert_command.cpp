#include <fmt/format.h>

#include <filesystem>
#include <map>

#include "base/error.h"
#include "checkpoint/convert.h"
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

/// Throws UsageError unless the conversion is from one kind to the other.
void CheckTarget(const ConvertArguments& arguments, ModelKind source) {
  const std::string target = source == ModelKind::kCheckpoint ? "hf" : "coat";
  if (!arguments.to.empty() && arguments.to != "hf" && arguments.to != "coat") {
    throw UsageError(fmt::format("--to: found {}; accepted: hf, coat", arguments.to));
  }
  if (!arguments.to.empty() && arguments.to != target) {
    throw UsageError(
        fmt::format("--to: {} is of the kind {} already; accepted: {}", arguments.from, arguments.to, target));
  }
  if (source == ModelKind::kCheckpoint) return;
  if (arguments.dtype && TypeOf(*arguments.dtype) != FloatType::kFloat32) {
    throw UsageError(
        fmt::format("--dtype: found {}; accepted: float32, which parameters of a checkpoint have", *arguments.dtype));
  }
  if (arguments.shard_bytes) throw UsageError("--shard_size: a checkpoint is one file; accepted with --to hf");
}

}  // namespace

int RunConvertCommand(const ConvertArguments& arguments) {
  if (arguments.from.empty() || arguments.to_folder.empty()) {
    throw UsageError("convert: expected the model to read and the folder to write; see coat convert --help");
  }
  const ModelKind source = KindOfModel(arguments.from);
  CheckTarget(arguments, source);
  RequireApart(arguments.from, arguments.to_folder);
  const IfExists if_exists = arguments.overwrite ? IfExists::kReplace : IfExists::kRefuse;
  ConversionResult result;
  if (source == ModelKind::kCheckpoint) {
    ExportOptions options = {.if_exists = if_exists};
    if (arguments.dtype) options.type = TypeOf(*arguments.dtype);
    if (arguments.shard_bytes) options.shard_bytes = *arguments.shard_bytes;
    result = ExportToHf(arguments.from, arguments.to_folder, options);
  } else {
    result = ImportFromHf(arguments.from, arguments.to_folder, if_exists);
  }
  Print(fmt::format("{} parameters in {} tensors, {} file{} in {}\n", result.parameters, result.tensors, result.files,
                    result.files == 1 ? "" : "s", arguments.to_folder));
  return kExitSuccess;
}

}  // namespace coat
