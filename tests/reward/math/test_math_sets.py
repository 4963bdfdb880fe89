# SPDX-License-Identifier: Apache-2.0
"""The math judge on sets, intervals, inequalities, lists, points and matrices."""

import pytest

from klear_verl.reward.math.judge import grade


def right(reference: str, answer: str) -> bool:
    return grade(reference, f"so it is $\\boxed{{{answer}}}$.")[0]


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("[0,9)", r"0\le x\le 9", False),
        ("[0,9)", "(0,9)", False),
        ("[0,1)", "[0,1]", False),
        (r"(-\infty,5)", r"x\le 5", False),
        (r"(-\infty,-8)\cup(8,\infty)", "|x|>8", True),
        ("(-8,8)", "|x|<8", True),
        ("[-8,8]", r"|x|\le 8", True),
        ("[-8,8]", "|x|<8", False),
        (r"(-\infty,-8)\cup(8,\infty)", "-8<x<8", False),
        (r"(-\infty,-8)\cup(8,\infty)", r"x<-8 \text{ and } x>8", False),
        (r"(-\infty,2)\cup(2,\infty)", r"\mathbb{R}-\{2\}", True),
        ("[1,2]", r"\{x | 1\le x\le 2\}", True),
        ("[1,2]", r"\{x : 1\le x\le 2\}", True),
        ("[1,2]", r"\{x \in \mathbb{R} : 1\le x\le 2\}", True),
        ("[1,2]", r"\{x\mid 1\le x\le2\}", True),
        ("[1,2]", r"\{x\mid 1\le x<2\}", False),
        (r"\{x|x>3\}", "x>3", True),
        (r"(3,\infty)", r"\{x \mid x > 3\}", True),
        ("(1,3)", r"(1,2)\cup(2,3)", False),
        (r"(-\infty,\infty)", r"\mathbb{R}", True),
        (r"\mathbb{R}", r"(-\infty, \infty)", True),
        (r"(-\infty,\infty)", r"\text{all real numbers}", True),
        (r"\mathbb{R}", r"\text{all real numbers}", True),
        (r"[0,1]\setminus\{0.5\}", "[0,1]", False),
        ("[-3,2]", "[-2,3]", False),
        ("-793<a<10", r"-793<a\le 10", False),
        ("[0,1[", "[0,1]", False),
        (r"(-\infty, -1) \cup (-1, 1) \cup (1, \infty)", r"x \ne \pm 1", True),
        (r"(-\infty, -1) \cup (-1, 1) \cup (1, \infty)", r"x\ne -1, 1", True),
        (r"\emptyset", r"\{\}", True),
        (r"\emptyset", r"\text{empty set}", True),
    ],
)
def test_intervals_are_conditions_and_named_sets(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("f(2) < f(1) < f(4)", "f(1)<f(2)<f(4)", False),
        ("x>=5", "x>5", False),
        (r"x\ne 5", "x=5", False),
        ("x<1", "-x<-1", False),
        ("b>a", "b<a", False),
        (r"x\le1", "x<1", False),
        ("x^2-3a<0", "x^2>3a", False),
        (r"x<-3 \text{ or } x>1", "-3<x<1", False),
        ("1<x<5", r"1\le x<5", False),
        ("|x|<1", "-1<x<1", True),
        ("-2<x<2", "|x|<2", True),
        ("-2<x<2", "x^2<4", True),
        ("m<-1", "m>-1", False),
    ],
)
def test_inequalities_with_squares_and_absolute_values(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("1 and 2 and 3", "1,2", False),
        ("$1$ and $2$ and $3$", "1,2,4", False),
        (r"\{1,2,3\}", r"\{1,2,4\}", False),
        ("1, 2, 3", "[1,2,3]", True),
        ("19, 46, and 82", "19, 46", False),
        (r"\sqrt{67},-\sqrt{85}", r"-\sqrt{67},\sqrt{85}", False),
        ("7,-2,-5", "7,2,5", False),
        ("x=2,x=-3", "x=2", False),
        ("x=2,x=-3", "x=-2,x=3", False),
        (r"\{2\pm1\}", r"\{1,2\}", False),
        ("k=1;b=2", "k=2,b=1", False),
        (r"\{\{1\},\{2\},\{3\}\}", r"\{1,2,3\}", False),
        (r"\{\{1\},\{2\},\{3\}\}", r"\{\{1\},\{2\}\}", False),
        ("2,3", r"\text{2 and 3}", True),
        (r"\frac12,\frac13", r"\frac12,\frac14", False),
        ("1,000, 2,000", "1000, 2000", True),
        ("3, 4, 5, ..., 10", r"3,4,5,\dots,10", True),
        (r"\text{3 and 4}", "3,4", True),
        ("-2,0,3", r"x=-2,\ x=0,\ x=3", True),
        (r"\{x|x=1 \text{ or } x=2\}", r"\{1,2\}", True),
        ("2, -3", r"x=2\ \text{or}\ x=-3", True),
    ],
)
def test_lists_and_sets(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"1\pm\sqrt{19}", r"1+\sqrt{19}", False),
        (r"1\pm\sqrt{19}", r"1+\sqrt{19}, -1-\sqrt{19}", False),
        (r"\pm2021", r"\pm2020", False),
        (r"\sqrt3", r"\pm\sqrt3", False),
        (r"\frac{-1\pm\sqrt5}{2}", r"\frac{1\pm\sqrt5}{2}", False),
        (r"\pm1,\pm2", "1,-1,2", False),
    ],
)
def test_plus_or_minus(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        ("(6,31,-1)", "(6,31,1)", False),
        ("(6,31,-1)", "(31,6,-1)", False),
        (r"$(1,\frac92)$", "(4.5,1)", False),
        ("(3,1)", "(1,3)", False),
        ("(0;0;0),(0;-2;0)", "(0,0,0),(0,2,0)", False),
        ("(11,7)or(7,11)", "(7,11)", False),
        ("p=5,q=2;p=7,q=2", "p=5,q=2", False),
        ("p=5,q=2;p=7,q=2", "p=2,q=5;p=7,q=2", False),
        ("(2,2),(1,3),(3,3)", "(2,2),(3,1),(3,3)", False),
        ("(5,8),(8,5)", "(5,8)", False),
        ("(1,2,3,6)", "(1,2,3,5)", False),
        ("(1,2,3,6)", "(1,2,3)", False),
        ("(1,2)", "A(1,2)", True),
        ("(1,2)", r"x = 1,\ y = 2", True),
        ("(1,2,3)", "x=1,y=3,z=2", False),
        ("(1,2)", "1,2,3", False),
        ("Solution is: $[w=15, x=15, y=20, z=10]$", "w=15, x=15, y=20, z=10", True),
    ],
)
def test_points(reference, answer, equal):
    assert right(reference, answer) is equal


