#ifndef __AVX512F__
#error "compile with the flags of setup.py"
#endif
#define ISA x86_64_v4
#define VECTOR_BYTES 64
#define ACCUMULATORS 24
#define UNROLL 4
#define AHEAD 20
#include "kernels_impl.h"
