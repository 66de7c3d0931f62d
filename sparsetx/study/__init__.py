"""Studies: grids of trainings and circuit searches, from one experiment file.

`definition` says what a study is, `work` does it, `table` collects what was found, and
`frontier` compares sizes of circuits at equal pretraining loss.
"""

from sparsetx.study.definition import Study

__all__ = ["Study"]
