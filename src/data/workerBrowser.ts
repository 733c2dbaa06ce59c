import { type Request, serve } from './worker.js';

const scope = globalThis as unknown as {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: 'message', listener: (event: { readonly data: Request }) => void): void;
};
const answer: (request: Request) => Promise<void> = serve((message, transfer) => scope.postMessage(message, transfer));
scope.addEventListener('message', ({ data }) => void answer(data));
