// What a replay allocates on the JavaScript heap: measured in a process of its own, whose young generation is large enough that nothing is
// collected while it counts.
import assert from 'node:assert/strict';
import { run } from './project.js';

const dist = new URL('../../dist/', import.meta.url).href;
const flags = ['--expose-gc', '--max-semi-space-size=64', '--min-semi-space-size=64', '--input-type=module', '-e'];

/** Prints bytes of new objects for each replay, and by how much 3,000 replays move what is alive. */
const program = (layers: number, width: number): string => `
  const [cr, nn, { AdamW }] = await Promise.all(['index', 'entries/nn', 'entries/optim'].map((m) => import('${dist}' + m + '.js')));
  const model = new nn.Sequential(...Array.from({ length: ${layers} }, () => new nn.Linear(${width}, ${width})));
  const optimizer = new AdamW(model.parameters());
  const [x, y] = [cr.randn([4, ${width}]), cr.randn([4, ${width}])];
  const step = cr.compile((a, b) => {
    optimizer.zeroGrad();
    const loss = cr.mseLoss(model.forward(a), b);
    loss.backward();
    optimizer.step();
    return loss;
  });
  const replay = async (count) => {
    for (let i = 0; i < count; i++) {
      step(x, y);
      if (i % 100 === 99) await null;
    }
  };
  const used = () => process.memoryUsage().heapUsed;
  const live = async () => {
    for (let i = 0; i < 3; i++) await new Promise((done) => setImmediate(done, gc()));
    return used();
  };
  await replay(3000);
  const before = await live();
  const garbage = [];
  for (let k = 0; k < 3; k++) {
    gc();
    const start = used();
    await replay(1000);
    garbage.push((used() - start) / 1000);
  }
  const grown = (await live()) - before;
  console.log(JSON.stringify({ garbage: garbage.sort((a, b) => a - b)[1], grown }));
  process.exit();
`;

interface Measured {
  readonly garbage: number;
  readonly grown: number;
}

async function measure(node: string, backend: string, layers: number, width: number): Promise<Measured> {
  const { status, output } = await run(node, [...flags, program(layers, width)], process.cwd(), {
    CHAINRULE_BACKEND: backend,
    CHAINRULE_THREADS: '1',
  });
  assert.equal(status, 0, output);
  return JSON.parse(output.trim().split('\n').at(-1) ?? '') as Measured;
}

/** Replays of deeper and wider models make no more garbage, and keep nothing. */
export async function replaysLeaveNothing(node: string, backend: string): Promise<void> {
  const small = await measure(node, backend, 4, 8);
  const deep = await measure(node, backend, 64, 8);
  const wide = await measure(node, backend, 4, 64);
  const said = JSON.stringify({ small, deep, wide });
  for (const { grown } of [small, deep, wide]) assert.ok(grown < 200_000, said); // of compiled code and the like
  // A number that is boxed takes 12 bytes; there are 120 parameters more, or 16,000 numbers. The moment at which V8 recompiles moves a count by 1 kB.
  assert.ok(deep.garbage - small.garbage < 120 * 12, said);
  assert.ok(wide.garbage - small.garbage < 120 * 12, said);
}
