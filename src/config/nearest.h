#pragma once
// The name that somebody may have meant.

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace coat {

/// Insertions, deletions, replacements and swaps of neighbors that lead from `a` to `b`.
std::size_t EditDistance(std::string_view a, std::string_view b);

/// "did you mean n_heads?" if one of `names` is within a third of its length (at least 2 edits, fewer than all its
/// letters), else "accepted: a, b, c".
std::string DidYouMean(std::string_view name, std::span<const std::string> names);

}  // namespace coat
