// The instructions of the block VM: op_<name> over a block, for each compute type.
#include "vm.h"

namespace chainrule::VARIANT {

// Cheap operations run unrolled, but where room is dear; the last, partial vector is masked.
#ifdef __wasm__
#define UNROLL _Pragma("GCC unroll 1")
#else
#define UNROLL _Pragma("GCC unroll 4")
#endif
template <class T, class F> INLINE void each1(void* dst, const void* a, int n, F f) {
  T* out = static_cast<T*>(dst);
  const T* x = static_cast<const T*>(a);
  int i = 0;
  UNROLL
  for (; i + lanes<T> <= n; i += lanes<T>) store(out + i, f(load(x + i)));
  if (i < n) store_first(out + i, f(load_first(x + i, n - i)), n - i);
}
template <class T, class F> INLINE void each2(void* dst, const void* a, const void* b, int n, F f) {
  T* out = static_cast<T*>(dst);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
  int i = 0;
  UNROLL
  for (; i + lanes<T> <= n; i += lanes<T>) store(out + i, f(load(x + i), load(y + i)));
  if (i < n) store_first(out + i, f(load_first(x + i, n - i), load_first(y + i, n - i)), n - i);
}
template <class T, class F> INLINE void each3(void* dst, const void* a, const void* b, const void* c, int n, F f) {
  T* out = static_cast<T*>(dst);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b), *z = static_cast<const T*>(c);
  int i = 0;
  for (; i + lanes<T> <= n; i += lanes<T>) store(out + i, f(load(x + i), load(y + i), load(z + i)));
  if (i < n) store_first(out + i, f(load_first(x + i, n - i), load_first(y + i, n - i), load_first(z + i, n - i)), n - i);
}
// Functions are long: one copy of the body serves whole vectors and the last one.
template <class T, class F> INLINE void long1(void* dst, const void* a, int n, F f) {
  T* out = static_cast<T*>(dst);
  const T* x = static_cast<const T*>(a);
#pragma GCC unroll 1
  for (int i = 0; i < n; i += lanes<T>) {
    const bool whole = i + lanes<T> <= n;
    const Vec<T> y = f(whole ? load(x + i) : load_first(x + i, n - i));
    if (whole) store(out + i, y);
    else store_first(out + i, y, n - i);
  }
}
template <class T, class F> INLINE void long2(void* dst, const void* a, const void* b, int n, F f) {
  T* out = static_cast<T*>(dst);
  const T *x = static_cast<const T*>(a), *y = static_cast<const T*>(b);
#pragma GCC unroll 1
  for (int i = 0; i < n; i += lanes<T>) {
    const bool whole = i + lanes<T> <= n;
    const Vec<T> p = whole ? load(x + i) : load_first(x + i, n - i), q = whole ? load(y + i) : load_first(y + i, n - i), z = f(p, q);
    if (whole) store(out + i, z);
    else store_first(out + i, z, n - i);
  }
}

#define CHEAP1(name) \
  template <class T> void run_##name(void* d, const void* a, const void*, const void*, int n) { \
    each1<T>(d, a, n, [](Vec<T> x) { return op_##name(x); });                                   \
  }
#define CHEAP2(name) \
  template <class T> void run_##name(void* d, const void* a, const void* b, const void*, int n) { \
    each2<T>(d, a, b, n, [](Vec<T> x, Vec<T> y) { return op_##name(x, y); });                     \
  }
#define CHEAP3(name) \
  template <class T> void run_##name(void* d, const void* a, const void* b, const void* c, int n) { \
    each3<T>(d, a, b, c, n, [](Vec<T> x, Vec<T> y, Vec<T> z) { return op_##name(x, y, z); });       \
  }
#define LONG1(name) \
  template <class T> void run_##name(void* d, const void* a, const void*, const void*, int n) { \
    long1<T>(d, a, n, [](Vec<T> x) { return op_##name(x); });                                   \
  }
#define LONG2(name) \
  template <class T> void run_##name(void* d, const void* a, const void* b, const void*, int n) { \
    long2<T>(d, a, b, n, [](Vec<T> x, Vec<T> y) { return op_##name(x, y); });                     \
  }
CHAINRULE_INSTRUCTIONS(CHEAP1, CHEAP2, CHEAP3, LONG1, LONG2, LONG1, LONG2, CHEAP1, CHEAP2)

// Computed in another type, a stretch at a time: functions of integers and those of floats that need the digits in double,
// bits of floats in int32.
template <class T, class Via> NOINLINE void through(Instruction run, void* dst, const void* a, const void* b, int n) {
  constexpr int STRETCH = 64;
  Via x[STRETCH], y[STRETCH];
  for (int i = 0; i < n; i += STRETCH) {
    const int count = n - i < STRETCH ? n - i : STRETCH;
    load_stretch(static_cast<const T*>(a) + i, x, count);
    load_stretch(static_cast<const T*>(b) + i, y, count);
    run(x, x, y, nullptr, count);
    store_stretch(x, static_cast<T*>(dst) + i, count);
  }
}
template <class T, class Via, Instruction run> void by(void* dst, const void* a, const void* b, const void*, int n) {
  through<T, Via>(run, dst, a, b, n);
}

#define OWN_FLOAT(name) run_##name<float>,
#define OWN_DOUBLE(name) run_##name<double>,
#define OWN_INT(name) run_##name<int32_t>,
#define FLOAT_IN_DOUBLE(name) by<float, double, run_##name<double>>,
#define FLOAT_IN_INT(name) by<float, int32_t, run_##name<int32_t>>,
#define DOUBLE_IN_INT(name) by<double, int32_t, run_##name<int32_t>>,
#define INT_IN_DOUBLE(name) by<int32_t, double, run_##name<double>>,
// Of the functions of two numbers, some have an integer form.
#define INT_FUNCTION2(name) INT_FUNCTION2_##name(name)
#define INT_FUNCTION2_pow OWN_INT
#define INT_FUNCTION2_fmod OWN_INT
#define INT_FUNCTION2_remainder OWN_INT
#define INT_FUNCTION2_atan2 INT_IN_DOUBLE
#define INT_FUNCTION2_polygamma INT_IN_DOUBLE

static const Instruction float_table[] = {CHAINRULE_INSTRUCTIONS(
    OWN_FLOAT, OWN_FLOAT, OWN_FLOAT, OWN_FLOAT, OWN_FLOAT, FLOAT_IN_DOUBLE, FLOAT_IN_DOUBLE, FLOAT_IN_INT, FLOAT_IN_INT)};
static const Instruction double_table[] = {CHAINRULE_INSTRUCTIONS(
    OWN_DOUBLE, OWN_DOUBLE, OWN_DOUBLE, OWN_DOUBLE, OWN_DOUBLE, OWN_DOUBLE, OWN_DOUBLE, DOUBLE_IN_INT, DOUBLE_IN_INT)};
static const Instruction int_table[] = {CHAINRULE_INSTRUCTIONS(
    OWN_INT, OWN_INT, OWN_INT, INT_IN_DOUBLE, INT_FUNCTION2, INT_IN_DOUBLE, INT_FUNCTION2, OWN_INT, OWN_INT)};
extern const Instruction* const instruction_tables[3] = {float_table, double_table, int_table};

}  // namespace chainrule::VARIANT
