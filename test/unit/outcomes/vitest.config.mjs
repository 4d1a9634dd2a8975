import { defineConfig } from 'vitest/config';

/** Tests that are to fail: no run of the project's own takes them for its own. */
export default defineConfig({ test: { include: ['*.fixture.ts'], fileParallelism: false } });
