// The weight gradient of conv_winograd.h's convolutions. Where a result is A' (U V) A, U's gradient is the product of V with A g A',
// summed over tiles: 16 matrix products, channels of x by channels of y, that have the tiles as their long dimension.
//
// Tiles are cut into slices by the shape alone, each with sums of its own; the sums are added in order, and turned into taps.
#pragma once
#include "conv_winograd.h"

namespace chainrule::VARIANT {

#if CHAINRULE_AVX512
constexpr int SUM_ROWS = 14, SUM_ROWS_NARROW = 16; // x two vectors, x one
#else
constexpr int SUM_ROWS = MR, SUM_ROWS_NARROW = 2 * MR;
#endif

// c[r][VECTORS * LANES] (+)= sum over t < k of a[t * aNext + r] * b[t][VECTORS * LANES].
template <int ROWS, int VECTORS> void sum_kernel(const float* a, int64_t aNext, const float* b, int k, bool add, float* c) {
  constexpr int L = LANES;
  vf acc[ROWS][VECTORS] = {};
  for (; k > 0; --k, a += aNext, b += VECTORS * L) {
    vf x[VECTORS];
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) x[v] = load(b + v * L);
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r) {
      const vf y = broadcast(a[r]);
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) acc[r][v] = fma(y, x[v], acc[r][v]);
    }
  }
  if (add) {
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) acc[r][v] += load(c + (r * VECTORS + v) * L);
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(c + (r * VECTORS + v) * L, acc[r][v]);
}

using SumKernel = void (*)(const float*, int64_t, const float*, int, bool, float*);

template <int VECTORS, int ROWS = 2> SumKernel sum_kernel_for(int rows) {
  if constexpr (ROWS < (VECTORS == 1 ? SUM_ROWS_NARROW : SUM_ROWS))
    if (rows > ROWS) return sum_kernel_for<VECTORS, ROWS + 2>(rows);
  return sum_kernel<ROWS, VECTORS>;
}

INLINE SumKernel sum_kernel_of(int rows, int vectors) {
  if (vectors == 1) return sum_kernel_for<1>(rows);
  if (NV == 2 || vectors == 2) return sum_kernel_for<2>(rows);
  return vectors == 3 ? sum_kernel_for<NV == 4 ? 3 : 2>(rows) : sum_kernel_for<NV == 4 ? 4 : 2>(rows);
}

// A g A' of 2x2 pixels: the gradient of the 16 products.
INLINE void tile_gradient(const float* from, int64_t line, float* to, int64_t next) {
  vf half[4][2];
#pragma GCC unroll 2
  for (int x = 0; x < 2; ++x) {
    const vf a = load(from + x * LANES), b = load(from + line + x * LANES);
    half[0][x] = a, half[1][x] = a + b, half[2][x] = a - b, half[3][x] = -b;
  }
#pragma GCC unroll 4
  for (int y = 0; y < 4; ++y) {
    const vf a = half[y][0], b = half[y][1];
    store(to + y * 4 * next, a), store(to + (y * 4 + 1) * next, a + b);
    store(to + (y * 4 + 2) * next, a - b), store(to + (y * 4 + 3) * next, -b);
  }
}

// G' u G: the gradient of 3x3 taps from that of U, for `count` channels whose taps lie `step` apart.
NOINLINE inline void taps_to(const float* u, int64_t next, float* to, int64_t step, int count) {
  const auto line = [](vf a, vf b, vf c, vf d, vf (&out)[3]) {
    const vf half = broadcast(0.5f), even = (b + c) * half;
    out[0] = a + even, out[1] = (b - c) * half, out[2] = even + d;
  };
  vf rows[3][4], taps[16] = {};
#pragma GCC unroll 4
  for (int x = 0; x < 4; ++x) {
    vf column[3];
    line(load(u + x * next), load(u + (4 + x) * next), load(u + (8 + x) * next), load(u + (12 + x) * next), column);
    for (int y = 0; y < 3; ++y) rows[y][x] = column[y];
  }
#pragma GCC unroll 3
  for (int y = 0; y < 3; ++y) {
    vf out[3];
    line(rows[y][0], rows[y][1], rows[y][2], rows[y][3], out);
    for (int x = 0; x < 3; ++x) taps[y * 3 + x] = out[x];
  }
  if constexpr (LANES == 16) {
    transpose(taps);
#pragma GCC unroll 16
    for (int o = 0; o < 16; ++o)
      if (o < count) store_first<float>(to + o * step, taps[o], 9);
  } else {
    for (int o = 0; o < count; ++o)
      for (int t = 0; t < 9; ++t) to[o * step + t] = taps[t][o];
  }
}

