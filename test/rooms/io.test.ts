// safetensors and checkpoints: what is saved comes back, damage is told by file and byte, and a failed save loses nothing.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type DType, type Tensor, tensor } from '../../dist/index.js';
import {
  decodeSafetensors,
  encodeSafetensors,
  loadCheckpoint,
  loadModel,
  loadSafetensors,
  saveCheckpoint,
  saveModel,
  saveSafetensors,
  toHost,
  torchName,
} from '../../dist/io/index.js';
import { BatchNorm1d, Linear, Sequential } from '../../dist/nn/index.js';

const folder = mkdtempSync(join(tmpdir(), 'chainrule-io-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const path = (name: string): string => join(folder, name);
const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);

function file(header: string | object, data: Uint8Array = new Uint8Array(0), length?: number): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header));
  const out = new Uint8Array(8 + json.length + data.length);
  new DataView(out.buffer).setBigUint64(0, BigInt(length ?? json.length), true);
  out.set(json, 8);
  out.set(data, 8 + json.length);
  return out;
}

describe('safetensors', () => {
  const types: DType[] = ['float32', 'float64', 'float16', 'bfloat16', 'int32', 'uint8', 'bool'];
  test('every type comes back with its bits, whatever the alignment', async () => {
    const tensors = new Map<string, Tensor>(
      types.map((dtype) => [
        `x.${dtype}`,
        tensor(
          [
            [1, 0],
            [1, 2.5],
            [3, 0.1],
          ].map((r) => r.map((v) => (dtype === 'bool' ? v > 0 : v))),
          { dtype },
        ),
      ]),
    );
    tensors.set('odd', tensor(Uint8Array.of(1, 2, 3)));
    tensors.set('scalar', tensor(5));
    tensors.set('none', tensor(new Float32Array(0), { shape: [0, 3] }));
    tensors.set(
      'view',
      tensor([
        [1, 2, 3],
        [4, 5, 6],
      ]).t(),
    );
    await saveSafetensors(path('types.safetensors'), tensors, { metadata: { made: 'by a test' } });
    const loaded = await loadSafetensors(path('types.safetensors'));
    assert.deepEqual([...loaded.keys()].sort(), [...tensors.keys()].sort());
    for (const [name, x] of tensors) {
      const y = loaded.get(name) as Tensor;
      assert.deepEqual([y.dtype, y.shape, (await toHost(y)).data], [x.dtype, x.shape, (await toHost(x)).data], name);
    }
    assert.deepEqual(decodeSafetensors(readFileSync(path('types.safetensors'))).metadata, { made: 'by a test' });
  });

  test("PyTorch's 64-bit counters become int32, or do not fit", () => {
    const counter = (value: bigint): Uint8Array => {
      const bytes = new Uint8Array(8);
      new DataView(bytes.buffer).setBigInt64(0, value, true);
      return file({ n: { dtype: 'I64', shape: [], data_offsets: [0, 8] } }, bytes);
    };
    const n = decodeSafetensors(counter(-12n)).tensors.get('n');
    assert.deepEqual([n?.dtype, n?.data[0]], ['int32', -12]);
    assert.throws(() => decodeSafetensors(counter(2n ** 40n)), says(/'n' \(I64\) fits into int32, got 1099511627776/));
  });

  const four = { dtype: 'F32', shape: [1], data_offsets: [0, 4] };
  const cases: [what: string, bytes: Uint8Array, phrase: RegExp][] = [
    ['nothing', new Uint8Array(3), /weights: a file starts with 8 bytes .* at byte 3/],
    ['no safetensors', new TextEncoder().encode('PK\x03\x04 a zip file'), /not a safetensors file\?\) at byte 0/],
    ['a cut header', file({ a: four }, undefined, 500), /the header ends at byte 508, got the end of the file: truncated at byte/],
    ['no JSON', file('{"a": '), /the header is a JSON object, got something else at byte 8/],
    ['a list', file('[1, 2]'), /the header is a JSON object/],
    ['missing facts', file({ a: { dtype: 'F32', shape: [1] } }), /'a' has dtype, shape and data_offsets/],
    ['a negative size', file({ a: { ...four, shape: [-1] } }), /'a' has dtype, shape and data_offsets/],
    [
      'an unknown type',
      file({ a: { ...four, dtype: 'F8_E4M3' } }, new Uint8Array(4)),
      /'a' has one of the types F32, .*, got F8_E4M3 at byte \d+/,
    ],
    [
      'the wrong type',
      file({ a: { ...four, dtype: 'F64' } }, new Uint8Array(4)),
      /'a', F64 of shape \(1\), takes 8 bytes, got 4 bytes at byte \d+/,
    ],
    ['cut data', file({ a: four }, new Uint8Array(2)), /'a' ends at byte \d+, got the end of the file: truncated at byte \d+/],
    [
      'arrays that overlap',
      file({ a: four, b: { ...four, data_offsets: [2, 6] } }, new Uint8Array(6)),
      /'b' begins after 'a', got arrays that overlap at byte \d+/,
    ],
    [
      'a hole',
      file({ a: four, b: { ...four, data_offsets: [6, 10] } }, new Uint8Array(10)),
      /'b' begins where 'a' ends, got 2 bytes that belong to nothing/,
    ],
    ['more data', file({ a: four }, new Uint8Array(5)), /the file ends with 'a', got 1 more bytes at byte \d+/],
    ['metadata of numbers', file({ __metadata__: { n: 1 } }), /__metadata__ holds texts/],
  ];
  for (const [what, bytes, phrase] of cases) {
    test(`${what} is an error`, () => assert.throws(() => decodeSafetensors(bytes, { file: 'weights' }), says(phrase)));
  }

  test('Python reads the same values', (t) => {
    const python = `import json, struct, sys
b = open(sys.argv[1], "rb").read()
n, = struct.unpack("<Q", b[:8])
begin, end = json.loads(b[8:8 + n])["x"]["data_offsets"]
print(struct.unpack("<2f", b[8 + n + begin:8 + n + end]))`;
    writeFileSync(
      path('python.safetensors'),
      encodeSafetensors(new Map([['x', { dtype: 'float32' as const, shape: [2], data: Float32Array.of(1.5, -2) }]])),
    );
    const { status, stdout } = spawnSync('python3', ['-c', python, path('python.safetensors')], { encoding: 'utf8' });
    if (status === null) t.skip('no python3');
    else assert.equal(stdout.trim(), '(1.5, -2.0)');
  });
});

