// The tile registers of recent x86 servers (AMX): eight times the rate of float32 multiply-adds and more, in a kernel of 32 x 32 sums.
// The instructions are written as text, so that no compiler flag is needed; subnormal inputs and results count as zero.
#pragma once
#include "gemm_pairs.h"

#if CHAINRULE_AVX512 && defined(__linux__) && defined(__x86_64__)
#define CHAINRULE_AMX 1
#include <sys/syscall.h>
#include <unistd.h>

namespace chainrule::VARIANT::pairs {

// Whether the machine has the tiles and Linux lets this process use them: it asks once.
inline bool has_tiles() {
  static const bool answer = [] {
    unsigned a = 0, b = 0, c = 0, d = 0;
    constexpr unsigned BF16 = 1u << 22, TILES = 1u << 24;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & (BF16 | TILES)) != (BF16 | TILES)) return false;
    constexpr long REQUEST_PERMISSION = 0x1023, TILE_DATA = 18;
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
  }();
  return answer;
}

struct alignas(64) Configuration {
  uint8_t palette = 1, start = 0, unused[14] = {};
  uint16_t rowBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

#define CHAINRULE_TILE(load_or_store, number, address, distance) \
  asm volatile(load_or_store(number) ::"r"(address), "r"(int64_t(distance)) : "memory")
#define CHAINRULE_TILE_LOAD(number) "tileloadd (%0,%1,1), %%tmm" #number
#define CHAINRULE_TILE_STORE(number) "tilestored %%tmm" #number ", (%0,%1,1)"

// sums[r * BLOCK + c] of 32 x 32, over so many steps of both panels; with `add`, += .
inline void tile_kernel(const uint16_t* a, const uint16_t* b, int steps, float* sums, bool add, Ahead& ahead) {
  constexpr int64_t ROW = BLOCK * sizeof(float);
  float* const lower = sums + SIDE * BLOCK;
  if (add) {
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 0, sums, ROW);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 1, sums + SIDE, ROW);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 2, lower, ROW);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 3, lower + SIDE, ROW);
  } else {
    asm volatile("tilezero %%tmm0\n\ttilezero %%tmm1\n\ttilezero %%tmm2\n\ttilezero %%tmm3" ::: "memory");
  }
  for (; steps > 0; --steps, a += 2 * TILE, b += 2 * TILE) {
    for (int i = 0; i < FETCHES; ++i) ahead.fetch();
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 4, a, 64);
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 6, b, 64);
    asm volatile("tdpbf16ps %%tmm6, %%tmm4, %%tmm0" ::: "memory");
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 7, b + TILE, 64);
    asm volatile("tdpbf16ps %%tmm7, %%tmm4, %%tmm1" ::: "memory");
    CHAINRULE_TILE(CHAINRULE_TILE_LOAD, 5, a + TILE, 64);
    asm volatile("tdpbf16ps %%tmm6, %%tmm5, %%tmm2\n\ttdpbf16ps %%tmm7, %%tmm5, %%tmm3" ::: "memory");
  }
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 0, sums, ROW);
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 1, sums + SIDE, ROW);
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 2, lower, ROW);
  CHAINRULE_TILE(CHAINRULE_TILE_STORE, 3, lower + SIDE, ROW);
}

#undef CHAINRULE_TILE
#undef CHAINRULE_TILE_LOAD
#undef CHAINRULE_TILE_STORE

}  // namespace chainrule::VARIANT::pairs
#endif
