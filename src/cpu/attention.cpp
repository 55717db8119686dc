#include "ops/attention.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "base/divide.h"
#include "cpu/blas.h"
#include "cpu/key_tiles.h"
#include "cpu/lanes.h"
#include "cpu/log_of_sum.h"
#include "numerics/elementary.h"
#include "ops/visit.h"

// Tiles of queries meet tiles of keys in float32, through the BLAS; tiles that the mask hides are skipped. The
// tiles' sizes depend on K alone and one task does all that is summed together, so results do not depend on the number
// of threads.

namespace coat::cpu {

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// Keys whose gradients one task of the backward op sums: as many as fit into the workspace beside the tiles.
constexpr std::int64_t SpanRows(std::int64_t head_size) {
  const std::int64_t key_rows = KeyRows(head_size);
  const std::int64_t tiles = kKeptFloats + 3 * kQueryRows * head_size + 2 * kQueryRows * key_rows + kQueryRows;
  const std::int64_t left = Context::kWorkspaceBytes / static_cast<std::int64_t>(sizeof(float)) - tiles;
  return left / (2 * head_size) / key_rows * key_rows;
}
static_assert(SpanRows(kMaxHeadSize) > 0);

/// Extents of a problem, and where the heads lie in a row of qkv.
struct Layout {
  std::int64_t sequences, tokens, heads, kv_heads, head_size;

  std::int64_t group() const { return heads / kv_heads; }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  std::int64_t out_width() const { return heads * head_size; }
  std::int64_t query_column(std::int64_t head) const { return head * head_size; }
  std::int64_t key_column(std::int64_t kv_head) const { return (heads + kv_head) * head_size; }
  std::int64_t value_column(std::int64_t kv_head) const { return (heads + kv_heads + kv_head) * head_size; }
  float scale() const { return static_cast<float>(1.0 / std::sqrt(static_cast<double>(head_size))); }
};

template <class Args>
Layout LayoutOf(const Args& args) {
  const Shape& lse = args.lse.shape();
  return {lse[0], lse[2], args.heads, args.kv_heads, args.out.shape()[1] / args.heads};
}

/// The keys [begin, end) of a tile, none where begin >= end.
struct VisibleKeys {
  std::int64_t begin, end;

  /// Hides the scores of the others: writes -infinity, whose exp is 0, before `begin`, and behind `end` up to a whole
  /// number of lanes. Returns where it stopped.
  std::int64_t HideOthers(float* scores) const {
    const std::int64_t whole_lanes = RoundUp(end, kLanes);
    std::fill(scores, scores + std::min(begin, end), -kInfinity);
    std::fill(scores + end, scores + whole_lanes, -kInfinity);
    return whole_lanes;
  }
};

/// Where the documents of one sequence begin, a position for each; without documents the sequence is one.
class Documents {
 public:
  Documents(ConstTensorView documents, std::int64_t first_row)
      : starts_(documents ? documents.As<std::int32_t>() + first_row : nullptr) {}

  /// In [0, position], whatever the tensor holds.
  std::int64_t Start(std::int64_t position) const {
    return starts_ == nullptr ? 0 : std::clamp<std::int64_t>(starts_[position], 0, position);
  }
  /// The keys that the query at `position` sees among `count` from `first` on, counted from there; end > 0.
  VisibleKeys Visible(std::int64_t position, std::int64_t first, std::int64_t count) const {
    return {std::max<std::int64_t>(Start(position) - first, 0), std::min(count, position + 1 - first)};
  }
  /// The first key of the first tile of which the query or one after it sees something.
  std::int64_t FirstTile(std::int64_t query, std::int64_t key_rows) const { return Start(query) / key_rows * key_rows; }

 private:
  const std::int32_t* starts_;
};

/// The softmax of one query so far: its largest score, and the sum of exp(score - largest).
struct RunningSoftmax {
  float largest = -kInfinity;
  float sum = 0.0f;