struct WinogradWeight {
  static constexpr int L = LANES;
  const Conv& conv;
  int channels, made;                              // of a group of x, of y
  int tilesY, tilesX;
  Depth deep;
  int blocks, vectors, panels;                     // vectors of channels of x (with all taps in depth), of y; panels of NV vectors
  int imagesPer, linesPer, strips;                 // images, or lines of tiles of one image, that are turned together
  int units, slices, parts;                        // of that size; sums; parts of y's channels where there are few sums
  TurnedImage x;

  explicit WinogradWeight(const Conv& c) : conv(c), channels(c.c / c.groups), made(c.o / c.groups), deep(c, false) {
    tilesY = (c.out[1] + 1) / 2, tilesX = (c.out[2] + 1) / 2;
    blocks = (channels + L - 1) / L * deep.taps, vectors = (made + L - 1) / L, panels = (vectors + NV - 1) / NV;
    const int some = max(24, (128 << 10) / (16 * (blocks + vectors) * L));   // tiles whose pixels stay in the cache
    linesPer = max(1, min(tilesY, some / tilesX)), strips = (tilesY + linesPer - 1) / linesPer;
    imagesPer = strips > 1 || deep.planes > 1 ? 1 : max(1, min((c.n + 7) / 8, some / (tilesY * tilesX)));
    units = (c.n * deep.planes + imagesPer - 1) / imagesPer * strips;
    const int64_t sumBytes = c.groups * sum_size() * 4;
    slices = int(max<int64_t>(1, min<int64_t>(min(sumBytes > (64 << 10) ? 4 : 8, units), (int64_t(16) << 20) / sumBytes)));
    parts = slices * c.groups >= 4 ? 1 : min(panels, 4);
    x = {channels, c.in[1], c.in[2], 2 * linesPer + 2, 2 * tilesX + 2, c.pad[2],
         int64_t(c.in[0]) * c.in[1] * c.in[2]};
  }

  static bool suits(const Conv& c) {
    const int channels = c.c / c.groups, room = (channels + L - 1) / L * L;
    return Winograd::suits(c) ? channels >= L / 2 : Winograd::suits_deep(c) && channels * 4 >= room * 3;
  }
  int64_t image_size() const { return deep.taps * x.size(); }

  int64_t sum_size() const { return int64_t(POINTS) * blocks * vectors * L * L; }
  // Tiles that are summed before a sum is touched.
  int tiles() const { return min(64, imagesPer * linesPer * tilesX); }
  int panel_vectors(int panel) const { return min(NV, vectors - panel * NV); }

  // Scratch memory of a task for panels [left, right) of y.
  struct Room { TurnedImage y; float *x, *images, *v, *g; };
  Room room(int worker, int left, int right) const {
    const int wide = min(vectors, right * NV) - left * NV;
    const int channels = min(made, right * NV * L) - left * NV * L;
    const int64_t volume = int64_t(conv.out[0]) * conv.out[1] * conv.out[2];
    Room room = {{channels, conv.out[1], conv.out[2], 2 * linesPer, 2 * tilesX, 0, volume}, 0, 0, 0, 0};
    const int64_t sizeX = imagesPer * image_size(), sizeY = imagesPer * room.y.size(), sizeV = POINTS * apart(tiles() * blocks);
    const int64_t all = sizeX + sizeY + sizeV + POINTS * apart(tiles() * wide);
    room.x = static_cast<float*>(pool_scratch(worker, size_t(all) * sizeof(float), LOCAL));
    room.images = room.x + sizeX, room.v = room.images + sizeY, room.g = room.v + sizeV;
    return room;
  }

