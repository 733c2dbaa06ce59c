// How JavaScript asks for a run without passing arguments: it writes what the run needs into an array of doubles that both
// sides know, calls run(), and reads the result from the same array. src/backends/cpu/binding.ts is the other side.
//
//   before   tape address, position of the scalars, variant, threads, buffer addresses.., scalars..
//   after    code, and if it is not 0: step, four facts (abi.h)
#pragma once
#include "abi.h"

namespace chainrule {

constexpr int MAILBOX_HEADER = 4;

inline void run_mailbox(double* mailbox) {
  const int32_t* tape = reinterpret_cast<const int32_t*>(static_cast<uintptr_t>(mailbox[0]));
  const int32_t code = engine_run(tape, mailbox + MAILBOX_HEADER, mailbox + static_cast<int32_t>(mailbox[1]));
  mailbox[0] = code;
  if (code == ENGINE_OK) return;
  const EngineError& error = *engine_error();
  mailbox[1] = error.step;
  for (int i = 0; i < 4; ++i) mailbox[2 + i] = error.facts[i];
}

}  // namespace chainrule
