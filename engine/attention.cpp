// softmax(q kT * scale + mask) v without the matrix of scores in memory: blocks of queries meet blocks of keys, and of a
// block's scores only the running maximum and sum of each row are kept. The backward pass computes the scores again from
// the rows' log-sum-exp. Tasks are whole heads or blocks of one, by shape only.
#include "gemm_block.h"
#include "kernels.h"
#include "math.h"

namespace chainrule::VARIANT {

namespace {

enum MaskKind : int32_t { NO_MASK, BOOL_MASK, FLOAT_MASK };
constexpr int BLOCK = 128;                         // queries, and keys, at a time
constexpr int MANY_HEADS = 8;                      // with fewer, heads are cut into blocks

// Equal parts of at most BLOCK.
struct Blocks {
  int total, count, size;
  explicit Blocks(int n) : total(n), count(max(1, (n + BLOCK - 1) / BLOCK)), size((n + count - 1) / count) {}
  int start(int block) const { return block * size; }
  int rows(int block) const { return max(0, min(size, total - block * size)); }
};

// Rows that memory is to bring while something else is computed.
struct Ahead {
  const float* data;
  int64_t row;
  int rows, cols;
  INLINE void fetch(int i) const {
    if (PREFETCHES && i < rows)
      for (int j = 0; j < cols; j += 16) __builtin_prefetch(data + i * row + j, 0, 2);
  }
};

struct Attention {
  bool backward, causal;
  MaskKind mask;
  int n, m, d, e;                                  // queries, keys, width, width of values
  float scale;
  int rank;
  const int32_t* dims;
  View q, k, v, y, lse, bias, g, gq, gk, gv;

  int dWide() const { return whole_vectors(d); }
  int eWide() const { return whole_vectors(e); }

  int64_t heads() const { return product(dims, rank); }
  int64_t offset(const View& view, int64_t head) const {
    int64_t at = 0;
    for (int i = rank - 1; i >= 0; head /= dims[i], --i) at += head % dims[i] * view.strides[i];
    return at;
  }
  Rows rows(const View& view, int64_t head, int first = 0) const {
    const int64_t row = view.strides[rank];
    return {view.as<float>() + offset(view, head) + first * row, row, view.strides[rank + 1]};
  }
  void get(const View& view, int64_t head, int first, int count, int cols, float factor, float* to) const {
    const int width = whole_vectors(cols);
    get_rows(rows(view, head, first), count, cols, factor, to, width, width);
  }
  // None where there is no such head.
  Ahead ahead(const View& view, int64_t head, int first, int count, int cols) const {
    const bool none = head >= heads();
    const Rows there = rows(view, none ? 0 : head, first);
    return {there.data, there.row, none ? 0 : count, cols};
  }
  // Rows of contiguous numbers, copied to `to` where they are not.
  Rows straight(const View& view, int64_t head, int first, int count, int cols, float* to) const {
    const Rows there = rows(view, head, first);
    if (there.col == 1) return there;
    get(view, head, first, count, cols, 1, to);
    return {to, whole_vectors(cols), 1};
  }
  // How many of the keys from `key` on a query may look at.
  int visible(int query, int key, int count) const { return causal ? max(0, min(count, query + 1 - key)) : count; }

  // The scores of one query for keys [key, key + count): what the mask says of them is added.
  NOINLINE void apply_mask(int64_t head, int query, int key, int count, float* s) const {
    const int64_t next = bias.strides[rank + 1], at = offset(bias, head) + query * int64_t(bias.strides[rank]) + key * next;
    const uint8_t* may = bias.as<uint8_t>() + at;
    const float* more = bias.as<float>() + at;
    for (int j = 0; j < count; ++j)
      if (mask == FLOAT_MASK) s[j] += more[j * next];
      else if (may[j * next] == 0) s[j] = -__builtin_inff();
  }
};

// Where a row of weights must be zero beyond the keys that its query sees: products read up to the end of a panel of queries.
INLINE int zeros_end(int seen, int width) { return min(width, whole_vectors(seen + KERNEL_ROWS)); }

// ---- forward --------------------------------------------------------------------------------------------------------

struct Forward {
  const Attention& job;
  const Blocks queries{job.n}, keys{job.m};
  const int dWide = job.dWide(), eWide = job.eWide(), width = whole_panels(keys.size);

