#pragma once
// The functions of `${name:argument,...}`: path.glob, path.choose, path.last_checkpoint, path.check_exist, oc.env.

#include <span>
#include <string>
#include <string_view>

#include "config/node.h"

namespace coat {

/// Whether `text` begins with a scheme and `://`: s3://bucket/x.
bool IsUrl(std::string_view text);

/// The value of resolver `name` for `arguments` (scalars and nulls).
///
///   path.glob:p1,p2,...      the sorted matches of each pattern, one pattern after the other; a list
///   path.choose:p1,p2,...    the first that is a URL or exists
///   path.last_checkpoint:d   the folder `stepN` or `stepN-unsharded` in d with the largest N; of the same N the first
///   path.check_exist:p       p if it exists, else null
///   oc.env:NAME,default      the environment variable, always a text; or the default, null included
///
/// Where nothing matches, path.glob, path.choose and path.last_checkpoint throw ConfigError if `check_paths`, and else
/// give an empty list, p1 and d. Throws ConfigError, starting with `where`, also for a wrong number of arguments
/// and for a name that is none of these.
Node Resolve(std::string_view name, std::span<const Node> arguments, const std::string& where, bool check_paths);

}  // namespace coat
