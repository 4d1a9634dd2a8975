/** What a prebuilt addon may ask of the machine that loads it. */
import { expect, it } from 'vitest';
import { beyondGlibc, beyondMusl, parseDefined, parseNeeded, parseWanted } from '../../scripts/prebuild/symbols.js';

const WANTED = `
                 w _ITM_deregisterTMCloneTable
                 w __cxa_finalize@GLIBC_2.2.5
                 U memfd_create@GLIBC_2.27
                 U fcntl64@GLIBC_2.28
                 U napi_throw
                 U uv_poll_init
`;

it('a glibc of the floor has all that comes up to it, and Node the rest', () => {
  expect(parseWanted(WANTED)).toHaveLength(6);
  expect(beyondGlibc(parseWanted(WANTED))).toEqual([]);
});

it.each([
  ['                 U fstat64@GLIBC_2.33', ['fstat64@GLIBC_2.33']],
  ['                 U pthread_create@GLIBC_2.34', ['pthread_create@GLIBC_2.34']],
  ['                 w made_weak@GLIBC_2.30', ['made_weak@GLIBC_2.30']],
  ['                 U _Znwm@GLIBCXX_3.4', ['_Znwm@GLIBCXX_3.4']],
  ['                 U _ZSt9terminatev', ['_ZSt9terminatev']],
])('%s does not load on an old glibc', (line, names) => {
  expect(beyondGlibc(parseWanted(`${WANTED}${line}\n`))).toEqual(names);
});

it('musl has what its library defines, whatever the version', () => {
  const musl = parseDefined('0000000000012345 T open\n0000000000012345 W fstat\n0000000000012345 D environ\n');
  expect([...musl]).toEqual(['open', 'fstat', 'environ']);
  const wanted = '                 U open\n                 U napi_throw\n                 w pthread_cancel\n';
  expect(beyondMusl(parseWanted(wanted), musl)).toEqual([]);
  expect(beyondMusl(parseWanted(`${wanted}                 U fcntl64@GLIBC_2.28\n`), musl)).toEqual([
    'fcntl64@GLIBC_2.28',
  ]);
});

it('libraries that must be loaded are read from the dynamic section', () => {
  const section = ' 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]\n 0x1 (SONAME) [x]\n';
  expect(parseNeeded(section)).toEqual(['libc.so.6']);
});
