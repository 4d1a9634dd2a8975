import { describe, expect, it } from 'vitest';

import { guestEnvironment, keptPaths } from '../../scripts/vm/guest-view.js';

const all = (): boolean => true;

describe('keptPaths', () => {
  it('keeps nothing that scratch space does not hide', () => {
    expect(keptPaths(['/usr/bin/node', 'x.mjs'], '/srv/project', { PATH: '/bin', HOME: '/root' }, [], all)).toEqual([]);
  });

  it('keeps the current folder, named paths, PATH and HOME below scratch space', () => {
    const command = ['/tmp/tool', '--out=/var/tmp/o', 'relative'];
    const env = { PATH: '/bin:/tmp/bin:.', HOME: '/run/home' };
    expect(keptPaths(command, '/tmp/project', env, ['/tmp/node'], all)).toEqual([
      '/run/home',
      '/tmp/bin',
      '/tmp/node',
      '/tmp/project',
      '/tmp/tool',
      '/var/tmp/o',
    ]);
  });

  it('keeps a relative path that exists when the current folder is scratch space itself', () => {
    expect(keptPaths(['cat', 'a', 'b'], '/tmp', {}, [], (path) => path === '/tmp/a')).toEqual(['/tmp/a']);
  });

  it('does not name what is below a kept folder again', () => {
    expect(keptPaths(['/tmp/p/a', '/tmp/p/b/c'], '/tmp/p', {}, [], all)).toEqual(['/tmp/p']);
    expect(keptPaths(['/tmp/pq'], '/tmp/p', {}, [], all)).toEqual(['/tmp/p', '/tmp/pq']);
  });
});

describe('guestEnvironment', () => {
  it('keeps variables, drops those of the runner, and says where it is', () => {
    const env = { A: '1', UNSET: undefined, TMPDIR: '/x', NODE_CHANNEL_FD: '3', _: '/bin/x', PWD: '/old' };
    expect(guestEnvironment(env, '/w', 'debian-6.12')).toEqual({
      A: '1',
      PWD: '/w',
      XDG_CACHE_HOME: '/tmp/.cache',
      NODE_HMM_VM: 'debian-6.12',
    });
  });
});
