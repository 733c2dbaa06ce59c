// Types of stored elements, by the codes of src/core/dtype.ts.
#pragma once
#include <stdint.h>

namespace chainrule {
enum DType : int32_t { FLOAT32 = 0, FLOAT64 = 1, BFLOAT16 = 2, FLOAT16 = 3, INT32 = 4, UINT8 = 5, BOOL = 6 };
}
