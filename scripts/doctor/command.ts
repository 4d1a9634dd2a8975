import { UsageError } from '../usage-error.js';
import {
  checkAddon,
  checkDevice,
  checkKernels,
  checkMachines,
  checkNode,
  checkSimulation,
  checkTools,
} from './checks.js';
import { formatFindings, type Finding } from './findings.js';

const HELP = `Usage: node-hmm doctor [--json]

Says what works on this machine, what does not, why, and what to do. Changes nothing and fetches nothing.
Exit status: 0 if the simulation works, 1 if not even that.
`;

/** What follows from the findings, for a reader in a hurry. */
function summary(findings: readonly Finding[]): string {
  const works = (name: string): boolean => findings.find((finding) => finding.name === name)?.state === 'ok';
  if (!works('simulation')) return 'Nothing works yet.';
  if (works('addon') && works('module')) return 'Works here: the simulation and the real kernel.';
  return 'Works here: the simulation. The real kernel is a virtual machine away: node-hmm vm -- COMMAND…';
}

/** @returns the exit status. */
export async function doctorCommand(args: readonly string[]): Promise<number> {
  if (args.includes('--help')) {
    process.stdout.write(HELP);
    return 0;
  }
  const unknown = args.find((argument) => argument !== '--json');
  if (unknown !== undefined) throw new UsageError(`doctor has no option ${unknown}`);
  const simulation = await checkSimulation();
  const findings = [
    checkNode(),
    simulation,
    checkAddon(),
    checkDevice(),
    ...(await checkMachines()),
    ...checkKernels(),
    ...checkTools(),
  ];
  process.stdout.write(
    args.includes('--json')
      ? `${JSON.stringify({ findings }, null, 2)}\n`
      : `${formatFindings(findings)}\n${summary(findings)}\n`,
  );
  return simulation.state === 'ok' ? 0 : 1;
}
