#ifndef __x86_64__
#error "compile for this architecture"
#endif
#define ISA x86_64
#define VECTOR_BYTES 16
#define ACCUMULATORS 12
#define UNROLL 1
#define AHEAD 0
#include "kernels_impl.h"
