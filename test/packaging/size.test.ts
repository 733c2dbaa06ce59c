// What a browser loads stays small: the library without WASM, and each engine build.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const root = fileURLToPath(new URL('../../', import.meta.url));
const kB = 1024;

/** A page that uses everything that is exported: nothing can be shaken off. */
async function bundled(entries: readonly string[]): Promise<number> {
  const contents = entries.map((entry, i) => `import * as room${i} from '${entry}'; globalThis['room${i}'] = room${i};`).join('\n');
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: root },
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    conditions: ['browser'],
    outdir: join(dirname(root), 'unused'),
    // The engine's binaries are loaded one by one, when it is known which of them runs.
    external: ['*/wasm/simd.js', '*/wasm/simdThreads.js', '*/wasm/relaxed.js', '*/wasm/relaxedThreads.js'],
    logLevel: 'error',
  });
  return outputFiles.reduce((sum, file) => sum + gzipSync(file.contents, { level: 9 }).length, 0);
}

test('the library in a browser is smaller than 150 kB, gzipped and without WASM', async (t) => {
  const size = await bundled(['chainrule', 'chainrule/nn', 'chainrule/optim', 'chainrule/data']);
  t.diagnostic(`${(size / kB).toFixed(1)} kB`);
  assert.ok(size < 150 * kB, `${(size / kB).toFixed(1)} kB`);
});

test('each WASM build of the engine is smaller than 400 kB', (t) => {
  const folder = join(root, 'dist', 'wasm');
  const files = readdirSync(folder).filter((file) => file.endsWith('.js'));
  assert.ok(files.length > 0, 'dist/wasm holds no engine: run npm run build');
  for (const file of files) {
    const [, base64 = ''] = /'([^']*)'/.exec(readFileSync(join(folder, file), 'utf8')) ?? [];
    const { length } = Buffer.from(base64, 'base64');
    t.diagnostic(`${file}: ${(length / kB).toFixed(1)} kB`);
    assert.ok(length < 400 * kB, `${file} holds ${(length / kB).toFixed(1)} kB`);
  }
});