  // Turns a row of scores into weights e^(s - top); returns their sum. `top` may rise: then `decay` is what earlier weights
  // are worth now.
  INLINE float weigh(float* s, int count, float& top, float& decay) const {
    const float infinity = __builtin_inff(), before = top;
    vf highest = broadcast(-infinity), sums = {};
    for (int j = 0; j < count; j += LANES) highest = max(highest, select(lanes_below(j, count), load(s + j), highest));
    top = max(lane_max(highest), before);
    const float base = top == -infinity ? 0.0f : top;
    decay = 1.0f;
    if (before != top) decay = before == -infinity ? 0.0f : exp(broadcast(before - base))[0];
    int j = 0;
    for (; j < count; j += LANES) {
      const vf p = select(lanes_below(j, count), exp(load(s + j) - base), vf{});
      store<float>(s + j, p);
      sums += p;
    }
    for (const int end = zeros_end(count, width); j < end; j += LANES) store<float>(s + j, vf{});
    return sum(sums);
  }

  NOINLINE void run(int64_t head, int block, int worker) const {
    const int first = queries.start(block), count = queries.rows(block);
    const int64_t size = int64_t(queries.size) * (dWide + width + eWide + 2) + int64_t(keys.size) * eWide + int64_t(job.d) * width;
    float* q = static_cast<float*>(pool_scratch(worker, size_t(size + 2 * LANES) * sizeof(float)));
    float* s = q + int64_t(queries.size) * dWide;
    float* out = s + int64_t(queries.size) * width;
    float* kT = out + int64_t(queries.size) * eWide;
    float* v = kT + int64_t(job.d) * width;
    float* top = v + int64_t(keys.size) * eWide;
    float* total = top + queries.size;
    job.get(job.q, head, first, count, job.d, job.scale, q);
    for (int i = 0; i < count; ++i) top[i] = -__builtin_inff(), total[i] = 0;
    bool some = false;
    const Rows allKeys = job.rows(job.k, head);
    for (int other = 0; other < keys.count; ++other) {
      const int key = keys.start(other), many = keys.rows(other);
      if (job.visible(first + count - 1, key, many) == 0) continue;
      const int diagonal = first - key;
      const auto shape = [&](Triangle triangle) { return job.causal ? triangle : FULL; };
      pack_block(allKeys.data + key * allKeys.row, allKeys.row, allKeys.col, many, job.d, kT);
      multiply_block({count, many, job.d, q, dWide, 1, kT, BLOCK_WIDTH, int64_t(job.d) * BLOCK_WIDTH, s, width, false,
                      shape(LOWER_C), diagonal});
      const Ahead coming[] = {job.ahead(job.v, head, key, many, job.e), job.ahead(job.y, head, first, count, job.e),
                              job.ahead(job.q, head + 1, first, count, job.d), job.ahead(job.k, head + 1, key, many, job.d)};
      for (int i = 0; i < count; ++i) {
        for (const Ahead& rows : coming) rows.fetch(i);
        float* row = s + int64_t(i) * width;
        const int seen = job.visible(first + i, key, many);
        if (job.mask != NO_MASK) job.apply_mask(head, first + i, key, seen, row);
        float decay;
        const float added = weigh(row, seen, top[i], decay);
        total[i] = total[i] * decay + added;
        if (some && decay != 1)
          for (int j = 0; j < eWide; j += LANES) store<float>(out + i * eWide + j, load(out + i * eWide + j) * decay);
      }
      job.get(job.v, head, key, many, job.e, 1, v);
      multiply_block({count, job.e, many, s, width, 1, v, eWide, BLOCK_WIDTH, out, eWide, some, shape(LOWER_A), diagonal});
      some = true;
    }
    if (!some) clear(out, int64_t(count) * eWide);
    finish(head, first, count, out, top, total);
  }

  // A query that may look at nothing gives zeros, as in PyTorch.
  void finish(int64_t head, int first, int count, const float* out, const float* top, float* total) const {
    const int64_t step = job.lse.strides[job.rank], row = job.y.strides[job.rank];
    float* lse = job.lse.as<float>() + job.offset(job.lse, head) + first * step;
    float* y = job.y.as<float>() + job.offset(job.y, head) + first * row;
    for (int i = 0; i < count; i += LANES) {
      const vf sums = load(total + i);
      const vi blind = sums == 0;
      const vf logs = select(blind, broadcast(__builtin_inff()), load(top + i) + log(sums));
      for (int l = 0; l < min(LANES, count - i); ++l) lse[(i + l) * step] = logs[l];
      store<float>(total + i, select(blind, vf{}, 1.0f / sums));
    }
    for (int i = 0; i < count; ++i, y += row)
      for (int j = 0; j < job.e; j += LANES) store_part<float>(y + j, load(out + i * eWide + j) * total[i], min(LANES, job.e - j));
  }
};

// ---- backward -------------------------------------------------------------------------------------------------------

// Rows of a gradient that products are added to: in its memory where that holds whole vectors, beside it where not.
struct Sum {
  float* data;
  int64_t row;

