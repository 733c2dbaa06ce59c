// The weight gradient of a convolution: dw[o][c, tap] = sum over images and pixels of g[o][pixel] * x[c][pixel + tap].
//
// Pixels are the long dimension k. g is transposed, so that a vector holds output channels; x is padded and broadcast,
// and the rows of a tile are taps (or channels) at fixed distances in it. The images are cut into a number of slices that
// depends on the shape alone, each with a sum of its own; the sums are added in order.
#pragma once
#include "conv.h"

namespace chainrule::VARIANT {

template <class T> struct WeightGradient {
  static constexpr int L = lanes<T>;
  static constexpr int TILE_GROUPS = max(1, MR / GROUP);
  static constexpr int TILE_VECTORS = MR < GROUP ? 2 : NV;   // 3 rows x 2 vectors where registers are few
  const Conv& conv;
  PaddedAxis padded[3];
  int channels, rows, taps;                        // per group: of x, of y; kernel size
  int64_t plane, pixels, inSize;
  int64_t width;                                   // rows rounded up to vectors
  bool byTap;                                      // the rows of a tile are neighbours in x, else the same tap of three channels
  int perLine;                                     // groups that cover one line of taps, or all channels
  int groupCount;
  int slices, imagesPer, columnTasks;
  int together;                                    // images that a tile sums before it goes to memory

  explicit WeightGradient(const Conv& c) : conv(c) {
    plane = pixels = inSize = taps = 1;
    for (int i = 0; i < 3; ++i) {
      padded[i].size = c.in[i], padded[i].low = c.pad[i];
      padded[i].extent = max((c.out[i] - 1) * c.stride[i] + (c.kernel[i] - 1) * c.dilation[i] + 1, c.pad[i] + 1);
      plane *= padded[i].extent, pixels *= c.out[i], inSize *= c.in[i], taps *= c.kernel[i];
    }
    channels = c.c / c.groups, rows = c.o / c.groups, width = (rows + L - 1) / L * L;
    const int tapGroups = (c.kernel[2] + GROUP - 1) / GROUP, channelGroups = (channels + GROUP - 1) / GROUP;
    byTap = int64_t(tapGroups) * channels <= int64_t(channelGroups) * c.kernel[2];
    perLine = byTap ? tapGroups : channelGroups;
    groupCount = byTap ? channels * (taps / c.kernel[2]) * tapGroups : taps * channelGroups;
    const int64_t sumBytes = sumSize() * conv.groups * sizeof(T);
    slices = int(max<int64_t>(1, min<int64_t>(min(8, c.n), (int64_t(8) << 20) / max<int64_t>(1, sumBytes))));
    imagesPer = (c.n + slices - 1) / slices;
    slices = (c.n + imagesPer - 1) / imagesPer;
    together = rows == 1 ? 1 : int(max<int64_t>(1, min<int64_t>(imagesPer, 512 / max<int64_t>(1, pixels))));
    if (c.out[0] > 1) together = 1;
    const int chunks = int((width / L + TILE_VECTORS - 1) / TILE_VECTORS);
    columnTasks = slices * conv.groups >= 4 ? 1 : min(chunks, 4);
  }

  int64_t imageSize() const { return lines<T>(paddedSize()); }
  int64_t sumSize() const { return int64_t(groupCount) * GROUP * width; }
  int64_t paddedSize() const { return int64_t(channels + GROUP) * plane + 4 * conv.kernel[2] * conv.dilation[2] + 64; }

  // Row r of group g: which channel and tap it is, or false where the group is not full.
  bool member(int group, int r, int& channel, int& tap) const {
    const int line = group / perLine, part = group % perLine * GROUP + r;
    if (byTap) {
      const int lines = taps / conv.kernel[2];
      channel = line / lines, tap = line % lines * conv.kernel[2] + part;
      return part < conv.kernel[2];
    }
    channel = part, tap = line;
    return part < channels;
  }

  int64_t tap_offset(int tap) const {
    const int kx = tap % conv.kernel[2], ky = tap / conv.kernel[2] % conv.kernel[1], kz = tap / conv.kernel[2] / conv.kernel[1];
    const int64_t y = kz * int64_t(conv.dilation[0]) * padded[1].extent + ky * conv.dilation[1];
    return y * padded[2].extent + kx * conv.dilation[2];
  }

  // Panels of g, transposed: to[(j * together + number * vectors * lanes) * pixels + pixel * vectors * lanes + lane] for the panel
  // that starts at channel j and the image with this number.
  int panel_vectors(int64_t j, int64_t right) const { return int(min<int64_t>(TILE_VECTORS, (right - j) / L)); }
  void transpose_gradient(const T* g, int number, T* to, int64_t left, int64_t right) const {
    for (int64_t j = left; j < right; j += TILE_VECTORS * L) {
      const int vectors = panel_vectors(j, right);
      T* panel = to + ((j - left) * together + number * vectors * L) * pixels;
      for (int v = 0; v < vectors; ++v) {
        const int64_t o = j + v * L;
        pack_vector(g + o * pixels, pixels, 1, int(max<int64_t>(0, min<int64_t>(L, rows - o))), L, int(pixels), panel + v * L, vectors * L,
                    true, to + (right - left) * together * pixels);
      }
    }
  }

  // Adds the share of some images, the gradients of which follow each other in every panel, to the columns [left, right) of all
  // groups of `sum`.
  void accumulate(const T* image, const T* gradient, int images, T* sum, bool add, int64_t left, int64_t right) const {
    const int tiles = (groupCount + TILE_GROUPS - 1) / TILE_GROUPS;
    const int64_t line = padded[2].extent;
    alignas(64) T tile[KERNEL_ROWS * panelWidth<T>];
    Feed<T> feed;
    feed.aRow = byTap ? conv.dilation[2] : plane, feed.aNext = conv.stride[2];
    feed.aSkip = conv.stride[1] * line - int64_t(conv.out[2]) * conv.stride[2];
    feed.k = conv.out[2], feed.repeat = conv.out[1], feed.images = images;
    feed.aJump = imageSize() - int64_t(conv.out[1]) * conv.stride[1] * line;
    for (int64_t j = left; j < right; j += TILE_VECTORS * L) {
      const int vectors = panel_vectors(j, right);
      const T* panel = gradient + (j - left) * pixels * together;
      feed.bNext = vectors * L;
      for (int t = 0; t < tiles; ++t) {
        const int first = int(int64_t(groupCount) * t / tiles), count = int(int64_t(groupCount) * (t + 1) / tiles) - first;
        int64_t start[TILE_GROUPS];
        for (int g = 0; g < count; ++g) {
          int channel, tap;
          member(first + g, 0, channel, tap);
          start[g] = channel * plane + tap_offset(tap);
        }
        const Kernel<T> run = kernel_for<T, STRIDED>(count * GROUP, vectors);
        for (int z = 0; z < conv.out[0]; ++z) {
          for (int g = 0; g < count; ++g) feed.a[g] = image + start[g] + int64_t(z) * conv.stride[0] * padded[1].extent * line;
          feed.b[0] = panel + int64_t(z) * conv.out[1] * conv.out[2] * feed.bNext;
          run(feed, tile, panelWidth<T>);
          place<T>(tile, panelWidth<T>, sum + int64_t(first) * GROUP * width + j, width, count * GROUP, vectors * L,
                   add || z > 0, nullptr, nullptr);
        }
      }
    }
  }

  // One output channel: transposing would leave most lanes empty, so lanes are pixels.
  void accumulate_single(const T* image, const T* gradient, T* sum, bool add) const {
    for (int group = 0; group < groupCount; ++group)
      for (int r = 0; r < GROUP; ++r) {
        int channel, tap;
        if (!member(group, r, channel, tap)) continue;
        T* out = sum + (int64_t(group) * GROUP + r) * width;
        *out = (add ? *out : T(0)) + correlate(image + channel * plane + tap_offset(tap), gradient);
      }
  }

  T correlate(const T* from, const T* g) const {
    Vec<T> total = {};
    T rest = 0;
    for (int z = 0; z < conv.out[0]; ++z)
      for (int y = 0; y < conv.out[1]; ++y, g += conv.out[2]) {
        const T* row = from + (int64_t(z) * conv.stride[0] * padded[1].extent + int64_t(y) * conv.stride[1]) * padded[2].extent;
        if (conv.stride[2] == 1) {
          for (int x = 0; x < conv.out[2]; x += L) {
            const int part = min(L, conv.out[2] - x);
            total = fma(load_part(row + x, part), load_part(g + x, part), total);
          }
        } else {
          for (int x = 0; x < conv.out[2]; ++x) rest += row[int64_t(x) * conv.stride[2]] * g[x];
        }
      }
    return sum_of(total) + rest;
  }
  static T sum_of(Vec<T> v) { return VARIANT::sum(v); }

  void run_slice(int slice, int group, int part, T* sum, int worker) const {
    const int64_t left = width / L * part / columnTasks * L, right = width / L * (part + 1) / columnTasks * L;
    T* image = static_cast<T*>(pool_scratch(worker, size_t((imageSize() + pixels * width) * together) * sizeof(T), LOCAL));
    T* gradient = image + imageSize() * together;
    clear(image, imageSize() * together);
    const int begin = slice * imagesPer, end = min(conv.n, begin + imagesPer);
    for (int n = begin; n < end; n += together) {
      const int some = min(together, end - n);
      for (int i = 0; i < some; ++i) {
        const T* x = static_cast<const T*>(conv.x) + (int64_t(n + i) * conv.c + int64_t(group) * channels) * inSize;
        for (int c = 0; c < channels; ++c) fill_channel(x + c * inSize, padded, image + i * imageSize() + c * plane);
        if (rows > 1) transpose_gradient(gradient_of(n + i, group), i, gradient, left, right);
      }
      if (rows == 1) accumulate_single(image, gradient_of(n, group), sum, n > begin);
      else accumulate(image, gradient, some, sum, n > begin, left, right);
    }
  }
  const T* gradient_of(int n, int group) const {
    return static_cast<const T*>(conv.y) + (int64_t(n) * conv.o + int64_t(group) * rows) * pixels;
  }

  // dw = the slices' sums, in order; one row of them, all output channels of a tap, at a time.
  void finish(T* sums) const {
    T* dw = static_cast<T*>(conv.w);
    const int64_t all = sumSize() * conv.groups;
    constexpr int SHARE = 32;                      // groups of rows in a task
    const int shares = (groupCount + SHARE - 1) / SHARE;
    parallel(int64_t(conv.groups) * shares, [&](int64_t task, int) {
      const int64_t group = task / shares, first = task % shares * SHARE;
      for (int64_t row = first * GROUP; row < min<int64_t>(groupCount, first + SHARE) * GROUP; ++row) {
        int channel, tap;
        if (!member(int(row / GROUP), int(row % GROUP), channel, tap)) continue;
        T* total = sums + group * sumSize() + row * width;
        for (int64_t o = 0; o < width; o += L) {
          Vec<T> v = load(total + o);
          for (int s = 1; s < slices; ++s) v += load(total + s * all + o);
          store(total + o, v);
        }
        T* out = dw + group * rows * channels * taps + channel * taps + tap;
        const int64_t next = int64_t(channels) * taps;
        for (int o = 0; o < rows; ++o) out[o * next] = total[o];
      }
    });
  }

  void run() const {
    const int64_t all = sumSize() * conv.groups;
    T* sums = static_cast<T*>(pool_scratch(0, size_t(all * slices) * sizeof(T), SHARED));
    parallel(int64_t(slices) * conv.groups * columnTasks, [&](int64_t task, int worker) {
      const int part = int(task % columnTasks), group = int(task / columnTasks % conv.groups);
      const int slice = int(task / columnTasks / conv.groups);
      run_slice(slice, group, part, sums + slice * all + group * sumSize(), worker);
    });
    finish(sums);
  }
};

}  // namespace chainrule::VARIANT
