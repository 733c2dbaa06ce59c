// This library with one thread, in a process of its own: what several threads gain, in turn.
//   node bench/one.mjs native|wasm
import { readFileSync } from 'node:fs';
import * as cr from 'chainrule';
import { serve } from './peers/serve.mjs';
import { cases } from './workloads.mjs';

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
await cr.setEngine({ engine: process.argv[2], threads: 1 });

const maker = (item) => (mode) => {
  const run = mode === 'compiled' ? cr.compile(item.make()) : item.make();
  return { run: () => void run(), perCall: item.perCall ?? 1, release: () => undefined };
};
await serve(version, Object.fromEntries(cases.map((item) => [item.name, maker(item)])));
