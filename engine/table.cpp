// The function table of one variant.
#include "simd.h"
#include "kernels.h"

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

namespace chainrule::VARIANT {
extern const Kernels kernels = {
    TEXT(VARIANT),
    {nullptr, map, reduce, gemm, conv, window, gather, scatter, scan, sort, random, copy, probe, attention, recurrent, loop, layer_norm, factor},
};
}
