#include "ops/op_case.h"
