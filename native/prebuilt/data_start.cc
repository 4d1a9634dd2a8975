// Linked first: where the program's writable data begins. glibc's start files have the symbol, musl's do not.
__asm__(".pushsection .data\n.globl __data_start\n__data_start:\n.popsection");