@pytest.mark.parametrize(
    ("reference", "answer", "equal"),
    [
        (r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}", False),
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1&2\end{pmatrix}", False),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{smallmatrix}1&2\\3&4\end{smallmatrix}", True),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", "[[1,2],[3,4]]", True),
        ("[[1,2],[3,4]]", r"\begin{bmatrix}1&2\\3&4\end{bmatrix}", True),
        ("[[1,2],[3,4]]", r"\begin{bmatrix}1&2\\4&3\end{bmatrix}", False),
        ("(1,2,3)", r"\begin{pmatrix} 3 \\ 2 \\ 1 \end{pmatrix}", False),
        (r"\frac{1}{2}\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}\frac12&1\\\frac32&2\end{pmatrix}", True),
        (r"\begin{pmatrix}1/3&2/3\\1/3&2/3\end{pmatrix}", r"\frac13\begin{pmatrix}1&2\\1&2\end{pmatrix}", True),
        (r"\begin{pmatrix}1/3&2/3\\1/3&2/3\end{pmatrix}", r"\begin{pmatrix}1&2\\1&2\end{pmatrix}", False),
        ("-2", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", True),
        ("-2", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}=2", False),
        (r"\begin{vmatrix}1&2\\3&4\end{vmatrix}", "-2", True),
        ("3", r"\begin{vmatrix} 2 & 1 \\ 1 & 3 \end{vmatrix}", False),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&3\\2&4\end{pmatrix}^T", True),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1&2&0\\3&4&0\end{pmatrix}", False),
        (r"\langle 1,2,3\rangle", "(1,2,3)", True),
        ("(1,2,3)", r"\langle 1, 2, 3 \rangle", True),
        (r"\begin{pmatrix}1\\2\\3\end{pmatrix}", r"\langle 1,2,3\rangle", True),
    ],
)
def test_matrices_with_a_factor_transposed_and_as_lists(reference, answer, equal):
    assert right(reference, answer) is equal
