#pragma once
#include "gemm.h"

namespace chainrule::VARIANT {

// Whether the product was small, and is done. `alone`: no other thread would take part in it.
#if CHAINRULE_AVX512
bool small_product(const MatMul<float>& job, Strided<float> a, Strided<float> b, bool alone);
#else
inline bool small_product(const MatMul<float>&, Strided<float>, Strided<float>, bool) { return false; }
#endif
template <class T> bool small_product(const MatMul<T>&, Strided<T>, Strided<T>, bool) { return false; }

}  // namespace chainrule::VARIANT
