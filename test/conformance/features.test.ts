/**
 * A feature that the module does not find turns tests into skips: what must be there stands in
 * scripts/vm/kernels.ts.
 */
import type { Hmm } from 'node-hmm';
import { describe, expect, it, type TestContext } from 'vitest';
import { need, openTarget, promised } from './support.js';

it('the features are those that were promised', async (context) => {
  const table = promised();
  if (table === undefined) return context.skip('this kernel is in no table: NODE_HMM_VM does not name it');
  const { features } = await openTarget();
  const { reasons, ...found } = features;
  expect({ found, reasons: Object.keys(reasons).sort() }).toEqual({
    found: table,
    reasons: Object.entries(table).flatMap(([feature, there]) => (there ? [] : [feature])),
  });
});

describe('a feature that was promised and is not found', () => {
  const context = { skip: (reason: string) => void skipped.push(reason) } as unknown as TestContext;
  const skipped: string[] = [];
  const without = { features: { hugetlb: false, reasons: { hugetlb: 'the probe failed' } } } as unknown as Hmm;

  it('fails the test, and skips nothing', () => {
    // hugetlb is there on every kernel of the table.
    if (promised() === undefined) expect(() => need(context, without, 'hugetlb')).not.toThrow();
    else expect(() => need(context, without, 'hugetlb')).toThrow('it was not found: hugetlb: the probe failed');
    expect(skipped).toEqual(promised() === undefined ? ['hugetlb: the probe failed'] : []);
  });
});
