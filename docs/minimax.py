"""The coefficients of pyx/kernels/activations.h: needs mpmath.

What follows the first terms of e^r and tanh h, divided by those, as polynomials whose largest
error, as a share of the whole, is as small as can be: weighted least squares on Chebyshev nodes,
the weights multiplied by the errors again and again (Lawson 1961).
"""

import mpmath as mp

mp.mp.dps = 40
NODES = 600


def exp_tail(r):
    """Return (e^r - 1 - r) / r^2."""
    return (mp.e**r - 1 - r) / r**2


def tanh_tail(z):
    """Return (tanh h - h) / h^3 for z = h^2."""
    h = mp.sqrt(z)
    return (mp.tanh(h) - h) / h**3


def chebyshev(k, x, low, high):
    """Return the k-th Chebyshev polynomial of an interval at x."""
    return mp.chebyt(k, (2 * x - low - high) / (high - low))


def minimax(function, low, high, degree, rounds):
    """Return the coefficients from the constant up, and the largest error times x."""
    points = [mp.cos(mp.pi * (i + mp.mpf(1) / 2) / NODES) for i in range(NODES)]
    xs = [(low + high + (high - low) * point) / 2 for point in points]
    bases = [[chebyshev(k, x, low, high) for k in range(degree + 1)] for x in xs]
    values = [function(x) for x in xs]
    weights = [mp.mpf(1)] * NODES
    for _ in range(rounds):
        rows = mp.matrix(degree + 1)
        right = mp.matrix(degree + 1, 1)
        for weight, x, row, value in zip(weights, xs, bases, values, strict=True):
            for a in range(degree + 1):
                right[a] += weight * x**2 * row[a] * value
                for b in range(degree + 1):
                    rows[a, b] += weight * x**2 * row[a] * row[b]
        solution = mp.lu_solve(rows, right)
        errors = [
            abs(x * (value - mp.fdot(solution, row)))
            for x, row, value in zip(xs, bases, values, strict=True)
        ]
        weights = [weight * error for weight, error in zip(weights, errors, strict=True)]
        total = mp.fsum(weights)
        weights = [weight / total for weight in weights]
    coefficients = [mp.mpf(0)] * (degree + 1)
    for k in range(degree + 1):
        powers = mp.taylor(lambda x, k=k: chebyshev(k, x, low, high), 0, k)
        for power, factor in enumerate(powers):
            coefficients[power] += solution[k] * factor
    return coefficients, max(errors)


HALF = mp.log(2) / 2
CASES = [
    ("TAIL, float", exp_tail, -HALF, HALF, 4, 60),
    ("TAIL, double", exp_tail, -HALF, HALF, 10, 17),
    ("TANH_TAIL, float", tanh_tail, mp.mpf(0), mp.mpf("0.2602") ** 2, 2, 60),
    ("TANH_TAIL, double", tanh_tail, mp.mpf(0), mp.mpf("0.2602") ** 2, 6, 17),
]
for name, *case in CASES:
    coefficients, error = minimax(*case)
    print(f"{name}: error {mp.nstr(error, 3)}")
    print(*(mp.nstr(coefficient, 17) for coefficient in coefficients), sep="\n")
