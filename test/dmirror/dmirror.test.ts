/**
 * The kernel's own test interface, /dev/hmm_dmirrorN, where it is stricter or tells more than the kernel's test_hmm.
 * That the rest is the same is shown by the kernel's hmm-tests. What test_hmm (Linux 6.12) answers to the same is said
 * in brackets.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const { EBUSY, EFAULT, EINVAL, ENOENT, ENOTTY, EOPNOTSUPP, EPERM } = constants.errno;

const SOURCES = fileURLToPath(new URL('./dmirror-probe', import.meta.url));

/** HMM_MIRROR_DEVICE_* */
const [NO_MEMORY, PRIVATE, COHERENT] = [0, 1, 2];

type Facts = Record<string, number>;

/** What a command left: errno, pages, faults. Under its name, as the probe tells it. */
function answer(name: string, errno: number, pages: number, faults = 0): Facts {
  return { [name]: errno, [`${name}.cpages`]: pages, [`${name}.faults`]: faults };
}

/** Where the module is loaded, its first two nodes must be there; those of coherent memory where it has such. */
const nodes = [0, 1, 2, 3].map((id) => `/dev/hmm_dmirror${id}`).filter((node, id) => id < 2 || existsSync(node));

describe('test_hmm’s interface', () => {
  let folder: string;

  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), 'node-hmm-dmirror-'));
    const flags = ['-std=gnu11', '-D_GNU_SOURCE', '-O1', '-Wall', '-Wextra', '-Werror', '-pthread'];
    const sources = readdirSync(SOURCES).filter((name) => name.endsWith('.c'));
    execFileSync('cc', [...flags, '-o', path.join(folder, 'probe'), ...sources], { cwd: SOURCES, stdio: 'inherit' });
  });

  afterAll(() => rmSync(folder, { recursive: true }));

  describe.each(nodes)('%s', (node) => {
    const facts = (name: string): Facts =>
      JSON.parse(
        execFileSync(path.join(folder, 'probe'), [node, name], { encoding: 'utf8', timeout: 55_000 }),
      ) as Facts;

    it('asks for CAP_SYS_ADMIN [test_hmm: only for the node’s mode]', () => {
      expect(facts('privilege')).toEqual({ open: EPERM });
    });

    it('checks before it does: counts that overflow when shifted [one page], limits [none], commands [EINVAL]', () => {
      expect(facts('arguments')).toEqual({
        ...answer('unaligned', EINVAL, 0),
        ...answer('none', EINVAL, 0),
        ...answer('shifted', EINVAL, 0),
        ...answer('wrapped', EINVAL, 0),
        ...answer('many', EINVAL, 0),
        ...answer('release', EINVAL, 0),
        unknown: ENOTTY,
        size: ENOTTY,
        direction: ENOTTY,
        struct: EFAULT,
        copied: 0,
      });
    });

    it('tells the progress on an error, and has made it [counts nothing, copies nothing]', () => {
      expect(facts('progress')).toEqual({
        ...answer('hole', EFAULT, 4, 1),
        'hole.copied': 4,
        ...answer('readonly', EPERM, 4, 1),
        'readonly.copied': 4,
        ...answer('nothing', EFAULT, 0, 1),
      });
    });

    it('counts what fits the buffer [nothing]; the buffer may be the memory itself', () => {
      expect(facts('buffer')).toEqual({
        ...answer('read', EFAULT, 2, 1),
        'read.copied': 2,
        ...answer('write', EFAULT, 2),
        ...answer('snapshot', EFAULT, 0),
        ...answer('itself', 0, 4),
        ...answer('kernel', EFAULT, 0),
        memory: 4,
      });
    });

    it('faults once for all that is left, and not beside an invalidation [the page after its end: faults 1]', () => {
      expect(facts('faults')).toEqual({
        ...answer('first', 0, 1030, 1),
        'first.copied': 1030,
        ...answer('again', 0, 1030, 0),
        ...answer('neighbour', 0, 1029, 0),
        ...answer('dropped', 0, 1030, 1),
        'dropped.zero': 1,
        ...answer('write', 0, 1029, 0),
      });
    });

    it('snapshots more than one chunk, up to where the buffer ends', () => {
      expect(facts('snapshot')).toEqual({
        ...answer('all', 0, 1030),
        written: 515,
        none: 515,
        other: 0,
        ...answer('cut', EFAULT, 520),
      });
    });

    it('works on the opener’s memory, whoever calls; when that is gone: EFAULT [EINVAL, but for READ]', () => {
      const { exclusive, ...others } = facts('inherited');
      expect(exclusive).toBe(facts('device')['exclusive'] ? EFAULT : EOPNOTSUPP);
      expect(others).toEqual({
        ...answer('theirs', 0, 4, 1),
        'theirs.copied': 4,
        ...answer('read', EFAULT, 0, 1),
        ...answer('snapshot', EFAULT, 0),
        ...answer('toDevice', EFAULT, 0),
        'exclusive.cpages': 0,
        'exclusive.faults': 0,
        ...answer('check', 0, 4),
      });
    });

    it('maps pages of its own, not more than one command could take [no limit but the machine’s memory]', () => {
      expect(facts('mapping')).toEqual({
        ...answer('snapshot', 0, 4),
        byte: 2,
        zero: 1,
        ...answer('write', 0, 4, 1),
        written: 4,
        ...answer('migrate', facts('device')['kind'] === NO_MEMORY ? EOPNOTSUPP : EINVAL, 0),
        long: EINVAL,
      });
    });

    it('reads and writes whole pages while another thread drops them', () => {
      expect(facts('storm')).toEqual({ errors: 0, short: 0, torn: 0 });
    });

    it('loses no byte that the CPU writes while all is moved back and forth', () => {
      const { toDevice, toSystem, exclusive, ...wrong } = facts('churn');
      expect(wrong).toEqual({ lost: 0, wrong: 0, errors: 0, unexpected: 0 });
      const device = facts('device');
      // All of it was really tried, where there is anything to try.
      expect([toDevice! > 0, toSystem! > 0]).toEqual(device['kind'] === NO_MEMORY ? [false, false] : [true, true]);
      expect(exclusive! > 0).toBe(device['exclusive'] === 1);
      expect(device).toMatchObject({ used: 0 });
    });

    it('migrates up to a hole and says how far; only what is on the device is read back', () => {
      const found = facts('migrate');
      if (facts('device')['kind'] === NO_MEMORY) {
        expect(found).toMatchObject({ ...answer('hole', EOPNOTSUPP, 0), ...answer('holeBack', EOPNOTSUPP, 0) });
        return;
      }
      expect(found).toEqual({
        // [EINVAL too, but neither read back nor counted]
        ...answer('hole', EINVAL, 5),
        'hole.copied': 5,
        ...answer('holeBack', EINVAL, 5),
        memory: 5,
        // [0: entries from before, of pages that did not move, pass for the device's]
        ...answer('shared', ENOENT, 4),
        'shared.copied': 4,
        ...answer('protected', EINVAL, 0),
      });
    });

    it('two files of one device agree on where memory is [private: an oops; coherent: reads the freed page]', () => {
      const found = facts('two');
      const moved = facts('device')['kind'] !== NO_MEMORY;
      expect(found).toMatchObject({
        ...answer('toDevice', moved ? 0 : EOPNOTSUPP, moved ? 8 : 0),
        ...answer('readOnDevice', 0, 8, 1),
        'readOnDevice.copied': 8,
        ...answer('toSystem', moved ? 0 : EOPNOTSUPP, moved ? 8 : 0),
        memory: 8,
        ...answer('readInSystem', 0, 8, moved ? 1 : 0),
        'readInSystem.copied': 8,
      });
    });

    it('loses nothing when the memory is released, or the file closed', () => {
      const has = facts('device')['kind'] !== NO_MEMORY;
      const [error, pages] = has ? [0, 700] : [EOPNOTSUPP, 0];
      expect(facts('release')).toEqual({
        ...answer('toDevice', error, pages),
        // [0 pages counted]
        ...answer('release', error, pages),
        ...answer('left', error, 0),
        memory: 700,
        ...answer('again', error, pages),
        closed: 700,
      });
      expect(facts('device')).toMatchObject({ used: 0 });
    });

    it('exclusive access: the kernel’s errors [EBUSY for all], progress, writes that keep it [lose it]', () => {
      const found = facts('exclusive');
      if (!facts('device')['exclusive']) {
        expect(found).toMatchObject({ ...answer('all', EOPNOTSUPP, 0), ...answer('held', 0, 8) });
        return;
      }
      expect(found).toEqual({
        ...answer('all', 0, 8),
        'all.copied': 8,
        ...answer('held', EPERM, 0),
        ...answer('write', 0, 8, 0),
        ...answer('stillHeld', EPERM, 0),
        memory: 3,
        ...answer('fourth', EPERM, 3),
        ...answer('three', 0, 3),
        ...answer('shared', EBUSY, 4),
        ...answer('hole', EFAULT, 0),
        ...answer('readonly', EFAULT, 0),
      });
    });

    it('is of the kind that its number says', () => {
      const id = Number(node.at(-1));
      expect(id < 2 ? [NO_MEMORY, PRIVATE] : [COHERENT]).toContain(facts('device')['kind']);
    });
  });
});
