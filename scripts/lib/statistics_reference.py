#!/usr/bin/env python3
"""Compares the statistics of vcluster with scipy and Extra-P. Needs numpy, scipy and extrap.

statistics_reference.py cases                 generate cases, one JSON object per line (always the same)
statistics_reference.py check CASES FOUND     compare what vcluster found for them; exit code 1 if any differs
"""

import json
import math
import random
import sys

SIZES = [10, 20, 40, 80, 150]
# Exponent of n (numerator, denominator), exponent of the logarithm, constant.
NOISY = {
    "1": ((0, 1, 0), 20),
    "log n": ((0, 1, 1), 1),
    "n": ((1, 1, 0), 5),
    "n log n": ((1, 1, 1), 0),
    "n^2": ((2, 1, 0), 100),
}
# Two models agree where no size has values that differ by more.
SAME_CURVE = 0.05


def growth(exponents, size):
    numerator, denominator, logs = exponents
    return size ** (numerator / denominator) * math.log2(size) ** logs


def cases():
    rng = random.Random(12)
    for _ in range(150):
        a = [rng.gauss(10, 1) for _ in range(rng.randint(1, 12))]
        b = [rng.gauss(10.5, 1) for _ in range(rng.randint(1, 12))]
        yield {"family": "p without ties", "a": a, "b": b}
    for _ in range(10):
        a, b = ([rng.gauss(mean, 1) for _ in range(20)] for mean in (10, 10.8))
        yield {"family": "p without ties", "a": a, "b": b}
    for _ in range(60):
        a = [rng.randint(1, 5) for _ in range(rng.randint(2, 6))]
        b = [rng.randint(2, 6) for _ in range(rng.randint(2, 6))]
        yield {"family": "p with ties", "a": a, "b": b}
    for exponents in extrap_exponents():
        points = [[size, 200 + 10 * growth(exponents, size)] for size in SIZES]
        yield {"family": "exact growth", "points": points}
    for name, (exponents, constant) in NOISY.items():
        for variation in (0.01, 0.05):
            for _ in range(40):
                points = []
                for size in SIZES:
                    value = constant + (growth(exponents, size) if name != "1" else 0)
                    points += [[size, value * (1 + variation * rng.gauss(0, 1))] for _ in range(5)]
                yield {"family": f"{name} with {variation:.0%} noise", "points": points}


def extrap_exponents():
    from extrap.modelers.single_parameter.basic import SingleParameterModeler

    for block in SingleParameterModeler.create_default_building_blocks(True):
        exponent, logs = exponents_of(block)
        # All denominators that Extra-P uses divide 60.
        yield round(exponent * 60), 60, logs


def exponents_of(term):
    found = {"polynomial": 0.0, "logarithm": 0.0}
    for part in term.simple_terms:
        found[part.term_type] = float(part.exponent)
    return found["polynomial"], found["logarithm"]


def p_without_ties(case):
    from scipy.stats import mannwhitneyu

    return mannwhitneyu(case["a"], case["b"], method="exact").pvalue


def p_with_ties(case):
    import numpy
    from scipy.stats import permutation_test, rankdata

    def distance(a, b):
        ranks = rankdata(numpy.concatenate([a, b]))
        return abs(ranks[: len(a)].sum() - len(a) * (len(ranks) + 1) / 2)

    test = permutation_test(
        (case["a"], case["b"]), distance, n_resamples=numpy.inf, alternative="greater", vectorized=False
    )
    return test.pvalue


def extrap_model(case):
    """Extra-P's model of the medians: its exponents, and a function of the size."""
    from extrap.entities.coordinate import Coordinate
    from extrap.entities.measurement import Measure, Measurement
    from extrap.modelers.single_parameter.basic import SingleParameterModeler

    values = {}
    for size, value in case["points"]:
        values.setdefault(size, []).append(value)
    modeler = SingleParameterModeler()
    modeler.use_measure = Measure.MEDIAN
    measurements = [Measurement(Coordinate(size), None, None, values[size]) for size in sorted(values)]
    function = modeler.create_model(measurements).hypothesis.function
    terms = function.compound_terms
    return (exponents_of(terms[0]) if terms else (0.0, 0.0)), lambda size: float(function.evaluate(size))


def same_growth(case, found):
    exponents, reference = extrap_model(case)
    for model in [found["best"], *found["others"]]:
        if math.dist(exponents, (model["exponent"], model["logs"])) < 1e-9:
            return True
    best = found["best"]
    growing = best["exponent"] or best["logs"]
    for size in SIZES:
        term = size ** best["exponent"] * math.log2(size) ** best["logs"] if growing else 0
        value = best["constant"] + best["factor"] * term
        if abs(value - reference(size)) > SAME_CURVE * abs(value):
            return False
    return True


def agrees(case, found):
    family = case["family"]
    if family.startswith("p "):
        expected = p_with_ties(case) if family == "p with ties" else p_without_ties(case)
        return abs(found["p"] - expected) < 1e-9
    if family == "exact growth":
        exponents, _ = extrap_model(case)
        return math.dist(exponents, (found["best"]["exponent"], found["best"]["logs"])) < 1e-9
    return same_growth(case, found)


def check(cases_file, found_file):
    with open(cases_file) as cases_lines, open(found_file) as found_lines:
        pairs = list(zip(map(json.loads, cases_lines), map(json.loads, found_lines), strict=True))
    families = {}
    for case, found in pairs:
        families.setdefault(case["family"], []).append(agrees(case, found))
    failed = False
    for family, results in families.items():
        # Extra-P minimises absolute distances: on a steep noisy series the small sizes hardly count, and its model may
        # be far off there.
        enough = sum(results) >= (0.8 if "noise" in family else 1) * len(results)
        failed |= not enough
        print(f"{family:<24} {sum(results):>4} of {len(results):>4} agree{'' if enough else '  FAILED'}")
    return 1 if failed or not pairs else 0


def main(arguments):
    if arguments == ["cases"]:
        for case in cases():
            print(json.dumps(case))
        return 0
    if len(arguments) == 3 and arguments[0] == "check":
        return check(arguments[1], arguments[2])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
