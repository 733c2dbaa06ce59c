// The block VM: runs an expression's register code over a tile of elements at a time, all registers in the first-level cache.
// A slot is a pointer to a block of elements: a register, an input, a constant or a scalar. Dense inputs of the compute
// type are read where they lie; the others are converted into the register file first; constants are written there once.
#pragma once
#include "convert.h"

namespace chainrule::VARIANT {

constexpr int MAX_SLOTS = 256;       // encode.ts refuses more
constexpr int BLOCK = 512;           // elements per register, fewer when there are many
constexpr int DIRECT_BLOCK = 16384;  // where nothing goes through registers
constexpr int FILE_BYTES = 32768;
constexpr int MIN_BLOCK = FILE_BYTES / MAX_SLOTS / 8;

typedef void (*Instruction)(void* dst, const void* a, const void* b, const void* c, int n);
extern const Instruction* const instruction_tables[3];  // by Compute

// A loop compiled ahead of time (map.cpp) that does what a program does: dense float32, number as in a tape. An input that is the same
// number for all elements may come as one vector of it, marked in the lowest bit of its address.
typedef void (*AotLoop)(int64_t n, void* const* in, const double* scalars, void* const* out);
AotLoop aot_loop(int32_t number);
INLINE void* single_number(float* vector) { return reinterpret_cast<char*>(vector) + 1; }

struct Program {
  int registers, inputs, constants, scalars, instructions;
  const int32_t *constant_words, *scalar_numbers, *code, *results;

  INLINE void read(Reader& tape, int result_count) {
    registers = tape.next(), inputs = tape.next(), constants = tape.next(), scalars = tape.next(), instructions = tape.next();
    constant_words = tape.ints(2 * constants);
    scalar_numbers = tape.ints(scalars);
    code = tape.ints(5 * instructions);
    results = tape.ints(result_count);
  }
};

// An input of a tile: steps in elements from row to row and from column to column.
struct Source {
  const char* data;
  int32_t dtype;
  int32_t row, column;
  bool direct;           // read where it lies
};

// Elements per block when the register file holds so many of them.
INLINE int block_for(int blocks, int bytes) {
  if (blocks == 0) return DIRECT_BLOCK;
  const int room = FILE_BYTES / (blocks * bytes) & ~(MIN_BLOCK - 1);
  return room < BLOCK ? room : BLOCK;
}

struct Machine {
  alignas(64) char file[FILE_BYTES];
  void* slot[MAX_SLOTS];
  struct Loaded { const char* from; int rows, columns; } loaded[MAX_SLOTS];
  Program program;
  const Source* sources;
  Compute compute;
  int block;             // elements that fit in a tile
  char* spare;           // the first of the caller's blocks

  INLINE int block_bytes() const { return block * size_of(compute); }

  // `elements`: no tile will have more. `extra` blocks are kept free for the caller, `skipped` registers are set by it.
  NOINLINE void prepare(Compute type, const Program& p, const Source* inputs, const double* numbers, int64_t elements, int extra,
                        bool registers) {
    program = p;
    sources = inputs;
    compute = type;
    int blocks = extra + (registers ? p.registers + p.constants + p.scalars : 0);
    for (int k = 0; k < p.inputs; ++k) blocks += !inputs[k].direct;
    block = block_for(blocks, size_of(type));
    if (elements < block) block = (int(elements) + 15) & ~15;
    spare = file;
    const auto take = [&](int number) { slot[number] = spare, spare += block_bytes(); };
    if (registers)
      for (int r = 0; r < p.registers; ++r) take(r);
    for (int k = 0; k < p.inputs; ++k) {
      if (inputs[k].direct) continue;
      take(p.registers + k);
      loaded[k].from = nullptr;
    }
    const int first = p.registers + p.inputs, numbered = registers ? p.constants + p.scalars : 0;
    for (int k = 0; k < numbered; ++k) {
      double value;
      if (k < p.constants) __builtin_memcpy(&value, p.constant_words + 2 * k, sizeof value);
      else value = numbers[p.scalar_numbers[k - p.constants]];
      take(first + k);
      fill_block(type, slot[first + k], value, block);
    }
  }

  // Points the inputs at a tile; `offset(k)` is where it starts in input k, in elements. Tiles that stay in place are loaded once.
  template <class Offset> INLINE void load(int rows, int columns, Offset offset) {
    for (int k = 0; k < program.inputs; ++k) {
      const Source& source = sources[k];
      const char* from = source.data + offset(k) * bytes_of(source.dtype);
      void*& to = slot[program.registers + k];
      if (source.direct) {
        to = const_cast<char*>(from);
        continue;
      }
      Loaded& last = loaded[k];
      if (last.from == from) {                     // else its sizes may be those of nothing
        const bool repeats = source.row == 0 && source.column == 0;
        if (repeats ? last.rows * last.columns >= rows * columns : last.columns == columns && last.rows >= rows) continue;
      }
      last = Loaded{from, rows, columns};
      load_tile(compute, source.dtype, from, source.row, source.column, rows, columns, to);
    }
  }

  INLINE void run(int n) {
    const Instruction* const table = instruction_tables[compute];
    const int32_t* code = program.code;
    for (int i = 0; i < program.instructions; ++i, code += 5)
      table[code[0]](slot[code[1]], slot[code[2]], slot[code[3]], slot[code[4]], n);
  }
};

}  // namespace chainrule::VARIANT