describe('models', () => {
  const net = (): Sequential => new Sequential(new Linear(2, 3), new BatchNorm1d(3));

  test("are saved under PyTorch's names and load from them", async () => {
    const [a, b] = [net(), net()];
    await saveModel(path('model.safetensors'), a);
    const names = [...decodeSafetensors(readFileSync(path('model.safetensors'))).tensors.keys()];
    assert.ok(
      names.some((n) => n.endsWith('running_mean')),
      names.join(),
    );
    await loadModel(path('model.safetensors'), b);
    for (const [name, x] of a.stateDict()) assert.deepEqual(b.stateDict().get(name)?.tolist(), x.tolist(), name);
    assert.equal(torchName('layers.0.runningMean'), 'layers.0.running_mean');
  });

  test('refuse weights of another model', async () => {
    await saveModel(path('other.safetensors'), new Sequential(new Linear(2, 3)));
    await assert.rejects(loadModel(path('other.safetensors'), net()), says(/missing \[.*running/));
  });
});

describe('checkpoints', () => {
  const state = {
    model: new Map([['w', tensor([1, 2])]]),
    nested: [1, { deep: tensor(3), list: [true, null, 'x'] }],
    big: 2n ** 60n,
    odd: [Number.NaN, -0, Number.NEGATIVE_INFINITY],
    bytes: Float64Array.of(0.1),
    none: undefined,
  };

  test('any nesting comes back', async () => {
    await saveCheckpoint(path('state.safetensors'), state);
    const back = await loadCheckpoint<typeof state>(path('state.safetensors'));
    assert.deepEqual(back.model.get('w')?.tolist(), [1, 2]);
    const [one, inner] = back.nested as [number, { deep: Tensor; list: unknown[] }];
    assert.deepEqual([one, inner.deep.tolist(), inner.list], [1, 3, [true, null, 'x']]);
    assert.deepEqual([back.big, back.odd, back.bytes, 'none' in back], [2n ** 60n, state.odd, state.bytes, true]);
  });

  test('damage is found by the checksum', async () => {
    await saveCheckpoint(path('damaged.safetensors'), state);
    const bytes = readFileSync(path('damaged.safetensors'));
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 3) ^ 1, bytes.length - 3);
    writeFileSync(path('damaged.safetensors'), bytes);
    await assert.rejects(
      loadCheckpoint(path('damaged.safetensors')),
      says(/damaged\.safetensors: the arrays must have the checksum \d+, got \d+: the file is damaged/),
    );
  });

  test('weights alone are no checkpoint', async () => {
    await saveSafetensors(path('plain.safetensors'), new Map([['w', tensor([1])]]));
    await assert.rejects(loadCheckpoint(path('plain.safetensors')), says(/must be a checkpoint, got a plain safetensors file/));
    await assert.rejects(loadCheckpoint(path('missing.safetensors')), says(/missing\.safetensors: no such file/));
  });

  test('functions cannot be saved', () => assert.rejects(saveCheckpoint(path('f'), { hook: () => 1 }), says(/got a function at 'hook'/)));
});