  Sum(const Attention& job, const View& view, int64_t head, int first, int rows, int cols, float* beside) : count(rows), cols(cols) {
    row = there = view.strides[job.rank], data = home = view.as<float>() + job.offset(view, head) + first * there;
    if (cols % LANES != 0) data = beside, row = whole_vectors(cols);
  }
  void clear() const {
    for (int i = 0; i < count; ++i)
      for (int j = 0; j < cols; j += LANES) store<float>(data + i * row + j, vf{});
  }
  void put() const {
    if (data != home) put_rows(data, row, count, cols, 1, home, there);
  }

private:
  int count, cols;
  float* home;
  int64_t there;
};

// With P = e^(S - lse) and dP = g vT: dS = P (dP - sum of g y), gv = PT g, gq = dS k scale, gk = dST q scale.
struct Backward {
  const Attention& job;
  const Blocks queries{job.n}, keys{job.m};
  const int dWide = job.dWide(), eWide = job.eWide(), width = whole_panels(keys.size);

  struct Memory {
    float *q, *g, *s, *ds, *k, *kT, *vT, *gk, *gv, *gq, *dot;
  };

  Memory memory(int worker) const {
    const int64_t br = queries.size, bc = keys.size, wide = width;
    int64_t at = 0;
    int64_t starts[11];
    const int64_t sizes[11] = {br * dWide, br * eWide, br * wide, br * wide, bc * dWide, job.d * wide, job.e * wide,
                               bc * dWide, bc * eWide, int64_t(job.n) * dWide, job.n};
    for (int i = 0; i < 11; ++i) starts[i] = at, at += lines<float>(sizes[i]);
    float* m = static_cast<float*>(pool_scratch(worker, size_t(at) * sizeof(float)));
    const auto part = [&](int i) { return m + starts[i]; };
    return {part(0), part(1), part(2), part(3), part(4), part(5), part(6), part(7), part(8), part(9), part(10)};
  }

  // Query blocks [q0, q1) against key blocks [k0, k1): gradients of all keys, or of all queries, that are whole therein.
  NOINLINE void run(int64_t head, int q0, int q1, int k0, int k1, bool wantKeys, bool wantQueries, int worker) const {
    const Memory m = memory(worker);
    const Rows k = job.rows(job.k, head), v = job.rows(job.v, head);
    for (int i = q0; i < q1; ++i) dots(head, i, m);
    const int start = queries.start(q0), end = min(job.n, q1 * queries.size);
    const Sum gq(job, job.gq, head, start, end - start, job.d, m.gq);
    if (wantQueries) gq.clear();
    for (int b = k0; b < k1; ++b) {
      const int key = keys.start(b), many = keys.rows(b);
      pack_block(k.data + key * k.row, k.row, k.col, many, job.d, m.kT);
      pack_block(v.data + key * v.row, v.row, v.col, many, job.e, m.vT);
      job.get(job.k, head, key, many, job.d, job.scale, m.k);
      const Sum gk(job, job.gk, head, key, many, job.d, m.gk), gv(job, job.gv, head, key, many, job.e, m.gv);
      if (wantKeys) gk.clear(), gv.clear();
      for (int a = q0; a < q1; ++a) {
        const int first = queries.start(a), count = queries.rows(a);
        if (job.visible(first + count - 1, key, many) == 0) continue;
        job.get(job.q, head, first, count, job.d, job.scale, m.q);
        job.get(job.g, head, first, count, job.e, 1, m.g);
        pair(head, first, count, key, many, wantKeys ? &gk : nullptr, &gv, wantQueries ? &gq : nullptr, first - start, m);
      }
      if (wantKeys) gk.put(), gv.put();
    }
    if (wantQueries) gq.put();
  }

  // The sum of g y of each query.
  NOINLINE void dots(int64_t head, int block, const Memory& m) const {
    const int first = queries.start(block), count = queries.rows(block);
    const Rows g = job.straight(job.g, head, first, count, job.e, m.g), y = job.straight(job.y, head, first, count, job.e, m.s);
    for (int i = 0; i < count; ++i) {
      vf total = {};
      for (int j = 0; j < job.e; j += LANES) {
        const int part = min(LANES, job.e - j);
        total = fma(load_part(g.data + i * g.row + j, part), load_part(y.data + i * y.row + j, part), total);
      }
      m.dot[first + i] = sum(total);
    }
  }

