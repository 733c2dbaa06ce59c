// Scatter: values put, or joined to what is there, where an int32 tensor says along one dim.
#include "indexed.h"

namespace chainrule::VARIANT {

namespace {

enum By { SET, SUM, PROD, MAX, MIN };

// One element per index, along the indexed dim or across it: the inner loop of scatters without inner dims.
struct Line {
  const int32_t* index;
  int64_t index_step, length;
  int32_t size;
  bool wrap;
  char* out;
  int64_t out_step, walk;              // along the indexed dim, and from index to index; in elements as all steps
  const char* src;
  int64_t src_step;
};
// The position of the first bad index, or -1.
typedef int64_t (*PutLine)(const Line& line);

template <int by, class T> INLINE T combine(T old, T value) {
  if constexpr (by == SUM) return T(Wrap<T>(old) + Wrap<T>(value));
  else if constexpr (by == PROD) return T(Wrap<T>(old) * Wrap<T>(value));
  else if constexpr (by == MAX) return old > value || old != old ? old : value;
  else return old < value || old != old ? old : value;
}

// S is stored, T computed in.
template <int by, class S, class T> int64_t put_line(const Line& line) {
  S* out = reinterpret_cast<S*>(line.out);
  const S* src = reinterpret_cast<const S*>(line.src);
  const int32_t* index = line.index;
  const int64_t index_step = line.index_step, src_step = line.src_step, out_step = line.out_step, length = line.length;
  const int32_t size = line.size;
  const bool wrap = line.wrap;
  int64_t k = 0;
#ifndef __wasm__
  if constexpr (by == SUM && sizeof(S) == 4)
    if (index_step == 1 && src_step == 1 && out_step == 1 && line.walk == 0)
      for (; k + 4 <= length; k += 4, index += 4, src += 4) {    // one branch for four
        int64_t at[4];
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) at[i] = place(index[i], size, wrap);
        if ((at[0] | at[1] | at[2] | at[3]) < 0) break;
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) out[at[i]] = combine<by>(out[at[i]], src[i]);
      }
#endif
  for (; k < length; ++k, index += index_step, src += src_step, out += line.walk) {
    const int64_t at = place(*index, size, wrap);
    if (at < 0) return k;
    S& to = out[at * out_step];
    if constexpr (by == SET) to = *src;
    else to = Narrow<S>::from(combine<by>(widen_to<T>(to), widen_to<T>(*src)));
  }
  return -1;
}

#ifndef __wasm__
// Sums of TOGETHER lines with the same indices, whose outputs and sources lie so far apart: an index is looked at once for all.
constexpr int TOGETHER = 4;
int64_t add_together(const Line& line, int64_t out_line, int64_t src_line) {
  float* const out = reinterpret_cast<float*>(line.out);
  const float* src = reinterpret_cast<const float*>(line.src);
  for (int64_t k = 0; k < line.length; ++k, src += line.src_step) {
    const int64_t at = place(line.index[k * line.index_step], line.size, line.wrap);
    if (at < 0) return k;
    float* const to = out + at * line.out_step;
#pragma GCC unroll 4
    for (int i = 0; i < TOGETHER; ++i) to[i * out_line] += src[i * src_line];
  }
  return -1;
}
#endif

struct ScatterStep {
  int by;
  bool wrap;
  int32_t size, stride, outer_rank, inner_rank;
  const int32_t* dims;
  View out, index, src;
  int64_t outer, length, inner_rows, columns;
  int bytes;                           // of an element
  Compute compute;
  Instruction instruction;             // that puts a row's values and the old ones together; null for SET
  PutLine put;
  Bad* bad;
};

constexpr int ROW_BLOCK = 512;

void set_row(char* out, int64_t out_step, const char* src, int64_t src_step, int64_t n, int bytes) {
  if (out_step == 1 && src_step == 1) return copy_row(src, out, n * bytes);
  for (int64_t i = 0; i < n; ++i, out += out_step * bytes, src += src_step * bytes) copy_row(src, out, bytes);
}

