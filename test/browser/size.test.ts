// What a browser must load: the core bundle with every export, and one of the engine's WASM builds; how the latter are made.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import binaryen from 'binaryen';
import { bundleForBrowser } from '../support/browser.js';

const KB = 1000;
const engines = ['simd', 'simdThreads', 'relaxed', 'relaxedThreads'] as const;

async function engine(name: (typeof engines)[number]): Promise<Buffer> {
  const { default: base64 } = (await import(new URL(`../../dist/wasm/${name}.js`, import.meta.url).href)) as { readonly default: string };
  return Buffer.from(base64, 'base64');
}

describe('sizes in a browser', () => {
  const bundles = [
    { name: 'core bundle', entry: 'core', limit: 150 },
    { name: 'a page that trains with fit()', entry: 'program', limit: 150 },
    { name: 'all exports of all entries', entry: 'everything', limit: 300 },
  ];
  for (const { name, entry, limit } of bundles) {
    test(`${name}, minified and gzipped, without WASM: below ${limit} kB`, async (t) => {
      const files = await bundleForBrowser([`${entry}.ts`], { minify: true });
      const loaded = new Set([`${entry}.js`]);
      for (const file of loaded) for (const needed of files.get(file)?.imports ?? []) loaded.add(needed);
      const whole = Buffer.concat([...loaded].map((file) => files.get(file)?.bytes ?? new Uint8Array()));
      const { length } = gzipSync(whole, { level: 9 });
      t.diagnostic(`${(length / KB).toFixed(1)} kB gzipped, ${(whole.length / KB).toFixed(1)} kB minified`);
      assert.ok(whole.length > 50 * KB, 'the bundle holds the library');
      assert.ok(!whole.includes('AGFzbQ'), 'no WASM in the core bundle'); // '\0asm' in base64
      assert.ok(!whole.includes('random.integers'), 'samples of ops stay outside');
      assert.ok(length < limit * KB, `${length} bytes`);
    });
  }

  test('calls are held to signatures in development, not in production', async () => {
    const holds = async (conditions: string[]): Promise<boolean> => {
      const files = await bundleForBrowser(['program.ts'], { conditions });
      const has = (signature: string): boolean => [...files.values()].some(({ bytes }) => Buffer.from(bytes).includes(signature));
      assert.equal(has('inFeatures:i outFeatures:i options?:{bias:b}'), has('x:T outputSize:[i|z]|i'), 'rows and constructors');
      return has('x:T outputSize:[i|z]|i');
    };
    assert.deepEqual([await holds(['development']), await holds(['production'])], [true, false]);
  });

  for (const name of engines) {
    test(`engine ${name}: below 400 kB`, async (t) => {
      const bytes = await engine(name);
      assert.equal(bytes.toString('latin1', 0, 4), '\0asm');
      t.diagnostic(`${(bytes.length / KB).toFixed(1)} kB, ${(gzipSync(bytes, { level: 9 }).length / KB).toFixed(1)} kB gzipped`);
      assert.ok(bytes.length < 400 * KB, `${bytes.length} bytes`);
    });
  }

  test('a wait stands in a function that holds nothing: V8 before 12 forgets registers meanwhile', async () => {
    const module = binaryen.readBinary(await engine('simdThreads'));
    const waits = module
      .emitText()
      .split('\n (func ')
      .filter((text) => text.includes('memory.atomic.wait'));
    module.dispose();
    assert.equal(waits.length, 2, "the pool's, and the linker's where memory is filled");
    for (const text of waits) assert.doesNotMatch(text, /local\.(set|tee)/);
  });
});
