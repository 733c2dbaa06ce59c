// The function table: one per instruction-set variant, picked when the engine loads.
#pragma once
#include "tape.h"

namespace chainrule {

typedef int32_t (*Kernel)(const Step&);  // 0, or step.fail(...)

struct Kernels {
  const char* name;               // of the variant
  Kernel family[FAMILIES];        // indexed by Family; END is null
};

}  // namespace chainrule

// Every kernel file includes this and defines its functions in namespace chainrule::VARIANT; table.cpp fills `kernels`.
#ifdef VARIANT
namespace chainrule::VARIANT {
int32_t map(const Step&);
int32_t reduce(const Step&);
int32_t gemm(const Step&);
int32_t conv(const Step&);
int32_t window(const Step&);
int32_t gather(const Step&);
int32_t scatter(const Step&);
int32_t scan(const Step&);
int32_t sort(const Step&);
int32_t random(const Step&);
int32_t copy(const Step&);
int32_t attention(const Step&);
int32_t recurrent(const Step&);
int32_t loop(const Step&);
int32_t layer_norm(const Step&);
int32_t probe(const Step&);
int32_t factor(const Step&);

// A part of a pointwise step over matrices: of matrix `batch` the rows [row, row + rows) and columns [column, column + columns) of so
// many columns in all. The body is that of a map of rank 3 without the rank and the dims.
struct Part {
  int64_t batch, row, column;
  int rows, columns, width;
};
void map_part(const Step&, const int32_t* body, const Part&);
extern const Kernels kernels;
}  // namespace chainrule::VARIANT
#endif
