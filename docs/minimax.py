"""The coefficients TAIL of pyx/kernels/activations.h: needs mpmath.

(e^r - 1 - r) / r^2 on |r| <= ln 2 / 2, the largest error weighted by r as small as can be:
weighted least squares on Chebyshev nodes, the weights multiplied by the errors again and again
(Lawson 1961).
"""

import mpmath as mp

mp.mp.dps = 40
INTERVAL = mp.log(2) / 2
NODES = 600


def tail(r):
    """Return what the polynomial stands for."""
    return (mp.e**r - 1 - r) / r**2


def minimax(degree, rounds):
    """Return the coefficients from the constant up, and the largest weighted error."""
    points = [mp.cos(mp.pi * (i + mp.mpf(1) / 2) / NODES) for i in range(NODES)]
    basis = [[mp.chebyt(k, point) for k in range(degree + 1)] for point in points]
    r = [INTERVAL * point for point in points]
    values = [tail(x) for x in r]
    weights = [mp.mpf(1)] * NODES
    for _ in range(rounds):
        rows = mp.matrix(degree + 1)
        right = mp.matrix(degree + 1, 1)
        for weight, x, row, value in zip(weights, r, basis, values, strict=True):
            for a in range(degree + 1):
                right[a] += weight * x**2 * row[a] * value
                for b in range(degree + 1):
                    rows[a, b] += weight * x**2 * row[a] * row[b]
        solution = mp.lu_solve(rows, right)
        errors = [
            abs(x * (value - mp.fdot(solution, row)))
            for x, row, value in zip(r, basis, values, strict=True)
        ]
        weights = [weight * error for weight, error in zip(weights, errors, strict=True)]
        total = mp.fsum(weights)
        weights = [weight / total for weight in weights]
    coefficients = [mp.mpf(0)] * (degree + 1)
    for k in range(degree + 1):
        powers = mp.taylor(lambda x, k=k: mp.chebyt(k, x), 0, degree)
        for power, factor in enumerate(powers):
            coefficients[power] += solution[k] * factor / INTERVAL**power
    return coefficients, max(errors)


for degree, rounds in ((5, 60), (10, 17)):
    coefficients, error = minimax(degree, rounds)
    print(f"degree {degree}, error {mp.nstr(error, 3)} of r")
    print(*(mp.nstr(coefficient, 17) for coefficient in coefficients), sep="\n")
