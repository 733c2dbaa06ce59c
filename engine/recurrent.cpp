// Recurrent layers over whole sequences: LSTM, GRU and plain cells, forward and through time. The input's part of the gates
// comes in as one matrix product; here each step adds the state's part, with the weights packed once, and applies the gates
// while they are in cache. A step is cut into blocks of hidden units and of sequences: a task has all gates of its units.
#include "gemm_block.h"
#include "kernels.h"
#include "math.h"

namespace chainrule::VARIANT {

namespace {

enum Cell : int32_t { LSTM, GRU, TANH, RELU };
constexpr int W = BLOCK_WIDTH;                     // hidden units of a task
constexpr int SEQUENCES = 64;                      // of a task
constexpr int COLUMNS = 8;                         // blocks of W numbers that a task keeps for each sequence

struct Recurrent {
  bool backward, reverse;
  Cell cell;
  int time, batch, hidden;
  int gates, saved;                                // blocks of `hidden` per sequence: gates of the weights, values kept for backward
  const float *x, *h0, *c0, *bias, *gh, *gc;
  float *hs, *kept, *cells, *dx, *ds, *gh0, *gc0;
  View w;                                          // (gates * hidden, hidden)
  float* packed;

  int units() const { return (hidden + W - 1) / W; }
  int64_t state() const { return int64_t(batch) * hidden; }
  // States lie one step apart; the one before a step's comes first, in a reversed walk last.
  int64_t before(int t) const { return (reverse ? t + 1 : t) * state(); }
  int64_t after(int t) const { return (reverse ? t : t + 1) * state(); }
  int step(int number) const { return reverse ? time - 1 - number : number; }
};

enum Activation { SIGMOID, HYPERBOLIC, RECTIFIED };

// One task's numbers: for each sequence COLUMNS blocks of W.
struct Tile {
  const Recurrent& job;
  int unit, first, count;                          // the block of hidden units, the first sequence, sequences
  float* data;
  static constexpr int PITCH = COLUMNS * W;

