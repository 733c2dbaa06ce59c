import assert from 'node:assert/strict';
import { getDefaultDtype, LibError, setDefaultDtype, withDevice } from '../../dist/index.js';
import { errorStyle } from '../../dist/testing/properties.js';
import { reference } from './backends.js';

/** What the library says against a call that is made in float64 on the reference backend, or null. */
export function refusal(call: () => unknown): string | null {
  const before = getDefaultDtype();
  setDefaultDtype('float64');
  try {
    withDevice(reference, call);
    return null;
  } catch (error) {
    assert.ok(error instanceof LibError, `no error of the library: ${error instanceof Error ? error.stack : String(error)}`);
    assert.match(error.message, errorStyle);
    return error.message;
  } finally {
    setDefaultDtype(before);
  }
}