  // P over S and dS over dP, row by row.
  NOINLINE void weigh(int64_t head, int first, int count, int key, int many, const Memory& m) const {
    const float* lse = job.lse.as<float>() + job.offset(job.lse, head);
    const Ahead coming[] = {job.ahead(job.q, head + 1, first, count, job.d), job.ahead(job.k, head + 1, key, many, job.d),
                            job.ahead(job.v, head + 1, key, many, job.e), job.ahead(job.g, head + 1, first, count, job.e),
                            job.ahead(job.y, head + 1, first, count, job.e)};
    for (int i = 0; i < count; ++i) {
      float *s = m.s + int64_t(i) * width, *ds = m.ds + int64_t(i) * width;
      const int seen = job.visible(first + i, key, many);
      if (job.mask != NO_MASK) job.apply_mask(head, first + i, key, seen, s);
      const float base = lse[(first + i) * int64_t(job.lse.strides[job.rank])], dot = m.dot[first + i];
      for (const Ahead& rows : coming) rows.fetch(i);
      int j = 0;
      for (; j < seen; j += LANES) {
        const vi inside = lanes_below(j, seen);
        const vf p = select(inside, exp(load(s + j) - base), vf{});
        store<float>(s + j, p);
        store<float>(ds + j, select(inside, p * (load(ds + j) - dot), vf{}));
      }
      for (const int end = zeros_end(seen, width); j < end; j += LANES) store<float>(s + j, vf{}), store<float>(ds + j, vf{});
    }
  }

  NOINLINE void pair(int64_t head, int first, int count, int key, int many, const Sum* gk, const Sum* gv, const Sum* gq, int atQuery,
                     const Memory& m) const {
    const int diagonal = first - key, d = job.d, e = job.e;
    const auto shape = [&](Triangle triangle) { return job.causal ? triangle : FULL; };
    const int64_t W = BLOCK_WIDTH;
    multiply_block({count, many, d, m.q, dWide, 1, m.kT, W, d * W, m.s, width, false, shape(LOWER_C), diagonal});
    multiply_block({count, many, e, m.g, eWide, 1, m.vT, W, e * W, m.ds, width, false, shape(LOWER_C), diagonal});
    weigh(head, first, count, key, many, m);
    if (gk) {
      multiply_block({many, e, count, m.s, 1, width, m.g, eWide, W, gv->data, gv->row, true, shape(UPPER_A), diagonal});
      multiply_block({many, d, count, m.ds, 1, width, m.q, dWide, W, gk->data, gk->row, true, shape(UPPER_A), diagonal});
    }
    if (!gq) return;
    multiply_block({count, d, many, m.ds, width, 1, m.k, dWide, W, gq->data + atQuery * gq->row, gq->row, true, shape(LOWER_A), diagonal});
  }
};

void run_backward(const Attention& job) {
  const Backward backward{job};
  const int64_t heads = job.heads();
  const int a = backward.queries.count, b = backward.keys.count;
  if (heads >= MANY_HEADS || a * b == 1)
    return parallel(heads, [&](int64_t head, int worker) { backward.run(head, 0, a, 0, b, true, true, worker); });
  parallel(heads * (a + b), [&](int64_t task, int worker) {
    const int part = int(task % (a + b));
    if (part < b) backward.run(task / (a + b), 0, a, part, part + 1, true, false, worker);
    else backward.run(task / (a + b), part - b, part - b + 1, 0, b, false, true, worker);
  });
}

}  // namespace

int32_t attention(const Step& step) {
  Attention job;
  Reader tape(step);
  job.backward = tape.next() != 0, job.causal = tape.next() != 0, job.mask = MaskKind(tape.next());
  job.n = tape.next(), job.m = tape.next(), job.d = tape.next(), job.e = tape.next();
  job.scale = float(step.scalars[0]);
  job.rank = tape.next(), job.dims = tape.ints(job.rank);
  View* const common[] = {&job.q, &job.k, &job.v, &job.y};
  for (View* view : common) *view = tape.view(job.rank + 2);
  job.lse = tape.view(job.rank + 1);
  if (job.mask != NO_MASK) job.bias = tape.view(job.rank + 2);
  if (!job.backward) {
    const Forward forward{job};
    const int blocks = forward.queries.count;
    parallel(job.heads() * blocks, [&](int64_t task, int worker) { forward.run(task / blocks, int(task % blocks), worker); });
    return ENGINE_OK;
  }
  View* const gradients[] = {&job.g, &job.gq, &job.gk, &job.gv};
  for (View* view : gradients) *view = tape.view(job.rank + 2);
  run_backward(job);
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
