/** The pool of huge pages that the hugetlb*.test.ts take their memory from. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll } from 'vitest';
import { onKernel } from './support.js';

const POOL = '/proc/sys/vm/nr_hugepages';
const PAGES = '64';

/**
 * For the tests of the file that calls this vm.nr_hugepages is 64: on a kernel it is set, and afterwards set back; a simulation has as
 * many by default.
 */
export function hugetlbPool(): void {
  if (!onKernel) return;
  let before = '';

  beforeAll(() => {
    before = readFileSync(POOL, 'utf8');
    writeFileSync(POOL, PAGES);
    const got = readFileSync(POOL, 'utf8').trim();
    if (got !== PAGES) throw new Error(`the kernel has room for ${got} huge pages only, of ${PAGES}`);
  });

  afterAll(() => writeFileSync(POOL, before));
}
