import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { filesBelow, hash, inRoot, stamp, writeWhole } from './files.mjs';

/** What the engine is given when nothing could be printed: it then interprets every expression. */
const none = `#ifdef CHAINRULE_AOT_HASHES_ONLY
constexpr int32_t AOT_COUNT = 0;
constexpr AotHash aot_hashes[] = {{0, 0}};
#else
static const AotLoop aot_loops[] = {nullptr};
#endif
`;

/** Prints the expressions that the engine holds compiled ahead of time to build/aot.h; see scripts/printAot.mjs. */
export function buildAot() {
  const target = inRoot('build', 'aot.h');
  const printer = inRoot('scripts', 'printAot.mjs');
  const rooms = ['expr', 'program', 'ops', 'nn', 'optim', 'tensor', 'capture'].flatMap((room) => filesBelow(inRoot('dist', room)));
  const key = hash(...[printer, inRoot('dist', 'aot.js'), ...rooms].map((file) => readFileSync(file)));
  const known = stamp('aot');
  const size = () => `build/aot.h, ${Math.ceil(statSync(target).size / 1024)} kB`;
  if (known.matches(key) && existsSync(target)) return { summary: `${size()}, unchanged` };
  const { status, stdout, stderr } = spawnSync(process.execPath, [printer], { cwd: inRoot(), encoding: 'utf8', maxBuffer: 2 ** 26 });
  if (status === 0) {
    writeWhole(target, stdout);
    known.set(key);
    return { summary: size() };
  }
  if (!existsSync(target)) writeWhole(target, none);
  return { summary: `not printed, ${stderr.split('\n').find((line) => line.includes('Error')) ?? 'no reason given'}`, failed: true };
}
