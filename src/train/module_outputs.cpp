#include "train/module_outputs.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "base/error.h"
#include "base/file_system.h"
#include "checkpoint/safetensors.h"
#include "engine/run_checkpoint.h"

namespace coat {

ModuleOutputs::ModuleOutputs(const std::string& save_folder, std::int64_t step, bool overwrite)
    : folder_(fmt::format("{}/traces/step{}", save_folder, step)) {
  if (std::filesystem::exists(folder_)) {
    if (!overwrite) {
      throw IoError(
          fmt::format("{} exists; accepted: --save_overwrite to write over it, or another save_folder", folder_));
    }
    std::error_code error;
    std::filesystem::remove_all(folder_, error);
    if (error) throw IoError(fmt::format("{} cannot be removed: {}", folder_, error.message()));
  }
  MakeFolders(folder_);
}

void ModuleOutputs::See(const Context& ctx, std::string_view part, std::span<const Arena::Entry> tensors) {
  std::vector<TensorInfo> infos;
  for (const Arena::Entry& entry : tensors) infos.push_back(FileInfo(entry.name, entry.tensor));
  SafetensorsWriter writer(fmt::format("{}/{}.safetensors", folder_, part), std::move(infos), {{"format", "pt"}});
  std::vector<std::byte> copy;
  for (const TensorInfo& info : writer.tensors()) {
    for (const Arena::Entry& entry : tensors) {
      if (entry.name != info.name) continue;
      copy.resize(static_cast<std::size_t>(entry.tensor.bytes()));
      ctx.Download(entry.tensor, copy.data());
      writer.Write(info.name, copy);
    }
  }
  writer.Finish();
}

}  // namespace coat
