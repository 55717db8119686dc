#include "config/dump.h"

#include "config/tree.h"
#include "config/yaml_text.h"

namespace coat {

std::string Dump(const TrainConfig& config) {
  return YamlText(ToNode(config));
}

}  // namespace coat
