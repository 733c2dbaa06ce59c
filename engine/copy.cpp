// Copies: fills, casts, strided and transposing copies, and copies that add where places overlap.
#include "folds.h"
#include "kernels.h"
#include "pool.h"
#include "vm.h"

namespace chainrule::VARIANT {

namespace {

enum Mode { SET, ACCUMULATE, FILL };

constexpr int64_t GRAIN = 16384;     // elements of a task, at least

struct CopyStep {
  int rank;
  const int32_t* dims;
  View out, x;
  bool split;                        // slices along the first dim may be written at the same time
  int64_t rows, columns, planes;     // the last two dims and all others together
  Compute compute;                   // of casts and sums

  INLINE int32_t row_stride(const View& v) const { return rank > 1 ? v.strides[rank - 2] : 0; }
  INLINE int32_t column_stride(const View& v) const { return v.strides[rank - 1]; }
};

// What is done to a tile.
typedef void (*Body)(const CopyStep& c, char* out, const char* x, int rows, int columns);

// Calls the body for tiles of at most high x wide, in order within a task.
void for_tiles(const CopyStep& c, int64_t high, int64_t wide, Body body) {
  const int64_t down = quotient_up(c.rows, high), across = quotient_up(c.columns, wide), per_plane = down * across;
  const int64_t total = c.planes * per_plane;
  const int out_bytes = bytes_of(c.out.dtype), x_bytes = bytes_of(c.x.dtype);
  const auto run = [&](int64_t first, int64_t last) {
    Walk<2> walk;
    walk.rank = c.rank - 2, walk.dims = c.dims;
    walk.strides[0] = c.out.strides, walk.strides[1] = c.x.strides;
    walk.seek(quotient(first, per_plane));
    const int64_t inside = remainder_of(first, per_plane);
    int64_t y = quotient(inside, across), x = remainder_of(inside, across);
    for (int64_t tile = first; tile < last; ++tile) {
      const int64_t row = y * high, column = x * wide;
      const int64_t to = walk.offset[0] + row * c.row_stride(c.out) + column * c.column_stride(c.out);
      const int64_t from = walk.offset[1] + row * c.row_stride(c.x) + column * c.column_stride(c.x);
      const int rows = int(c.rows - row < high ? c.rows - row : high), columns = int(c.columns - column < wide ? c.columns - column : wide);
      body(c, c.out.data + to * out_bytes, c.x.data + from * x_bytes, rows, columns);
      if (++x < across) continue;
      x = 0;
      if (++y < down) continue;
      y = 0;
      walk.advance();
    }
  };
  const int64_t elements = c.planes * c.rows * c.columns;
  int64_t tasks = elements / GRAIN;
  if (!c.split || tasks < 2 || pool_threads() == 1) return run(0, total);
  const int64_t most = 4 * int64_t(pool_threads());
  if (tasks > most) tasks = most;
  parallel(tasks, [&](int64_t i, int) { run(total * i / tasks, total * (i + 1) / tasks); });
}

// ---- same element size: bits are moved ----------------------------------------------------------------------------------------

void move_rows(const CopyStep& c, char* out, const char* x, int rows, int columns) {
  const int bytes = bytes_of(c.out.dtype);
  const int64_t to_row = int64_t(c.row_stride(c.out)) * bytes, from_row = int64_t(c.row_stride(c.x)) * bytes;
  for (int r = 0; r < rows; ++r) __builtin_memcpy(out + r * to_row, x + r * from_row, columns * bytes);
}

template <class S> void move_transposed(const CopyStep& c, char* out, const char* x, int rows, int columns) {
  transpose_patch(reinterpret_cast<const S*>(x), reinterpret_cast<S*>(out), c.column_stride(c.x), c.row_stride(c.out), rows, columns);
}

template <int... I> INLINE vi reversed(vi v, Indices<I...>) { return __builtin_shufflevector(v, v, (LANES - 1 - I)...); }

// Rows that are read, or written, from their ends.
void move_backwards(const CopyStep& c, char* out, const char* x, int rows, int columns) {
  if (c.column_stride(c.out) == -1) out -= 4 * int64_t(columns - 1), x += 4 * int64_t(columns - 1);
  for (int r = 0; r < rows; ++r) {
    int32_t* const to = reinterpret_cast<int32_t*>(out) + int64_t(r) * c.row_stride(c.out);
    const int32_t* const from = reinterpret_cast<const int32_t*>(x) + int64_t(r) * c.row_stride(c.x);
    int i = 0;
    for (; i + LANES <= columns; i += LANES) store(to + i, reversed(load(from - i - (LANES - 1)), UpTo<LANES>::type{}));
    for (; i < columns; ++i) to[i] = from[-i];
  }
}

template <class S> void move_strided(const CopyStep& c, char* out, const char* x, int rows, int columns) {
  const int64_t to_column = c.column_stride(c.out), from_column = c.column_stride(c.x);
  const int64_t to_row = c.row_stride(c.out), from_row = c.row_stride(c.x);
  for (int r = 0; r < rows; ++r) {
    S* to = reinterpret_cast<S*>(out) + r * to_row;
    const S* from = reinterpret_cast<const S*>(x) + r * from_row;
    if (from_column == 0 && to_column == 1) fill(to, *from, columns);
    else for (int i = 0; i < columns; ++i) to[i * to_column] = from[i * from_column];
  }
}

template <class S> void move_tiles(const CopyStep& c) {
  const bool along = c.column_stride(c.out) == 1;
  if (along && c.column_stride(c.x) == 1) for_tiles(c, c.columns < 1024 ? quotient_up(4096, c.columns) : 1, 65536, move_rows);
  else if (sizeof(S) == 4 && c.column_stride(c.out) * c.column_stride(c.x) == -1) for_tiles(c, 16, 65536, move_backwards);
  else if (along && c.row_stride(c.x) == 1) for_tiles(c, 256, 256, move_transposed<S>);
  else for_tiles(c, 16, 1024, move_strided<S>);
}

void move(const CopyStep& c) {
  // Onto itself: a scatter in place begins with a copy of its tensor.
  if (c.x.data == c.out.data && c.row_stride(c.x) == c.row_stride(c.out) && c.column_stride(c.x) == c.column_stride(c.out)) return;
  switch (bytes_of(c.out.dtype)) {
    case 1: return move_tiles<uint8_t>(c);
    case 2: return move_tiles<uint16_t>(c);
    case 4: return move_tiles<uint32_t>(c);
    default: return move_tiles<uint64_t>(c);
  }
}

// ---- casts and sums --------------------------------------------------------------------------------------------------------------

// The type that holds every value of both, or nearly: float64 beats int32 beats nothing.
Compute between(int32_t a, int32_t b) {
  if (a == FLOAT64 || b == FLOAT64) return COMPUTE_FLOAT64;
  return compute_of(a) == COMPUTE_INT32 && compute_of(b) == COMPUTE_INT32 ? COMPUTE_INT32 : COMPUTE_FLOAT32;
}

void cast_tiles(const CopyStep& c) {
  const bool transposed = c.row_stride(c.x) == 1 && c.column_stride(c.x) > 1 && c.rows >= 8;
  const int64_t high = transposed ? 16 : c.columns >= BLOCK ? 1 : BLOCK / c.columns, wide = transposed ? 32 : BLOCK;
  for_tiles(c, high, wide, [](const CopyStep& c, char* out, const char* x, int rows, int columns) {
    alignas(64) char block[BLOCK * 8];
    load_tile(c.compute, c.x.dtype, x, c.row_stride(c.x), c.column_stride(c.x), rows, columns, block);
    store_tile(c.compute, c.out.dtype, block, out, c.row_stride(c.out), c.column_stride(c.out), rows, columns);
  });
}

// Row by row, for rows may overlap; within a row only those whose elements all fall together are summed one by one.
void add_tiles(const CopyStep& c) {
  for_tiles(c, 1, BLOCK, [](const CopyStep& c, char* out, const char* x, int, int columns) {
    alignas(64) char added[BLOCK * 8], old[BLOCK * 8];
    const int64_t to_column = c.column_stride(c.out);
    const Instruction add = instruction_tables[c.compute][0];  // the first opcode of ops.h
    const int bytes = size_of(c.compute), count = to_column == 0 ? 1 : columns;
    load_tile(c.compute, c.x.dtype, x, 0, c.column_stride(c.x), 1, columns, added);
    load_tile(c.compute, c.out.dtype, out, 0, to_column, 1, count, old);
    for (int i = 0; i < columns; i += count) add(old, old, added + i * bytes, nullptr, count);
    store_tile(c.compute, c.out.dtype, old, out, 0, to_column, 1, count);
  });
}

// ---- fill ---------------------------------------------------------------------------------------------------------------------------

void fill_out(CopyStep& c, double value) {
  char pattern[8];
  store_tile(c.out.dtype, &value, pattern, 0, 1, 1, 1);
  static const int32_t still[MAX_RANK] = {};
  c.x = View{{pattern, c.out.dtype}, still};
  move(c);
}

}  // namespace

int32_t copy(const Step& step) {
  CopyStep c;
  Reader tape(step);
  const int32_t mode = tape.next();
  c.split = tape.next() != 0;
  c.rank = tape.next();
  c.dims = tape.ints(c.rank);
  c.columns = c.dims[c.rank - 1];
  c.rows = c.rank > 1 ? c.dims[c.rank - 2] : 1;
  c.planes = product(c.dims, c.rank - 2);
  c.out = tape.view(c.rank);
  if (mode == FILL) {
    fill_out(c, tape.real());
    return ENGINE_OK;
  }
  c.x = tape.view(c.rank);
  if (mode == SET && c.out.dtype == c.x.dtype) {
    move(c);
    return ENGINE_OK;
  }
  c.compute = mode == SET ? between(c.out.dtype, c.x.dtype) : compute_of(c.out.dtype);
  if (mode == SET) cast_tiles(c);
  else add_tiles(c);
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
