/** The simulation backend: the mm of a Linux kernel, without a kernel. Runs wherever JavaScript does. */
import { Simulation } from './simulation.js';
import type { Backend } from '../backend.js';
import type { SimulationOptions } from './simulation.js';

export type { SimulationOptions } from './simulation.js';
export type { KernelVersion } from './profile.js';
export { profileFor } from './profile.js';

export function openSimulation(options: SimulationOptions = {}): Backend {
  return new Simulation(options);
}
