import { expect, it } from 'vitest';

import { VmError } from '../../scripts/vm/errors.js';

it('a report of a failed machine hides nothing that is known', () => {
  const { report } = new VmError('panic', 'the kernel panicked', {
    splats: ['BUG: one\nof two lines', 'WARNING: two'],
    logTail: 'the last\nlines',
  });
  expect(report).toBe(
    'panic: the kernel panicked\n' +
      'kernel splat:\nBUG: one\nof two lines\n' +
      'kernel splat:\nWARNING: two\n' +
      'the end of the kernel log:\nthe last\nlines',
  );
  expect(new VmError('boot', 'no first program in 60 s').report).toBe('boot: no first program in 60 s');
});
