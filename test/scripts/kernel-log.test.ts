import { describe, expect, it } from 'vitest';

import { findSplats, hasPanicked, hasTranslatorFault, logTail } from '../../scripts/vm/kernel-log.js';

describe('findSplats', () => {
  it.each([
    '[    1.0] BUG: KASAN: slab-use-after-free in f+0x1/0x2 [hmm_mirror]',
    '[    1.0] BUG: unable to handle page fault for address: ffff888000000000',
    '[    1.0] WARNING: CPU: 0 PID: 1 at mm/hmm.c:1 f+0x1/0x2',
    '[    1.0][  T12] WARNING: possible circular locking dependency detected',
    '[    1.0] WARNING: suspicious RCU usage',
    '[    1.0] UBSAN: shift-out-of-bounds in mm/hmm.c:1:2',
    '[    1.0] unreferenced object 0xffff888000000000 (size 64):',
    '[    1.0] kernel BUG at mm/page_table_check.c:1!',
    '[    1.0] kmemleak: Kernel memory leak detector disabled',
    '[    1.0] INFO: trying to register non-static key.',
    '[    1.0] turning off the locking correctness validator.',
    'unreferenced object 0xffff888000000000 (size 64):',
    '[    1.0] general protection fault, probably for non-canonical address',
    '[    1.0] Oops: int3: 0000 [#1] PREEMPT SMP NOPTI',
    '[    1.0] INFO: task node:12 blocked for more than 120 seconds.',
    '[    1.0] refcount_t: underflow; use-after-free.',
    '[    1.0] BUG: sleeping function called from invalid context at mm/hmm.c:1',
    '[    1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!',
    '[    1.0] Kernel panic - not syncing: Fatal exception',
  ])('sees %s', (line) => {
    expect(findSplats(`[    0.9] before\r\n${line}\r\n`)).toEqual([line]);
  });

  it.each([
    '[    0.0] Spectre V2 : Mitigation: Retpolines',
    '[    0.0] Linux version 6.12 (debug) #1',
    '[    0.0] kasan: KernelAddressSanitizer initialized (generic)',
    '[    0.0] kmemleak: Kernel memory leak detector initialized (mem pool available: 39000)',
    '[    0.0] Lock dependency validator: Copyright (c) 2006 Red Hat, Inc., Ingo Molnar',
    '[    1.0] debug_vm_pgtable: [debug_vm_pgtable         ]: Validating architecture page table helpers',
    '[    1.0] FAULT_INJECTION: forcing a failure.',
    '[    2.0] hmm_mirror: loading out-of-tree module taints kernel.',
    '[    2.0] hmm_mirror: module verification failed: signature and/or required key missing - tainting kernel',
    '[    2.0] node[12]: segfault at 0 ip 0 sp 0 error 4',
    '[    2.0] x86/mm: Checked W+X mappings: passed, no W+X pages found.',
  ])('leaves %s alone', (line) => {
    expect(findSplats(line)).toEqual([]);
  });

  it('gives each splat its report, up to the end mark', () => {
    const log = ['a', 'WARNING: CPU: 0', 'trace', '---[ end trace 0 ]---', 'b', 'BUG: x', 'c', ''].join('\n');
    expect(findSplats(log)).toEqual(['WARNING: CPU: 0\ntrace\n---[ end trace 0 ]---', 'BUG: x\nc']);
  });

  it('cuts a report that has no end', () => {
    const [splat] = findSplats(['BUG: x', ...Array.from({ length: 500 }, (_, i) => `line ${i}`)].join('\n'));
    expect(splat?.split('\n')).toHaveLength(60);
  });
});

describe('logTail and hasPanicked', () => {
  it('keeps the last lines, without carriage returns', () => {
    expect(logTail('a\r\nb\r\nc\r\n', 2)).toBe('b\nc');
  });
  it('knows a panic', () => {
    expect(hasPanicked('[ 1.0] Kernel panic - not syncing: sysrq triggered crash')).toBe(true);
    expect(hasPanicked('[ 1.0] panic=-1')).toBe(false);
  });
});

describe('hasTranslatorFault', () => {
  const dies = (code: string) =>
    '[    2.160434] Kernel panic - not syncing: Attempted to kill init! exitcode=0x0000000b\n' +
    '[    2.160617]  asm_exc_general_protection+0x26/0x30\n' +
    `[    2.160639] Code: 89 ef eb bf 66 0f 1f 84 00 00 00 00 00 ${code} 49 89 d1 5e`;

  it('knows a breakpoint of the kernel’s own, and a fault of an instruction that has none', () => {
    expect(hasTranslatorFault(['int3: 0000 [#1] PREEMPT SMP'])).toBe(true);
    expect(hasTranslatorFault([dies('<31> ed')])).toBe(true);
  });

  it('does not excuse what could be the fault of a program, or of the kernel', () => {
    expect(hasTranslatorFault([dies('<48> 8b 07')])).toBe(false);
    expect(hasTranslatorFault(['BUG: KASAN: use-after-free', 'Oops: general protection fault: <31> ed'])).toBe(false);
  });
});
