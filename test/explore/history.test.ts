/** Races out of the kernel's history: found with the driver as it was, gone with the fix. */
import { assertPassed, explore, replay } from 'node-hmm/explore';
import { expect, it } from 'vitest';
import { HISTORY } from './history/index.js';

for (const { driver, fix, kind, found, before, after } of HISTORY) {
  it(`${driver}: ${fix}`, async () => {
    const result = await explore(before);
    if (result.result !== 'failed') throw new Error(`${result.result}, and should have failed`);
    expect(result).toMatchObject({ executions: found, failure: { violation: { kind } } });
    const again = await replay(before, result.failure.schedule);
    expect(again.violation).toEqual(result.failure.violation);
    assertPassed(await explore(after));
  });
}
