"""Records what a real PostgreSQL answers to statements.sql: python3 record.py 'host=... port=...' > recorded.txt"""
import sys
import psycopg

connection = psycopg.connect(sys.argv[1], autocommit=True)
connection.execute("set timezone to 'UTC'")
for line in open("statements.sql"):
    line = line.rstrip("\n")
    if not line or line.startswith("--"):
        continue
    print(f"> {line}")
    result = connection.pgconn.exec_(line.encode()) if "$1" not in line else connection.pgconn.prepare(b"", line.encode())
    if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        field = lambda code: (result.error_field(code) or b"").decode()
        fields = psycopg.pq.DiagnosticField
        print(f"! {field(fields.SQLSTATE)} {field(fields.STATEMENT_POSITION) or '-'} {field(fields.MESSAGE_PRIMARY)}")
        continue
    print("= " + " ".join(f"{result.fname(i).decode()}:{result.ftype(i)}".replace(" ", "_") for i in range(result.nfields)))
    for row in range(result.ntuples):
        values = [result.get_value(row, i) for i in range(result.nfields)]
        print("| " + " | ".join("NULL" if v is None else v.decode().replace("\n", "\\n") for v in values))
