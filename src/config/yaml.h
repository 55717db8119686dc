#pragma once
// YAML text to Node. The only place that knows which YAML library is used.

#include <string>

#include "config/node.h"

namespace coat {

/// The one document in `text`, whose top must be a mapping; an empty text is an empty mapping. `name` stands for the
/// file in origins and messages. Anchors, aliases and merge keys (`<<`) are resolved.
/// Throws ConfigError with file and line for a syntax error, a key that stands twice or is no scalar, a tag, several
/// documents, or a document of more than 64 levels or 1,000,000 values.
Node ParseYamlFile(const std::string& text, const std::string& name);

/// A single value, as on the command line after `--key.path=`. Every node gets the origin "on the command line".
/// Throws ConfigError as above, with `argument` in the message.
Node ParseYamlArgument(const std::string& text, const std::string& argument);

}  // namespace coat
