#!/usr/bin/env python3
"""Compares the statistics of vcluster with scipy, Extra-P and published tables. Needs numpy, scipy and extrap.

What is compared, a family of cases in each line of the output:
  published        p of the U test against table I of Mann and Whitney (1947), three digits; Holm's example
  p                exact p values against scipy.stats: mannwhitneyu, and permutation_test on the rank sums with ties
  Holm             adjusted p values against the closed test that Holm's procedure is a shortcut of, all subsets counted
  interval         bootstrap intervals of a difference of medians against scipy.stats.bootstrap: their ends, and how
                   often each of the two has the true difference
  growth, noise    growth models against those of Extra-P on the same series

statistics_reference.py cases                 generate cases, one JSON object per line (always the same)
statistics_reference.py check CASES FOUND     compare what vcluster found for them; exit code 1 if any differs
"""

import itertools
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


# One-sided probabilities of U or less, by the sizes of the sides, for U from 0 (Mann and Whitney 1947, table I).
U_TABLE = {
    (3, 3): [0.050, 0.100, 0.200, 0.350, 0.500],
    (3, 4): [0.028, 0.057, 0.114, 0.200, 0.314, 0.429],
    (4, 4): [0.014, 0.029, 0.057, 0.100, 0.171, 0.243, 0.343, 0.443],
    (3, 5): [0.018, 0.036, 0.071, 0.125, 0.196, 0.286, 0.393, 0.500],
    (4, 5): [0.008, 0.016, 0.032, 0.056, 0.095, 0.143, 0.206, 0.278, 0.365, 0.452],
    (5, 5): [0.004, 0.008, 0.016, 0.028, 0.048, 0.075, 0.111, 0.155, 0.210, 0.274, 0.345, 0.421, 0.500],
}
# The example of R's p.adjust, as of the article "Holm-Bonferroni method" of Wikipedia.
HOLM_EXAMPLE = ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02])
CONFIDENCE = 0.95
# The ends of two bootstrap intervals of the same values differ by the draws: a share of the interval.
SAME_END = 0.1


def growth(exponents, size):
    numerator, denominator, logs = exponents
    return size ** (numerator / denominator) * math.log2(size) ** logs


def with_u(count, other, u):
    """Sides whose ranks have this U."""
    ranks = list(range(1, count + 1))
    for place in reversed(range(count)):
        step = min(u, other)
        ranks[place] += step
        u -= step
    return ranks, [rank for rank in range(1, count + other + 1) if rank not in ranks]


def cases():
    rng = random.Random(12)
    for (count, other), table in U_TABLE.items():
        for u, expected in enumerate(table):
            a, b = with_u(count, other, u)
            yield {"family": "published table of U", "a": a, "b": b, "expected": expected}
    yield {"family": "published example of Holm", "p": HOLM_EXAMPLE[0], "expected": HOLM_EXAMPLE[1]}
    for _ in range(100):
        p = [rng.choice([rng.random(), rng.random() / 100]) for _ in range(rng.randint(1, 10))]
        yield {"family": "Holm", "p": p}
    for count in (5, 6, 8, 12, 20):
        for _ in range(40):
            a = [rng.gauss(10, 1) for _ in range(count)]
            b = [rng.gauss(11, 1) for _ in range(count)]
            case = {"family": f"interval of {count} runs a side", "a": a, "b": b}
            yield {**case, "confidence": CONFIDENCE, "truth": 1.0}
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


def closed_test(p):
    """A hypothesis is rejected if Bonferroni's test rejects every set of hypotheses that contains it."""
    adjusted = []
    for own in range(len(p)):
        others = [place for place in range(len(p)) if place != own]
        sets = (chosen for size in range(len(p)) for chosen in itertools.combinations(others, size))
        adjusted.append(max(min(1, (len(chosen) + 1) * min(p[place] for place in (own, *chosen))) for chosen in sets))
    return adjusted


def bootstrap_interval(case):
    import numpy
    from scipy.stats import bootstrap

    found = bootstrap(
        (case["a"], case["b"]),
        lambda a, b, axis: numpy.median(b, axis=axis) - numpy.median(a, axis=axis),
        n_resamples=10_000,
        confidence_level=case["confidence"],
        method="percentile",
        random_state=numpy.random.default_rng(12),
    )
    return found.confidence_interval


def same_interval(found, expected):
    allowed = SAME_END * (expected.high - expected.low)
    return abs(found["low"] - expected.low) <= allowed and abs(found["high"] - expected.high) <= allowed


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


def close(found, expected, allowed=1e-9):
    return len(found) == len(expected) and all(abs(a - b) <= allowed for a, b in zip(found, expected))


def agrees(case, found):
    family = case["family"]
    if family == "published table of U":
        # The table has one side and three digits, of which some are rounded down.
        return found["exact"] and close([found["p"] / 2], [case["expected"]], 0.001)
    if family == "published example of Holm":
        return close(found["adjusted"], case["expected"])
    if family == "Holm":
        return close(found["adjusted"], closed_test(case["p"]))
    if family.startswith("p "):
        expected = p_with_ties(case) if family == "p with ties" else p_without_ties(case)
        return found["exact"] and close([found["p"]], [expected])
    if family.startswith("interval "):
        case["reference"] = bootstrap_interval(case)
        return same_interval(found, case["reference"])
    if family == "exact growth":
        exponents, _ = extrap_model(case)
        return math.dist(exponents, (found["best"]["exponent"], found["best"]["logs"])) < 1e-9
    return same_growth(case, found)


def least(family):
    """The share of a family that must agree."""
    if "noise" in family:
        # Extra-P minimises absolute distances: on a steep noisy series the small sizes hardly count, and its model may
        # be far off there.
        return 0.8
    if family.startswith("interval "):
        # A median of few values has few possible values: an end may be the next of them by chance.
        return 0.9
    return 1


def coverage(pairs):
    """How often the intervals of both have the true difference. Returns whether they are about as good."""
    ours = scipys = count = 0
    for case, found in pairs:
        if case["family"].startswith("interval "):
            count += 1
            ours += found["low"] <= case["truth"] <= found["high"]
            scipys += case["reference"].low <= case["truth"] <= case["reference"].high
    good = count > 0 and abs(ours - scipys) <= 0.03 * count
    print(f"{CONFIDENCE:.0%} intervals with the true difference: {ours} of {count}, those of scipy: {scipys}{'' if good else '  FAILED'}")
    return good


def check(cases_file, found_file):
    with open(cases_file) as cases_lines, open(found_file) as found_lines:
        pairs = list(zip(map(json.loads, cases_lines), map(json.loads, found_lines), strict=True))
    families = {}
    for case, found in pairs:
        families.setdefault(case["family"], []).append(agrees(case, found))
    failed = not pairs
    for family, results in families.items():
        enough = sum(results) >= least(family) * len(results)
        failed |= not enough
        print(f"{family:<26} {sum(results):>4} of {len(results):>4} agree{'' if enough else '  FAILED'}")
    failed |= not coverage(pairs)
    return 1 if failed else 0


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
