// The tape: int32 words that src/backends/cpu/encode.ts writes and kernels read.
//
//   tape    = step... 0
//   step    = family, words (of the whole step), scalarBase, body
//   operand = buffer, dtype, offset (elements); a view is an operand followed by `rank` strides (elements)
//   real    = a float64 in two words
//   program = registers, inputs, constants, scalars, instructions, [real] of constants, [scalar number] of scalars,
//             instructions x (opcode, dst, a, b, c), results; operands and dst are slot numbers (vm.h)
//
// Bodies (x3 is three ints, one per spatial dim; [..] repeats; k is a view's number of strides):
//   MAP      compute, aot, inputs, outputs, rank, dims, [input view], [output view], program
//            or, with rank 0: compute, aot, inputs, outputs, 0, parts, program,
//            parts x (size, first scalar, [input view k=1], [output view k=1])      (the strides are 1, or 0 for a number)
//   REDUCE   by, compute, layout, aot (of the prologue), inputs, kept, reduced, dims (kept then reduced), [input view k=kept+reduced],
//            output view k=kept, prologue words (0: input 0 as it is), prologue, finish words (0: none), finish
//   GEMM     m, n, k, batch rank, batch dims, a view, b view, c view (strides: batch.., row, column),
//            bias (0, 1), bias view k=1, then (0, or 1 and a map over the blocks of C: compute, aot, inputs, outputs, [view k=3], program)
//   CONV     kind (0 forward, 1 input gradient, 2 weight gradient), batch, inChannels, outChannels, groups,
//            input x3, kernel x3, output x3, stride x3, padding x3, dilation x3, a operand, b operand, out operand,
//            bias (0, 1), bias operand, then (as above, over images, channels and pixels)         (all operands dense)
//   WINDOW   by (0 max, 1 mean, 2 meanAdjoint, 3 maxAdjoint), adaptive, divisor kind (0 padded, 1 real, 2 given), divisor real, planes,
//            planes side by side (views: stride from one such row of planes to the next),
//            input x3, kernel x3, output x3, stride x3, padding x3, dilation x3, operands after the first, input view k=1, output view k=1,
//            [indices view k=1]
//   GATHER   wrap, size (of the indexed dim), stride (of x along it), rank, dims, x view (stride 0 along it), index view, out view
//   SCATTER  by (0 set, 1 sum, 2 prod, 3 max, 4 min), wrap, size, stride (of out along the dim), outer rank, inner rank,
//            dims (outer.., dim, inner..), out view (stride 0 along the dim), index view (stride 0 in inner), src view
//   SCAN     by (0 sum, 1 prod, 2 max, 3 min, 4 logSumExp), length, rank, dims (without the scanned one), outputs,
//            input view k=rank+1 (the last stride: along the scanned dim), [output view k=rank+1]
//   SORT     descending, k, length, rank, dims (without the sorted one), input view k=rank+1, values view, indices view
//   RANDOM   by (0 uniform, 1 normal, 2 integers), count, out operand      (scalars: keyLow, keyHigh, offset, low, high)
//   COPY     mode (0 set, 1 accumulate, 2 fill), split, rank, dims, out view, then x view or (fill) real
//
//   ATTENTION backward, causal, mask (0 none, 1 bool, 2 float), queries, keys, width, value width, batch rank, batch dims,
//            q view, k view, v view, y view (strides: batch.., row, column), lse view k=rank+1, [mask view],
//            backward: y gradient view, q gradient view, k gradient view, v gradient view   (all but masks float32; scalar: scale)
//   RECURRENT backward, cell (0 LSTM, 1 GRU, 2 tanh, 3 ReLU), reverse, time, batch, hidden, extra (a bias; a gradient of the last
//            cells), weight view k=2, states, [kept: LSTM and GRU], [cells: LSTM], forward: x, first state, [first cells], [bias],
//            backward: states' gradient, [gradient of the last cells], x gradient, first state's, [first cells'], [sums': GRU]
//   LAYER_NORM backward, centered (0: RMS norm), weighted, biased, rows, row size, all operands dense (scalar: eps):
//            forward: x, [weight], [bias], y, [mean], deviation's inverse, [variance],
//            backward: y gradient, x, [mean], inverse, [weight], x gradient, [weight's], [bias's]
//   PROBE    iterations, out operand (two floats)        (scalars: factor, addend)
//
//   LOOP     turns, views, scratch bytes, [buffer or -1 (scratch), dtype, offset, stride (from turn to turn)] of views, then the
//            tape of a turn, whose buffers are the views and whose scalars are the program's
//   FACTOR   by (0 cholesky, 1 lu, 2 qr, 3 eigh, 4 svd, 5 triangularSolve, 6 permutation, 7 exp),
//            flags (1 upper, 2 unit, 4 vectors, 8 strict), m, n (of the first input), columns (of the last output), rank, dims (of the
//            batch), operands, [view k=rank+2] (inputs, then outputs; the last two strides: row, column; 0 where a vector has none)
//
// Dims of size 1 are gone, dims are coalesced and sorted by the encoder, the last is the fastest, and no step is empty.
#pragma once
#include <stdint.h>
#include "abi.h"
#include "dtype.h"

