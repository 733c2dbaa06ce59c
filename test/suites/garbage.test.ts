// A replay makes no JavaScript garbage that grows with the model, and keeps nothing. others.ci.test.ts asks the same of other Nodes.
import { describe, test } from 'node:test';
import { engineNames, open } from '../support/backends.js';
import { replaysLeaveNothing } from '../support/garbage.js';

for (const name of engineNames) {
  const { backend, why } = await open(name);
  describe(name, { skip: backend === null && `no ${name}: ${why}` }, () => {
    test(`replays leave no garbage that grows with the model, and keep nothing (${name})`, () =>
      replaysLeaveNothing(process.execPath, name));
  });
}
