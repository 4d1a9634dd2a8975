import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { deviceMemoryCommandLine, deviceMemoryParameters, moduleParameters } from '../../scripts/vm/device-memory.js';

function modinfo(...fields: string[]): Buffer {
  return Buffer.from(`\x7fELF\0${fields.join('\0')}\0`);
}

const speaking = modinfo('license=GPL', 'parmtype=coherent0:ulong', 'parmtype=coherent1:ulong');

describe('memory for device-coherent pages', () => {
  it('is reserved above 4 GiB, where the machine has memory there', () => {
    expect(deviceMemoryCommandLine('4G')).toEqual(['memmap=0x10000000$0x110000000', 'memmap=0x10000000$0x128000000']);
    expect(deviceMemoryCommandLine('8192M')).toHaveLength(2);
    expect(deviceMemoryCommandLine('3G')).toEqual([]);
    expect(deviceMemoryCommandLine('512M')).toEqual([]);
  });

  it('is handed to the modules that ask for it, by their own names', () => {
    expect(deviceMemoryParameters(speaking)).toEqual(['coherent0=0x110000000', 'coherent1=0x128000000']);
    expect(deviceMemoryParameters(modinfo('a=b', 'parmtype=spm_addr_dev0:ulong'))).toEqual([
      'spm_addr_dev0=0x110000000',
    ]);
    expect(deviceMemoryParameters(modinfo('license=GPL', 'parm=coherent0:an address'))).toEqual([]);
  });
});

describe('the parameters of a module', () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'node-hmm-'));
    path = join(folder, 'hmm_mirror.ko');
    writeFileSync(path, speaking);
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it("end with the caller's, which decide", () => {
    expect(moduleParameters(path, '4G', 'coherent0=0')).toBe('coherent0=0x110000000 coherent1=0x128000000 coherent0=0');
    expect(moduleParameters(path, '512M', 'a=1')).toBe('a=1');
    expect(moduleParameters(path, '512M', undefined)).toBe('');
  });
});