#define TAPE_INLINE inline __attribute__((always_inline))  // never a symbol: variants must not share code

namespace chainrule {

enum Family : int32_t {
  END, MAP, REDUCE, GEMM, CONV, WINDOW, GATHER, SCATTER, SCAN, SORT, RANDOM, COPY, PROBE, ATTENTION, RECURRENT, LOOP, LAYER_NORM, FACTOR,
  FAMILIES
};
enum Compute : int32_t { COMPUTE_FLOAT32, COMPUTE_FLOAT64, COMPUTE_INT32 };

TAPE_INLINE int bytes_of(int32_t dtype) {
  return dtype == FLOAT64 ? 8 : dtype == FLOAT32 || dtype == INT32 ? 4 : dtype == BFLOAT16 || dtype == FLOAT16 ? 2 : 1;
}
// The type that arithmetic on a storage type runs in.
TAPE_INLINE Compute compute_of(int32_t dtype) {
  return dtype == FLOAT64 ? COMPUTE_FLOAT64 : dtype >= INT32 ? COMPUTE_INT32 : COMPUTE_FLOAT32;
}

struct Operand {
  char* data;        // the first element
  int32_t dtype;
  template <class T> TAPE_INLINE T* as() const { return reinterpret_cast<T*>(data); }
};

struct View : Operand {
  const int32_t* strides;
};

// One step, ready to be read: what every kernel is called with. A kernel returns 0, or `fail(...)`.
struct Step {
  const int32_t* words;      // at the family
  const double* addresses;
  const double* scalars;     // the step's own: scalars[0] is scalar(0)
  EngineError* error;

  TAPE_INLINE int32_t fail(int32_t code, double a = 0, double b = 0, double c = 0, double d = 0) const {
    error->code = code;
    error->facts[0] = a, error->facts[1] = b, error->facts[2] = c, error->facts[3] = d;
    return code;
  }
};

// Reads a step's body from front to back.
struct Reader {
  const int32_t* at;
  const double* addresses;
  TAPE_INLINE explicit Reader(const Step& step) : at(step.words + 3), addresses(step.addresses) {}

  TAPE_INLINE int32_t next() { return *at++; }
  TAPE_INLINE const int32_t* ints(int count) {
    const int32_t* first = at;
    at += count;
    return first;
  }
  TAPE_INLINE double real() {
    double value;
    __builtin_memcpy(&value, at, sizeof value);
    at += 2;
    return value;
  }
  TAPE_INLINE Operand operand() {
    char* base = reinterpret_cast<char*>(static_cast<uintptr_t>(addresses[at[0]]));
    const Operand out{base + int64_t(at[2]) * bytes_of(at[1]), at[1]};
    at += 3;
    return out;
  }
  TAPE_INLINE View view(int rank) {
    const Operand o = operand();
    return View{{o.data, o.dtype}, ints(rank)};
  }
};

// Walks an index space row by row: every dim but the last `skip`, with one running element offset per operand.
// At most 16 dims are left after coalescing.
constexpr int MAX_RANK = 16;
template <int N> struct Walk {
  int rank;
  const int32_t* dims;
  const int32_t* strides[N > 0 ? N : 1];
  int64_t offset[N > 0 ? N : 1];
  int32_t index[MAX_RANK];

  // Goes to the row with this number. strides must be set.
  TAPE_INLINE void seek(int64_t row) {
    for (int k = 0; k < N; ++k) offset[k] = 0;
    for (int d = rank - 1; d >= 0; --d) {
      const int64_t rest = row < dims[d] ? 0 : row / dims[d];
      index[d] = int32_t(row - rest * dims[d]);
      row = rest;
      for (int k = 0; k < N; ++k) offset[k] += int64_t(index[d]) * strides[k][d];
    }
  }
  TAPE_INLINE void advance() {
    for (int d = rank - 1; d >= 0; --d) {
      if (++index[d] < dims[d]) {
        for (int k = 0; k < N; ++k) offset[k] += strides[k][d];
        return;
      }
      for (int k = 0; k < N; ++k) offset[k] -= int64_t(index[d] - 1) * strides[k][d];
      index[d] = 0;
    }
  }
};

// Quotients where most divisors are 1 or larger than the number: a division costs more than a small kernel's work.
TAPE_INLINE int64_t quotient(int64_t a, int64_t b) { return a < b ? 0 : b <= 1 ? a : a / b; }
TAPE_INLINE int64_t remainder_of(int64_t a, int64_t b) { return a < b ? a : b <= 1 ? 0 : a % b; }
TAPE_INLINE int64_t quotient_up(int64_t a, int64_t b) { return a <= b ? a > 0 : b <= 1 ? a : (a + b - 1) / b; }

TAPE_INLINE int64_t product(const int32_t* dims, int rank) {
  int64_t n = 1;
  for (int d = 0; d < rank; ++d) n *= dims[d];
  return n;
}

}  // namespace chainrule
