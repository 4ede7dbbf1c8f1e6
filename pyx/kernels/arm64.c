#ifndef __aarch64__
#error "compile with -march=armv8-a"
#endif
#define ISA arm64
#define VECTOR_BYTES 16
#include "kernels_impl.h"
