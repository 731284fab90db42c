"""
Copies one table of Postgres into a DuckDB file with dlt's own sql_database source:
    dlt_sql.py <url> <table> <file> <folder> <backend>
Prints the rows and two sums, so that what was loaded can be told apart from what should have been.
"""

import sys

import dlt
import duckdb
from dlt.sources.sql_database import sql_table

url, table, file, folder, backend = sys.argv[1:]
url = url.replace("postgresql://", "postgresql+psycopg2://")
pipeline = dlt.pipeline("copy", pipelines_dir=folder, destination=dlt.destinations.duckdb(file), dataset_name="copied")
pipeline.run(sql_table(url, table=table, backend=backend), table_name="orders")
with duckdb.connect(file, read_only=True) as connection:
    print(*connection.execute("select count(*), sum(id), sum(account_id) from copied.orders").fetchone())
