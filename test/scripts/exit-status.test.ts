import { expect, it } from 'vitest';
import { statusOfFailure } from '../../scripts/exit-status.js';
import { VmError, type VmFailure } from '../../scripts/vm/errors.js';

it.each([
  ['unsupported', [], 69],
  ['provisioning', [], 69],
  ['boot', [], 69],
  ['setup', [], 69],
  ['died', [], 69],
  ['timeout', [], 124],
  ['panic', ['Kernel panic - not syncing: x'], 70],
  // What the kernel said counts, whatever ended the machine afterwards.
  ['boot', ['BUG: x'], 70],
  ['setup', ['WARNING: x'], 70],
  ['died', ['BUG: x'], 70],
  ['timeout', ['WARNING: x'], 70],
  // But not what its emulator made it say.
  ['emulator', ['Oops: int3: 0000 [#1]', 'Kernel panic - not syncing: x'], 69],
  ['aborted', ['BUG: x'], 130],
] as [VmFailure, string[], number][])('%s with %j ends with %i', (failure, splats, status) => {
  expect(statusOfFailure(new VmError(failure, 'm', { splats }))).toBe(status);
});
