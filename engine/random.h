// Random numbers that are a function of key and position (Philox4x32-10: Salmon, Moraes, Dror, Shaw, SC 2011), with the same
// bits here and in src/core/draws.ts, on every variant and for any split of a range over threads.
//
// Element i of a draw is made of word i % 4 of block offset + i / 4; a double uniform takes two words, so block offset + i / 2.
// Each fill_* writes elements first .. first + count - 1 of the draw to out[0] .. out[count - 1].
#pragma once
#include "math.h"

namespace chainrule::VARIANT {

struct Key { uint32_t low, high; };

// ---- Philox, LANES_D blocks at a time -------------------------------------------------------------------------------------

typedef uint32_t vu_half __attribute__((vector_size(VECTOR_BYTES / 2)));

// 64-bit products of the low halves of the lanes with m; whatever is in the high halves does not matter.
INLINE vul multiply_low(vul a, uint32_t m) {
#if CHAINRULE_AVX512
  return (vul)_mm512_mul_epu32((__m512i)a, _mm512_set1_epi64(m));
#elif CHAINRULE_AVX2
  return (vul)_mm256_mul_epu32((__m256i)a, _mm256_set1_epi64x(m));
#elif defined(__SSE2__)
  return (vul)_mm_mul_epu32((__m128i)a, _mm_set1_epi64x(m));
#else
  return (a & 0xffffffffull) * uint64_t(m);
#endif
}

// Even and odd 64-bit lanes of a and b: a0 b0 a2 b2 .. and a1 b1 a3 b3 ..
INLINE void interleave(vul a, vul b, vul& even, vul& odd) {
#if CHAINRULE_AVX512
  even = (vul)_mm512_unpacklo_epi64((__m512i)a, (__m512i)b);
  odd = (vul)_mm512_unpackhi_epi64((__m512i)a, (__m512i)b);
#elif CHAINRULE_AVX2
  even = (vul)_mm256_unpacklo_epi64((__m256i)a, (__m256i)b);
  odd = (vul)_mm256_unpackhi_epi64((__m256i)a, (__m256i)b);
#else
  even = __builtin_shufflevector(a, b, 0, 2);
  odd = __builtin_shufflevector(a, b, 1, 3);
#endif
}

constexpr int WORDS = 4 * LANES_D;                             // of one call of philox_words: two vectors

// The four words of the blocks block .. block + LANES_D - 1, in order.
INLINE void philox_words(uint64_t block, Key key, vu out[2]) {
  // Lane by lane one block, a word in the low half of 64 bits. The lanes are numbered so that interleave sorts them.
  vul lane;
  for (int i = 0; i < LANES_D; ++i) lane[i] = uint64_t(i % 2 * (LANES_D / 2) + i / 2);
  const vul counter = lane + block;
  vul c0 = counter, c1 = counter >> 32, c2 = vul{}, c3 = vul{};
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const vul p0 = multiply_low(c0, 0xd2511f53u), p1 = multiply_low(c2, 0xcd9e8d57u);
    c0 = (p1 >> 32) ^ c1 ^ uint64_t(key.low);
    c2 = (p0 >> 32) ^ c3 ^ uint64_t(key.high);
    c1 = p1;
    c3 = p0;
    key.low += 0x9e3779b9u;
    key.high += 0xbb67ae85u;
  }
  vul even, odd;
  interleave((c0 & 0xffffffffull) | (c1 << 32), (c2 & 0xffffffffull) | (c3 << 32), even, odd);
  out[0] = (vu)even;
  out[1] = (vu)odd;
}

// Makes elements first .. first + count - 1 of one word each: make(words) turns WORDS words into as many elements of batch.
template <class T, class Make> INLINE void fill(T* out, int64_t first, int64_t count, Key key, uint64_t offset, Make make) {
  vu words[2];
  alignas(64) T batch[WORDS];
  for (int64_t done = 0; done < count;) {
    const int64_t at = first + done, skip = at & 3;
    const int64_t n = WORDS - skip < count - done ? WORDS - skip : count - done;
    philox_words(offset + uint64_t(at >> 2), key, words);
    if (n == WORDS) {
      make(words, out + done);
    } else {
      make(words, batch);
      for (int64_t i = 0; i < n; ++i) out[done + i] = batch[skip + i];
    }
    done += n;
  }
}

INLINE void fill_words(uint32_t* out, int64_t first, int64_t count, Key key, uint64_t offset) {
  fill(out, first, count, key, offset, [](const vu* words, uint32_t* to) __attribute__((always_inline)) {
    __builtin_memcpy(to, words, 4 * WORDS);
  });
}

// ---- uniforms and integers --------------------------------------------------------------------------------------------------

// Floats in [0, 1) from the upper 24 bits of a word.
INLINE vf uniform_of(vu words) { return to_float((vi)(words >> 8)) * 0x1p-24f; }

