// The module worker's script.
import { trainBoth } from './training.js';

trainBoth().then(
  (report) => postMessage(report),
  (error: unknown) => postMessage(error instanceof Error ? (error.stack ?? error.message) : String(error)),
);
