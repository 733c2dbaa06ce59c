// Pointwise kernels: outputs[k][i] = exprs[k](inputs[..][i]). One loop over tiles; a tile is computed by a loop compiled
// ahead of time where the program has one (aot.h), and by the block VM otherwise.
#include "pool.h"
#include "rows.h"
#include "kernels.h"

namespace chainrule::VARIANT {

#ifdef __wasm__
#define SHORT_LOOP _Pragma("GCC unroll 1")   // what goes over a network is kept small
#else
#define SHORT_LOOP _Pragma("GCC unroll 4")
#endif

// An input of a compiled loop: a marked one stays where it is. (Where nobody marks them, nothing is masked.)
struct AotInput {
  const float* data;
  int64_t mask;
  INLINE explicit AotInput(const void* in) {
    const uintptr_t address = reinterpret_cast<uintptr_t>(in), mark = BY_ROWS ? address & 1 : 0;
    data = reinterpret_cast<const float*>(address - mark), mask = int64_t(mark) - 1;
  }
  INLINE const float* at(int64_t i) const { return data + (BY_ROWS ? i & mask : i); }
};
#include "aot.h"

AotLoop aot_loop(int32_t number) { return aot_loops[number]; }

namespace {

constexpr int64_t GRAIN = 16384;     // elements: less is not worth waking a thread for

// How a tile lies in the last two dims.
enum Mode {
  ROW,          // a stretch of one row
  ROWS,         // several whole rows, for short ones
  TRANSPOSED,   // a patch of 16 rows: an input runs down the columns, and its cache lines are used in full
};

struct MapStep {
  const Step* step;
  Compute compute;
  int aot, inputs, outputs, rank;
  const int32_t* dims;
  Program program;
  const int32_t* views;              // of inputs, then outputs
  int64_t rows, columns, planes;     // the last two dims and all others together
  Mode mode;

  INLINE View operand(int k) const {
    Reader tape(*step);
    tape.at = views + k * (3 + rank);
    return tape.view(rank);
  }
};

INLINE int32_t row_stride(const MapStep& m, const View& v) { return m.rank > 1 ? v.strides[m.rank - 2] : 0; }
INLINE int32_t column_stride(const MapStep& m, const View& v) { return v.strides[m.rank - 1]; }

Mode choose_mode(const MapStep& m) {
  if (m.rows == 1) return ROW;
  for (int k = 0; k < m.inputs && m.columns >= 16 && m.rows >= 8; ++k) {
    const View v = m.operand(k);
    if (row_stride(m, v) == 1 && column_stride(m, v) > 1) return TRANSPOSED;
  }
  return m.columns < 128 ? ROWS : ROW;
}

// Whether tiles of this operand are dense in memory and of the compute type.
INLINE bool is_direct(const MapStep& m, const View& v, int32_t dtype) {
  if (v.dtype != dtype || m.mode == TRANSPOSED) return false;
  if (column_stride(m, v) != 1 && m.columns > 1) return false;
  return m.mode == ROW || row_stride(m, v) == m.columns;
}

// An output that is also an input must not be written before the input's last reader has run. (Its register may have
// held other values before.)
bool written_early(const MapStep& m, int output, const View* views) {
  const Program& p = m.program;
  for (int k = 0; k < m.inputs; ++k) {
    if (views[k].data != views[m.inputs + output].data) continue;
    int writer = 0;
    while (p.code[5 * writer + 1] != p.results[output]) ++writer;
    for (int i = writer + 1; i < p.instructions; ++i)
      for (int a = 2; a < 5; ++a)
        if (p.code[5 * i + a] == p.registers + k) return true;
    for (int o = 0; o < m.outputs; ++o)
      if (p.results[o] == p.registers + k) return true;
  }
  return false;
}

constexpr int MAX_OPERANDS = MAX_SLOTS;

struct Worker {
  Machine machine;
  Source sources[MAX_OPERANDS];
  View views[MAX_OPERANDS];
  int64_t offset[MAX_OPERANDS];      // of the plane, per operand
  void* targets[MAX_OPERANDS];         // where the tile's results go, per output
  bool direct[MAX_OPERANDS];
  int32_t index[MAX_RANK];

  // A direct result is computed in place: the register's slot is the output's memory.
  NOINLINE bool computed_in_place(const MapStep& m, int k) {
    const Program& p = m.program;
    const View& v = views[m.inputs + k];
    if (!is_direct(m, v, dtype_of(m.compute))) return false;
    if (m.aot >= 0) return true;
    if (p.results[k] >= p.registers) return false;
    for (int o = 0; o < k; ++o)
      if (p.results[o] == p.results[k]) return false;
    return !written_early(m, k, views);
  }

