// A reduction as the tape describes it, and the values that it folds: stretches of the reduced expression.
#pragma once
#include "folds.h"
#include "rows.h"

namespace chainrule::VARIANT {

namespace {

enum By { SUM, PROD, MAX, MIN, ARGMAX, ARGMIN };
enum Layout { ROWS, COLUMNS };

struct ReduceStep {
  const Step* step;
  int by, layout, aot, inputs, kept, reduced;
  Compute compute;
  const int32_t *kept_dims, *reduced_dims, *views;
  View out;
  Program prologue, finish;
  bool has_prologue, has_finish;
  int64_t outer, width;              // outputs: slow kept dims together, the fastest one
  int64_t folded, inner;             // elements per output, the fastest reduced dim's
  int64_t unit_width, units_across, units, parts;

  INLINE View input(int k) const {
    Reader tape(*step);
    tape.at = views + k * (3 + kept + reduced);
    return tape.view(kept + reduced);
  }
};

constexpr int MAX_INPUTS = MAX_SLOTS;

// Evaluates stretches of the reduced expression: tiles whose rows and columns run along two dims of the step. A position is
// a kept index, an index into the slow reduced dims, and one along the fastest reduced dim.
struct Reads {
  Machine machine;
  Source sources[MAX_INPUTS];
  View views[MAX_INPUTS];
  int64_t start[MAX_INPUTS];         // of the current kept and slow reduced index, in elements
  int32_t index[MAX_RANK];           // of the slow reduced dims
  int inner_dim;
  bool plain;                        // the input itself, where it lies
  AotLoop compiled;                  // the prologue, or null
  const double* scalars;
  int block;

  // `single`: tiles of one row, which can be read where they lie; otherwise of up to BLOCK elements.
  NOINLINE void prepare(const ReduceStep& r, int row_dim, int column_dim, bool single, int64_t most) {
    for (int k = 0; k < r.inputs; ++k) {
      const View v = views[k] = r.input(k);
      const bool direct = v.dtype == dtype_of(r.compute) && v.strides[column_dim] == 1;
      sources[k] = Source{v.data, v.dtype, v.strides[row_dim], v.strides[column_dim], direct};
    }
    inner_dim = r.kept + r.reduced - 1;
    plain = !r.has_prologue && sources[0].direct;
    compiled = r.has_prologue && r.aot >= 0 ? aot_loop(r.aot) : nullptr, scalars = r.step->scalars;
    if (plain) {
      block = BLOCK;
      return;
    }
    for (int k = 0; k < r.inputs && !single; ++k) sources[k].direct = false;
    static const int32_t first_input = 0;
    const Program identity = {0, 1, 0, 0, 0, nullptr, nullptr, nullptr, &first_input};
    machine.prepare(r.compute, r.has_prologue ? r.prologue : identity, sources, scalars, most, compiled ? 1 : 0, !compiled);
    block = machine.block < BLOCK ? machine.block : BLOCK;
  }

  INLINE int64_t kept_offset(const ReduceStep& r, int k, int64_t kept) const {
    int64_t at = 0;
    for (int d = r.kept - 1; d >= 0 && kept > 0; --d) {
      const int64_t rest = quotient(kept, r.kept_dims[d]);
      at += (kept - rest * r.kept_dims[d]) * views[k].strides[d];
      kept = rest;
    }
    return at;
  }
  // Goes to a kept index and to the row of the reduced space that holds this element.
  INLINE void seek(const ReduceStep& r, int64_t kept, int64_t reduced) {
    for (int k = 0; k < r.inputs; ++k) start[k] = kept_offset(r, k, kept);
    int64_t row = quotient(reduced, r.inner);
    for (int d = r.reduced - 2; d >= 0; --d) {
      const int64_t rest = quotient(row, r.reduced_dims[d]);
      index[d] = int32_t(row - rest * r.reduced_dims[d]);
      for (int k = 0; k < r.inputs; ++k) start[k] += int64_t(index[d]) * views[k].strides[r.kept + d];
      row = rest;
    }
  }
  INLINE void next_row(const ReduceStep& r) {
    for (int d = r.reduced - 2; d >= 0; --d) {
      const bool carry = ++index[d] == r.reduced_dims[d];
      const int64_t move = carry ? 1 - r.reduced_dims[d] : 1;
      for (int k = 0; k < r.inputs; ++k) start[k] += move * views[k].strides[r.kept + d];
      if (!carry) return;
      index[d] = 0;
    }
  }

  INLINE const void* plain_at(int64_t inner) const {
    return sources[0].data + (start[0] + inner * views[0].strides[inner_dim]) * bytes_of(sources[0].dtype);
  }
  // The values of rows x columns elements, dense, from this position of the fastest reduced dim on.
  NOINLINE const void* tile(int64_t inner, int rows, int columns) {
    machine.load(rows, columns, [&](int k) { return start[k] + inner * views[k].strides[inner_dim]; });
    if (compiled) {
      void* values = machine.spare;
      compiled(int64_t(rows) * columns, machine.slot + machine.program.registers, scalars, &values);
      return values;
    }
    machine.run(rows * columns);
    return machine.slot[machine.program.results[0]];
  }
};

}  // namespace

}  // namespace chainrule::VARIANT
