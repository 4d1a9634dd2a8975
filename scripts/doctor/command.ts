import { parseCommandLine } from '../command-line.js';
import { packageVersion } from '../program.js';
import {
  checkAddons,
  checkDevice,
  checkKernels,
  checkMachines,
  checkNode,
  checkSimulation,
  checkTools,
} from './checks.js';
import { formatFindings, statusOf, summary, type Finding } from './findings.js';
import { DOCTOR } from './spec.js';

async function findings(): Promise<Finding[]> {
  const addons = await checkAddons(process.cwd());
  const device = checkDevice();
  // With a kernel at hand no machine is needed.
  const here = device.state === 'ok' && addons.every(({ state }) => state === 'ok');
  return [
    checkNode(),
    await checkSimulation(),
    ...addons,
    device,
    ...(await checkMachines(here)),
    ...checkKernels(),
    ...checkTools({ addonWorks: addons.every(({ state }) => state === 'ok'), machineNeeded: !here }),
  ];
}

/** @returns the exit status. */
export async function doctorCommand(args: readonly string[]): Promise<number> {
  const { json } = parseCommandLine(DOCTOR, args).values;
  const found = await findings();
  const status = statusOf(found);
  process.stdout.write(
    json
      ? `${JSON.stringify({ version: packageVersion(), summary: summary(found), status, findings: found }, null, 2)}\n`
      : `${formatFindings(found)}\n${summary(found)}\n`,
  );
  return status;
}