  // A result that is an input must be read before another output over that input is written: it goes through the registers.
  INLINE void keep_passed(const MapStep& m) {
    const Program& p = m.program;
    for (int k = 0; k < m.outputs && m.outputs > 1; ++k) {
      const int input = p.results[k] - p.registers;
      for (int o = 0; o < m.outputs && input >= 0 && input < m.inputs; ++o)
        if (o != k && views[m.inputs + o].data == views[input].data) sources[input].direct = false;
    }
  }

  void prepare(const MapStep& m) {
    for (int k = 0; k < m.inputs + m.outputs; ++k) views[k] = m.operand(k);
    for (int k = 0; k < m.inputs; ++k) {
      const View& v = views[k];
      const bool is_read_in_place = is_direct(m, v, dtype_of(m.compute));
      sources[k] = Source{v.data, v.dtype, row_stride(m, v), m.columns == 1 ? 1 : column_stride(m, v), is_read_in_place};
    }
    keep_passed(m);
    int spare = 0;
    bool in_registers = m.program.instructions > m.outputs || m.program.constants + m.program.scalars > 0;
    for (int k = 0; k < m.outputs; ++k) {
      direct[k] = computed_in_place(m, k);
      spare += !direct[k];
      in_registers |= !direct[k];
    }
    machine.prepare(m.compute, m.program, sources, m.step->scalars, m.rows * m.columns, m.aot >= 0 ? spare : 0, m.aot < 0 && in_registers);
    char* free = machine.spare;
    for (int k = 0; k < m.outputs; ++k)
      if (m.aot >= 0 && !direct[k]) targets[k] = free, free += machine.block_bytes();
  }

  INLINE void seek(const MapStep& m, int64_t plane) {
    for (int k = 0; k < m.inputs + m.outputs; ++k) offset[k] = 0;
    for (int d = m.rank - 3; d >= 0; --d) {
      const int64_t rest = quotient(plane, m.dims[d]);
      index[d] = int32_t(plane - rest * m.dims[d]);
      plane = rest;
      for (int k = 0; k < m.inputs + m.outputs; ++k) offset[k] += int64_t(index[d]) * views[k].strides[d];
    }
  }
  INLINE void next_plane(const MapStep& m) {
    for (int d = m.rank - 3; d >= 0; --d) {
      const bool carry = ++index[d] == m.dims[d];
      const int64_t move = carry ? 1 - m.dims[d] : 1;
      for (int k = 0; k < m.inputs + m.outputs; ++k) offset[k] += move * views[k].strides[d];
      if (!carry) return;
      index[d] = 0;
    }
  }

  INLINE char* output_at(const MapStep& m, int k, int64_t row, int64_t column) {
    const View& v = views[m.inputs + k];
    const int64_t at = offset[m.inputs + k] + row * row_stride(m, v) + column * column_stride(m, v);
    return v.data + at * bytes_of(v.dtype);
  }

  INLINE void compute(const MapStep& m, int64_t row, int64_t column, int rows, int columns) {
    machine.load(rows, columns, [&](int k) { return offset[k] + row * sources[k].row + column * sources[k].column; });
    for (int k = 0; k < m.outputs; ++k) {
      if (!direct[k]) continue;
      char* const to = output_at(m, k, row, column);
      if (m.aot >= 0) targets[k] = to;
      else machine.slot[m.program.results[k]] = to;
    }
    if (m.aot >= 0) aot_loops[m.aot](int64_t(rows) * columns, machine.slot + m.program.registers, m.step->scalars, targets);
    else machine.run(rows * columns);
    for (int k = 0; k < m.outputs; ++k) {
      if (direct[k]) continue;
      const View& v = views[m.inputs + k];
      const void* const from = m.aot >= 0 ? targets[k] : machine.slot[m.program.results[k]];
      store_tile(m.compute, v.dtype, from, output_at(m, k, row, column), row_stride(m, v), column_stride(m, v), rows, columns);
    }
  }
};

// The tile's size, from the elements that fit: the same for every worker.
void tile_size(const MapStep& m, int block, int64_t& rows, int64_t& columns) {
  rows = 1;
  if (m.mode == TRANSPOSED) rows = m.rows < 16 ? m.rows : 16;
  if (m.mode == ROWS && block >= m.columns) rows = quotient(block, m.columns);
  if (rows > m.rows) rows = m.rows;
  columns = m.mode == ROWS && block >= m.columns ? m.columns : quotient(block, rows);
  if (columns < 1) columns = 1;
  if (columns > m.columns) columns = m.columns;
}

// A tile's place in its plane. Patches are walked in bands of 32, down and then along: memory pages are used up before
// the next ones are opened, on the transposed side as well. All other tiles follow the rows.
constexpr int64_t BAND = 32;

struct Place {
  int64_t down, across, band;        // tiles in the plane; patches per step of a band
  int64_t y, x;

