import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    // In a guest without hardware virtualization everything takes ten times as long; a hang still ends.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One address space after the other: the machine under test is one kernel, and has two processors.
    fileParallelism: false,
    // What is tested is what was built, loaded as a program loads it: only the tests themselves are transformed.
    server: { deps: { external: [/\/dist\//] } },
  },
});
