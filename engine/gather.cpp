// Gather: elements taken by an int32 tensor along one dim.
#include "indexed.h"

namespace chainrule::VARIANT {

namespace {

struct GatherStep {
  bool wrap;
  int32_t size, stride, rank;
  const int32_t* dims;
  View x, index, out;
  int64_t rows, columns;
};

#if CHAINRULE_AVX512
constexpr int SHORT = 64;              // elements
#else
constexpr int SHORT = 0;               // there are none
#endif

#if CHAINRULE_AVX512 || CHAINRULE_AVX2
// COUNT vectors of a row; false, and nothing written, where an index is outside. All are read before one is written: where both sides lie
// alike in their pages, a read would wait for the write before it.
template <int COUNT> INLINE bool gather_some(const GatherStep& g, const int32_t* from, vi ramp, const int32_t* index, int32_t* to) {
  vi values[COUNT], bad = {};
#pragma GCC unroll 4
  for (int v = 0; v < COUNT; ++v) {
    vi at = load(index + v * LANES);
    if (g.wrap) at += (at < 0) & g.size;
    bad |= (at < 0) | (at >= g.size);
    values[v] = at * g.stride + ramp + v * LANES * ramp[1];
  }
  if (any(bad)) return false;
#pragma GCC unroll 4
  for (int v = 0; v < COUNT; ++v) {
#if CHAINRULE_AVX512
    values[v] = (vi)_mm512_i32gather_epi32((__m512i)values[v], from, 4);
#else
    values[v] = (vi)_mm256_i32gather_epi32(from, (__m256i)values[v], 4);
#endif
  }
#pragma GCC unroll 4
  for (int v = 0; v < COUNT; ++v) store(to + v * LANES, values[v]);
  return true;
}
#endif

// Elements of a row by whole vectors, as far as all indices are inside: how many.
template <class S> INLINE int64_t gather_vectors(const GatherStep& g, const S* from, int64_t step, const int32_t* index, S* to, int64_t n) {
  int64_t i = 0;
#if CHAINRULE_AVX512 || CHAINRULE_AVX2
  if constexpr (sizeof(S) == 4) {
    constexpr int SOME = 4;
    if (int64_t(g.size) * g.stride + SOME * LANES * step >= INT32_MAX) return 0;
    const int32_t* const base = reinterpret_cast<const int32_t*>(from);
    int32_t* const out = reinterpret_cast<int32_t*>(to);
    vi ramp;
    for (int k = 0; k < LANES; ++k) ramp[k] = k * int32_t(step);
    while (i + SOME * LANES <= n && gather_some<SOME>(g, base + i * step, ramp, index + i, out + i)) i += SOME * LANES;
    while (i + 2 * LANES <= n && gather_some<2>(g, base + i * step, ramp, index + i, out + i)) i += 2 * LANES;
    while (i + LANES <= n && gather_some<1>(g, base + i * step, ramp, index + i, out + i)) i += LANES;
  }
#endif
  return i;
}

// The same from a short row, which is looked up in registers.
template <class S> INLINE int64_t gather_short(const GatherStep& g, const S* from, const int32_t* index, S* to, int64_t n) {
  int64_t i = 0;
#if CHAINRULE_AVX512
  if constexpr (sizeof(S) == 4) {
    const int32_t size = g.size, wrapped = g.wrap ? size : 0;
    __m512i row[4];
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      const int left = size - v * LANES;
      row[v] = (__m512i)load_first(reinterpret_cast<const int32_t*>(from) + (left > 0 ? v * LANES : 0), left < 0 ? 0 : left < LANES ? left : LANES);
    }
    for (; i < n; i += LANES) {
      const int some = n - i < LANES ? int(n - i) : LANES;
      vi at = load_first(index + i, some);
      at += (at < 0) & wrapped;
      if (any((at < 0) | (at >= size))) break;
      __m512i values = _mm512_permutex2var_epi32(row[0], (__m512i)at, row[1]);
      if (size > 2 * LANES) {
        const __m512i far = _mm512_permutex2var_epi32(row[2], (__m512i)at, row[3]);
        values = (__m512i)select(at >= 2 * LANES, (vi)far, (vi)values);
      }
      store_first(reinterpret_cast<int32_t*>(to) + i, (vi)values, some);
    }
  }
#endif
  return i < n ? i : n;
}

// Rows [first, last) of the output.
template <class S> void gather_rows(const GatherStep& g, int64_t first, int64_t last, int64_t column, int64_t columns, Bad& bad) {
  Walk<3> walk;
  walk.rank = g.rank - 1, walk.dims = g.dims;
  walk.strides[0] = g.x.strides, walk.strides[1] = g.index.strides, walk.strides[2] = g.out.strides;
  walk.seek(first);
  const int64_t from_step = g.x.strides[g.rank - 1], index_step = g.index.strides[g.rank - 1], to_step = g.out.strides[g.rank - 1];
  const bool is_short = from_step == 0 && g.stride == 1 && g.size <= SHORT && columns >= g.size / 2;
  for (int64_t row = first; row < last; ++row, walk.advance()) {
    const S* from = g.x.as<const S>() + walk.offset[0] + column * from_step;
    const int32_t* index = g.index.as<const int32_t>() + walk.offset[1] + column * index_step;
    S* to = g.out.as<S>() + walk.offset[2] + column * to_step;
    if (index_step == 0) {
      const int64_t at = place(*index, g.size, g.wrap);
      if (at < 0) return bad.note(to - g.out.as<S>(), *index);
      from += at * g.stride;
      if (from_step == 1 && to_step == 1) copy_row(reinterpret_cast<const char*>(from), reinterpret_cast<char*>(to), columns * sizeof(S));
      else for (int64_t i = 0; i < columns; ++i) to[i * to_step] = from[i * from_step];
      continue;
    }
    int64_t i = 0;
    if (index_step == 1 && to_step == 1)
      i = is_short ? gather_short(g, from, index, to, columns) : gather_vectors(g, from, from_step, index, to, columns);
    for (; i < columns; ++i) {
      const int64_t at = place(index[i * index_step], g.size, g.wrap);
      if (at < 0) return bad.note(to + i * to_step - g.out.as<S>(), index[i * index_step]);
      to[i * to_step] = from[i * from_step + at * g.stride];
    }
  }
}

template <class S> void gather_all(const GatherStep& g, Bad& bad) {
  struct Job { const GatherStep& g; Bad& bad; };
  const Job job = {g, bad};
  const int64_t elements = g.rows * g.columns;
  if (g.rows >= 16)
    return run_tasks(g.rows, elements, &job, [](const void* what, int64_t first, int64_t end) {
      const Job& job = *static_cast<const Job*>(what);
      gather_rows<S>(job.g, first, end, 0, job.g.columns, job.bad);
    });
  run_tasks(g.columns, elements, &job, [](const void* what, int64_t first, int64_t end) {
    const Job& job = *static_cast<const Job*>(what);
    gather_rows<S>(job.g, 0, job.g.rows, first, end - first, job.bad);
  });
}

}  // namespace

int32_t gather(const Step& step) {
  GatherStep g;
  Reader tape(step);
  g.wrap = tape.next() != 0, g.size = tape.next(), g.stride = tape.next(), g.rank = tape.next();
  g.dims = tape.ints(g.rank);
  g.x = tape.view(g.rank), g.index = tape.view(g.rank), g.out = tape.view(g.rank);
  g.rows = product(g.dims, g.rank - 1), g.columns = g.dims[g.rank - 1];
  Bad bad;
  switch (bytes_of(g.out.dtype)) {
    case 1: gather_all<uint8_t>(g, bad); break;
    case 2: gather_all<uint16_t>(g, bad); break;
    case 4: gather_all<uint32_t>(g, bad); break;
    default: gather_all<uint64_t>(g, bad);
  }
  return bad.position < 0 ? ENGINE_OK : step.fail(ENGINE_INDEX, bad.index, g.size, double(bad.position));
}
}  // namespace chainrule::VARIANT
