#ifndef __aarch64__
#error "compile for this architecture"
#endif
#define ISA arm64
#define VECTOR_BYTES 16
#define ACCUMULATORS 24
#define UNROLL 4
#define AHEAD 0
#include "kernels_impl.h"
