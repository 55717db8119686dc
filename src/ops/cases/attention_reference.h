#pragma once
// Attention and its gradients in double, straight from the definition, and how far a backend may be from them; for the
// cases of attention's ops.

#include <cstdint>
#include <string>
#include <vector>

#include "ops/cases/op_case.h"

namespace coat {

/// The sizes and the kind of data of a case.
struct AttentionShape {
  DType dtype = DType::kF32;
  std::int64_t sequences = 1, positions = 1, heads = 1, kv_heads = 1, head_size = 1;
  Data data = Data::kNormal;
  std::int64_t nan_query = -1;  // a position whose first query is NaN
  // Lengths of documents, taken in turn along all sequences; the end of a sequence ends its last one. Empty: no
  // documents.
  std::vector<std::int64_t> documents = {};

  std::int64_t tokens() const { return sequences * positions; }
  std::int64_t width() const { return (heads + 2 * kv_heads) * head_size; }
  double scale() const;
  std::int64_t kv_head(std::int64_t head) const { return head / (heads / kv_heads); }
  /// The position at which each token's document begins, [B, T]; all 0 without documents.
  std::vector<std::int64_t> DocumentStarts() const;
  std::string Name() const;
};

/// A matrix of doubles.
struct Matrix {
  std::int64_t columns = 0;
  std::vector<double> values;

  Matrix(std::int64_t row_count, std::int64_t column_count)
      : columns(column_count), values(static_cast<std::size_t>(row_count * column_count), 0.0) {}
  double* operator[](std::int64_t row) { return values.data() + row * columns; }
  const double* operator[](std::int64_t row) const { return values.data() + row * columns; }
};

/// One query head of one sequence.
struct ExactAttention {
  std::vector<std::int64_t> first;  // [T]: the first key that a query sees
  Matrix q, k, v;
  Matrix scores;            // [T, T], scaled
  Matrix magnitudes;        // [T, T]: sum |q k| / sqrt(K)
  Matrix probabilities;     // [T, T], 0 where masked
  std::vector<double> lse;  // [T]
  Matrix out;               // [T, K]

  ExactAttention(const AttentionShape& shape, ConstTensorView qkv, std::int64_t sequence, std::int64_t head);
};

/// How far softmax may carry each probability if every score is off by up to `error`, whatever its size.
///
/// A probability is 1 / (1 + exp(-x)), x being its score less the log of the sum of exp of all others: x is off by up
/// to twice the error. So where the best score leads by more than that, it has the weight 1, and the others have none.
std::vector<double> ProbabilityErrors(const double* scores, std::int64_t count, double error);

/// What one rounding of a probability or of a score's gradient to bf16 may cost, relative to what it weighs, on
/// backends that multiply them on tensor cores: half of the last of 8 significant bits, at a power of two.
double AttentionWeightRounding(const AttentionShape& shape, const Checker& checker);

/// Gradients in double of sum(d_out * attention(qkv)), and bounds of their errors, [N, (H + 2 Hk) K] each.
///
/// The errors are the first-order effects of each rounding: a score by (K + 2) roundings of its terms, lse by one, a
/// probability by both, by the subtraction and by Exp; d_out v by K roundings; sum(d_out out) by K and by out's own;
/// the sums over positions (and the heads of a group) by one a term. A probability is at most 1, whatever its error.
///
/// Backends on tensor cores compute dV = P^T dO, dK = dS^T Q and dQ = dS K from P and dS in bf16: every term errs by
/// AttentionWeightRounding more. dS itself comes from P, dO V^T and sum(dO O) in float32. Where G query heads share a
/// key head, dK and dV are those sums for each query head, in bf16, and then the sums of G of them: half an ulp of each
/// of the G is added, which is not small next to dK and dV where one head dominates or two cancel.
class ExactAttentionGradients {
 public:
  /// From the operands "qkv" and "d_out".
  ExactAttentionGradients(const AttentionShape& shape, const Operands& operands, const Checker& checker);

  Matrix exact, bound;

 private:
  /// What one query head adds to the gradients of its query, its key and its value: 3 K columns.
  struct HeadSums;
  void AddHead(const AttentionShape& shape, const Operands& operands, std::int64_t sequence, std::int64_t head);
  /// Adds `count` columns from `begin` on to those from `column` on in the rows from `first_row` on.
  void AddColumns(const HeadSums& own, std::int64_t begin, std::int64_t first_row, std::int64_t column,
                  std::int64_t count, bool rounded);

  double weight_rounding_;
  bool rounds_heads_;
};

}  // namespace coat