  /// Replaces `count` scores by exp(score - largest). Returns the factor for what was weighted before.
  float Take(float* scores, std::int64_t count) {
    const float tile_largest = LaneMax(count, [scores](std::int64_t i) { return scores[i]; });
    const float new_largest = tile_largest > largest ? tile_largest : largest;
    for (std::int64_t i = 0; i < count; ++i) scores[i] = Exp(scores[i] - new_largest);
    const float factor = Exp(largest - new_largest);
    sum = sum * factor + LaneSum(count, [scores](std::int64_t i) { return scores[i]; });
    largest = new_largest;
    return factor;
  }
};

/// Attention of one head of one sequence.
template <class T>
void ForwardOfHead(const AttentionForwardArgs& args, const Layout& layout, std::int64_t sequence, std::int64_t head,
                   float* workspace) {
  const std::int64_t size = layout.head_size;
  const std::int64_t key_rows = KeyRows(size);
  const std::int64_t stride = layout.width();
  const std::int64_t kv_head = head / layout.group();
  const T* rows = args.qkv.As<T>() + sequence * layout.tokens * stride;
  float* lse = args.lse.As<float>() + (sequence * layout.heads + head) * layout.tokens;
  const Documents documents(args.documents, sequence * layout.tokens);
  KeyTiles<T> tiles(rows + layout.key_column(kv_head), rows + layout.value_column(kv_head), stride, size, workspace);
  float* query_tile = workspace + kKeptFloats;
  float* sums = query_tile + kQueryRows * size;
  float* scores = sums + kQueryRows * size;

  for (std::int64_t query = 0; query < layout.tokens; query += kQueryRows) {
    const std::int64_t queries = std::min(kQueryRows, layout.tokens - query);
    const Rows q = LoadRows(rows + query * stride + layout.query_column(head), stride, queries, size, query_tile);
    RunningSoftmax softmax[kQueryRows];
    const std::int64_t first_key = documents.FirstTile(query, key_rows);
    tiles.ForEach(first_key, query + queries, [&](const typename KeyTiles<T>::Tile& tile) {
      const auto& [key, keys, k, v] = tile;
      Sgemm(false, true, queries, keys, size, layout.scale(), q.data, q.stride, k.data, k.stride, 0.0f, scores,
            key_rows);
      for (std::int64_t r = 0; r < queries; ++r) {
        const VisibleKeys visible = documents.Visible(query + r, key, keys);
        float* row = scores + r * key_rows;
        if (visible.begin >= visible.end) {
          std::fill(row, row + keys, 0.0f);
          continue;
        }
        const std::int64_t end = visible.HideOthers(row);
        const float factor = softmax[r].Take(row, end);
        std::fill(row + end, row + std::max(end, keys), 0.0f);
        if (key == first_key) continue;
        for (std::int64_t c = 0; c < size; ++c) sums[r * size + c] *= factor;
      }
      Sgemm(false, false, queries, size, keys, 1.0f, scores, key_rows, v.data, v.stride, key == first_key ? 0.0f : 1.0f,
            sums, size);
    });
    for (std::int64_t r = 0; r < queries; ++r) {
      const float reciprocal = 1.0f / softmax[r].sum;
      for (std::int64_t c = 0; c < size; ++c) sums[r * size + c] *= reciprocal;
      lse[query + r] = softmax[r].largest + LogOfSum(softmax[r].sum);
    }
    T* out = args.out.As<T>() + (sequence * layout.tokens + query) * layout.out_width() + layout.query_column(head);
    StoreRows(sums, queries, size, out, layout.out_width());
  }
}

/// Gradients of the keys and values [begin, end) of one key and value head of one sequence, and of the queries at the
/// same positions. If the span is not the whole sequence, probabilities are computed twice for queries and keys of
/// different spans: once in the keys' task, once in the queries'.
template <class T>
class BackwardOfSpan {
 public:
  BackwardOfSpan(const AttentionBackwardArgs& args, const Layout& layout, std::int64_t sequence, std::int64_t kv_head,
                 std::int64_t begin, std::int64_t end, float* workspace)
      : args_(args),
        layout_(layout),
        size_(layout.head_size),
        key_rows_(KeyRows(size_)),
        first_row_(sequence * layout.tokens),
        lse_row_(sequence * layout.heads),
        kv_head_(kv_head),
        begin_(begin),
        end_(end),
        documents_(args.documents, sequence * layout.tokens),
        tiles_(Qkv(0, layout.key_column(kv_head)), Qkv(0, layout.value_column(kv_head)), layout.width(), size_,
               workspace),
        query_tile_(workspace + kKeptFloats),
        d_out_tile_(query_tile_ + kQueryRows * size_),
        d_query_(d_out_tile_ + kQueryRows * size_),
        probabilities_(d_query_ + kQueryRows * size_),
        d_scores_(probabilities_ + kQueryRows * key_rows_),
        delta_(d_scores_ + kQueryRows * key_rows_),
        d_key_(delta_ + kQueryRows),
        d_value_(d_key_ + (end - begin) * size_) {}

