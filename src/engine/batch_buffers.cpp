#include "engine/batch_buffers.h"

#include "base/error.h"

namespace coat {

void BatchBuffers::LayOut(std::int64_t tokens, bool has_documents, Arena& batch) {
  ids_ = batch.Tensor("ids", {tokens}, DType::kI32);
  labels_ = batch.Tensor("labels", {tokens}, DType::kI32);
  if (has_documents) documents_ = batch.Tensor("documents", {tokens}, DType::kI32);
  loss_ = batch.Tensor("loss", {tokens}, DType::kF32);
  z_squared_ = batch.Tensor("z_squared", {tokens}, DType::kF32);
  weights_ = batch.Tensor("loss.weights", {2}, DType::kF32);
}

MicroBatch BatchBuffers::Of(std::int64_t sequences, std::int64_t tokens, bool has_documents) const {
  return {ids_.Rows(0, tokens),
          has_documents ? documents_.Rows(0, tokens) : TensorView(),
          sequences,
          {.labels = labels_.Rows(0, tokens),
           .loss = loss_.Rows(0, tokens),
           .z_squared = z_squared_.Rows(0, tokens),
           .weights = weights_}};
}

MicroBatch BatchBuffers::Load(const Context& ctx, std::span<const std::int32_t> ids,
                              std::span<const std::int32_t> labels, std::int64_t sequences,
                              std::span<const std::int32_t> documents) const {
  const auto tokens = static_cast<std::int64_t>(ids.size());
  COAT_REQUIRE(tokens <= ids_.elements() && labels.size() == ids.size(),
               "a batch of {} ids and {} labels does not fit the {} that the run was laid out for", ids.size(),
               labels.size(), ids_.elements());
  COAT_REQUIRE(documents.empty() || (documents_ && documents.size() == ids.size()),
               "a batch of {} ids has the documents of {}; accepted: as many, or none, and none unless "
               "generate_doc_lengths is set",
               ids.size(), documents.size());
  ctx.Upload(ids.data(), ids_.Rows(0, tokens));
  ctx.Upload(labels.data(), labels_.Rows(0, tokens));
  if (!documents.empty()) ctx.Upload(documents.data(), documents_.Rows(0, tokens));
  return Of(sequences, tokens, !documents.empty());
}

void BatchBuffers::LoadWeights(const Context& ctx, float of_loss, float of_z_squared) {
  const std::array<float, 2> weights = {of_loss, of_z_squared};
  if (loaded_weights_ == weights) return;
  ctx.Upload(weights.data(), weights_);
  loaded_weights_ = weights;
}

std::span<const float> BatchBuffers::Download(const Context& ctx, ConstTensorView losses) {
  host_losses_.resize(static_cast<std::size_t>(losses.elements()));
  ctx.Download(losses, host_losses_.data());
  return host_losses_;
}

}  // namespace coat
