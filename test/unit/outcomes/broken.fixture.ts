/** A file that cannot be loaded. */
throw new Error('this file is broken');
