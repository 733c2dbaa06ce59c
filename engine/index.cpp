// Gather and scatter: elements addressed by an int32 tensor along one dim.
#include "convert.h"
#include "kernels.h"
#include "pool.h"

namespace chainrule::VARIANT {

namespace {

constexpr int64_t GRAIN = 16384;     // elements of a task, at least

// The first bad index that was met, by its position. Tasks finish in any order, so the earliest one is kept.
struct Bad {
  int64_t position = -1;
  int32_t index = 0;
  char lock = 0;
  void note(int64_t at, int32_t value) {
    while (__atomic_test_and_set(&lock, __ATOMIC_ACQUIRE)) {}
    if (position < 0 || at < position) position = at, index = value;
    __atomic_clear(&lock, __ATOMIC_RELEASE);
  }
};

// An index as a place in 0 .. size - 1, or -1.
INLINE int64_t place(int32_t index, int32_t size, bool wrap) {
  const int64_t i = wrap && index < 0 ? int64_t(index) + size : index;
  return i >= 0 && i < size ? i : -1;
}

template <class Task> void run_tasks(int64_t items, int64_t elements, const Task& task) {
  int64_t tasks = elements / GRAIN;
  const int64_t most = 4 * int64_t(pool_threads());
  if (tasks > most) tasks = most;
  if (tasks > items) tasks = items;
  if (tasks < 2 || most == 4) return task(0, items);
  parallel(tasks, [&](int64_t i, int) { task(items * i / tasks, items * (i + 1) / tasks); });
}

struct GatherStep {
  bool wrap;
  int32_t size, stride, rank;
  const int32_t* dims;
  View x, index, out;
  int64_t rows, columns;
};

INLINE void copy_row(const char* from, char* to, int64_t bytes) {
  if (bytes >= 64) {
    __builtin_memcpy(to, from, bytes);
    return;
  }
  for (; bytes >= 8; from += 8, to += 8, bytes -= 8) __builtin_memcpy(to, from, 8);
  for (; bytes > 0; ++from, ++to, --bytes) *to = *from;
}

// Rows [first, last) of the output.
template <class S> void gather_rows(const GatherStep& g, int64_t first, int64_t last, int64_t column, int64_t columns, Bad& bad) {
  Walk<3> walk;
  walk.rank = g.rank - 1, walk.dims = g.dims;
  walk.strides[0] = g.x.strides, walk.strides[1] = g.index.strides, walk.strides[2] = g.out.strides;
  walk.seek(first);
  const int64_t from_step = g.x.strides[g.rank - 1], index_step = g.index.strides[g.rank - 1], to_step = g.out.strides[g.rank - 1];
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
    for (int64_t i = 0; i < columns; ++i) {
      const int64_t at = place(index[i * index_step], g.size, g.wrap);
      if (at < 0) return bad.note(to + i * to_step - g.out.as<S>(), index[i * index_step]);
      to[i * to_step] = from[i * from_step + at * g.stride];
    }
  }
}

template <class S> void gather_all(const GatherStep& g, Bad& bad) {
  const int64_t elements = g.rows * g.columns;
  if (g.rows >= 16) return run_tasks(g.rows, elements, [&](int64_t a, int64_t b) { gather_rows<S>(g, a, b, 0, g.columns, bad); });
  run_tasks(g.columns, elements, [&](int64_t a, int64_t b) { gather_rows<S>(g, 0, g.rows, a, b - a, bad); });
}

// ---- scatter --------------------------------------------------------------------------------------------------------------------

enum By { SET, SUM, PROD, MAX, MIN };

struct ScatterStep {
  int by;
  bool wrap;
  int32_t size, stride, outer_rank, inner_rank;
  const int32_t* dims;
  View out, index, src;
  int64_t outer, length, inner_rows, columns;
};

template <int by, class T> INLINE T combine(T old, T value) {
  if constexpr (by == SUM) return T(Wrap<T>(old) + Wrap<T>(value));
  else if constexpr (by == PROD) return T(Wrap<T>(old) * Wrap<T>(value));
  else if constexpr (by == MAX) return old > value || old != old ? old : value;
  else if constexpr (by == MIN) return old < value || old != old ? old : value;
  else return value;
}

template <int by, class S, class T> INLINE void put_row(S* out, int64_t out_step, const S* src, int64_t src_step, int64_t n) {
  if (out_step == 1 && src_step == 1) {
    for (int64_t i = 0; i < n; ++i) out[i] = by == SET ? src[i] : Narrow<S>::from(combine<by>(widen_to<T>(out[i]), widen_to<T>(src[i])));
  } else {
    for (int64_t i = 0; i < n; ++i) {
      S& to = out[i * out_step];
      const S from = src[i * src_step];
      to = by == SET ? from : Narrow<S>::from(combine<by>(widen_to<T>(to), widen_to<T>(from)));
    }
  }
}

// For outer indices [first, last): every index in order, and its row, cut to columns [column, column + columns).
template <int by, class S, class T>
void scatter_part(const ScatterStep& s, int64_t first, int64_t last, int64_t column, int64_t columns, Bad& bad) {
  Walk<3> outer;
  outer.rank = s.outer_rank, outer.dims = s.dims;
  outer.strides[0] = s.out.strides, outer.strides[1] = s.index.strides, outer.strides[2] = s.src.strides;
  outer.seek(first);
  const int at_dim = s.outer_rank, inner = at_dim + 1, last_dim = at_dim + s.inner_rank;
  const int64_t out_step = s.inner_rank > 0 ? s.out.strides[last_dim] : 0, src_step = s.inner_rank > 0 ? s.src.strides[last_dim] : 0;
  for (int64_t o = first; o < last; ++o, outer.advance()) {
    for (int64_t k = 0; k < s.length; ++k) {
      const int32_t index = s.index.as<const int32_t>()[outer.offset[1] + k * s.index.strides[at_dim]];
      const int64_t at = place(index, s.size, s.wrap), from = outer.offset[2] + k * s.src.strides[at_dim];
      if (at < 0) return bad.note(from, index);
      S* out = s.out.as<S>() + outer.offset[0] + at * s.stride + column * out_step;
      const S* src = s.src.as<const S>() + from + column * src_step;
      if (s.inner_rank <= 1) {
        put_row<by, S, T>(out, out_step, src, src_step, columns);
        continue;
      }
      Walk<2> rows;
      rows.rank = s.inner_rank - 1, rows.dims = s.dims + inner;
      rows.strides[0] = s.out.strides + inner, rows.strides[1] = s.src.strides + inner;
      rows.seek(0);
      for (int64_t r = 0; r < s.inner_rows; ++r, rows.advance())
        put_row<by, S, T>(out + rows.offset[0], out_step, src + rows.offset[1], src_step, columns);
    }
  }
}

template <int by, class S, class T> void scatter_by(const ScatterStep& s, Bad& bad) {
  const int64_t elements = s.outer * s.length * s.inner_rows * s.columns;
  if (s.outer >= 8 || s.columns < 32) {
    run_tasks(s.outer, elements, [&](int64_t a, int64_t b) { scatter_part<by, S, T>(s, a, b, 0, s.columns, bad); });
  } else {                                               // stretches of 16 columns are independent too
    run_tasks(s.columns / 16, elements, [&](int64_t a, int64_t b) {
      const int64_t end = b == s.columns / 16 ? s.columns : b * 16;
      scatter_part<by, S, T>(s, 0, s.outer, a * 16, end - a * 16, bad);
    });
  }
}

template <class S, class T> void scatter_all(const ScatterStep& s, Bad& bad) {
  switch (s.by) {
    case SET: return scatter_by<SET, S, T>(s, bad);
    case SUM: return scatter_by<SUM, S, T>(s, bad);
    case PROD: return scatter_by<PROD, S, T>(s, bad);
    case MAX: return scatter_by<MAX, S, T>(s, bad);
    default: return scatter_by<MIN, S, T>(s, bad);
  }
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

int32_t scatter(const Step& step) {
  ScatterStep s;
  Reader tape(step);
  s.by = tape.next(), s.wrap = tape.next() != 0, s.size = tape.next(), s.stride = tape.next();
  s.outer_rank = tape.next(), s.inner_rank = tape.next();
  const int rank = s.outer_rank + 1 + s.inner_rank;
  s.dims = tape.ints(rank);
  s.out = tape.view(rank), s.index = tape.view(rank), s.src = tape.view(rank);
  s.outer = product(s.dims, s.outer_rank), s.length = s.dims[s.outer_rank];
  s.columns = s.inner_rank > 0 ? s.dims[rank - 1] : 1;
  s.inner_rows = product(s.dims + s.outer_rank + 1, s.inner_rank - 1);
  Bad bad;
  switch (s.out.dtype) {
    case FLOAT32: scatter_all<float, float>(s, bad); break;
    case FLOAT64: scatter_all<double, double>(s, bad); break;
    case BFLOAT16: scatter_all<bf16, float>(s, bad); break;
    case FLOAT16: scatter_all<f16, float>(s, bad); break;
    case INT32: scatter_all<int32_t, int32_t>(s, bad); break;
    case UINT8: scatter_all<uint8_t, int32_t>(s, bad); break;
    default: scatter_all<boolean, int32_t>(s, bad);
  }
  return bad.position < 0 ? ENGINE_OK : step.fail(ENGINE_INDEX, bad.index, s.size, double(bad.position));
}

}  // namespace chainrule::VARIANT
