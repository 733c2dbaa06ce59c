// The import diagram of docs/architecture.md: the table below is the diagram.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src', import.meta.url));

/** Each room, and the rooms it may import from. */
const rooms: Readonly<Record<string, readonly string[]>> = {
  core: [],
  expr: ['core'],
  program: ['core', 'expr'],
  backends: ['core', 'expr', 'program', 'wasm'], // wasm: what the build leaves in dist/
  ops: ['core', 'expr', 'program', 'tensor'], // ops and tensor import each other: a tensor's methods are the ops
  tensor: ['core', 'expr', 'program', 'ops'],
  capture: ['core', 'expr', 'program', 'ops', 'tensor'],
  testing: ['core', 'expr', 'program', 'ops', 'tensor', 'capture'],
  io: ['core', 'expr', 'program', 'ops', 'tensor'],
  data: ['core', 'expr', 'program', 'ops', 'tensor', 'io'],
  nn: ['core', 'expr', 'program', 'ops', 'tensor', 'capture'],
  optim: ['core', 'expr', 'program', 'ops', 'tensor', 'capture', 'nn'],
  metrics: ['core', 'expr', 'program', 'ops', 'tensor'],
  train: ['core', 'expr', 'program', 'ops', 'tensor', 'capture', 'nn', 'optim', 'data', 'io', 'metrics'],
  models: ['core', 'expr', 'program', 'ops', 'tensor', 'capture', 'nn', 'optim', 'data', 'io', 'metrics', 'train'],
  doctor: ['core', 'expr', 'program', 'ops', 'tensor', 'capture', 'nn', 'optim', 'data', 'io', 'metrics', 'train'],
};
/** Where everything is put together: the barrel, the entries, the engine's choice, what is compiled ahead of time, the command line. */
const composers = ['index.ts', 'entries', 'engine.ts', 'aot.ts', 'cli'];

interface Import {
  readonly from: string;
  readonly to: string;
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .map((file) => file.replaceAll('\\', '/'))
  .filter((file) => file.endsWith('.ts'));

/** Relative imports, exports and dynamic imports of a file, as paths below src/. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(source, file), 'utf8').replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(
    /\b(?:import|export)\s+(?:type\s+)?(?:[\w*{][^'";]*?\sfrom\s+)?['"](\.[^'"]+)['"]|\bimport\(\s*['"](\.[^'"]+)['"]/g,
  );
  return [...found].map(([, fixed, dynamic]) => ({
    from: file,
    to: posix.normalize(posix.join(posix.dirname(file), fixed ?? dynamic ?? '')).replace(/\.js$/, '.ts'),
  }));
}

const roomOf = (file: string): string => (file.includes('/') ? (file.split('/')[0] as string) : file);

function isAllowed({ from, to }: Import): boolean {
  const [here, there] = [roomOf(from), roomOf(to)];
  if (here === there || composers.includes(here)) return true;
  return rooms[here]?.includes(there) ?? false;
}

const edges = files.flatMap(importsOf);

test('layers: every import follows the diagram', () => {
  assert.ok(edges.length > 100, `only ${edges.length} imports were found`);
  const wrong = edges.filter((edge) => !isAllowed(edge)).map(({ from, to }) => `${from} imports ${to}`);
  assert.deepEqual(wrong, []);
});

test('layers: every folder of src/ is a room of the diagram', () => {
  const unknown = [...new Set(files.map(roomOf))].filter((room) => !(room in rooms) && !composers.includes(room));
  assert.deepEqual(unknown, []);
});

test('layers: the diagram itself has no cycle but ops ⇄ tensor', () => {
  const reach = (room: string, seen = new Set<string>()): Set<string> => {
    for (const next of rooms[room] ?? []) {
      if (seen.has(next)) continue;
      seen.add(next);
      reach(next, seen);
    }
    return seen;
  };
  const cyclic = Object.keys(rooms).filter((room) => reach(room).has(room));
  assert.deepEqual(cyclic.sort(), ['ops', 'tensor']);
});

/** Rooms whose files hold the platform-neutral library: what a browser loads. */
const portable = ['core', 'expr', 'program', 'ops', 'tensor', 'capture', 'nn', 'optim', 'metrics', 'testing', 'models'];

test('layers: the library itself imports nothing of Node', () => {
  const offenders = files
    .filter((file) => portable.includes(roomOf(file)))
    .filter((file) => /\bfrom\s+['"]node:|\brequire\(/.test(readFileSync(join(source, file), 'utf8')));
  assert.deepEqual(offenders, []);
});

test('layers: no file is longer than 400 lines (tables of rows: 700)', () => {
  const limit = (file: string): number => (roomOf(file) === 'ops' || file === 'expr/instructions.ts' ? 700 : 400);
  const long = files
    .map((file) => ({ file, lines: readFileSync(join(source, file), 'utf8').split('\n').length }))
    .filter(({ file, lines }) => lines > limit(file) + 1);
  assert.deepEqual(long, []);
});
