#ifndef __AVX2__
#error "compile with the flags of setup.py"
#endif
#define ISA x86_64_v3
#define VECTOR_BYTES 32
#define ACCUMULATORS 12
#define UNROLL 4
#define AHEAD 0
#include "kernels_impl.h"