  INLINE void seek(int64_t inside) {
    const int64_t bands = quotient(inside, band * across), top = bands * band;
    const int64_t rest = inside - top * across, high = down - top < band ? down - top : band;
    x = quotient(rest, high), y = top + rest - x * high;
  }
  // False at the end of the plane.
  INLINE bool advance() {
    const int64_t top = band == 1 ? y : y / band * band, end = down - top < band ? down : top + band;
    if (++y < end) return true;
    y = top;
    if (++x < across) return true;
    x = 0, y = end;
    if (y < down) return true;
    y = 0;
    return false;
  }
};

// The part of all tiles, planes outermost, that is this task's.
void run_tiles(const MapStep& m, int64_t task, int64_t tasks) {
  Worker w;
  w.prepare(m);
  int64_t high, wide;
  tile_size(m, w.machine.block, high, wide);
  Place place;
  place.down = quotient_up(m.rows, high), place.across = quotient_up(m.columns, wide), place.band = m.mode == TRANSPOSED ? BAND : 1;
  const int64_t per_plane = place.down * place.across, total = m.planes * per_plane;
  const int64_t first = quotient(total * task, tasks), last = quotient(total * (task + 1), tasks);
  w.seek(m, quotient(first, per_plane));
  place.seek(remainder_of(first, per_plane));
  for (int64_t tile = first; tile < last; ++tile) {
    const int64_t row = place.y * high, column = place.x * wide;
    const int64_t rows = m.rows - row < high ? m.rows - row : high, columns = m.columns - column < wide ? m.columns - column : wide;
    w.compute(m, row, column, int(rows), int(columns));
    if (!place.advance()) w.next_plane(m);
  }
}

// The same, row by row, where all operands are rows in memory or single numbers. False where they are not.
NOINLINE bool run_rows(const MapStep& m, int64_t task, int64_t tasks) {
  if (m.aot < 0 || m.mode == TRANSPOSED) return false;
  Rows rows;
  if (!rows.prepare(m.inputs + m.outputs, m.inputs, m.dims, m.rank - 1, [&](int k) { return m.operand(k); }, 0)) return false;
  const int64_t total = quotient(m.planes * m.rows, rows.runs);
  if (tasks > 1 && total < 4 * tasks) return false;
  const int64_t last = total * (task + 1) / tasks;
  int64_t row = total * task / tasks;
  rows.seek(row);
  for (; row < last; ++row) {
    for (int64_t column = 0; column < rows.columns;) {
      const int n = rows.piece(column, rows.columns - column);
      if (column + n == rows.columns && row + 1 < last) rows.advance();
      aot_loops[m.aot](n, rows.place, m.step->scalars, rows.place + m.inputs);
      column += n;
    }
  }
  return true;
}

void run_map(const MapStep& m) {
  const int64_t elements = m.planes * m.rows * m.columns;
  int64_t tasks = elements / GRAIN;
  if (tasks > 1) {
    const int64_t most = 4 * int64_t(pool_threads());
    if (tasks > most) tasks = most;
    if (most == 4) tasks = 1;
  }
  const auto run = [&](int64_t task, int) {
    if (!BY_ROWS || !run_rows(m, task, tasks)) run_tiles(m, task, tasks);
  };
  if (tasks > 1) return parallel(tasks, run);
  tasks = 1;
  run(0, 0);
}

// The commonest case, with the least ceremony: dense float32 everywhere and a compiled loop.
constexpr int FLAT_OPERANDS = 16;

bool run_flat(const MapStep& m) {
  const int operands = m.inputs + m.outputs;
  if (m.rank != 1 || m.aot < 0 || operands > FLAT_OPERANDS) return false;
  const int64_t n = m.dims[0];
  void* data[FLAT_OPERANDS];
  Reader tape(*m.step);
  tape.at = m.views;
  for (int k = 0; k < operands; ++k) {
    const View v = tape.view(1);
    if (v.dtype != FLOAT32 || v.strides[0] != 1) return false;
    data[k] = v.data;
  }
  const AotLoop loop = aot_loops[m.aot];
  if (n < 2 * GRAIN || pool_threads() == 1) {
    loop(n, data, m.step->scalars, data + m.inputs);
    return true;
  }
  const int64_t most = 4 * int64_t(pool_threads()), grains = n / GRAIN, tasks = grains < most ? grains : most;
  parallel(tasks, [&](int64_t task, int) {
    const int64_t first = n * task / tasks & ~int64_t(63), end = n * (task + 1) / tasks & ~int64_t(63);
    void* part[FLAT_OPERANDS];
    for (int k = 0; k < operands; ++k) part[k] = static_cast<float*>(data[k]) + first;
    loop((task + 1 == tasks ? n : end) - first, part, m.step->scalars, part + m.inputs);
  });
  return true;
}

void run_any(MapStep& m) {
  m.columns = m.dims[m.rank - 1];
  m.rows = m.rank > 1 ? m.dims[m.rank - 2] : 1;
  m.planes = product(m.dims, m.rank - 2);
  m.mode = choose_mode(m);
  run_map(m);
}

// Many sets of dense operands. A large part is divided among the threads, small ones are dealt out.
void run_parts(const MapStep& m, Reader& tape) {
  const int parts = tape.next();
  MapStep common = m;
  common.rank = 1;
  common.program.read(tape, m.outputs);
  const int32_t* const first = tape.at;
  const int words = 2 + 4 * (m.inputs + m.outputs);
  const auto run_part = [&](int64_t p) {
    MapStep part = common;
    const int32_t* const at = first + p * words;
    Step own = *m.step;
    own.scalars += at[1];
    part.step = &own, part.dims = at, part.views = at + 2;
    if (!run_flat(part)) run_any(part);
  };
  int64_t small = 0;
  for (int p = 0; p < parts; ++p) {
    const int64_t n = first[int64_t(p) * words];
    if (n < 2 * GRAIN) small += n;
    else run_part(p);
  }
  const auto run_small = [&](int64_t p, int) { if (first[p * words] < 2 * GRAIN) run_part(p); };
  if (small > GRAIN) parallel(parts, run_small);
  else for (int p = 0; p < parts; ++p) run_small(p, 0);
}

constexpr int PART_OPERANDS = 32;

}  // namespace

void map_part(const Step& step, const int32_t* body, const Part& part) {
  MapStep m;
  m.step = &step;
  Reader tape(step);
  tape.at = body;
  m.compute = Compute(tape.next()), m.aot = tape.next(), m.inputs = tape.next(), m.outputs = tape.next();
  const int operands = m.inputs + m.outputs;
  constexpr int WORDS = 6;
  const int32_t* const whole = tape.ints(WORDS * operands);
  m.program.read(tape, m.outputs);
  bool dense = part.columns == part.width;         // whole rows, one after another
  for (int k = 0; k < operands; ++k) dense &= whole[WORDS * k + 4] == part.columns && whole[WORDS * k + 5] == 1;
  int32_t views[5 * PART_OPERANDS], *view = views;
  for (int k = 0; k < operands; ++k) {
    const int32_t* const from = whole + WORDS * k;
    *view++ = from[0], *view++ = from[1], *view++ = int32_t(from[2] + part.batch * from[3] + part.row * from[4] + part.column * from[5]);
    if (!dense) *view++ = from[4];
    *view++ = from[5];
  }
  const int32_t dims[2] = {dense ? part.rows * part.columns : part.rows, part.columns};
  m.rank = dense ? 1 : 2, m.dims = dims, m.views = views;
  if (!run_flat(m)) run_any(m);
}

int32_t map(const Step& step) {
  MapStep m;
  m.step = &step;
  Reader tape(step);
  m.compute = Compute(tape.next()), m.aot = tape.next(), m.inputs = tape.next(), m.outputs = tape.next(), m.rank = tape.next();
  if (m.rank == 0) {
    run_parts(m, tape);
    return ENGINE_OK;
  }
  m.dims = tape.ints(m.rank);
  m.views = tape.at;
  if (run_flat(m)) return ENGINE_OK;
  m.views = tape.ints((m.inputs + m.outputs) * (3 + m.rank));
  m.program.read(tape, m.outputs);
  run_any(m);
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