  // An odd number of vectors: the 16 numbers of a tile do not meet in one set of the cache.
  static int64_t apart(int64_t vectors) { return (vectors | 1) * L; }

  // V[point][tile][channel of x] and the gradient [point][panel][tile][channel of y] of some tiles.
  NOINLINE void transform(const Room& room, Tile at, int64_t count, int left, int right) const {
    const int64_t line = int64_t(x.columns) * L, block = x.rows * line, yLine = int64_t(room.y.columns) * L, yBlock = room.y.rows * yLine;
    const int64_t vNext = apart(count * blocks), gNext = apart(count * (min(vectors, right * NV) - left * NV));
    for (int64_t tile = 0; tile < count; ++tile, at.advance()) {
      const float* from = room.x + at.image * image_size() + 2 * at.y * line + 2 * at.x * L;
      for (int b = 0; b < blocks; ++b) tile_in(from + b * block, line, room.v + (tile * blocks + b) * L, vNext);
      from = room.images + at.image * room.y.size() + 2 * at.y * yLine + 2 * at.x * L;
      float* g = room.g;
      for (int panel = left; panel < right; ++panel) {
        const int across = panel_vectors(panel);
        for (int v = 0; v < across; ++v, from += yBlock) tile_gradient(from, yLine, g + (tile * across + v) * L, gNext);
        g += count * across * L;
      }
    }
  }

  // Adds V times gradient to sums [point][panel][channel of x][channel of y].
  NOINLINE void multiply(const Room& room, int64_t count, int left, int right, bool add, float* sums, Ahead<float>& nextX,
                         Ahead<float>& nextY) const {
    const int deep = blocks * L;
    const int64_t vNext = apart(count * blocks), gNext = apart(count * (min(vectors, right * NV) - left * NV));
    const int linesX = int(count * blocks * L / 4 / POINTS) + 1, linesY = int(count * room.y.channels / 4 / POINTS) + 1;
    for (int point = 0; point < POINTS; ++point) {
      nextX.fetch<0>(linesX), nextY.fetch<0>(linesY);
      const float* g = room.g + point * gNext;
      float* sum = sums + int64_t(point) * deep * vectors * L + int64_t(deep) * left * NV * L;
      for (int panel = left; panel < right; ++panel) {
        const int across = panel_vectors(panel), most = across == 1 ? SUM_ROWS_NARROW : SUM_ROWS;
        const int cuts = (deep + most - 1) / most;
        for (int cut = 0; cut < cuts; ++cut) {     // all of an even height
          const int first = deep / 2 * cut / cuts * 2, rows = deep / 2 * (cut + 1) / cuts * 2 - first;
          const SumKernel kernel = sum_kernel_of(rows, across);
          kernel(room.v + point * vNext + first, deep, g, int(count), add, sum + int64_t(first) * across * L);
        }
        g += count * across * L, sum += int64_t(deep) * across * L;
      }
    }
  }

  struct Unit { int first, images, y, lines; };
  Unit unit_of(int number) const {
    const int first = number / strips * imagesPer, y = number % strips * linesPer;
    return {first, min(imagesPer, conv.n * deep.planes - first), y, min(linesPer, tilesY - y)};
  }

