import { LibError } from '../core/errors.js';
import type { LoggedEvent } from './events.js';
import type { Recorder, RunConfig, SavedRun } from './recorder.js';

const refuse = (op: string, folder: string): LibError =>
  new LibError('file', `${op}: pages have no run folders, got '${folder}'.`, 'give fit() a recorder of your own.');

export function openRecorder(folder: string, _config: RunConfig): Promise<Recorder> {
  return Promise.reject(refuse('fit', folder));
}
export function loadRun(folder: string): Promise<SavedRun> {
  return Promise.reject(refuse('loadRun', folder));
}
export function readEvents(folder: string): Promise<LoggedEvent[]> {
  return Promise.reject(refuse('readEvents', folder));
}
