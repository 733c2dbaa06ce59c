// Reductions: sum, prod, max, min, argmax, argmin of an expression over some dims. Work is cut into units of up to 1024
// outputs along the fastest kept dim, and, where there are few outputs, into parts along the reduced dims. The cuts depend
// on the shape alone, and parts are merged in order, so results are the same for any number of threads.
#include "reduce_reads.h"
#include "kernels.h"
#include "pool.h"

namespace chainrule::VARIANT {

namespace {

constexpr int64_t GRAIN = 32768;     // elements of a task, at least
constexpr int MAX_PARTS = 16;
constexpr int64_t SHORT_ROW = 128;   // elements: less than a fold of a row by itself costs

// Applies `finish` to the folded values of a unit and stores them. (argmax and argmin fold to int32, and have no finish.)
NOINLINE void write_out(const ReduceStep& r, int64_t first, int count, char* values) {
  int64_t rest = quotient(first, r.width), at = (first - rest * r.width) * r.out.strides[r.kept - 1];
  for (int d = r.kept - 2; d >= 0 && rest > 0; --d) {
    const int64_t slow = quotient(rest, r.kept_dims[d]);
    at += (rest - slow * r.kept_dims[d]) * r.out.strides[d];
    rest = slow;
  }
  const Compute compute = r.by >= ARGMAX ? COMPUTE_INT32 : r.compute;
  if (r.has_finish) {
    Machine machine;
    const int bytes = size_of(compute);
    const Source source = {values, dtype_of(compute), 0, 1, true};
    machine.prepare(compute, r.finish, &source, r.step->scalars, count, 0, true);
    for (int done = 0; done < count; done += machine.block) {
      const int n = count - done < machine.block ? count - done : machine.block;
      machine.load(1, n, [&](int) { return done; });
      machine.run(n);
      __builtin_memcpy(values + done * bytes, machine.slot[r.finish.results[0]], n * bytes);
    }
  }
  store_tile(compute, r.out.dtype, values, r.out.data + at * bytes_of(r.out.dtype), 0, r.out.strides[r.kept - 1], 1, count);
}

INLINE int64_t part_start(const ReduceStep& r, int64_t part) {
  if (part == 0) return 0;
  if (part == r.parts) return r.folded;
  const int64_t at = r.folded * part / r.parts;
  return r.layout == ROWS ? at & ~int64_t(4095) : at;
}

template <class Task> void run_tasks(const ReduceStep& r, const Task& task) {
  const int64_t tasks = r.units * r.parts;
  if (tasks == 1 || r.outer * r.width * r.folded < 2 * GRAIN || pool_threads() == 1) {
    for (int64_t i = 0; i < tasks; ++i) task(i);
  } else {
    parallel(tasks, [&](int64_t i, int) { task(i); });
  }
}

// ---- rows: memory runs along the reduced dim ------------------------------------------------------------------------------

void fold_row(const ReduceStep& r, const FoldCalls& calls, Reads& reads, int64_t output, int64_t from, int64_t to, void* fold) {
  reads.seek(r, output, from);
  int64_t inner = remainder_of(from, r.inner);
  const int64_t element = bytes_of(reads.sources[0].dtype), bytes = r.inner * element;
  const int64_t ahead = r.reduced > 1 ? (rows_ahead(bytes) - 1) * reads.views[0].strides[r.kept + r.reduced - 2] * element : 0;
  while (from < to) {
    int64_t n = r.inner - inner < to - from ? r.inner - inner : to - from;
    if (!reads.plain && n > reads.block) n = reads.block;
    const void* const values = reads.plain ? reads.plain_at(inner) : reads.tile(inner, 1, int(n));
    const int64_t base = from;
    from += n, inner += n;
    if (inner == r.inner) {
      inner = 0;
      reads.next_row(r);
      if (reads.plain && from < to) prefetch(static_cast<const char*>(reads.plain_at(0)) + ahead, bytes);
    }
    calls.stretch(fold, 1, values, 0, n, base);
  }
}

// The same for a compiled loop over rows in memory: what it makes of them is folded a few rows at a time. False where there are none.
NOINLINE bool fold_compiled(const ReduceStep& r, const FoldCalls& calls, const Reads& reads, int64_t output, int64_t from, int64_t to,
                            void* fold) {
  constexpr int64_t ROOM = 2048;
  if (reads.compiled == nullptr) return false;
  Rows rows;
  if (!rows.prepare(r.inputs, r.inputs, r.reduced_dims, r.reduced - 1, [&](int k) { return r.input(k); }, r.kept)) return false;
  for (int k = 0; k < r.inputs; ++k) rows.at[k] += reads.kept_offset(r, k, output);
  const int64_t length = rows.columns;
  rows.seek(quotient(from, length));
  alignas(64) float values[ROOM];
  int64_t inner = remainder_of(from, length), held = 0;
  for (int64_t at = from; at < to;) {
    const int64_t left = length - inner < to - at ? length - inner : to - at;
    const int n = rows.piece(inner, left < ROOM - held ? left : ROOM - held);
    void* out = values + held;
    if (n == length - inner && at + n < to) rows.advance();
    reads.compiled(n, rows.place, reads.scalars, &out);
    at += n, inner += n, held += n;
    if (held == ROOM || at == to) {
      calls.stretch(fold, 1, values, 0, held, at - held);
      held = 0;
    }
    if (inner == length) inner = 0;
  }
  return true;
}

// Short rows of several outputs that follow each other (channels of small images) are added as one long row, then each along itself.
NOINLINE bool sum_short_rows(const ReduceStep& r, const FoldCalls& calls, const Reads& reads, int64_t first, int count, char* folds) {
  constexpr int TOGETHER = 4;
  if (r.by != SUM || r.compute != COMPUTE_FLOAT32 || r.reduced != 2 || r.inner > SHORT_ROW) return false;
  if (!reads.plain && !reads.compiled) return false;
  const ColumnCalls& columns = column_calls<float>[SUM];
  alignas(64) char state[sizeof(SumColumns<float>)];
  alignas(64) float values[TOGETHER * Rows::WIDE];
  const int groups = int(quotient_up(count, quotient(Rows::WIDE, r.inner)));
  for (int g = 0; g < groups; ++g) {             // nearly equal ones: all or none are rows
    const int done = count * g / groups;
    const int32_t dims[3] = {r.reduced_dims[0], count * (g + 1) / groups - done, int32_t(r.inner)};
    int32_t strides[Rows::OPERANDS][3];
    Rows rows;
    const auto view = [&](int k) {
      View v = reads.views[k];
      const int32_t own[3] = {v.strides[r.kept], v.strides[r.kept - 1], v.strides[r.kept + 1]};
      __builtin_memcpy(strides[k], own, sizeof own);
      v.data += reads.kept_offset(r, k, first + done) * bytes_of(v.dtype), v.strides = strides[k];
      return v;
    };
    const int width = int(dims[1] * r.inner);
    if (!rows.prepare(r.inputs, r.inputs, dims, 2, view, 0) || rows.columns != width) return false;
    columns.start(state, width);
    for (int32_t at = 0; at < dims[0]; at += TOGETHER) {
      const int some = dims[0] - at < TOGETHER ? dims[0] - at : TOGETHER;
      for (int i = 0; i < some; ++i) {
        void* out = values + i * width;
        rows.piece(0, width);
        if (reads.compiled) reads.compiled(width, rows.place, reads.scalars, &out);
        else __builtin_memcpy(out, rows.place[0], width * sizeof(float));
        if (at + i + 1 < dims[0]) rows.advance();
      }
      columns.rows(state, values, width, some, width, 0);
    }
    columns.results(state, values, width);
    calls.stretch(folds + done * calls.bytes, dims[1], values, r.inner, r.inner, 0);
  }
  return true;
}

// Short rows, one after the other along the fastest kept dim: several are evaluated at once.
void fold_short_rows(const ReduceStep& r, const FoldCalls& calls, Reads& reads, int64_t first, int count, char* folds) {
  const int n = int(r.inner), most = int(quotient(reads.block, n));
  for (int done = 0; done < count; done += most) {
    const int rows = count - done < most ? count - done : most;
    reads.seek(r, first + done, 0);
    const void* const values = reads.plain ? reads.plain_at(0) : reads.tile(0, rows, n);
    calls.stretch(folds + done * calls.bytes, rows, values, reads.plain ? reads.sources[0].row : n, n, 0);
  }
}

void run_rows(const ReduceStep& r, const FoldCalls& calls) {
  const bool is_short = r.reduced == 1 && r.inner > 0 && r.inner <= 128 && r.parts == 1;
  const int row_dim = r.kept - 1, column_dim = r.kept + r.reduced - 1;
  alignas(8) char shared[MAX_PARTS * MAX_PARTS * FOLD_BYTES];
  const auto task = [&](int64_t number) {
    const int64_t unit = quotient(number, r.parts), part = remainder_of(number, r.parts);
    const int64_t column = remainder_of(unit, r.units_across) * r.unit_width, first = quotient(unit, r.units_across) * r.width + column;
    const int count = int(r.width - column < r.unit_width ? r.width - column : r.unit_width);
    Reads reads;
    reads.prepare(r, row_dim, column_dim, !is_short, is_short ? BLOCK : r.inner);
    alignas(8) char own[UNIT * FOLD_BYTES], results[UNIT * 8];
    char* const folds = r.parts > 1 ? shared + number * calls.bytes : own;   // parts come with one output per unit
    calls.start(folds, count);
    const int64_t from = part_start(r, part), to = part_start(r, part + 1);
    if (is_short && reads.block >= r.inner) fold_short_rows(r, calls, reads, first, count, folds);
    else if (!BY_ROWS || r.parts > 1 || !sum_short_rows(r, calls, reads, first, count, folds)) for (int i = 0; i < count; ++i) {
      void* const fold = folds + i * calls.bytes;
      if (!BY_ROWS || !fold_compiled(r, calls, reads, first + i, from, to, fold)) fold_row(r, calls, reads, first + i, from, to, fold);
    }
    if (r.parts > 1) return;
    calls.results(folds, count, results);
    write_out(r, first, count, results);
  };
  run_tasks(r, task);
  for (int64_t unit = 0; unit < r.units && r.parts > 1; ++unit) {
    char* const total = shared + unit * r.parts * calls.bytes;
    for (int64_t part = 1; part < r.parts; ++part) calls.merge(total, total + part * calls.bytes);
    alignas(8) char result[8];
    calls.results(total, 1, result);
    write_out(r, quotient(unit, r.units_across) * r.width + remainder_of(unit, r.units_across), 1, result);
  }
}

// ---- columns: memory runs along a kept dim ----------------------------------------------------------------------------------

void fold_columns(const ReduceStep& r, const ColumnCalls& calls, Reads& reads, int64_t first, int width, int64_t part, void* fold,
                  int most) {
  int64_t from = part_start(r, part);
  const int64_t to = part_start(r, part + 1);
  reads.seek(r, first, from);
  int64_t inner = remainder_of(from, r.inner);
  while (from < to) {
    int64_t rows = r.inner - inner < to - from ? r.inner - inner : to - from;
    if (rows > most) rows = most;
    if (reads.plain) calls.rows(fold, reads.plain_at(inner), reads.sources[0].row, int(rows), width, from);
    else calls.rows(fold, reads.tile(inner, int(rows), width), width, int(rows), width, from);
    from += rows, inner += rows;
    if (inner < r.inner) continue;
    inner = 0;
    reads.next_row(r);
  }
}

int32_t run_columns(const ReduceStep& r, const ColumnCalls& calls) {
  const int row_dim = r.kept + r.reduced - 1, column_dim = r.kept - 1;
  char* shared = nullptr;
  if (r.parts > 1) {
    shared = static_cast<char*>(pool_scratch(pool_this_worker(), size_t(r.units * r.parts) * calls.bytes, SHARED));
    if (shared == nullptr) return ENGINE_MEMORY;
  }
  const auto task = [&](int64_t number) {
    const int64_t unit = quotient(number, r.parts), part = remainder_of(number, r.parts);
    const int64_t column = remainder_of(unit, r.units_across) * r.unit_width, first = quotient(unit, r.units_across) * r.width + column;
    const int width = int(r.width - column < r.unit_width ? r.width - column : r.unit_width);
    Reads reads;
    const bool single = width >= 64 && r.has_prologue;
    reads.prepare(r, row_dim, column_dim, single, BLOCK);
    int most = COLUMN_ROWS;
    if (!reads.plain) most = single ? 1 : int(quotient(reads.block, width));
    if (most > COLUMN_ROWS) most = COLUMN_ROWS;
    if (most < 1) most = 1;
    alignas(8) char own[COLUMNS_BYTES], results[UNIT * 8];
    char* const fold = r.parts > 1 ? shared + number * calls.bytes : own;
    calls.start(fold, width);
    fold_columns(r, calls, reads, first, width, part, fold, most);
    if (r.parts > 1) return;
    calls.results(fold, results, width);
    write_out(r, first, width, results);
  };
  run_tasks(r, task);
  for (int64_t unit = 0; unit < r.units && r.parts > 1; ++unit) {
    const int64_t column = remainder_of(unit, r.units_across) * r.unit_width;
    const int width = int(r.width - column < r.unit_width ? r.width - column : r.unit_width);
    char* const total = shared + unit * r.parts * calls.bytes;
    for (int64_t part = 1; part < r.parts; ++part) calls.merge(total, total + part * calls.bytes, width);
    alignas(8) char results[UNIT * 8];
    calls.results(total, results, width);
    write_out(r, quotient(unit, r.units_across) * r.width + column, width, results);
  }
  return ENGINE_OK;
}

// ---- choice -------------------------------------------------------------------------------------------------------------------

// How many outputs side by side: as many as a block of the VM holds, where the expression is evaluated first.
int columns_of(const ReduceStep& r) {
  if (!r.has_prologue && r.input(0).dtype == dtype_of(r.compute)) return UNIT;
  const Program& p = r.prologue;
  return block_for(r.inputs + (r.has_prologue ? p.registers + p.constants + p.scalars : 0), size_of(r.compute));
}

void cut(ReduceStep& r) {
  r.outer = product(r.kept_dims, r.kept - 1), r.width = r.kept_dims[r.kept - 1];
  r.folded = product(r.reduced_dims, r.reduced), r.inner = r.reduced_dims[r.reduced - 1];
  const int64_t outputs = r.outer * r.width, elements = outputs * r.folded;
  r.parts = 1;
  r.unit_width = r.layout == COLUMNS ? columns_of(r) : UNIT;
  if (r.layout == ROWS) {
    const int64_t enough = r.folded > 0 ? quotient(GRAIN, r.folded) : UNIT;
    r.unit_width = enough < 1 ? 1 : enough > UNIT ? UNIT : enough;
    if (outputs <= MAX_PARTS && elements >= 4 * GRAIN && r.folded >= 4 * 4096) {
      r.unit_width = 1;
      r.parts = r.folded / GRAIN;
    }
  }
  if (r.unit_width > r.width) r.unit_width = r.width;
  r.units_across = quotient_up(r.width, r.unit_width);
  r.units = r.outer * r.units_across;
  if (r.layout == COLUMNS && r.units < MAX_PARTS && elements >= 4 * GRAIN) {
    r.parts = elements / GRAIN;
    if (r.parts > MAX_PARTS / r.units) r.parts = MAX_PARTS / r.units;
  }
  if (r.parts > MAX_PARTS) r.parts = MAX_PARTS;
  if (r.parts > r.folded) r.parts = r.folded;
  if (r.parts < 1) r.parts = 1;
}

constexpr const FoldCalls* all_fold_calls[] = {fold_calls<float>, fold_calls<double>, fold_calls<int32_t>};
constexpr const ColumnCalls* all_column_calls[] = {column_calls<float>, column_calls<double>, column_calls<int32_t>};

}  // namespace

int32_t reduce(const Step& step) {
  ReduceStep r;
  r.step = &step;
  Reader tape(step);
  r.by = tape.next(), r.compute = Compute(tape.next()), r.layout = tape.next(), r.aot = tape.next();
  r.inputs = tape.next(), r.kept = tape.next(), r.reduced = tape.next();
  r.kept_dims = tape.ints(r.kept);
  r.reduced_dims = tape.ints(r.reduced);
  r.views = tape.ints(r.inputs * (3 + r.kept + r.reduced));
  r.out = tape.view(r.kept);
  r.has_prologue = tape.next() > 0;
  if (r.has_prologue) r.prologue.read(tape, 1);
  r.has_finish = tape.next() > 0 && r.by < ARGMAX;
  if (r.has_finish) r.finish.read(tape, 1);
  cut(r);
  if (r.layout == ROWS) {
    run_rows(r, all_fold_calls[r.compute][r.by]);
    return ENGINE_OK;
  }
  const int32_t code = run_columns(r, all_column_calls[r.compute][r.by]);
  return code == ENGINE_OK ? code : step.fail(code);
}

}  // namespace chainrule::VARIANT
