# SPDX-License-Identifier: Apache-2.0
"""The math judge on words, choices, names, references of data sets and other languages."""

import pytest

from klear_verl.reward.math.judge import grade


def right(reference: str, answer: str) -> bool:
    return grade(reference, f"so it is $\\boxed{{{answer}}}$.")[0]


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\text{odd}", "even", False),
        ("white", "black", False),
        ("odd $n$", r"n \text{ is odd}", True),
        ("yes", "Yes", True),
        ("yes", "no", False),
        ("red", r"\text{green}", False),
        ("none", r"\text{some}", False),
        (r"\emptyset", "0", False),
        (r"\emptyset", r"\{0\}", False),
        ("True", "true", True),
        ("Not a function", r"\text{a function}", False),
        ("All powers of 2", r"\text{all powers of }3", False),
        ("No positive integers", r"\text{positive integers}", False),
        ("no solutions", r"\text{No solution}", True),
        ("no solution", r"\text{no solutions}", True),
        (r"\text{all even integers}", r"\text{all odd integers}", False),
        ("convergent", r"\text{divergent}", False),
        ("possible", r"\text{impossible}", False),
        (r"\text{Player A}", r"\text{Player B}", False),
    ],
)
def test_words(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\text{C}", r"\text{(D)}", False),
        ("(D) Alina", r"\text{Cecile}", False),
        ("B", r"\textbf{(A) } B", False),
        ("A", "B", False),
        ("A", "A,B", False),
        ("A", r"A \text{ or } B", False),
        ("A", r"\text{A or B}", False),
        ("ACD", "A, C, D", True),
        ("A,C,D", "ACD", True),
        ("ACD", "ABD", False),
        ("AC", "A,C", True),
        ("AC", r"A \text{ and } C", True),
        ("B", r"\text{The answer is B}", True),
    ],
)
def test_letters_of_several_choices(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("x=5", "6", False),
        ("5", "x = 4", False),
        ("x=5", "y=6", False),
        ("$k=1$", "2", False),
        ("(p,q)=(3,2)", "p=2, q=3", False),
        ("AB=4,CD=5", "AB=5, CD=4", False),
        ("AB=4,CD=5", "5,4", False),
        ("AB=4,CD=5", "4", False),
        ("a=1,b=2", "a=2,b=1", False),
        ("x = 1, y = 2", "(2, 1)", False),
        ("|AB|=1", "2", False),
        ("A:B=1", "2", False),
        ("f(x)=1", "2", False),
        ("2=x", "3", False),
        ("7", "a+b = 7", True),
        ("7", "a + b + c = 7", True),
        ("13", "m+n=13", True),
        (r"\frac{1}{2}", r"P(X=1)=\frac{1}{2}", True),
        ("10", "|z| = 10", True),
        ("10", r"z\bar{z} = 10", True),
        ("3", r"\frac{a}{b} = 3", True),
        ("f(x)=0", r"f \equiv 0", True),
        ("f(x)=0", r"f\equiv 0", True),
    ],
)
def test_an_assignment_says_its_right_side(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"$2\sqrt[3]{\frac{196}{13}}$", r"2\sqrt{\frac{196}{13}}", False),
        (r"$(-\infty,0)\cup\{\frac{1}{2}\}$", r"(-\infty,0]\cup\{\frac12\}", False),
        (r"$(-\infty,0)\cup\{\frac{1}{2}\}$", r"(-\infty,0)", False),
        (r"$(-\infty,-4)\cup (-4,-\frac{8}{3})$", r"x<-\frac83, x\ne-4", True),
        (r"$(-\infty , 0]$", "x<0", False),
        ("$(4, 1, 2, 5, 134, 718240)$", "(4,1,2,5,134,718241)", False),
        (r"$\frac{17458+2970\sqrt{5}}{23769}$", r"\frac{17458-2970\sqrt{5}}{23769}", False),
        ("$[-6,5]$", "-6<x<5", False),
        ("odd $n$", r"\text{even }n", False),
        ("$g(n)=n - 1$", "n+1", False),
        ("$n=4k+3$", "n=4k+2", False),
        ("$n=4k+3$", r"n=3+4k \text{ for integers } k", True),
        ("$Q(x)=c(x-1)^2(x-4)(x+2)$", "Q(x)=c(x-1)(x-4)(x+2)", False),
        ("$2^{2024}+1$", "2^{2024}-1", False),
        (r"$\binom{2k}{k}^2$", r"\binom{2k}{k}", False),
        ("$2^a 3^b 5^c$", "2^a3^b5^b", False),
        (r"$\lfloor\sqrt{n-1}\rfloor$", r"\lfloor\sqrt{n}\rfloor", False),
        ("No positive integers", r"\text{All positive integers}", False),
        (r"$6\rho$", r"3\rho", False),
        (r"$\frac{R^2+Rr}{\sqrt{R^2-2Rr}}$", r"\frac{R(R+r)}{\sqrt{R(R-2r)}}", True),
        (r"$\frac{a\sqrt{19}}{2}$", r"\frac{a\sqrt{19}}{4}", False),
        (r"$\mathbb{Z}$", r"\mathbb{N}", False),
        (r"$\mathbb{Z}$", r"\text{all integers}", True),
        (r"$n=1, n \ge 3$", r"n=1, n\ge 2", False),
        ("All numbers of the form $4k+3$", r"\text{all numbers of the form }4k+1", False),
        (r" $\left\{ (a,b):ab\leq e^{3}\right\}$", r"\{(a,b)\mid ab\le e^{3}\}", True),
        ("no solutions", r"\text{one solution}", False),
        (r"$\lfloor \frac{a+2}{2}\rfloor$", r"\lfloor \frac{a+1}{2}\rfloor", False),
        (r"$\frac{189 \sqrt{11}}{11}$", r"\frac{189\sqrt{11}}{12}", False),
        ("Solution is: $[w=15, x=15, y=20, z=10]$", "w = 15, x = 15, y = 20, z = 10", True),
        ("All real numbers except $x=2$", r"\text{all real numbers except } x=2", True),
        ("All real numbers except 2", r"x\ne2", True),
        (r"$x=\frac{\pi}{6}+2 \pi k, k \in \mathbb{Z}$", r"\frac\pi6+2k\pi", True),
        (r"$(f \circ g)(x)=4 x^{2}+1$", "4x^2+1", True),
        ("$(f+g)(x)=x^2+x$", "x^2+x", True),
        ("$f(g(x))=x$", "x", True),
        ("$g(f(2))=5$", "5", True),
        (r"$\left(f^{-1}\right)^{\prime}(2)=\frac{1}{3}$", r"\frac13", True),
        (r"Domain: $(-\infty, \infty)$", r"(-\infty,\infty)", True),
        (r"$\overrightarrow{AB}=(1,2)$", "(1,2)", True),
        (r"$|\vec{v}|=5$", "5", True),
        (r"$\|v\|=5$", "5", True),
        (r"$z=2 \operatorname{cis}\left(\frac{\pi}{3}\right)$", r"1+i\sqrt3", True),
        (r"$\{x \mid x \neq 0\}$", r"x\ne 0", True),
        (r"$\frac{d y}{d x}=\frac{-x}{y}$", r"-\frac xy", True),
        (r"$f^{\prime}(x)=3 x^{2}$", "3x^2", True),
        (r"$y^{\prime}=3 x^{2}$", "3x^2", True),
        (r"$\frac{\sqrt{3}}{2}$ square units", r"\frac{\sqrt3}{2}", True),
        (r"$12 \sqrt{3}$ cm", r"12\sqrt{3}", True),
        (r"$12 \sqrt{3}$ cm$^2$", r"12\sqrt{3}", True),
        ("$5$ hours and $20$ minutes", r"5\text{ hours }20\text{ minutes}", True),
        (r"$0.\overline{45}$", r"\frac{5}{11}", True),
    ],
)
def test_references_of_data_sets(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("42", "42个", True),
        ("18", "18元", True),
        ("18元", "18", True),
        ("60", "60千米", True),
        ("5小时", "5", True),
        ("5", "5小时", True),
        ("12", "12 平方厘米", True),
    ],
)
def test_units_and_numbers_in_other_languages(reference, answer, equal):
    assert right(reference, answer) is equal
