#include "convert/consolidate.h"

#include <set>

#include "checkpoint/checkpoint_reader.h"
#include "checkpoint/checkpoint_tensors.h"
#include "checkpoint/directory.h"
#include "convert/output_folder.h"

namespace coat {

bool IsInParts(const std::string& folder) {
  return CheckpointReader(folder).Contains(IndexFileName(kModelFile));
}

ConversionResult Consolidate(const std::string& from, const std::string& to, const WriteOptions& options,
                             bool weights_only) {
  const CheckpointReader reader(from);
  const CheckpointTensors model(reader, kModelFile);
  ConversionResult result = {.tensors = static_cast<std::int64_t>(model.tensors().size()), .parameters = 0, .files = 1};
  for (const PartedTensor& tensor : model.tensors()) result.parameters += ElementsOf(tensor.whole);

  OutputFolder folder(to, options.if_exists);
  std::int64_t done = 0;
  std::vector<FileRecord> records = {WriteWhole(model, folder.FilePath(kModelFile), [&](std::int64_t elements) {
    options.progress(done += elements, result.parameters);
  })};
  std::set<std::string> written(model.files().begin(), model.files().end());
  written.insert(IndexFileName(kModelFile));
  if (CheckpointTensors::Has(reader, kOptimizerFile)) {
    const CheckpointTensors optimizer(reader, kOptimizerFile);
    if (!weights_only) {
      records.push_back(WriteWhole(optimizer, folder.FilePath(kOptimizerFile),
                                   [&](std::int64_t) { options.progress(done, result.parameters); }));
    }
    written.insert(optimizer.files().begin(), optimizer.files().end());
    written.insert(IndexFileName(kOptimizerFile));
  }
  for (const FileRecord& file : reader.state().files) {
    if (!written.contains(file.name)) records.push_back(folder.WriteText(file.name, reader.ReadFile(file.name)));
  }
  TrainerState state = weights_only ? TrainerState() : reader.state();
  state.files = std::move(records);
  folder.WriteText(kTrainerStateFile, FormatTrainerState(state));
  options.progress(done, result.parameters);  // who wants to stop can still do so
  folder.Commit();
  return result;
}

}  // namespace coat
