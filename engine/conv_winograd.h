// 3x3 convolutions of stride 1 by Winograd's F(2x2, 3x3): 16 multiplications give four results, where the sum itself takes 36.
// With depth, a plane of results comes from `deep` planes of the source (taps in depth), whose channels lie behind each other as if
// they were more channels of one image.
//
// A tile of 4x4 pixels becomes 16 numbers V (additions only), the 3x3 taps become 16 numbers U (once); then each of the 16 is a matrix
// product over channels, M = V U, and additions make 2x2 results of 16 M. Lanes are channels throughout: the image is transposed to
// (pixel, channel) on its way in, the result on its way out. Sums are shorter than the direct ones, so the result is as exact.
// A tile's result does not depend on which others are computed beside it.
#pragma once
#include "conv_turned.h"

namespace chainrule::VARIANT {

// Tiles computed together: with two vectors or more of results, with one.
#if CHAINRULE_AVX512
constexpr int SLOTS = 12, SLOTS_NARROW = 8;        // V and M in L1 matter more than accumulators
#else
constexpr int SLOTS = MR, SLOTS_NARROW = 2 * MR;
#endif
constexpr int POINTS = 16;                         // products of a tile

// One of the products for ROWS tiles. V and M hold the 16 numbers of a tile side by side, a vector of channels each:
// M[vector][tile][.][lane] = sum over channels c < k of V[c / LANES][tile][.][c % LANES] * U[c][vector][lane].
template <int ROWS, int VECTORS> void tile_kernel(const float* a, int64_t next, const float* b, int k, float* c) {
  constexpr int L = LANES, STEP = POINTS * L;
  vf acc[ROWS][VECTORS] = {};
  for (int left = k; left > 0; left -= L, a += next) {
    const float* from = a;
    for (int p = min(left, L); p > 0; --p, ++from, b += VECTORS * L) {
      vf x[VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) x[v] = load(b + v * L);
#pragma GCC unroll 12
      for (int r = 0; r < ROWS; ++r) {
        const vf y = broadcast(from[r * STEP]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) acc[r][v] = fma(y, x[v], acc[r][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(c + v * next + r * STEP, acc[r][v]);
}

using TileKernel = void (*)(const float*, int64_t, const float*, int, float*);

// Rows are rounded up to even: the tile beyond is computed, and never read.
template <int VECTORS, int ROWS = 2> TileKernel tile_kernel_for(int rows) {
  if constexpr (ROWS < (VECTORS == 1 ? max(SLOTS, SLOTS_NARROW) : SLOTS))
    if (rows > ROWS) return tile_kernel_for<VECTORS, ROWS + 2>(rows);
  return tile_kernel<ROWS, VECTORS>;
}

INLINE TileKernel tile_kernel_of(int rows, int vectors) {
  if (vectors == 1) return tile_kernel_for<1>(rows);
  if (NV == 2 || vectors == 2) return tile_kernel_for<2>(rows);
  return vectors == 3 ? tile_kernel_for<NV == 4 ? 3 : 2>(rows) : tile_kernel_for<NV == 4 ? 4 : 2>(rows);
}

// d -> B' d for four vectors; V of a tile is that of its columns, then of its rows.
INLINE void tile_line(vf& a, vf& b, vf& c, vf& d) {
  const vf ac = a - c, bc = b + c, cb = c - b, bd = b - d;
  a = ac, b = bc, c = cb, d = bd;
}

// One vector of channels of a tile: its four lines lie `line` apart, its pixels LANES apart, its numbers go `next` apart.
INLINE void tile_in(const float* from, int64_t line, float* to, int64_t next) {
  vf d[4][4];
#pragma GCC unroll 4
  for (int x = 0; x < 4; ++x) {
#pragma GCC unroll 4
    for (int y = 0; y < 4; ++y) d[y][x] = load(from + y * line + x * LANES);
    tile_line(d[0][x], d[1][x], d[2][x], d[3][x]);
  }
#pragma GCC unroll 4
  for (int y = 0; y < 4; ++y) {
    tile_line(d[y][0], d[y][1], d[y][2], d[y][3]);
#pragma GCC unroll 4
    for (int x = 0; x < 4; ++x) store(to + (y * 4 + x) * next, d[y][x]);
  }
}

// The 2x2 results of 16 products.
INLINE void tile_out(const float* from, vf bias, vf (&result)[2][2]) {
  constexpr int next = LANES;
  vf half[2][4];
#pragma GCC unroll 4
  for (int x = 0; x < 4; ++x) {
    const vf a = load(from + x * next), b = load(from + (4 + x) * next), c = load(from + (8 + x) * next), d = load(from + (12 + x) * next);
    half[0][x] = a + b + c, half[1][x] = b - c - d;
  }
#pragma GCC unroll 2
  for (int y = 0; y < 2; ++y) {
    result[y][0] = half[y][0] + half[y][1] + half[y][2] + bias;
    result[y][1] = half[y][1] - half[y][2] - half[y][3] + bias;
  }
}

// U = G g G' for the 3x3 taps g of `count` channels, which lie `step` apart; reversed for the input gradient.
NOINLINE inline void tile_weights(const float* from, int64_t step, int count, bool reversed, float* to, int64_t next) {
  const auto line = [](vf a, vf b, vf c, vf (&out)[4]) {
    const vf half = broadcast(0.5f), even = (a + c) * half, odd = b * half;
    out[0] = a, out[1] = even + odd, out[2] = even - odd, out[3] = c;
  };
  vf taps[16] = {}, rows[4][3];
  if constexpr (LANES == 16) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; ++i)
      if (i < count) taps[i] = load_first(from + i * step, 9);
    transpose(taps);
  } else {
    for (int i = 0; i < count; ++i)
      for (int t = 0; t < 9; ++t) taps[t][i] = from[i * step + t];
  }
  if (reversed)
    for (int t = 0; t < 4; ++t) {
      const vf tap = taps[t];
      taps[t] = taps[8 - t], taps[8 - t] = tap;
    }
  for (int x = 0; x < 3; ++x) {
    vf column[4];
    line(taps[x], taps[3 + x], taps[6 + x], column);
    for (int y = 0; y < 4; ++y) rows[y][x] = column[y];
  }
  for (int y = 0; y < 4; ++y) {
    vf out[4];
    line(rows[y][0], rows[y][1], rows[y][2], out);
    for (int x = 0; x < 4; ++x) store(to + (y * 4 + x) * next, out[x]);
  }
}

// The results, and the input gradient: the same with the taps reversed and channels exchanged.
struct Winograd {
  static constexpr int L = LANES;
  const Conv& conv;
  bool gradient;
  int channels, made;                              // of a group: read, written
  int high, wide, tilesY, tilesX;                  // of the result
  Depth deep;
  int blocks, vectors, panels;                     // vectors of channels read, of all taps in depth, written; panels of NV vectors
  int summed;                                      // channels of these, the last ones zero where there are several taps
  int slots;                                       // tiles computed together
  int imagesPer, linesPer;                         // images, or lines of tiles of one image, in a task
  TurnedImage turned;
  int padY;
  const float* from;
  float* to;
  float* weights = nullptr;                        // [group][panel][point][channel read][channel written]

  explicit Winograd(const Conv& c) : conv(c), gradient(c.direction == Conv::INPUT_GRADIENT), deep(c, gradient) {
    channels = (gradient ? c.o : c.c) / c.groups, made = (gradient ? c.c : c.o) / c.groups;
    from = static_cast<const float*>(gradient ? c.y : c.x);
    to = static_cast<float*>(gradient ? c.x : c.y);
    high = gradient ? c.in[1] : c.out[1], wide = gradient ? c.in[2] : c.out[2];
    tilesY = (high + 1) / 2, tilesX = (wide + 1) / 2;
    blocks = (channels + L - 1) / L * deep.taps, vectors = (made + L - 1) / L, panels = (vectors + NV - 1) / NV;
    summed = deep.taps > 1 ? blocks * L : channels;
    slots = vectors == 1 ? SLOTS_NARROW : SLOTS;
    const int most = max(2 * slots, (128 << 10) / (16 * (blocks + vectors) * L));     // tiles whose pixels stay in the cache
    const int some = max(slots, min(most, int(min<int64_t>(1 << 20, int64_t(tilesX) * tilesY * deep.planes * c.n * c.groups / 8))));
    linesPer = max(1, min(tilesY, some / tilesX));
    imagesPer = linesPer < tilesY || c.groups * deep.planes > 1 ? 1 : max(1, min(c.n, some / (tilesY * tilesX)));
    turned = {channels, gradient ? c.out[1] : c.in[1], gradient ? c.out[2] : c.in[2], 2 * linesPer + 2, 2 * tilesX + 2,
              gradient ? 2 - c.pad[2] : c.pad[2], 0};
    turned.apart = int64_t(deep.sourcePlanes) * turned.high * turned.wide;
    padY = gradient ? 2 - c.pad[1] : c.pad[1];
  }

  // Flat images; with taps in depth the vectors of channels have to be mostly full as well.
  static bool suits(const Conv& c) { return c.in[0] == 1 && c.kernel[0] == 1 && c.pad[0] == 0 && suits_plane(c); }
  static bool suits_deep(const Conv& c) {
    const int read = (c.direction == Conv::INPUT_GRADIENT ? c.o : c.c) / c.groups, room = (read + L - 1) / L * L;
    return c.stride[0] == 1 && read * 4 >= room * 3 && suits_plane(c);
  }
  static bool suits_plane(const Conv& c) {
    const bool gradient = c.direction == Conv::INPUT_GRADIENT;
    const int made = (gradient ? c.c : c.o) / c.groups, read = (gradient ? c.o : c.c) / c.groups;
    const int room = (made + L - 1) / L * L;
    bool square = true;
    for (int i = 1; i < 3; ++i) square = square && c.kernel[i] == 3 && c.stride[i] == 1 && c.dilation[i] == 1 && c.pad[i] <= 2;
    const bool far = int64_t(made) * read > 256 * 256 && c.direction != Conv::WEIGHT_GRADIENT;    // U does not fit the cache
    return square && read >= 8 && made * 4 >= room * 3 && int64_t(c.n) * c.out[0] * c.out[1] * c.out[2] >= (far ? 512 : 64);
  }

  int panel_vectors(int panel) const { return min(NV, vectors - panel * NV); }
  int64_t group_weights() const { return int64_t(POINTS) * summed * vectors * L; }
  const float* panel_weights(int group, int panel) const {
    return weights + group * group_weights() + int64_t(POINTS) * summed * panel * NV * L;
  }

  void transform_weights() {
    weights = static_cast<float*>(pool_scratch(0, size_t(conv.groups * group_weights()) * sizeof(float), SHARED));
    const int64_t taps = int64_t(deep.taps) * 9;
    const int64_t readStep = gradient ? made * taps : taps, madeStep = gradient ? taps : channels * taps;
    parallel(int64_t(conv.groups) * vectors, [&](int64_t task, int) {
      const int group = int(task / vectors), vector = int(task % vectors), panel = vector / NV, count = min(L, made - vector * L);
      const int wideL = panel_vectors(panel) * L;
      const float* w = static_cast<const float*>(conv.w) + int64_t(group) * made * channels * taps + vector * L * madeStep;
      float* u = const_cast<float*>(panel_weights(group, panel)) + vector % NV * L;
      for (int c = 0; c < summed; ++c, u += wideL) {
        const int room = summed / deep.taps, tap = c / room, channel = c % room;
        tile_weights(w + channel * readStep + tap * 9, madeStep, channel < channels ? count : 0, gradient, u, int64_t(summed) * wideL);
      }
    });
  }

  // Scratch memory of a task: images turned, results before they are turned back, V and M of a block of tiles.
  struct Room { float *images, *results, *v, *m; };
  int64_t image_size() const { return deep.taps * turned.size(); }
  int64_t result_size() const { return int64_t(vectors) * linesPer * 2 * wide * L; }
  Room room(int worker) const {
    const int64_t images = imagesPer * image_size(), results = imagesPer * result_size(), v = int64_t(POINTS) * blocks * slots * L;
    const int64_t all = images + results + v + POINTS * slots * NV * L;
    float* memory = static_cast<float*>(pool_scratch(worker, size_t(all) * sizeof(float), LOCAL));
    return {memory, memory + images, memory + images + results, memory + images + results + v};
  }

  // Tiles [tile, tile + count) of a task.
  NOINLINE void compute(const Room& room, int group, int pixels, const Tile& tile, int count, Ahead<float>& source,
                        Ahead<float>& result) const {
    const int64_t line = int64_t(turned.columns) * L, block = turned.rows * line, next = int64_t(slots) * POINTS * L;
    Tile at = tile;
    for (int s = 0; s < count; ++s, at.advance()) {
      const float* pixel = room.images + at.image * image_size() + 2 * at.y * line + 2 * at.x * L;
      for (int c = 0; c < blocks; ++c) tile_in(pixel + c * block, line, room.v + c * next + s * POINTS * L, L);
    }
    const int sourceLines = (blocks * count * L / 4 + panels * POINTS - 1) / (panels * POINTS);
    const float* bias = gradient ? nullptr : static_cast<const float*>(conv.bias);
    for (int panel = 0; panel < panels; ++panel) {
      const int across = panel_vectors(panel), resultLines = (across * count * L / 4 + POINTS - 1) / POINTS;
      const TileKernel kernel = tile_kernel_of(count, across);
      const float* u = panel_weights(group, panel);
      for (int point = 0; point < POINTS; ++point, u += int64_t(summed) * across * L) {
        source.fetch<0>(sourceLines), result.fetch<1>(resultLines);
        kernel(room.v + point * L, next, u, summed, room.m + point * L);
      }
      for (int v = 0; v < across; ++v) {
        const int channel = (panel * NV + v) * L;
        const vf add = bias ? load_part(bias + group * made + channel, min(L, made - channel)) : vf{};
        float* results = room.results + int64_t(panel * NV + v) * pixels * L;
        at = tile;
        for (int s = 0; s < count; ++s, at.advance()) {
          vf result[2][2];
          tile_out(room.m + v * next + s * POINTS * L, add, result);
          float* out = results + at.image * result_size() + (int64_t(2) * at.y * wide + 2 * at.x) * L;
          const bool right = 2 * at.x + 1 < wide;
          store(out, result[0][0]);
          if (right) store(out + L, result[0][1]);
          if ((2 * at.y + 1) * wide >= pixels) continue;
          store(out + wide * L, result[1][0]);
          if (right) store(out + (wide + 1) * L, result[1][1]);
        }
      }
    }
  }

  // (vector, pixel, LANES) -> (channel, pixel), of so many channels.
  NOINLINE void turn_back(const float* results, int pixels, int channels, float* out) const {
    const int64_t next = int64_t(deep.planes) * high * wide;
    for (int c = 0; c < channels; c += L, out += L * next, results += int64_t(pixels) * L) {
      const int count = min(L, channels - c);
      for (int p = 0; p < pixels; p += L) {
        const int part = min(L, pixels - p);
        float* line = moving(out + p);
        vf v[L];
        if (part == L && count == L) {
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i) v[i] = load(results + (p + i) * L);
          transpose(v);
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i, line += next) store(line, v[i]);
        } else {
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i) v[i] = load(results + (p + min(i, part - 1)) * L);
          transpose(v);
#pragma GCC unroll 16
          for (int i = 0; i < L; ++i, line += next)
            if (i < count) store_part<float>(line, v[i], part);
        }
      }
    }
  }

  // Lines of tiles [y, y + lines) of the items [first, end), which are images of one group, or of one plane.
  struct Unit { int64_t first, end; int y; };
  Unit unit_of(int64_t number) const {
    const int strips = (tilesY + linesPer - 1) / linesPer;
    const int64_t first = number / strips * imagesPer;
    return {first, min(items(), first + imagesPer), int(number % strips) * linesPer};
  }
  int64_t items() const { return int64_t(conv.n) * conv.groups * deep.planes; }
  int64_t units() const { return (items() + imagesPer - 1) / imagesPer * ((tilesY + linesPer - 1) / linesPer); }

  // The plane that a tap in depth reads; null beyond the volume.
  const float* source_of(int64_t item, int tap) const {
    const int plane = deep.source(int(item % deep.planes), tap);
    return plane < 0 ? nullptr : from + item / deep.planes * channels * turned.apart + int64_t(plane) * turned.high * turned.wide;
  }
  // Of taps in depth the last one reads what no other has read.
  Ahead<float> ahead_of(const Unit& unit) const {
    const float* source = source_of(unit.first, gradient ? 0 : deep.taps - 1);
    return source ? turned.source(source, 2 * unit.y - padY, int(unit.end - unit.first)) : Ahead<float>{};
  }
  void fill(int64_t item, int top, float* to) const {
    for (int tap = 0; tap < deep.taps; ++tap, to += turned.size()) {
      const float* source = source_of(item, tap);
      if (source) turned.fill(source, top, to);
      else clear(to, turned.size());
    }
  }

  void run_unit(const Unit& unit, Ahead<float> source, const Room& memory) const {
    const int lines = min(linesPer, tilesY - unit.y), pixels = min(2 * lines, high - 2 * unit.y) * wide;
    const int images = int(unit.end - unit.first), total = images * lines * tilesX;
    const int64_t plane = int64_t(high) * wide, next = deep.planes * plane, above = unit.first / deep.planes;
    const int64_t pixel = unit.first % deep.planes * plane + int64_t(2) * unit.y * wide;
    float* out = to + above * made * next + pixel;
    Ahead<float> result = {out, next, int64_t(images) * made, pixels};
    for (int i = 0; i < images; ++i) fill(unit.first + i, 2 * unit.y - padY, memory.images + i * image_size());
    const int count = (total + slots - 1) / slots;
    for (int b = 0; b < count; ++b) {
      const int at = int(int64_t(total) * b / count), stop = int(int64_t(total) * (b + 1) / count);
      compute(memory, int(above % conv.groups), pixels, Tile(lines, tilesX, at), stop - at, source, result);
    }
    const int most = conv.epilogue ? max(1, (8 << 10) / (pixels * L)) * L : made;      // channels that are still in L1 afterwards
    for (int i = 0; i < images; ++i, out += made * next)
      for (int c = 0; c < made; c += most) {
        const int some = min(most, made - c);
        turn_back(memory.results + i * result_size() + int64_t(c) * pixels, pixels, some, out + c * next);
        conv.done((above + i) / conv.groups, int((above + i) % conv.groups) * made + c, pixel, some, pixels, out + c * next, next);
      }
  }

  void run() {
    transform_weights();
    const int64_t all = units();
    parallel(all, [&](int64_t u, int worker) {     // a thread's next task is mostly the next unit
      run_unit(unit_of(u), u + 1 < all ? ahead_of(unit_of(u + 1)) : Ahead<float>{}, room(worker));
    });
  }
};

}  // namespace chainrule::VARIANT