// A row of values onto a row of the output.
NOINLINE void put_row(const ScatterStep& s, char* out, int64_t out_step, const char* src, int64_t src_step, int64_t n) {
  if (s.instruction == nullptr) return set_row(out, out_step, src, src_step, n, s.bytes);
  if (out_step == 1 && src_step == 1 && s.out.dtype == dtype_of(s.compute)) return s.instruction(out, out, src, nullptr, int(n));
  alignas(64) char old[ROW_BLOCK * 8], added[ROW_BLOCK * 8];
  for (int64_t at = 0; at < n; at += ROW_BLOCK) {
    const int count = int(n - at < ROW_BLOCK ? n - at : ROW_BLOCK);
    char* const to = out + at * out_step * s.bytes;
    load_tile(s.compute, s.out.dtype, to, 0, out_step, 1, count, old);
    load_tile(s.compute, s.src.dtype, src + at * src_step * s.bytes, 0, src_step, 1, count, added);
    s.instruction(old, old, added, nullptr, count);
    store_tile(s.compute, s.out.dtype, old, to, 0, out_step, 1, count);
  }
}

// For outer indices [first, last): every index in order, and its row, cut to columns [column, column + columns).
void scatter_part(const ScatterStep& s, int64_t first, int64_t last, int64_t column, int64_t columns) {
  Walk<3> outer;
  outer.rank = s.outer_rank, outer.dims = s.dims;
  outer.strides[0] = s.out.strides, outer.strides[1] = s.index.strides, outer.strides[2] = s.src.strides;
  outer.seek(first);
  const int at_dim = s.outer_rank, inner = at_dim + 1, last_dim = at_dim + s.inner_rank;
  const int64_t out_step = s.inner_rank > 0 ? s.out.strides[last_dim] : 0, src_step = s.inner_rank > 0 ? s.src.strides[last_dim] : 0;
  const int64_t index_step = s.index.strides[at_dim], from_step = s.src.strides[at_dim];
  for (int64_t o = first; o < last; ++o, outer.advance()) {
    const int32_t* const index = s.index.as<const int32_t>() + outer.offset[1];
    char* const to = s.out.data + (outer.offset[0] + column * out_step) * s.bytes;
    const char* const from = s.src.data + (outer.offset[2] + column * src_step) * s.bytes;
#ifndef __wasm__
    const int32_t lines = s.outer_rank > 0 ? s.dims[s.outer_rank - 1] : 1;
    if (s.put == put_line<SUM, float, float> && s.inner_rank == 0 && lines >= TOGETHER && s.index.strides[s.outer_rank - 1] == 0 &&
        last - o >= TOGETHER && remainder_of(o, lines) + TOGETHER <= lines) {
      const int64_t k = add_together({index, index_step, s.length, s.size, s.wrap, to, s.stride, 0, from, from_step},
                                     s.out.strides[s.outer_rank - 1], s.src.strides[s.outer_rank - 1]);
      if (k >= 0) return s.bad->note(outer.offset[2] + k * from_step, index[k * index_step]);
      for (int i = 1; i < TOGETHER; ++i) ++o, outer.advance();
      continue;
    }
#endif
    if (s.inner_rank == 0) {
      const int64_t k = s.put({index, index_step, s.length, s.size, s.wrap, to, s.stride, 0, from, from_step});
      if (k >= 0) return s.bad->note(outer.offset[2] + k * from_step, index[k * index_step]);
      continue;
    }
    for (int64_t k = 0; k < s.length; ++k) {
      const int64_t at = place(index[k * index_step], s.size, s.wrap);
      if (at < 0) return s.bad->note(outer.offset[2] + k * from_step, index[k * index_step]);
      char* const out = to + at * s.stride * s.bytes;
      const char* const src = from + k * from_step * s.bytes;
      if (s.inner_rank == 1) {
        put_row(s, out, out_step, src, src_step, columns);
        continue;
      }
      Walk<2> rows;
      rows.rank = s.inner_rank - 1, rows.dims = s.dims + inner;
      rows.strides[0] = s.out.strides + inner, rows.strides[1] = s.src.strides + inner;
      rows.seek(0);
      for (int64_t r = 0; r < s.inner_rows; ++r, rows.advance())
        put_row(s, out + rows.offset[0] * s.bytes, out_step, src + rows.offset[1] * s.bytes, src_step, columns);
    }
  }
}