  void Run() {
    std::fill(d_key_, d_key_ + (end_ - begin_) * size_, 0.0f);
    std::fill(d_value_, d_value_ + (end_ - begin_) * size_, 0.0f);
    for (std::int64_t head = kv_head_ * layout_.group(); head < (kv_head_ + 1) * layout_.group(); ++head) {
      for (std::int64_t query = begin_; query < layout_.tokens; query += kQueryRows) AddQueries(head, query);
    }
    StoreRows(d_key_, end_ - begin_, size_, DQkv(begin_, layout_.key_column(kv_head_)), layout_.width());
    StoreRows(d_value_, end_ - begin_, size_, DQkv(begin_, layout_.value_column(kv_head_)), layout_.width());
  }

 private:
  const T* Qkv(std::int64_t position, std::int64_t column) const {
    return args_.qkv.As<T>() + (first_row_ + position) * layout_.width() + column;
  }
  T* DQkv(std::int64_t position, std::int64_t column) const {
    return args_.d_qkv.As<T>() + (first_row_ + position) * layout_.width() + column;
  }

  /// One tile of queries of one head against the keys of the span that it sees; if it belongs to the span, against all.
  void AddQueries(std::int64_t head, std::int64_t query) {
    const std::int64_t queries = std::min(kQueryRows, layout_.tokens - query);
    const bool in_span = query < end_;
    const std::int64_t column = layout_.query_column(head);
    const std::int64_t out_offset = (first_row_ + query) * layout_.out_width() + column;
    const T* out = args_.out.As<T>() + out_offset;
    const Rows q = LoadRows(Qkv(query, column), layout_.width(), queries, size_, query_tile_);
    const Rows d_out = LoadRows(args_.d_out.As<T>() + out_offset, layout_.out_width(), queries, size_, d_out_tile_);
    for (std::int64_t r = 0; r < queries; ++r) {
      delta_[r] = LaneSum(size_, [d = d_out.data + r * d_out.stride,
                                  o = out + r * layout_.out_width()](std::int64_t c) { return d[c] * ToFloat(o[c]); });
    }
    const std::int64_t key_end = in_span ? query + queries : end_;
    const std::int64_t first_key = std::max(in_span ? 0 : begin_, documents_.FirstTile(query, key_rows_));
    tiles_.ForEach(first_key, key_end, [&](const typename KeyTiles<T>::Tile& tile) {
      const auto& [key, keys, k, v] = tile;
      Sgemm(false, true, queries, keys, size_, layout_.scale(), q.data, q.stride, k.data, k.stride, 0.0f,
            probabilities_, key_rows_);
      Sgemm(false, true, queries, keys, size_, 1.0f, d_out.data, d_out.stride, v.data, v.stride, 0.0f, d_scores_,
            key_rows_);
      SoftmaxBackward(args_.lse.As<float>() + (lse_row_ + head) * layout_.tokens, query, queries, key, keys);
      if (key >= begin_) {
        Sgemm(true, false, keys, size_, queries, 1.0f, probabilities_, key_rows_, d_out.data, d_out.stride, 1.0f,
              d_value_ + (key - begin_) * size_, size_);
        Sgemm(true, false, keys, size_, queries, layout_.scale(), d_scores_, key_rows_, q.data, q.stride, 1.0f,
              d_key_ + (key - begin_) * size_, size_);
      }
      if (in_span) {
        Sgemm(false, false, queries, size_, keys, layout_.scale(), d_scores_, key_rows_, k.data, k.stride,
              key == first_key ? 0.0f : 1.0f, d_query_, size_);
      }
    });
    if (in_span) StoreRows(d_query_, queries, size_, DQkv(query, column), layout_.width());
  }

