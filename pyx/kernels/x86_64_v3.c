#ifndef __AVX2__
#error "compile with -march=x86-64-v3"
#endif
#define ISA x86_64_v3
#define VECTOR_BYTES 32
#include "kernels_impl.h"
