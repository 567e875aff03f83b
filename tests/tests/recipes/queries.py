"""queries.py QUERIES…: prints what each says, in DuckDB and in the folder of now, as a list of
lists of objects."""

import json
import sys

import duckdb

database = duckdb.connect()
said = []
for query in sys.argv[1:]:
    result = database.execute(query)
    columns = [column[0] for column in result.description]
    said.append([dict(zip(columns, row)) for row in result.fetchall()])
json.dump(said, sys.stdout, default=str)
