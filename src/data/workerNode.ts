import { parentPort } from 'node:worker_threads';
import { serve } from './worker.js';

if (parentPort !== null) {
  const port = parentPort;
  port.on(
    'message',
    serve((message, transfer) => port.postMessage(message, transfer)),
  );
}
