"""Sigma rules against lines of tracer, by pySigma and sqlite.

match_rules.py RULES PIPELINE JSON ECS: prints an object: for each rule the numbers of the lines of
both files that it matches, from 0 on, what pySigma's validators have to say of it, and
which of the fields that it names are in no line.
"""

import json
import pathlib
import sqlite3
import sys

from sigma.backends.sqlite import sqliteBackend
from sigma.collection import SigmaCollection
from sigma.processing.pipeline import ProcessingPipeline
from sigma.validation import SigmaValidator
from sigma.validators.core import validators

# These fetch lists from elsewhere.
NOT_HERE = {"attacktag", "d3_fendtag"}


def flatten(value, path, listed, row):
    """Every value under its path, as SIEMs have it: of lists, all that are in them."""
    if isinstance(value, dict):
        for name, inner in value.items():
            flatten(inner, f"{path}.{name}" if path else name, listed, row)
    elif isinstance(value, list):
        row.setdefault(path, [])
        for inner in value:
            flatten(inner, path, True, row)
    elif listed or isinstance(row.get(path), list):
        row.setdefault(path, []).append(value)
    else:
        row[path] = value


def table(path):
    """A table of the lines: a column for each field, lists as JSON."""
    rows = []
    for line in path.read_text().splitlines():
        rows.append({})
        flatten(json.loads(line), "", False, rows[-1])
    columns = sorted({column for row in rows for column in row})
    # Fields that differ in case alone would be one column.
    assert len({column.lower() for column in columns}) == len(columns)
    database = sqlite3.connect(":memory:")
    named = ", ".join(f'"{column}" COLLATE NOCASE' for column in columns)
    database.execute(f"CREATE TABLE lines (line INTEGER, {named})")
    for number, row in enumerate(rows):
        values = [row.get(column) for column in columns]
        values = [json.dumps(value) if isinstance(value, list) else value for value in values]
        marks = ", ".join("?" for _ in values)
        database.execute(f"INSERT INTO lines VALUES ({number}, {marks})", values)
    return database, set(columns)


def main(rules, pipeline, *files):
    pipelines = [None, ProcessingPipeline.from_yaml(pipeline.read_text())]
    tables = [table(file) for file in files]
    checks = [check for name, check in validators.items() if name not in NOT_HERE]
    validator = SigmaValidator(checks)
    found = {}
    for path in sorted(rules.glob("lnx_*.yml")):
        rule = SigmaCollection.load_ruleset([path])
        issues = [str(issue) for issue in validator.validate_rules(rule)]
        unknown = sorted(set(rule[0].fields) - tables[0][1])
        matches = []
        for pipeline, (database, _) in zip(pipelines, tables):
            rule = SigmaCollection.load_ruleset([path])
            # Of a column that is not there sqlite says so: names are in backticks.
            [query] = sqliteBackend(pipeline, table="lines").convert(rule)
            lines = database.execute(query.replace("SELECT *", "SELECT line", 1)).fetchall()
            matches.append([line for (line,) in lines])
        found[path.stem] = {
            "json": matches[0],
            "ecs": matches[1],
            "issues": issues,
            "unknown": unknown,
        }
    json.dump(found, sys.stdout)


main(*map(pathlib.Path, sys.argv[1:]))