inline void fill_uniform_f32(float* out, int64_t first, int64_t count, Key key, uint64_t offset) {
  fill(out, first, count, key, offset, [](const vu* words, float* to) __attribute__((always_inline)) {
    store(to, uniform_of(words[0]));
    store(to + LANES, uniform_of(words[1]));
  });
}

// Doubles in [0, 1) from 53 bits: 27 of the first word, 26 of the second.
inline void fill_uniform_f64(double* out, int64_t first, int64_t count, Key key, uint64_t offset) {
  vu pair[2];
  uint32_t words[WORDS];
  for (int64_t done = 0; done < count;) {
    const int64_t at = first + done;
    philox_words(offset + uint64_t(at >> 1), key, pair);
    __builtin_memcpy(words, pair, sizeof words);
    double batch[WORDS / 2];                                   // all of them, then those wanted: the loop has no conditions
    for (int i = 0; i < WORDS / 2; ++i)
      batch[i] = (double(int32_t(words[2 * i] >> 5)) * 0x1p26 + double(int32_t(words[2 * i + 1] >> 6))) * 0x1p-53;
    const int64_t skip = at & 1, n = WORDS / 2 - skip < count - done ? WORDS / 2 - skip : count - done;
    for (int64_t i = 0; i < n; ++i) out[done + i] = batch[skip + i];
    done += n;
  }
}

// Integers in [low, high): low + floor(word * (high - low) / 2^32).
inline void fill_integers(int32_t* out, int64_t first, int64_t count, Key key, uint64_t offset, int32_t low, int32_t high) {
  const uint64_t range = uint64_t(int64_t(high) - int64_t(low));
  fill(out, first, count, key, offset, [=](const vu* words, int32_t* to) __attribute__((always_inline)) {
    uint32_t w[WORDS];
    __builtin_memcpy(w, words, sizeof w);
    for (int i = 0; i < WORDS; ++i) to[i] = int32_t(int64_t(low) + int64_t((w[i] * range) >> 32));
  });
}

// ---- normals --------------------------------------------------------------------------------------------------------------

// Plain multiplications and additions, never fused: draws.ts does just these.
INLINE vd plain_horner(vd, double c) { return broadcast(c); }
template <class... Rest> INLINE vd plain_horner(vd x, double c, Rest... rest) { return x * plain_horner(x, rest...) + c; }

// The normal quantile of p = (word + 1/2) / 2^32 by Wichura's AS 241 (PPND16, 1e-16); its far tail begins below 2^-33.
INLINE vd normal_of(vu_half words) {
  const vd p = (__builtin_convertvector(words, vd) + 0.5) * 0x1p-32, q = p - 0.5, near = 0.180625 - q * q;
  const vd inner = q * plain_horner(near, 3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
      1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3)
    / plain_horner(near, 1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3,
      2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3);
  const vl central = abs(q) <= 0.425;
  if (!any(~central)) return inner;
  // log(t), t = min(p, 1 - p): t = 2^k (1 + f), then s = f / (2 + f) as in Real<vd>::log_core.
  const vul from_root = (vul)min(p, 1.0 - p) - 0x3fe6a09e00000000ull;
  const vd k = (vd)(((from_root + 0x3ff0000000000000ull) >> 52) | 0x4330000000000000ull) - (0x1p52 + 1023);
  const vd f = (vd)((from_root & 0xfffffffffffffull) + 0x3fe6a09e00000000ull) - 1.0, s = f / (f + 2.0), z = s * s;
  const vd tail = z * plain_horner(z, 0.6666666666666734, 0.3999999999941438, 0.2857142874245617, 0.22222198565841064,
                                   0.18183564725954957, 0.15314039823151854, 0.14796062300208862);
  const vd log_t = k * 0x1.62e42feep-1 + ((s * (2.0 + tail)) + k * 0x1.a39ef35793c76p-33);
  const vd r = sqrt(-log_t) - 1.6;
  const vd outer = plain_horner(r, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
      3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2,
      7.74545014278341407640e-4)
    / plain_horner(r, 1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1,
      1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9);
  return select(central, inner, copysign(outer, q));
}

INLINE void normals_of(const vu* words, vd* out) {
  vu_half parts[4];
  __builtin_memcpy(parts, words, sizeof parts);
  for (int i = 0; i < 4; ++i) out[i] = normal_of(parts[i]);
}

inline void fill_normal_f32(float* out, int64_t first, int64_t count, Key key, uint64_t offset) {
  fill(out, first, count, key, offset, [](const vu* words, float* to) __attribute__((always_inline)) {
    vd z[4];
    normals_of(words, z);
    store(to, join(z[0], z[1]));
    store(to + LANES, join(z[2], z[3]));
  });
}

inline void fill_normal_f64(double* out, int64_t first, int64_t count, Key key, uint64_t offset) {
  fill(out, first, count, key, offset, [](const vu* words, double* to) __attribute__((always_inline)) {
    vd z[4];
    normals_of(words, z);
    for (int i = 0; i < 4; ++i) store(to + i * LANES_D, z[i]);
  });
}

}  // namespace chainrule::VARIANT
