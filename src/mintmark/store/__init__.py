"""The databases: the only importer of psycopg. Nothing above this room writes SQL, nothing here verifies a log.

    connection/  pools, migrations, statements out of `.sql` files
    log/         a log and its tree, as the mint's database and a read database both hold them
    mint/        the mint's database: requests, definitions, clocks, and the commit that appends
    mirror/      the read database as its mirrors write it: progress, leases, evidence, the commit of a batch
    registers/   the read database as the read API reads it: records, entries, links, whole registers
    fsck/        rows of either database as they are, and the statements that repair them

A statement of more than three lines stands in a `.sql` file beside its module, under a line `-- name: NAME`; the module
reads the file once, by `load_sql`, and runs `SQL["NAME"]`. A shorter one stands beside its call. Parameters have names.
"""
