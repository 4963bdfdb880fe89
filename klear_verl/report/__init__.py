# SPDX-License-Identifier: Apache-2.0
"""Pictures of runs and evaluations: one HTML file that needs no network, and one PNG for a README.

schema.py       the files that other commands write, as far as the report reads them
sources.py      finds what a directory holds (training runs, evaluations, quickstarts, ablations)
seeds.py        several seeds of one recipe as one curve with a band; t-intervals and paired differences
drawing.py      colours, fonts, panels, and a figure as inline SVG
charts.py       the training pictures
held_out.py     the evaluation pictures, and the README picture
comparisons.py  the pictures and tables of `klear ablate`
tables.py       the other tables
page.py         the sections of the page; templates/page.html.j2: their looks
report_cli.py   `klear report`

It reads files and nothing else: no verl, no ray, no torch. matplotlib and jinja2 come with
`pip install klear-verl[report]`.
"""