  int width() const { return min(W, job.hidden - unit * W); }
  // Block `part` of the `parts` that a row of `from` has.
  void get(int column, const float* from, int parts = 1, int part = 0) const {
    const int64_t row = int64_t(parts) * job.hidden;
    get_rows({from + first * row + part * job.hidden + unit * W, row, 1}, count, width(), 1, data + column * W, PITCH, W);
  }
  void put(int column, float* to, int parts = 1, int part = 0) const {
    const int64_t row = int64_t(parts) * job.hidden;
    put_rows(data + column * W, PITCH, count, width(), 1, to + first * row + part * job.hidden + unit * W, row);
  }
  void fill(int column, const float* row) const {
    get_rows({row ? row + unit * W : data, 0, 1}, count, row ? width() : 0, 1, data + column * W, PITCH, W);
  }
  // Columns [0, n) += the matrix's rows * the packed weights.
  void add_product(const float* rows, int k, int n) const {
    multiply_block({count, n * W, k, rows + int64_t(first) * k, k, 1, job.packed + int64_t(unit) * n * k * W, W, int64_t(k) * W, data,
                    PITCH, true});
  }
  NOINLINE void activate(int column, int columns, Activation by) const {
    for (int i = 0; i < count; ++i)
      for (int j = 0; j < columns * W; j += LANES) {
        float* at = data + i * PITCH + column * W + j;
        const vf x = load(at);
        store<float>(at, by == SIGMOID ? sigmoid(x) : by == HYPERBOLIC ? tanh(x) : select(x < vf{}, vf{}, x));
      }
  }
  template <class Body> void each(const Body& body) const {
    for (int i = 0; i < count; ++i)
      for (int j = 0; j < W; j += LANES) {
        float* at = data + i * PITCH + j;
        body([at](int column) { return load(at + column * W); }, [at](int column, vf v) { store<float>(at + column * W, v); });
      }
  }
};

// ---- forward: columns 0.. are the gates ------------------------------------------------------------------------------

NOINLINE void forward_lstm(const Tile& tile, int t) {
  const Recurrent& job = tile.job;
  const int64_t at = t * job.state();
  for (int g = 0; g < 4; ++g) tile.get(g, job.x + at * 4, 4, g);
  tile.get(4, job.cells + job.before(t));
  tile.add_product(job.hs + job.before(t), job.hidden, 4);
  tile.activate(0, 2, SIGMOID), tile.activate(2, 1, HYPERBOLIC), tile.activate(3, 1, SIGMOID);
  tile.each([](auto in, auto out) {
    const vf c = fma(in(1), in(4), in(0) * in(2));
    out(4, c), out(5, c);
  });
  tile.activate(5, 1, HYPERBOLIC);
  tile.each([](auto in, auto out) { out(5, in(3) * in(5)); });
  for (int g = 0; g < 4; ++g) tile.put(g, job.kept + at * 4, 4, g);
  tile.put(4, job.cells + job.after(t));
  tile.put(5, job.hs + job.after(t));
}

// Kept: r, z, n and the state's part of n.
NOINLINE void forward_gru(const Tile& tile, int t) {
  const Recurrent& job = tile.job;
  const int64_t at = t * job.state();
  for (int g = 0; g < 2; ++g) tile.get(g, job.x + at * 3, 3, g);
  tile.fill(2, job.bias);
  tile.get(4, job.x + at * 3, 3, 2);
  tile.get(5, job.hs + job.before(t));
  tile.add_product(job.hs + job.before(t), job.hidden, 3);
  tile.activate(0, 2, SIGMOID);
  tile.each([](auto in, auto out) { out(4, fma(in(0), in(2), in(4))); });
  tile.activate(4, 1, HYPERBOLIC);
  tile.each([](auto in, auto out) { out(5, fma(in(1), in(5) - in(4), in(4))), out(3, in(2)), out(2, in(4)); });
  for (int g = 0; g < 4; ++g) tile.put(g, job.kept + at * 4, 4, g);
  tile.put(5, job.hs + job.after(t));
}

NOINLINE void forward_plain(const Tile& tile, int t) {
  const Recurrent& job = tile.job;
  tile.get(0, job.x + t * job.state());
  tile.add_product(job.hs + job.before(t), job.hidden, 1);
  tile.activate(0, 1, job.cell == TANH ? HYPERBOLIC : RECTIFIED);
  tile.put(0, job.hs + job.after(t));
}

// ---- backward: column 0 is the gradient of the state, 1.. what the step kept -------------------------------------------

// The gradient of g = sigmoid(sum) or tanh(sum) as that of the sum.
INLINE vf through_sigmoid(vf g, vf gradient) { return gradient * fnma(g, g, g); }
INLINE vf through_tanh(vf g, vf gradient) { return gradient * fnma(g, g, broadcast(1.0f)); }

NOINLINE void backward_lstm(const Tile& tile, int t, bool last) {
  const Recurrent& job = tile.job;
  const int64_t at = t * job.state() * 4;
  for (int g = 0; g < 4; ++g) tile.get(1 + g, job.kept + at, 4, g);
  tile.get(5, job.cells + job.after(t));
  tile.get(6, job.cells + job.before(t));
  if (last && job.gc == nullptr) tile.fill(7, nullptr);
  else tile.get(7, last ? job.gc : job.gc0);
  tile.activate(5, 1, HYPERBOLIC);
  tile.each([](auto in, auto out) {
    const vf i = in(1), f = in(2), g = in(3), o = in(4), c = in(5), dh = in(0), dc = in(7) + through_tanh(c, dh * o);
    out(1, through_sigmoid(i, dc * g)), out(2, through_sigmoid(f, dc * in(6)));
    out(3, through_tanh(g, dc * i)), out(4, through_sigmoid(o, dh * c)), out(7, dc * f);
  });
  for (int g = 0; g < 4; ++g) tile.put(1 + g, job.dx + at, 4, g);
  tile.put(7, job.gc0);
}

NOINLINE void backward_gru(const Tile& tile, int t, bool last) {
  const Recurrent& job = tile.job;
  const int64_t at = t * job.state();
  for (int g = 0; g < 4; ++g) tile.get(1 + g, job.kept + at * 4, 4, g);
  tile.get(5, job.hs + job.before(t));
  if (last) tile.fill(6, nullptr);
  else tile.get(6, job.gh0);
  tile.each([](auto in, auto out) {
    const vf r = in(1), z = in(2), n = in(3), dh = in(0) + in(6), dn = through_tanh(n, fnma(dh, z, dh));
    out(1, through_sigmoid(r, dn * in(4))), out(2, through_sigmoid(z, dh * (in(5) - n)));
    out(3, dn), out(4, dn * r), out(6, dh * z);
  });
  for (int g = 0; g < 3; ++g) tile.put(1 + g, job.dx + at * 3, 3, g), tile.put(g == 2 ? 4 : 1 + g, job.ds + at * 3, 3, g);
  tile.put(6, job.gh0);
}

NOINLINE void backward_plain(const Tile& tile, int t) {
  const Recurrent& job = tile.job;
  tile.get(1, job.hs + job.after(t));
  const bool smooth = job.cell == TANH;
  tile.each([smooth](auto in, auto out) {
    out(0, smooth ? through_tanh(in(1), in(0)) : select(in(1) > vf{}, in(0), vf{}));
  });
  tile.put(0, job.dx + t * job.state());
}

// ---- a walk over the steps --------------------------------------------------------------------------------------------

// Small layers are not worth the pool.
template <class Body> void for_tiles(const Recurrent& job, const Body& body) {
  const int groups = (job.batch + SEQUENCES - 1) / SEQUENCES;
  const bool alone = int64_t(job.batch) * job.gates * job.hidden * job.hidden < 256 * 1024;
  spread(alone, 0, int64_t(job.units()) * groups, [&](int64_t task, int worker) {
    const int first = int(task / job.units()) * SEQUENCES, count = min(SEQUENCES, job.batch - first);
    float* data = static_cast<float*>(pool_scratch(worker, size_t(SEQUENCES) * Tile::PITCH * sizeof(float)));
    body(Tile{job, int(task % job.units()), first, count, data});
  });
}

void forward(const Recurrent& job) {
  const int64_t initial = job.before(job.step(0)), rows = job.w.strides[0], columns = job.w.strides[1];
  copy(job.h0, job.hs + initial, job.state());
  if (job.cell == LSTM) copy(job.c0, job.cells + initial, job.state());
  const int64_t panel = int64_t(job.hidden) * W;
  parallel(int64_t(job.units()) * job.gates, [&](int64_t task, int) {
    const int unit = int(task / job.gates), gate = int(task % job.gates);
    const float* from = job.w.as<float>() + (gate * job.hidden + unit * W) * rows;
    pack_block(from, rows, columns, min(W, job.hidden - unit * W), job.hidden, job.packed + task * panel);
  });
  for (int number = 0; number < job.time; ++number)
    for_tiles(job, [&](const Tile& tile) {
      const int t = job.step(number);
      if (job.cell == LSTM) forward_lstm(tile, t);
      else if (job.cell == GRU) forward_gru(tile, t);
      else forward_plain(tile, t);
    });
}

void backward(const Recurrent& job) {
  const int64_t rows = job.w.strides[0], columns = job.w.strides[1], panel = int64_t(job.gates) * job.hidden * W;
  const int depth = job.gates * job.hidden;
  parallel(job.units(), [&](int64_t unit, int) {
    pack_block(job.w.as<float>() + unit * W * columns, columns, rows, min<int>(W, int(job.hidden - unit * W)), depth,
               job.packed + unit * panel);
  });
  const float* sums = job.cell == GRU ? job.ds : job.dx;
  for (int number = job.time - 1; number >= -1; --number)
    for_tiles(job, [&](const Tile& tile) {
      const bool last = number == job.time - 1, outside = number < 0;
      const int t = job.step(max(0, number));
      if (outside && job.cell == GRU) tile.get(0, job.gh0);
      else if (outside) tile.fill(0, nullptr);
      else tile.get(0, job.gh + job.after(t));
      if (!last) tile.add_product(sums + job.step(number + 1) * job.state() * job.gates, depth, 1);
      if (outside) tile.put(0, job.gh0);
      else if (job.cell == LSTM) backward_lstm(tile, t, last);
      else if (job.cell == GRU) backward_gru(tile, t, last);
      else backward_plain(tile, t);
    });
}

}  // namespace

int32_t recurrent(const Step& step) {
  Recurrent job = {};
  Reader tape(step);
  job.backward = tape.next() != 0, job.cell = Cell(tape.next()), job.reverse = tape.next() != 0;
  job.time = tape.next(), job.batch = tape.next(), job.hidden = tape.next();
  const bool extra = tape.next() != 0;             // a bias, or a gradient of the last cells
  job.gates = job.cell == LSTM ? 4 : job.cell == GRU ? 3 : 1;
  job.w = tape.view(2);
  const auto floats = [&] { return tape.operand().as<float>(); };
  job.hs = floats();
  if (job.cell <= GRU) job.kept = floats();
  if (job.cell == LSTM) job.cells = floats();
  const int64_t panels = int64_t(job.units()) * W * job.gates * job.hidden;
  job.packed = static_cast<float*>(pool_scratch(0, size_t(panels) * sizeof(float), SHARED));
  if (!job.backward) {
    job.x = floats(), job.h0 = floats();
    if (job.cell == LSTM) job.c0 = floats();
    if (extra) job.bias = floats();
    forward(job);
    return ENGINE_OK;
  }
  job.gh = floats();
  if (extra) job.gc = floats();
  job.dx = floats(), job.gh0 = floats();
  if (job.cell == LSTM) job.gc0 = floats();
  if (job.cell == GRU) job.ds = floats();
  backward(job);
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