  /// From scores to probabilities, and from their gradients to those of the scores, for `queries` positions from
  /// `query` on and `keys` from `key` on. A score rounds differently here than in the forward op, so that it may exceed
  /// lse by a little, or by much if it is very large; a probability may not exceed 1.
  void SoftmaxBackward(const float* lse, std::int64_t query, std::int64_t queries, std::int64_t key,
                       std::int64_t keys) {
    for (std::int64_t r = 0; r < queries; ++r) {
      const float row_lse = lse[query + r];
      const float delta = delta_[r];
      float* __restrict p = probabilities_ + r * key_rows_;
      float* __restrict d = d_scores_ + r * key_rows_;
      const std::int64_t end = documents_.Visible(query + r, key, keys).HideOthers(p);
      for (std::int64_t i = 0; i < end; ++i) {
        const float logarithm = p[i] - row_lse;
        p[i] = Exp(logarithm > 0.0f ? 0.0f : logarithm);
        d[i] = p[i] * (d[i] - delta);
      }
      std::fill(p + end, p + std::max(end, keys), 0.0f);
      std::fill(d + end, d + std::max(end, keys), 0.0f);
    }
  }

  const AttentionBackwardArgs& args_;
  const Layout& layout_;
  const std::int64_t size_;
  const std::int64_t key_rows_;
  const std::int64_t first_row_;
  const std::int64_t lse_row_;
  const std::int64_t kv_head_;
  const std::int64_t begin_;
  const std::int64_t end_;
  const Documents documents_;
  KeyTiles<T> tiles_;
  float* const query_tile_;
  float* const d_out_tile_;
  float* const d_query_;
  float* const probabilities_;
  float* const d_scores_;
  float* const delta_;
  float* const d_key_;
  float* const d_value_;
};

}  // namespace

void AttentionForward(Context& ctx, const AttentionForwardArgs& args) {
  const Layout layout = LayoutOf(args);
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    ctx.ParallelFor(layout.sequences * layout.heads, [&](std::int64_t task, int worker) {
      ForwardOfHead<T>(args, layout, task / layout.heads, task % layout.heads,
                       reinterpret_cast<float*>(ctx.Workspace(worker)));
    });
  });
}

void AttentionBackward(Context& ctx, const AttentionBackwardArgs& args) {
  const Layout layout = LayoutOf(args);
  const std::int64_t span = SpanRows(layout.head_size);
  const std::int64_t spans = DivideUp(layout.tokens, span);
  VisitPlain(args.qkv.dtype(), [&]<class T>() {
    ctx.ParallelFor(layout.sequences * layout.kv_heads * spans, [&](std::int64_t task, int worker) {
      const std::int64_t begin = task % spans * span;
      const std::int64_t head = task / spans;
      BackwardOfSpan<T>(args, layout, head / layout.kv_heads, head % layout.kv_heads, begin,
                        std::min(begin + span, layout.tokens), reinterpret_cast<float*>(ctx.Workspace(worker)))
          .Run();
    });
  });
}

}  // namespace coat::cpu