  void run_slice(int slice, int group, int part, float* sums, int worker) const {
    const int left = panels * part / parts, right = panels * (part + 1) / parts;
    const int begin = int(int64_t(units) * slice / slices), end = int(int64_t(units) * (slice + 1) / slices);
    const Room memory = room(worker, left, right);
    const int64_t sizeX = int64_t(conv.in[1]) * conv.in[2], sizeY = int64_t(conv.out[1]) * conv.out[2];
    const auto fromX = [&](int item, int tap) -> const float* {   // null beyond the volume
      const int plane = deep.source(item % deep.planes, tap);
      const float* image = static_cast<const float*>(conv.x) + (int64_t(item / deep.planes) * conv.c + group * channels) * x.apart;
      return plane < 0 ? nullptr : image + plane * sizeX;
    };
    const auto fromY = [&](int item) {
      const int64_t channel = int64_t(item / deep.planes) * conv.o + group * made + left * NV * L;
      return static_cast<const float*>(conv.y) + (channel * deep.planes + item % deep.planes) * sizeY;
    };
    for (int number = begin; number < end; ++number) {
      const Unit unit = unit_of(number);
      for (int i = 0; i < unit.images; ++i) {
        for (int tap = 0; tap < deep.taps; ++tap) {
          float* to = memory.x + i * image_size() + tap * x.size();
          const float* from = fromX(unit.first + i, tap);
          if (from) x.fill(from, 2 * unit.y - conv.pad[1], to);
          else clear(to, x.size());
        }
        memory.y.fill(fromY(unit.first + i), 2 * unit.y, memory.images + i * memory.y.size());
      }
      Ahead<float> nextX = {}, nextY = {};
      if (number + 1 < end) {
        const Unit next = unit_of(number + 1);
        const float* from = fromX(next.first, deep.taps - 1);
        if (from) nextX = x.source(from, 2 * next.y - conv.pad[1], conv.groups > 1 ? 1 : next.images);
        nextY = memory.y.source(fromY(next.first), 2 * next.y, conv.groups > 1 || parts > 1 ? 1 : next.images);
      }
      const int total = unit.images * unit.lines * tilesX, most = tiles(), blocks = (total + most - 1) / most;
      for (int b = 0; b < blocks; ++b) {
        const int at = int(int64_t(total) * b / blocks), count = int(int64_t(total) * (b + 1) / blocks) - at;
        transform(memory, Tile(unit.lines, tilesX, at), count, left, right);
        multiply(memory, count, left, right, number > begin || b > 0, sums, nextX, nextY);
      }
    }
  }

  // dw = the slices' sums, in order, back from U to taps: for some channels of x and a panel of y's.
  void finish(float* sums) const {
    const int64_t all = sum_size() * conv.groups, next = sum_size() / POINTS;
    parallel(int64_t(conv.groups) * panels * blocks, [&](int64_t task, int) {
      const int block = int(task % blocks), panel = int(task / blocks % panels), group = int(task / blocks / panels);
      const int across = panel_vectors(panel);
      float* corner = sums + group * sum_size() + (int64_t(panel) * NV * blocks + int64_t(block) * across) * L * L;
      for (int point = 0; point < POINTS; ++point)
        for (int s = 1; s < slices; ++s) {
          float* total = corner + point * next;
          for (int i = 0; i < across * L * L; i += L) store<float>(total + i, load(total + i) + load(total + i + s * all));
        }
      const int each = blocks / deep.taps, tap = block / each, first = block % each * L;
      for (int v = 0; v < across; ++v)
        for (int i = 0; i < min(L, channels - first); ++i) {
          const int64_t o = int64_t(group) * made + (panel * NV + v) * L;
          float* dw = static_cast<float*>(conv.w) + ((o * channels + first + i) * deep.taps + tap) * 9;
          taps_to(corner + (i * across + v) * L, next, dw, int64_t(channels) * deep.taps * 9, min(L, made - (panel * NV + v) * L));
        }
    });
  }

  void run() const {
    const int64_t all = sum_size() * conv.groups;
    float* sums = static_cast<float*>(pool_scratch(0, size_t(all * slices) * sizeof(float), SHARED));
    parallel(int64_t(slices) * conv.groups * parts, [&](int64_t task, int worker) {
      const int part = int(task % parts), group = int(task / parts % conv.groups), slice = int(task / parts / conv.groups);
      run_slice(slice, group, part, sums + slice * all + group * sum_size(), worker);
    });
    finish(sums);
  }
};

}  // namespace chainrule::VARIANT
