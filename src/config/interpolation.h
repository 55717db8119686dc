#pragma once
// `${...}`: references to other keys, and resolvers.

#include "config/node.h"

namespace coat {

/// A copy of `root` with every `${...}` in its scalars replaced.
///
/// `${a.b[0]}` is the value of that key, counted from the top of the file: of `root` or else of `defaults`, whose texts
/// are taken as they are. Alone in a scalar it keeps its kind (null, list, mapping, number); within a text it must be a
/// scalar. `${name:argument,...}` calls a resolver (config/resolvers.h); arguments may be quoted and may hold further
/// `${...}`. `\${` is the text `${`.
/// Throws ConfigError with file, line and key path for what does not exist, for a circle of references, for a `${` that
/// is not closed and for references that multiply beyond 1,000,000 values or 1 MB of text.
Node Interpolate(const Node& root, const Node& defaults, bool check_paths);

}  // namespace coat
