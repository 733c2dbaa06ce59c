// Rows of float32 operands for a loop compiled ahead of time: what moves along a row is read where it lies, single numbers are a
// vector each, which the loop reads again and again. Where short rows are walked as one, numbers are spread out, again only when they change.
#pragma once
#include "vm.h"

namespace chainrule::VARIANT {

// Memory that will be read soon, after a jump that the processor does not foresee: it goes on from there by itself.
template <class T> INLINE void prefetch(const T* p, int64_t count) {
  constexpr int64_t LINE = 64 / sizeof(T), MOST = 12 * LINE;
  for (int64_t i = 0; PREFETCHES && i < (count < MOST ? count : MOST); i += LINE) __builtin_prefetch(p + i);
}

// How many rows of so many bytes should be on their way.
INLINE int32_t rows_ahead(int64_t bytes) { return int32_t(quotient_up(1536, bytes)); }

#ifdef __wasm__
constexpr bool BY_ROWS = false;      // what goes over a network is kept small
#else
constexpr bool BY_ROWS = true;
#endif

struct Rows {
  static constexpr int OPERANDS = 16, SPREADS = 8, SLOTS = 16, WIDE = 1024, SHORTEST = 32, SHORT = 256;

  int operands, spreads, rank;         // rank: of the dims above the rows
  int64_t columns;
  int32_t runs;                        // short rows that follow each other in memory and are walked as one
  int32_t index[MAX_RANK];
  const int32_t *dims, *strides[OPERANDS];
  bool moves[OPERANDS];                // along a row
  float* at[OPERANDS];                 // the current row
  int spread[SPREADS];                 // operands that stay where they are along a row
  int32_t far, ahead;                  // the dim along which memory is brought, and how many steps
  int32_t wide, slots;                 // of `numbers`: as many rows of them as there is room for, so that a few may take turns
  const float* known[SPREADS][SLOTS];
  void* place[OPERANDS];
  alignas(64) float numbers[SPREADS][WIDE];

  // False where rows are of no use. Operand k is read along the dims of `v` from `skip` on, the last of which is `columns` long.
  template <class At> NOINLINE bool prepare(int count, int inputs, const int32_t* all, int above, At view, int skip) {
    operands = count, spreads = 0, rank = above, dims = all, columns = all[above], runs = 1;
    if (operands > OPERANDS) return false;
    bool follow = rank > 0 && columns <= SHORT && columns * dims[rank - 1] <= WIDE;
    for (int k = 0; k < operands; ++k) {
      const View v = view(k);
      strides[k] = v.strides + skip, at[k] = v.template as<float>();
      const int32_t along = strides[k][rank];
      if (v.dtype != FLOAT32 || (along != 1 && (along != 0 || k >= inputs))) return false;
      moves[k] = along == 1;
      if (moves[k]) {
        follow &= strides[k][rank - 1] == columns;
        continue;
      }
      if (spreads == SPREADS) return false;
      fill(known[spreads], static_cast<const float*>(nullptr), SLOTS);
      spread[spreads++] = k;
    }
    if (follow) runs = dims[--rank], columns *= runs;
    if (columns < SHORTEST) return false;
    wide = int32_t(columns < WIDE ? columns : WIDE), slots = 1;
    while (slots < SLOTS && 2 * slots * wide <= WIDE) slots *= 2;
    for (int d = 0; d < rank; ++d) index[d] = 0;
    far = rank - 1, ahead = rows_ahead(columns * int64_t(sizeof(float)));
    if (rank > 1 && ahead >= dims[far]) ahead = int32_t(quotient_up(ahead, dims[far--]));
    return true;
  }

  INLINE void move(int64_t d, int64_t by) {
    for (int k = 0; k < operands; ++k) at[k] += by * strides[k][d];
  }
  INLINE void seek(int64_t row) {
    for (int d = rank - 1; d >= 0 && row > 0; --d) {
      const int64_t rest = quotient(row, dims[d]), to = row - rest * dims[d];
      move(d, to - index[d]);
      index[d] = int32_t(to), row = rest;
    }
  }
  INLINE void next() {
    for (int d = rank - 1; d >= 0; --d) {
      const bool carry = ++index[d] == dims[d];
      move(d, carry ? 1 - dims[d] : 1);
      if (!carry) return;
      index[d] = 0;
    }
  }

  // Goes to the next row, and has memory bring one further on.
  INLINE void advance() {
    next();
    if (index[far] + ahead >= dims[far]) return;
    for (int k = 0; k < operands; ++k)
      if (moves[k]) prefetch(at[k] + int64_t(ahead) * strides[k][far], columns);
  }

  INLINE void spread_out(int k, float* row) {
    const int64_t run = quotient(columns, runs);
    for (int64_t i = 0; i < runs; ++i) fill(row + i * run, at[k][i * strides[k][rank]], int(run));
  }

  // Where the row's elements from `column` on are: as many as asked for.
  INLINE int piece(int64_t column, int64_t wanted) {
    for (int k = 0; k < operands; ++k) place[k] = at[k] + column;
    for (int s = 0; s < spreads; ++s) {
      const float* const from = at[spread[s]];
      if (runs == 1) {
        store(numbers[s], broadcast(*from));
        place[spread[s]] = single_number(numbers[s]);
        continue;
      }
      const size_t slot = reinterpret_cast<uintptr_t>(from) / sizeof(float) & size_t(slots - 1);
      float* const row = numbers[s] + slot * size_t(wide);
      if (known[s][slot] != from) spread_out(spread[s], row), known[s][slot] = from;
      place[spread[s]] = row + column;
    }
    return int(wanted);
  }
};

}  // namespace chainrule::VARIANT
