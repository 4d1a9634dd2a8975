import { errorOfErrno } from '../errors.js';
import type { Addon, Descriptor } from './addon.js';
import type { FileWithDescriptor } from './workload.js';

/**
 * A memfd. It lives here, and travels with every batch that names it: then any process may map it. Closed when this
 * object is collected; the mappings hold the file by themselves.
 */
export class KernelFile implements FileWithDescriptor {
  readonly descriptor: Descriptor;

  private constructor(descriptor: Descriptor) {
    this.descriptor = descriptor;
  }

  static create(addon: Addon, length: number): KernelFile {
    const descriptor = addon.createMemoryFile(length);
    if (typeof descriptor === 'number') throw errorOfErrno(descriptor, 'memfd_create');
    return new KernelFile(descriptor);
  }

  get length(): number {
    const length = this.descriptor.length();
    if (length < 0) throw errorOfErrno(-length, 'fstat');
    return length;
  }
}
