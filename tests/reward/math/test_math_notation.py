# SPDX-License-Identifier: Apache-2.0
"""The math judge on spellings of numbers, quantities and formulas: which are one, and which only look alike."""

import pytest

from klear_verl.reward.math.judge import grade


def right(reference: str, answer: str) -> bool:
    return grade(reference, f"so it is $\\boxed{{{answer}}}$.")[0]


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("10", r"{5 \choose 2}", True),
        ("10", r"\binom{5}{1}", False),
        (r"\binom{2n}{n}", r"\frac{(2n)!}{n!}", False),
        (r"\binom{2026}{1013}", r"\binom{2026}{1012}", False),
        ("120", "4!", False),
        ("(n+1)!", "n!", False),
        (r"\frac{1}{(n-1)!}", r"\frac{1}{n!}", False),
        (r"\binom{n}{3}", r"\binom{n}{2}", False),
        (r"\binom{100}{50}", r"\frac{100!}{50!\cdot 49!}", False),
        (r"\frac34i", r"\frac43i", False),
        ("1+2i", "2+i", False),
        ("i", "-i", False),
        (r"e^{i\pi/4}", r"\frac{1-i}{\sqrt2}", False),
        ("-1+i", "1-i", False),
        (r"2(\cos\frac\pi3+i\sin\frac\pi3)", r"1-i\sqrt3", False),
        (r"2 \operatorname{cis} 60^\circ", r"1+i\sqrt{3}", True),
        (r"2\text{cis}\frac{\pi}{3}", r"1+i\sqrt{3}", True),
        (r"8\operatorname{cis}\frac{\pi}{2}", "8i", True),
        (r"\frac172", r"\frac{1}{72}", False),
        ("1/2", r"{1 \over 2}", True),
        (r"\frac{1}{2}", r"1 \over 2", True),
        (r"\frac{3}{4}", r"\sfrac{3}{4}", True),
        (r"\frac{3}{4}", r"\nicefrac{3}{4}", True),
        ("0.30000000000000004", "0.3", True),
        ("f'", r"f^{\prime}", True),
        ("5", r"\bf 5", True),
        ("5", r"\large 5", True),
        ("5", r"\Large{5}", True),
        ("5", r"5\text{.}", True),
        ("5", "5~", True),
        ("5", r"\phantom{-}5", True),
        ("5", r"\fbox{5}", True),
        (r"\infty", r"\text{infinity}", True),
        (r"0.\overline{3}", r"\frac13", True),
        (r"0.\overline{3}", r"0.\bar{3}", True),
        (r"0.\overline{12}", r"\frac{4}{33}", True),
        (r"0.\dot{3}", r"\frac13", True),
        ("0.333...", r"\frac13", True),
        (r"0.\overline{142857}", r"\frac17", True),
        ("five", "5", True),
        ("5", r"\text{five}", True),
    ],
)
def test_repeating_decimals_styles_and_old_fractions(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\frac{1}{432}", r"2.31\times10^{-3}", False),
        ("3.54e-07", r"3.54\times10^{-6}", False),
        ("1500", r"1.5\times10^4", False),
        (r"6.022\times10^{23}", r"6.022 \times 10^{23} \text{ atoms}", True),
        ("1.2e-4", r"1.2\times10^{-3}", False),
        ("4.5e33", r"4.49\times10^{33}", False),
        ("1000.0", "100.0", False),
        ("14{,}916", "14917", False),
        ("14,916", "14 916", True),
        ("14916", r"14\ 916", True),
        ("14916", "14 916", True),
        ("11111111100", "11,111,111,101", False),
        ("123456", r"123\;456", True),
        ("1 000 000", "1000000", True),
        ("1000000", "1 000 000", True),
    ],
)
def test_groups_of_thousands_and_powers_of_ten(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"28\%", r"29\%", False),
        (r"28\%", r"2.8\%", False),
        (r"28\%", "2.8", False),
        ("0.335", r"3.35\%", False),
        ("0.335", r"33.5\text{\%}", True),
        ("0.005", r"5\%", False),
        (r"12.5\%", r"1.25\%", False),
        (r"\frac14", r"0.25\%", False),
        (r"33.\overline{3}\%", r"\frac13", True),
        (r"150\%", "15", False),
        (r"50 \\%", r"50\%", True),
        (r"50 \\%", "50", True),
    ],
)
def test_percentages(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\$18.90", r"\$18.80", False),
        (r"\$1{,}250", "1251", False),
        (r"\$1250", r"\$125", False),
        (r"\$0.50", r"5\text{ cents}", False),
        (r"\text{€}20", "20", True),
        (r"\$5", r"5\text{ euros}", False),
        (r"\$5", "€5", False),
        (r"\text{\$}27.60", "27.60", True),
        ("Rs. 500", "500", True),
        ("500", r"\text{Rs. } 500", True),
        (r"\$2.5 \text{ million}", "2500000", True),
        (r"\$100", r"\text{USD } 100", True),
    ],
)
def test_currencies_before_behind_and_by_name(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"90^\circ", "45", False),
        (r"74^\circ", r"73^\circ", False),
        (r"74^\circ", r"\text{74 degrees}", True),
        (r"\frac{\pi}{4}", "45", False),
        (r"45^\circ 30'", r"45.3^\circ", False),
        (r"336^\circ", "336.5", False),
        (r"60^\circ", r"\frac{\pi}{3}\text{ radians}", True),
        (r"20^\circ\text{C}", "20", True),
        (r"20^\circ C", "20", True),
        (r"-40^{\circ}\mathrm{F}", "-40", True),
        (r"25^\circ", "25^o", True),
    ],
)
def test_angles_and_temperatures(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("1000.99", r"1000.9\text{ m}^2", False),
        ("1/3", r"\frac{1}{2}\text{ meters}", False),
        (r"15\text{ cm}^2", r"15\text{ cm}", False),
        (r"15\mbox{ cm}^2", r"16\text{ cm}^2", False),
        ("125 miles", r"125\text{ km}", False),
        ("10", r"10\text{ sq. units}", True),
        ("0.64N", "0.65N", False),
        ("1", "2cm", False),
        (r"9.81\text{ m/s}^2", r"9.81\frac{\text{m}}{\text{s}^2}", True),
        (r"9.81\text{ m/s}^2", r"9.18\text{ m/s}^2", False),
        (r"60\text{ mph}", r"60\text{ km}", False),
        ("60 km/h", r"60 \frac{\text{km}}{\text{h}}", True),
        (r"2\text{ hours}", r"2\text{ minutes}", False),
        (r"12\pi\text{ cm}^3", r"12\pi", True),
        (r"12\pi", r"12\pi\text{ cubic inches}", True),
        (r"12\pi", r"12\pi \text{ square units}", True),
        ("5", r"\text{5 students}", True),
        ("50", r"50\text{ calories}", True),
        ("8 hours", r"8\text{ days}", False),
        (r"3.2 \text{ eV}", "3.2", True),
        (r"1.5\text{ kg·m}^2", "1.5", True),
        (r"6 \mathrm{~cm}^{2}", r"6\text{ cm}", False),
        ("5", "5~", True),
        ("5", "~5", True),
        (r"4 \mathrm{~min}", "4", True),
        (r"4 \mathrm{~min}", r"240\text{ s}", True),
        (r"30 \mathrm{~min}", r"\frac12\text{ hour}", True),
        (r"3 \mathrm{~kg} \cdot \mathrm{m}^{2}", "3", True),
        (r"10 \mathrm{GeV}", "10", True),
        (r"1.0 \times 10^{11} \mathrm{erg}", "10^{11}", True),
    ],
)
def test_units_in_words_in_fractions_and_what_is_counted(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("7:32", "32:7", False),
        ("2:3", r"2 \text{ to } 3", True),
        ("2 to 3", "2:3", True),
        ("2:3", "3:2", False),
        ("1:2:3", "1:3:2", False),
        ("12:00", r"12:00 \text{ noon}", True),
        ("12:00", "12:30", False),
        ("20:34", r"8:34\text{ AM}", False),
        ("8:34 PM", "8:35 PM", False),
        (r"4 \text{ p.m.}", r"4:00\text{ PM}", True),
        ("a:b=2:3", "2:3", True),
        ("2:3", r"\text{ratio } 2:3", True),
        (r"5 \text{ hours } 30 \text{ minutes}", r"5.5\text{ hours}", True),
        (r"2\text{ h }30\text{ min}", r"150\text{ minutes}", True),
        (r"1\text{ hour }15\text{ minutes}", r"75\text{ min}", True),
    ],
)
def test_times_durations_and_ratios(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("1", r"\lim_{x\to0}\frac{\sin x}{x}=2", False),
        (r"\sum_{k=1}^n k", r"\frac{n(n-1)}{2}", False),
        (r"\sum_{k=1}^{n} k", r"\sum_{k=1}^{n-1} k", False),
        ("2", r"\sum_{k=0}^\infty \frac{1}{2^k}", True),
        ("2", r"\sum_{k=0}^\infty 2^{-k} = 2", True),
        (r"\frac12", r"\int_0^1 x\,dx=\frac13", False),
        (r"\frac{x^2}{2}+C", r"\frac{x^2}{2}", False),
        (r"\frac{x^2}{2}+C", r"\frac{x^2}{3}+C", False),
        (r"F_n = \sum_{k=0}^{n-1} F_k F_{n-k-1}", r"F_n = \sum_{i=0}^{n-1} F_i F_{n-i-1}", True),
        ("e", r"\sum_{n=0}^{\infty}\frac{1}{n!}", True),
        (r"\sum_{n=1}^{\infty}\frac{x^n}{n}", r"\sum_{k=1}^{\infty}\frac{x^k}{k^2}", False),
    ],
)
def test_sums_indexed_sequences_and_fast_series(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("204_5", "204_6", False),
        ("204_5", "203_5", False),
        ("2F_{16}", "2E_{16}", False),
        ("31_8", "(31)_8", True),
        ("(31)_8", "31_{8}", True),
    ],
)
def test_bases(reference, answer, equal):
    assert right(reference, answer) is equal