// Without inner dims, where memory is walked by the last outer dim: row after row of indices. For the outer indices without that dim.
void scatter_across(const ScatterStep& s, int64_t first, int64_t last, int64_t column, int64_t columns) {
  Walk<3> outer;
  const int across = s.outer_rank - 1, along = s.outer_rank;
  outer.rank = across, outer.dims = s.dims;
  outer.strides[0] = s.out.strides, outer.strides[1] = s.index.strides, outer.strides[2] = s.src.strides;
  outer.seek(first);
  for (int64_t o = first; o < last; ++o, outer.advance()) {
    for (int64_t k = 0; k < s.length; ++k) {
      const int32_t* const index = s.index.as<const int32_t>() + outer.offset[1] + k * s.index.strides[along] + column;
      const int64_t from = outer.offset[2] + k * s.src.strides[along] + column * s.src.strides[across];
      const int64_t to = outer.offset[0] + column * s.out.strides[across];
      const int64_t bad = s.put({index, 1, columns, s.size, s.wrap, s.out.data + to * s.bytes, s.stride, s.out.strides[across],
                                 s.src.data + from * s.bytes, s.src.strides[across]});
      if (bad >= 0) return s.bad->note(from + bad * s.src.strides[across], index[bad]);
    }
  }
}

constexpr int STRIP = 16;              // columns that one task may have to itself

void scatter_all(const ScatterStep& s) {
  if (s.inner_rank == 0 && s.outer_rank > 0 && s.index.strides[s.outer_rank - 1] == 1 && s.index.strides[s.outer_rank] != 1) {
    const int64_t columns = s.dims[s.outer_rank - 1], rows = s.outer / columns, elements = s.outer * s.length;
    if (rows >= 8 || columns < 2 * STRIP)
      return run_tasks(rows, elements, &s, [](const void* what, int64_t first, int64_t end) {
        const ScatterStep& s = *static_cast<const ScatterStep*>(what);
        scatter_across(s, first, end, 0, s.dims[s.outer_rank - 1]);
      });
    return run_tasks(columns / STRIP, elements, &s, [](const void* what, int64_t first, int64_t end) {
      const ScatterStep& s = *static_cast<const ScatterStep*>(what);
      const int64_t columns = s.dims[s.outer_rank - 1], rows = s.outer / columns;
      const int64_t column = first * STRIP, last = end == columns / STRIP ? columns : end * STRIP;
      scatter_across(s, 0, rows, column, last - column);
    });
  }
  const int64_t elements = s.outer * s.length * s.inner_rows * s.columns;
  if (s.outer >= 8 || s.columns < 2 * STRIP)
    return run_tasks(s.outer, elements, &s, [](const void* what, int64_t first, int64_t end) {
      const ScatterStep& s = *static_cast<const ScatterStep*>(what);
      scatter_part(s, first, end, 0, s.columns);
    });
  run_tasks(s.columns / STRIP, elements, &s, [](const void* what, int64_t first, int64_t end) {
    const ScatterStep& s = *static_cast<const ScatterStep*>(what);
    const int64_t column = first * STRIP, last = end == s.columns / STRIP ? s.columns : end * STRIP;
    scatter_part(s, 0, s.outer, column, last - column);
  });
}

template <class S, class T> constexpr PutLine put_lines[] = {
    put_line<SUM, S, T>, put_line<PROD, S, T>, put_line<MAX, S, T>, put_line<MIN, S, T>};

PutLine put_line_of(int by, int32_t dtype) {
  if (by == SET) {
    switch (bytes_of(dtype)) {
      case 1: return put_line<SET, uint8_t, uint8_t>;
      case 2: return put_line<SET, uint16_t, uint16_t>;
      case 4: return put_line<SET, uint32_t, uint32_t>;
      default: return put_line<SET, uint64_t, uint64_t>;
    }
  }
  switch (dtype) {
    case FLOAT32: return put_lines<float, float>[by - 1];
    case FLOAT64: return put_lines<double, double>[by - 1];
    case BFLOAT16: return put_lines<bf16, float>[by - 1];
    case FLOAT16: return put_lines<f16, float>[by - 1];
    case INT32: return put_lines<int32_t, int32_t>[by - 1];
    case UINT8: return put_lines<uint8_t, int32_t>[by - 1];
    default: return put_lines<boolean, int32_t>[by - 1];
  }
}

// The opcodes of ops.h: add, mul, max, min.
constexpr int OPCODES[] = {0, 2, 4, 5};

}  // namespace

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
  s.bytes = bytes_of(s.out.dtype), s.compute = compute_of(s.out.dtype);
  s.instruction = s.by == SET ? nullptr : instruction_tables[s.compute][OPCODES[s.by - 1]];
  s.put = put_line_of(s.by, s.out.dtype);
  Bad bad;
  s.bad = &bad;
  scatter_all(s);
  return bad.position < 0 ? ENGINE_OK : step.fail(ENGINE_INDEX, bad.index, s.size, double(bad.position));
}

}  // namespace chainrule::VARIANT
