/** npm test: the legs of the tests, and a closing table with a line for each. */
import { parsed, runProgram } from './program.js';
import type { Extent, Leg } from './testing/leg.js';
import { LEGS } from './testing/legs.js';
import { closingTable, single, skipped, type LegResult } from './testing/report.js';
import { runLegs } from './testing/run-legs.js';
import { kernelNamed } from './vm/kernels.js';

const HELP = `Usage: npm test -- [OPTIONS]

Runs the tests, and ends with a table: a line for each leg. What cannot run here is named with its reason and counted as skipped.

Without an option: the main job, the unit tests, the searches of the explorer and of the fuzzer, and the conformance suite
on the simulation and on the stock kernels. About ten minutes on two processors.

  --all            everything: own kernels, the debug kernel, races, kills, fuzzer, selftests, stress
  --unit           only the unit tests
  --sim            only what needs no virtual machine
  --vm             only the kernels, all of them
  --kernel NAME    only that kernel, and all that there is for it; may be repeated
  --require-vm     a machine that cannot boot kernels is a failure
`;

/** Why no machine can be booted here; undefined if it can be tried. */
function noMachine(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `kernels are booted on Linux x64, this is ${process.platform} ${process.arch}`;
  }
  return undefined;
}

interface Choice {
  readonly chosen: readonly Leg[];
  readonly requireVm: boolean;
  readonly extent: Extent;
}

function choose(args: readonly string[]): Choice {
  const { values } = parsed({
    args: [...args],
    options: {
      all: { type: 'boolean', default: false },
      unit: { type: 'boolean', default: false },
      sim: { type: 'boolean', default: false },
      vm: { type: 'boolean', default: false },
      kernel: { type: 'string', multiple: true, default: [] },
      'require-vm': { type: 'boolean', default: false },
    },
  });
  // An unknown name is refused here, before anything runs.
  const kernels = values.kernel.map((name) => kernelNamed(name).name);
  const main = !values.all && !values.unit && !values.sim && !values.vm && kernels.length === 0;
  const wanted = ({ name, kernel, main: ofMain }: Leg): boolean => {
    if (values.all) return true;
    if (main) return ofMain;
    if (kernel === undefined) return values.sim || (values.unit && name === 'unit');
    return kernels.length > 0 ? kernels.includes(kernel) : values.vm;
  };
  const extent = main ? 'main' : kernels.length > 0 ? 'all' : 'short';
  return { chosen: LEGS.filter(wanted), requireVm: values['require-vm'], extent };
}

/** What `npm test` leaves to `npm test -- --all`. */
function leftOut(chosen: readonly Leg[]): string {
  const names = LEGS.filter((leg) => !chosen.includes(leg)).map(({ name }) => name);
  return [
    `Not run: ${names.join('; ')};`,
    'and on the stock kernels the races, the kills and the kernel’s own interface. `npm test -- --all` runs them.',
  ].join('\n');
}

async function main(args: readonly string[]): Promise<number> {
  const { chosen, requireVm, extent } = choose(args);
  const missing = noMachine();
  const refused = (leg: Leg): LegResult | undefined => {
    if (leg.kernel === undefined || missing === undefined) return undefined;
    return requireVm ? single(leg.name, false, missing) : skipped(leg.name, missing);
  };
  const run = await runLegs(
    chosen.filter((leg) => refused(leg) === undefined),
    extent,
  );
  const results = [...run, ...chosen.flatMap((leg) => refused(leg) ?? [])];
  if (extent === 'main') console.log(`\n${leftOut(chosen)}`);
  console.log(`\n${closingTable(results)}`);
  return results.some(({ failures }) => failures.length > 0) ? 1 : 0;
}

await runProgram('test', HELP, main);
