import { LibError } from '../core/errors.js';
import type { Backend } from '../program/backend.js';

/** Where tensors live and ops run. A device *is* a backend: a value, not a string. */
export type Device = Backend;

let current: Device | null = null;

/** The device on which new tensors are made. */
export function defaultDevice(): Device {
  if (current === null) {
    throw new LibError(
      'device',
      'defaultDevice: a device must be chosen before tensors are made, got none.',
      "import from 'chainrule', which chooses one.",
    );
  }
  return current;
}

/** Makes `device` the place of tensors created from now on; existing ones stay where they are. Returns the previous one. */
export function setDefaultDevice(device: Device): Device | null {
  const before = current;
  current = device;
  return before;
}

/** Runs `body` with another default device. */
export function withDevice<T>(device: Device, body: () => T): T {
  const before = setDefaultDevice(device);
  try {
    return body();
  } finally {
    current = before;
  }
}
