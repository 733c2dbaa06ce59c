// What the engine shows to the outside: a few C functions. The native addon and the WASM module bind these and nothing else.
#pragma once
#include <stdint.h>

extern "C" {

// Why a run stopped. `code` is the run's result; the facts depend on it.
enum { ENGINE_OK = 0, ENGINE_INDEX = 1, ENGINE_MEMORY = 2, ENGINE_TAPE = 3, ENGINE_FACTOR = 4 };

struct EngineError {
  int32_t code;
  int32_t step;      // position of the step on the tape
  double facts[4];   // ENGINE_INDEX: the index, the size of its dim, its position in the index tensor, 0
                     // ENGINE_TAPE: the family, 0, 0, 0
                     // ENGINE_FACTOR: by (tape.h), the matrix in its batch, the order at which it failed (from 1), 0
};

// Runs a tape (tape.h) over buffers: byte addresses, one per program buffer, as doubles. 0, or the code in engine_error().
int32_t engine_run(const int32_t* tape, const double* addresses, const double* scalars);
// Facts of the last failed run.
const EngineError* engine_error(void);
// The number of the loop compiled ahead of time for the program with this hash (Bytecode.hash), or -1.
int32_t engine_aot_find(int32_t lo, int32_t hi);

}
