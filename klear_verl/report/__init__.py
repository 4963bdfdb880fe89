# SPDX-License-Identifier: Apache-2.0
"""Pictures of runs and evaluations: one HTML file that needs no network, and one PNG for a README.

sources.py          finds what a directory holds (training runs, evaluations, quickstarts, ablations)
schema.py           the JSON files that other commands write, as far as the report reads them
training_run.py     one training run
ablations.py        the comparisons of `klear ablate`: which runs belong to which arm
curves.py           several seeds of one recipe as one curve with a band
statistics.py       t-intervals over seeds, and differences paired by seed
style.py            colours, fonts, and a figure as inline SVG
panels.py           how curves become a picture
charts.py           the training pictures; diagnostics.py: those of the method's inner workings
held_out.py         the evaluation pictures
ablation_charts.py  the pictures of a comparison; ablation_tables.py: its tables
tables.py           the other tables
page.py             the sections of the page; templates/page.html.j2: their looks
overview.py         the README picture
report_cli.py       `klear report`

It reads files and nothing else: no verl, no ray, no torch. matplotlib and jinja2 come with
`pip install klear-verl[report]`.
"""