describe('a full disk', () => {
  const intact = async (target: string): Promise<void> => {
    assert.deepEqual((await loadSafetensors(target)).get('w')?.tolist(), [1, 2]);
    assert.deepEqual(
      readdirSync(join(target, '..')).filter((f) => f.endsWith('.tmp')),
      [],
    );
  };

  test('/dev/full: the old file stays, and the error says how much was needed', async (t) => {
    if (!existsSync('/dev/full')) return t.skip('no /dev/full here');
    const target = path('full.safetensors');
    await saveSafetensors(target, new Map([['w', tensor([1, 2])]]));
    symlinkSync('/dev/full', `${target}.tmp`);
    await assert.rejects(
      saveSafetensors(target, new Map([['w', tensor([3, 4])]])),
      says(
        /\d+ bytes must fit into .*full\.safetensors, got no space left on the disk \(ENOSPC\); what was saved there before is unchanged/,
      ),
    );
    await intact(target);
  });

  test('a limit that is hit in the middle of the file', async (t) => {
    if (process.platform === 'win32') return t.skip('no ulimit here');
    const target = path('limited.safetensors');
    await saveSafetensors(target, new Map([['w', tensor([1, 2])]]));
    const io = fileURLToPath(new URL('../../dist/io/index.js', import.meta.url));
    const index = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
    const script = `import { zeros } from ${JSON.stringify(index)};
      import { saveSafetensors } from ${JSON.stringify(io)};
      await saveSafetensors(process.argv[1], new Map([['w', zeros([300000])]])).catch((e) => console.log(e.message));`;
    // 128 blocks of 512 or 1024 bytes, as the shell has it: less than the 1.2 MB that are written.
    const output = execFileSync(
      'sh',
      ['-c', 'ulimit -f 128; exec "$0" --input-type=module -e "$1" "$2"', process.execPath, script, target],
      {
        encoding: 'utf8',
        env: { ...process.env, CHAINRULE_BACKEND: 'reference' },
      },
    );
    assert.match(output, /12000\d\d bytes must fit into .*limited\.safetensors, got the file would be larger than allowed \(EFBIG\)/);
    await intact(target);
  });

  test('a folder in the way', async () => {
    await assert.rejects(saveSafetensors(folder, new Map([['w', tensor([1])]])), says(/bytes must fit into/));
    assert.ok(existsSync(folder));
  });
});
