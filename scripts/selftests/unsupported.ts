import type { TapRun, TapTest } from './tap.js';

/** Device-exclusive entries come with CONFIG_DEVICE_PRIVATE; these ask for them, of either kind of device. */
const EXCLUSIVE = /^hmm\.\w+\.(?:exclusive|exclusive_mprotect|exclusive_cow)$/;
/** These migrate to the device, and in this variant it is one of private memory. */
const PRIVATE =
  /^hmm2?\.hmm2?_device_private\.(?:migrate|migrate_file_private|migrate_fault|migrate_release|migrate_shared|migrate_multiple|hmm_cow_in_device|migrate_mixed|snapshot|double_map)$/;

/** What the driver answered, as the test's harness prints what it expected something else of. */
const EOPNOTSUPP = /Expected ret \(-95\) == /;

/** Of a kernel without CONFIG_DEVICE_PRIVATE: why a test could not pass; undefined: for no such reason. */
function reasonOf({ name, outcome, diagnostics }: TapTest): string | undefined {
  if (outcome !== 'fail' || !diagnostics.some((line) => EOPNOTSUPP.test(line))) return undefined;
  if (EXCLUSIVE.test(name)) return 'this kernel has no device-exclusive entries (CONFIG_DEVICE_PRIVATE)';
  if (PRIVATE.test(name)) return 'this kernel has no device-private memory (CONFIG_DEVICE_PRIVATE)';
  return undefined;
}

/**
 * hmm-tests has no way to skip what the kernel cannot do: there it fails. Such a failure becomes a skip with its reason, if the test
 * is one of those and the driver refused it as unsupported; any other stays one.
 * @param config the kernel's configuration, as a .config has it
 */
export function skipUnsupported(run: TapRun, config: string): TapRun {
  if (/^CONFIG_DEVICE_PRIVATE=y$/m.test(config)) return run;
  const tests = run.tests.map((test): TapTest => {
    const reason = reasonOf(test);
    return reason === undefined ? test : { ...test, outcome: 'skip', reason };
  });
  return { ...run, tests };
}
