/** The backend over the kernel module: the real kernel. */
export { kernelAvailability, type Availability } from './availability.js';
export { openKernel, type OpenKernelOptions } from './kernel-backend.js';
